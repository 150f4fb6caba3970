"""Convolutional predictive sparse coding: filters of whole images, an encoder that infers, and a second layer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lowland.data.cifar import cifar10
from lowland.data.contrast import contrast_windows, fade, normalise_contrast
from lowland.energies.convolutional_sparse_coding import ConvolutionalSparseCoding
from lowland.errors import OptionError
from lowland.evaluation.amortisation import amortisation_gap, error_path, iterates, worth_iterations
from lowland.evaluation.convolutional_layers import pooled_codes, pooled_features
from lowland.evaluation.energy_gap import scores
from lowland.inference import infer
from lowland.nn.convolutional_lista import ConvolutionalLinear, ConvolutionalLISTA
from lowland.plots import curves, image_rows, images
from lowland.recipes.base import Count, Positive, Recipe, recipe, train
from lowland.reports.run import Run
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.admm import ADMM
from lowland.solvers.proximal import FISTA

SIDE = 32
MARGIN = 4
"""Pixels over which images fade to 0 at their borders, since filters that leave at one side come back at the other."""
RATE, ENCODER_RATE = 0.02, 3e-3
"""First learning rates of filters of unit norm and of encoders; they fall to a tenth."""
EXACT, CLOSE = ADMM(max_steps=1000, tol=1e-3), ADMM(max_steps=60, tol=None)
"""For the codes of one layer, and for those that only a second layer sees."""
FISTA_STEPS, FEW = 60, 8


@recipe
@dataclass(frozen=True)
class ConvPSDRecipe(Recipe):
    """E(y, z) = ½‖y − Σ_k W_k ∗ z_k‖² + λ Σ|z_k| + (α/2)‖z − Enc(y)‖² on windows of 32 × 32 pixels."""

    data: Literal["photographs", "cifar10"] = "photographs"
    """Images: photographs, which are always there, or cifar10 in colour."""
    data_dir: str = ""
    """Folder with the files of the data, where they are not found by themselves."""
    images: Count = 1200
    """Training windows, or training images of CIFAR-10."""
    tests: Count = 64
    """Test windows, from other parts of the photographs."""
    filters: tuple[Count, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of filters, rising."""
    compare: int = 16
    """Number of filters with which encoders are compared, one of `filters`."""
    size: int = 9
    """Side of a filter in pixels."""
    sparsity: Positive = 0.5
    """λ, in units of the images, which have about unit variance."""
    prediction: Positive = 0.5
    """α, how much a code far from the encoder's costs in training."""
    shrinkages: Count = 3
    """Shrinkages of the encoder."""
    seeds: Count = 3
    """Repetitions of the comparison of encoders."""
    steps: Count = 150
    """Training steps of filters and encoder together, of 8 windows each."""
    encoder_steps: Count = 150
    """Further steps of each encoder, with the filters held."""
    inner: Count = 8
    """Steps of ADMM from the encoder's code in training."""
    second: Count = 32
    """Filters of the second layer."""

    files: ClassVar[tuple[str, ...]] = ("data_dir",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "images": 24, "tests": 4, "filters": (1, 2), "compare": 2, "size": 5, "seeds": 2, "steps": 3,
            "encoder_steps": 3, "inner": 3, "second": 2,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compare not in self.filters or list(self.filters) != sorted(set(self.filters)):
            raise OptionError(f"filters must rise and hold {self.compare}, the number to compare with: {self.filters}.")

    def run(self, run: Run) -> None:
        run.expect(len(self.filters) + 2 * self.seeds)
        train, test = self._images(run)
        energies: dict[int, ConvolutionalSparseCoding] = {}
        for count in self.filters:
            energy = energies[count] = self._energy(train, count, 0)
            levels = run.stage(f"filters-{count}", partial(self._learn, energy, train, test, 0), [energy])
            for name, level in {"learned filters": "after", "random filters (baseline)": "before"}.items():
                run.measured.add({f"{count} {name}": {"energy": levels[level] / levels["zero"]}})
        shown: dict[str, Tensor] = {}
        for seed in range(self.seeds):
            energy = energies[self.compare] if seed == 0 else self._energy(train, self.compare, seed)
            with run.below(f"seed-{seed}"):
                if seed:
                    run.stage("filters", partial(self._learn, energy, train, test, seed), [energy])
                found = run.stage("encoders", partial(self._compare, energy, train, test, seed))
            rows = {name: {**row, "milliseconds": row["microseconds"] / 1000} for name, row in found["report"].items()}
            rows["encoder"]["FISTA"] = worth_iterations(found["FISTA"], rows["encoder"]["gap"])
            run.measured.add(rows)
            shown = shown or found["shown"]
        second = run.stage("second", partial(self._second, energies[self.compare], train, test))
        for name, level in {"second layer": "after", "random second layer (baseline)": "before"}.items():
            run.measured.add({name: {"second": second[level] / second["zero"]}})
        run.save_energy("conv-psd", energies[max(self.filters)])
        run.part(self._figures, energies, {"image": test[:FEW], **shown}, second["features"])

    def _images(self, run: Run) -> tuple[Tensor, Tensor]:
        """Training and test images (N, C, 32, 32), contrast normalised, faded at the borders."""
        folder, generator = self.data_dir or None, self.generator()
        if self.data == "cifar10":
            found = cifar10(folder)
            if found.stand_in_for:
                run.stand_in(f"{found.source} stands in for CIFAR-10.")
            pairs = ((found.train, self.images), (found.test, self.tests))
            parts = [part[torch.randperm(len(part), generator=generator)[:count]] for part, count in pairs]
            parts = [normalise_contrast(part) for part in parts]
        else:
            where = f"The photographs in {folder} stand" if folder else "Two photographs stand"
            run.stand_in(f"{where} in for the natural images{'' if folder else ' and the CIFAR-10'} of the papers.")
            draw = partial(contrast_windows, SIDE, generator=generator, data_dir=folder)
            parts = [draw(self.images, part="train"), draw(self.tests, part="test")]
        train, test = (fade(part, MARGIN).to(self.device) for part in parts)
        return train, test

    def _energy(self, images: Tensor, count: int, seed: int) -> ConvolutionalSparseCoding:
        shape = (images.shape[1], SIDE, SIDE)
        return ConvolutionalSparseCoding(
            shape, count, self.size, self.sparsity, prediction=self.prediction, shrinkages=self.shrinkages,
            generator=self.generator(seed),
        ).to(self.device)  # fmt: skip

    def _learn(self, energy: ConvolutionalSparseCoding, data: Tensor, test: Tensor, seed: int) -> dict[str, float]:
        """Filters, and the encoder if there is one; F of test images before and after, by exact inference."""
        levels = {"zero": float(0.5 * test.square().flatten(1).sum(dim=1).mean()), "before": _free(energy, test)}
        shaping = MinimumEnergy(solver=ADMM(max_steps=self.inner, tol=None, adaptive=False))
        _fit(energy, data, shaping, self.steps, RATE, seed)
        return levels | {"after": _free(energy, test)}

    def _compare(self, energy: ConvolutionalSparseCoding, train: Tensor, test: Tensor, seed: int) -> dict[str, Any]:
        """Encoders against exact inference with the same filters, on test images."""
        coding, curvature = energy.without_encoder(), float(energy.curvature_bound()) - self.prediction
        refined, linear = copy.deepcopy(_encoder(energy)), ConvolutionalLinear(energy.filters, curvature)
        for encoder in (refined, linear):
            _fit(coding, train, CodePrediction(encoder, objective=True), self.encoder_steps, ENCODER_RATE, seed)
        encoders: dict[str, Callable[[Tensor], Tensor]] = {
            "zero code": lambda y: y.new_zeros(len(y), *coding.domain("z").shape),
            "untrained encoder": self._energy(train, self.compare, seed).code,
            "linear encoder": linear,
            "ISTA": ConvolutionalLISTA(energy.filters, self.sparsity, curvature, self.shrinkages),
            "joint encoder": energy.code,
            "encoder": refined,
        }
        report = amortisation_gap(coding, test, encoders, EXACT, batch_size=16).rows()
        path = error_path(coding, test[:16], iterates(coding, FISTA(max_steps=FISTA_STEPS, tol=None)), EXACT)
        with torch.no_grad():
            shown = {name: coding.reconstruct(None, None, encoder(test[:FEW])) for name, encoder in encoders.items()}
            shown["exact"] = coding.reconstruct(None, None, infer(coding, y=test[:FEW], over="z", solver=EXACT).value)
        return {"report": report, "FISTA": path.gap, "shown": shown}

    def _second(self, energy: ConvolutionalSparseCoding, train: Tensor, test: Tensor) -> dict[str, Any]:
        """A second layer on pooled codes: F before and after training, and its filters projected to pixels."""
        coding = energy.without_encoder()
        below, held = (pooled_codes(coding, part, CLOSE) for part in (train[:300], test))
        scale = below.square().mean().sqrt()
        below, held = below / scale, held / scale
        shape = (below.shape[1], below.shape[2], below.shape[3])
        above = ConvolutionalSparseCoding(shape, self.second, min(5, self.size), 1.0, generator=self.generator(50))
        above = above.to(below)
        levels = self._learn(above, below, held, 0)
        with torch.no_grad():
            use = infer(above, y=held, over="z", solver=EXACT).value.abs().sum(dim=(0, 2, 3))
        return {**levels, "features": pooled_features(coding, above.filters.detach()[use.argsort(descending=True)])}

    def _figures(
        self, run: Run, energies: Mapping[int, ConvolutionalSparseCoding], rows: Mapping[str, Tensor], features: Tensor
    ) -> None:
        tiles = {count: visible(energy.filters.detach()) for count, energy in energies.items()}
        few, many = ([count for count in tiles if (count <= FEW) == small] for small in (True, False))
        run.show(few=few, many=many)
        if few:
            sheet = torch.cat([tiles[count] for count in few])
            run.figure("few", images(sheet, columns=len(sheet)))
        if many:
            analysis = visible(_encoder(energies[many[-1]]).analysis.detach())
            sheets = [*(tiles[count] for count in many), analysis]
            run.grid("bases", [(images(sheet, columns=FEW), "") for sheet in sheets], columns=2)
        kinds = {"learned filters": "{} learned filters", "random filters": "{} random filters (baseline)"}
        lines = {label: run.measured.curve(name, "energy", energies) for label, name in kinds.items()}
        axes: dict[str, Any] = {"xlabel": "number of filters", "ylabel": "F, share of no code's", "log": "x"}
        run.figure("energy", curves(lines, title="Test images", **axes))
        names = ("image", "exact", "encoder", "ISTA", "linear encoder", "untrained encoder", "zero code")
        run.figure("decoded", image_rows({name: visible(rows[name]).clamp(-2, 2) for name in names}, each=False))
        run.figure("second", images(visible(features), columns=FEW))


def _fit(energy: Any, data: Tensor, shaping: Any, steps: int, rate: float, seed: int) -> None:
    train(energy, data, shaping, steps, batch_size=8, lr=rate, seed=seed, schedule=lambda step: 1 - 0.9 * step / steps)


def _encoder(energy: ConvolutionalSparseCoding) -> ConvolutionalLISTA:
    """It has one since `prediction` is positive."""
    assert energy.encoder is not None
    return energy.encoder


def visible(filters: Tensor) -> Tensor:
    """(K, H, W): filters of several channels as their mean over these."""
    return filters.mean(dim=1)


def _free(energy: ConvolutionalSparseCoding, y: Tensor) -> float:
    """The mean of F over images, by exact inference without the encoder."""
    return float(scores(energy.without_encoder(), y, solver=EXACT, batch_size=16).mean())
