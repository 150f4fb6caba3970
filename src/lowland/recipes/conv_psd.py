"""Convolutional predictive sparse coding (rows S9, S10, S11): filters of whole images, and an encoder that infers."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.cifar import cifar10
from lowland.data.natural import photographs
from lowland.energies.convolutional_sparse_coding import ConvolutionalSparseCoding
from lowland.errors import OptionError, nearest
from lowland.evaluation.amortisation import amortisation_gap
from lowland.inference import free_energy, infer
from lowland.nn.convolutional_lista import ConvolutionalLISTA, gather
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.conv_psd_page import write_page, write_results
from lowland.reports.run import Run
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.admm import ADMM
from lowland.solvers.proximal import FISTA
from lowland.training.fit import fit

DATA = ("photographs", "cifar10")
SIDE = 32
MARGIN = 4
"""Pixels over which images fade to 0 at their borders, since filters that leave at one side come back at the other."""
CONTRAST = 0.5
"""Least standard deviation of a window of a photograph, after the contrast was normalised to about 1."""
RATE = 0.02
"""First learning rate of filters of unit norm; it falls to a tenth."""
POOL = 2
"""Side of the neighbourhoods of codes whose largest size the second layer sees."""
EXACT = ADMM(max_steps=1000, tol=1e-3)
CLOSE = ADMM(max_steps=60, tol=None)
"""Enough for codes that are only looked at by a second layer."""


class ConvolutionalLinear(nn.Module):
    """z = W_e ⋆ y / L: an encoder without a threshold, to compare with. At first W_e = W."""

    def __init__(self, filters: Tensor, curvature: float) -> None:
        super().__init__()
        self.analysis, self.curvature = nn.Parameter(filters.detach().clone()), curvature

    def forward(self, y: Tensor) -> Tensor:
        return gather(y, self.analysis / self.curvature)


@recipe(
    "conv-psd",
    shows="Filters learned on whole images rather than patches: one filter, then 2, 4, up to 64, an encoder that "
    "predicts the sparse maps in one pass, and a second layer on top.",
    rows=("S9", "S10", "S11"),
    minutes=6,
    title="Convolutional predictive sparse coding",
)
@dataclass(frozen=True)
class ConvPSDRecipe(Recipe):
    """E(y, z) = ½‖y − Σ_k W_k ∗ z_k‖² + λ Σ|z_k| + (α/2)‖z − Enc(y)‖² on windows of 32 × 32 pixels."""

    data: str = "photographs"
    """Images: photographs, which are always there, or cifar10 in colour."""
    data_dir: str = ""
    """Folder with the files of the data, where they are not found by themselves."""
    images: int = 1200
    """Training windows, or training images of CIFAR-10."""
    tests: int = 64
    """Test windows, from other parts of the photographs."""
    filters: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of filters, rising."""
    compare: int = 16
    """Number of filters with which encoders are compared, one of `filters`."""
    size: int = 9
    """Side of a filter in pixels."""
    sparsity: float = 0.5
    """λ, in units of the images, which have about unit variance."""
    prediction: float = 0.5
    """α, how much a code far from the encoder's guess costs in training."""
    shrinkages: int = 3
    """Shrinkages of the encoder."""
    seeds: int = 3
    """Repetitions of the comparison of encoders."""
    steps: int = 150
    """Training steps of filters and encoder together, of 8 windows each."""
    encoder_steps: int = 150
    """Further steps of each encoder, with the filters held."""
    inner: int = 8
    """Steps of ADMM from the encoder's guess in training."""
    second: int = 32
    """Filters of the second layer."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "images": 24, "tests": 4, "filters": (1, 2), "compare": 2, "size": 5, "seeds": 2, "steps": 3,
            "encoder_steps": 3, "inner": 3, "second": 2,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise OptionError(f"There are no images called {self.data!r} for this recipe. {nearest(self.data, DATA)}")
        counts = (self.images, self.tests, self.seeds, self.steps, self.encoder_steps, self.inner, self.second)
        if min(*counts, *self.filters, self.shrinkages) < 1:
            raise OptionError("All counts must be at least 1.")
        if self.compare not in self.filters or list(self.filters) != sorted(set(self.filters)):
            raise OptionError(f"filters must rise and hold {self.compare}, the number to compare with: {self.filters}.")

    def run(self, run: Run) -> None:
        run.expect(len(self.filters) + 2 * self.seeds + 1)
        train, test, stand_in = self._images()
        if stand_in:
            run.stand_in(stand_in)
        energies, curve = {}, {}
        for count in self.filters:
            energy = energies[count] = self._energy(train, count, 0)
            learn = partial(self._learn, energy, train, test, 0)
            curve[count] = run.stage(f"filters-{count}", learn, [energy])
        found = []
        for seed in range(self.seeds):
            energy = self._energy(train, self.compare, seed)
            if seed:
                run.stage(f"seed-{seed}/filters", partial(self._learn, energy, train, test, seed), [energy])
            else:
                energy = energies[self.compare]
            compared = partial(self._compare, energy, train, test, seed)
            found.append(run.stage(f"seed-{seed}/encoders", compared))
        second = run.stage("second", partial(self._second, energies[self.compare], train, test))
        run.save_energy("conv-psd", energies[max(self.filters)])
        write_results(run, self, curve, found, second)
        run.part(write_page, self, energies, curve, found, second, test)

    # Data

    def _images(self) -> tuple[Tensor, Tensor, str]:
        """Training and test images (N, C, 32, 32), contrast normalised, faded at the borders; and what they are not."""
        folder, generator = self.data_dir or None, self.generator()
        if self.data == "cifar10":
            images = cifar10(folder)
            stand_in = f"{images.source} stands in for CIFAR-10." if images.stand_in_for else ""
            parts = [
                part[torch.randperm(len(part), generator=generator)[:count]]
                for part, count in ((images.train, self.images), (images.test, self.tests))
            ]
            parts = [normalised(part) for part in parts]
        else:
            parts, stand_in = (
                [[], []],
                "Two photographs stand in for the natural images and the CIFAR-10 of the papers.",
            )
            if folder:
                stand_in = f"The photographs in {folder} stand in for the natural images of the papers."
            for grey_HW in photographs(folder).values():
                flat, border = normalised(grey_HW[None, None])[0], grey_HW.shape[1] * 3 // 4
                parts[0].append(flat[..., :border])
                parts[1].append(flat[..., border:])
            parts = [_windows(half, n, generator) for half, n in zip(parts, (self.images, self.tests), strict=True)]
        fade = torch.ones(SIDE)
        fade[:MARGIN] = torch.sin(torch.pi / 2 * (torch.arange(MARGIN) + 0.5) / MARGIN).square()
        fade = fade * fade.flip(0)
        train, test = (part * fade * fade[:, None] for part in parts)
        return train.to(self.device), test.to(self.device), stand_in

    def _energy(self, images: Tensor, count: int, seed: int) -> ConvolutionalSparseCoding:
        shape = (images.shape[1], SIDE, SIDE)
        return ConvolutionalSparseCoding(
            shape, count, self.size, self.sparsity, prediction=self.prediction, shrinkages=self.shrinkages,
            generator=self.generator(seed),
        ).to(self.device)  # fmt: skip

    # Training

    def _learn(self, energy: ConvolutionalSparseCoding, train: Tensor, test: Tensor, seed: int) -> dict[str, float]:
        """Filters and encoder together; F of test images before and after, both by exact inference."""
        before = _free(decoder(energy), test)
        shaping = MinimumEnergy(solver=ADMM(max_steps=self.inner, tol=None, adaptive=False))
        fit(
            energy, train, shaping, max_steps=self.steps, batch_size=8, lr=RATE, validation=0.0, seed=seed,
            schedule=lambda step: 1 - 0.9 * step / self.steps, progress=False,
        )  # fmt: skip
        return {"before": before, "after": _free(decoder(energy), test), "zero": _nothing(test)}

    def _compare(self, energy: ConvolutionalSparseCoding, train: Tensor, test: Tensor, seed: int) -> dict[str, Any]:
        """Encoders against exact inference with the same filters, on test images."""
        coding, curvature = decoder(energy), _curvature(energy)
        first = self._energy(train, self.compare, seed).encoder
        ista = ConvolutionalLISTA(energy.filters, self.sparsity, curvature, self.shrinkages)
        refined, linear = copy.deepcopy(energy.encoder), ConvolutionalLinear(energy.filters, curvature)
        assert energy.encoder is not None
        assert refined is not None
        assert first is not None
        for encoder in (refined, linear):
            shaping = CodePrediction(encoder, objective=True)
            fit(
                coding, train, shaping, max_steps=self.encoder_steps, batch_size=8, lr=3e-3, validation=0.0,
                seed=seed, schedule=lambda step: 1 - 0.9 * step / self.encoder_steps, progress=False,
            )  # fmt: skip
        encoders = {
            "zero code": lambda y: y.new_zeros(len(y), *coding.domain("z").shape),
            "untrained encoder": first,
            "linear encoder": linear,
            "ISTA": ista,
            "joint encoder": energy.encoder,
            "encoder": refined,
        }
        report = amortisation_gap(coding, test, encoders, EXACT, batch_size=16)
        with torch.no_grad():
            path = infer(coding, y=test[:16], over="z", solver=FISTA(max_steps=60, tol=None), record=True).trajectory
            assert path is not None
            exact = infer(coding, y=test[:16], over="z", solver=EXACT).energy
            levels = [coding(y=test[:16], z=u.reshape(16 if len(test) > 15 else len(test), *coding.domain("z").shape))
                      for u in path]  # fmt: skip
            gaps = [float((level / exact - 1).mean()) for level in levels]
            shown = {name: coding.reconstruct(None, None, encoder(test[:8])) for name, encoder in encoders.items()}
            shown["exact"] = coding.reconstruct(None, None, infer(coding, y=test[:8], over="z", solver=EXACT).value)
        return {"report": {name: row._asdict() for name, row in report.items()}, "FISTA": gaps, "shown": shown}

    def _second(self, energy: ConvolutionalSparseCoding, train: Tensor, test: Tensor) -> dict[str, Any]:
        """A second layer on pooled codes: its filters projected to pixels, and F before and after training."""
        coding = decoder(energy)
        below, held = (pooled(coding, part) for part in (train[:300], test))
        scale = below.square().mean().sqrt()
        below, held = below / scale, held / scale
        shape = (below.shape[1], below.shape[2], below.shape[3])
        size = min(5, self.size)
        above = ConvolutionalSparseCoding(shape, self.second, size, 1.0, generator=self.generator(50)).to(below)
        before = _free(above, held)
        shaping = MinimumEnergy(solver=ADMM(max_steps=self.inner, tol=None, adaptive=False))
        fit(
            above, below, shaping, max_steps=self.steps, batch_size=8, lr=RATE, validation=0.0, seed=0,
            schedule=lambda step: 1 - 0.9 * step / self.steps, progress=False,
        )  # fmt: skip
        with torch.no_grad():
            found = infer(above, y=held, over="z", solver=EXACT)
        use = found.value.abs().sum(dim=(0, 2, 3))
        return {
            "before": before,
            "after": float(found.energy.mean()),
            "zero": _nothing(held),
            "features": projected(coding, above.filters.detach()[use.argsort(descending=True)]),
        }


def decoder(energy: ConvolutionalSparseCoding) -> ConvolutionalSparseCoding:
    """The same filters without an encoder: E(y, z) = ½‖y − W ∗ z‖² + λ‖z‖₁."""
    channels, height, width = energy.domain("y").shape
    count, _, size, _ = energy.filters.shape
    bare = ConvolutionalSparseCoding((channels, height, width), count, size, energy.sparsity).to(energy.filters)
    bare.load_state_dict({"filters": energy.filters.detach()})
    return bare


def normalised(images: Tensor) -> Tensor:
    """(N, C, H, W) less its surroundings, and over their contrast where that is above the mean of the image.

    The surroundings are weighed by a Gaussian of 4 pixels; the contrast is that of all channels together (Jarrett,
    Kavukcuoglu, Ranzato & LeCun 2009).

    >>> normalised(torch.ones(1, 1, 32, 32)).abs().max() < 1e-4
    tensor(True)
    """
    reach = torch.arange(-9, 10)
    line = torch.exp(-reach.square() / 32.0)
    line = line / line.sum()

    def blurred(y: Tensor) -> Tensor:
        flat = functional.pad(y.flatten(0, 1)[:, None], (9, 9, 9, 9), mode="reflect")
        flat = functional.conv2d(functional.conv2d(flat, line[None, None, None]), line[None, None, :, None])
        return flat[:, 0].reshape(y.shape)

    # Without the mean first, rounding alone would give a flat picture a contrast.
    images = images - images.mean(dim=(2, 3), keepdim=True)
    centred = images - blurred(images)
    contrast = blurred(centred.square().mean(dim=1, keepdim=True)).clamp_min(0).sqrt()
    return centred / torch.maximum(contrast, contrast.mean(dim=(1, 2, 3), keepdim=True)).clamp_min(1e-4)


def pooled(coding: ConvolutionalSparseCoding, y: Tensor) -> Tensor:
    """(N, 2K, H/2, W/2): the largest positive and the largest negative code of each neighbourhood, both as sizes."""
    with torch.no_grad():
        z = torch.cat([infer(coding, y=part, over="z", solver=CLOSE).value for part in y.split(32)])
        return functional.max_pool2d(torch.cat([z.clamp_min(0), (-z).clamp_min(0)], dim=1), POOL)


def projected(coding: ConvolutionalSparseCoding, filters: Tensor) -> Tensor:
    """Filters of the second layer (K₂, 2K, h, h) in pixels: each code stands in the middle of what was pooled."""
    count, _, size, _ = filters.shape
    positive, negative = filters.chunk(2, dim=1)
    z = filters.new_zeros(count, *coding.domain("z").shape)
    reach = POOL * size
    z[..., :reach:POOL, :reach:POOL] = positive - negative
    with torch.no_grad():
        seen = reach + coding.filters.shape[-1] - 1
        return coding.reconstruct(None, None, z)[..., :seen, :seen]


def _windows(flats: list[Tensor], count: int, generator: torch.Generator) -> Tensor:
    """(N, 1, 32, 32) at random places of the images (1, H, W), flat sky left out where there is anything else."""
    found, draws = [], 0
    while len(found) < count:
        flat = flats[len(found) % len(flats)]
        top, left = (int(torch.randint(n - SIDE + 1, (), generator=generator)) for n in flat.shape[1:])
        piece, draws = flat[:, top : top + SIDE, left : left + SIDE], draws + 1
        if float(piece.std()) >= CONTRAST or draws > 20 * count:
            found.append(piece)
    return torch.stack(found)


def _free(energy: ConvolutionalSparseCoding, y: Tensor) -> float:
    """The mean of F over images, by exact inference."""
    with torch.no_grad():
        return float(torch.cat([free_energy(energy, part, solver=EXACT).value for part in y.split(16)]).mean())


def _nothing(y: Tensor) -> float:
    """The mean of E at z = 0."""
    return float(0.5 * y.square().flatten(1).sum(dim=1).mean())


def _curvature(energy: ConvolutionalSparseCoding) -> float:
    bound = energy.structure(("z",), None, energy.filters.new_zeros(1, *energy.domain("y").shape), None).bound()
    assert bound is not None
    return float(bound) - energy.prediction
