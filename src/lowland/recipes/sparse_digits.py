"""Sparse coding of digits (rows S1, S7): atoms become parts, of which a digit is a sum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.catalogue import load
from lowland.energies.sparse_autoencoder import SparseAutoencoder
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError, nearest
from lowland.inference import infer
from lowland.plots import images
from lowland.recipes.base import Recipe, recipe
from lowland.reports.run import Run
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.active_set import ActiveSet
from lowland.training.fit import fit

DATA = ("mnist10k", "digits", "fashion_mnist", "mnist")
METHODS = {
    "mean": "mean image (learns nothing)",
    "noise": "random atoms (learns nothing)",
    "pca": "PCA, as many components as a code has non-zeros",
    "coding": "sparse coding",
    "autoencoder": "sparse auto-encoder, exact code",
    "encoder": "sparse auto-encoder, one pass of its encoder",
}


@recipe(
    "sparse-digits",
    shows="A digit is a sum of parts: of 256 atoms each image uses a few tens, and many become strokes and loops.",
    rows=("S1", "S7"),
    minutes=1,
    title="Digits as sums of parts",
)
@dataclass(frozen=True)
class SparseDigitsRecipe(Recipe):
    """E(y, z) = ½‖y − W z‖² + λ‖z‖₁ with z ≥ 0, and the same with ½α‖z − Enc(y)‖² added: the sparse auto-encoder."""

    data: str = "mnist10k"
    """Images: mnist10k, digits, fashion_mnist or mnist."""
    atoms: int = 256
    """Atoms of a dictionary."""
    sparsity: float = 0.2
    """λ, for pixels in [0, 1]; it is scaled by the root of the pixels' number over 784."""
    epochs: int = 10
    """Times that the training images are seen."""
    images: int = 1000
    """Test images."""
    hidden: int = 256
    """Hidden units of the encoder."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"data": "digits", "atoms": 40, "epochs": 1, "images": 100, "hidden": 20}
    }

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise OptionError(f"There is no data set {self.data!r} for this recipe. {nearest(self.data, DATA)}")
        if min(self.atoms, self.epochs, self.images, self.hidden) < 1:
            raise OptionError("atoms, epochs, images and hidden must be at least 1.")

    def run(self, run: Run) -> None:
        run.expect(3)
        data = load(self.data)
        if data.stand_in_for:
            run.stand_in(f"{len(data.train):,} of the images of {data.stand_in_for} stand in for all of them.")
        train, test = data.train.flatten(1), data.test.flatten(1)[: self.images]
        size, scale = train.shape[1], (train.shape[1] / 784) ** 0.5
        coding = SparseCoding(size, self.atoms, self.sparsity * scale, positive=True, generator=self.generator())
        both = SparseAutoencoder(
            size, self.atoms, self.sparsity * scale, hidden=(self.hidden,), positive=True, generator=self.generator()
        )
        noise = coding.dictionary.detach().clone()
        # Atoms that start as images stay images: these start as noise where there is ink.
        grain = torch.rand(size, self.atoms, generator=self.generator(1)) * train.mean(dim=0)[:, None] + 1e-3
        for energy in (coding, both):
            energy.dictionary.data = functional.normalize(grain, dim=0)
        run.stage("coding", partial(self._learn, coding, train), [coding])
        run.stage("autoencoder", partial(self._descend, both, train), [both])
        found = run.stage("test", partial(self._test, coding, both, noise, train, test))
        for name, energy in (("sparse-coding", coding), ("sparse-autoencoder", both)):
            run.save_energy(name, energy)
        where = f"{len(test):,} test images of {data.name}"
        for key, method in METHODS.items():
            claim = "squared error of a reconstruction, ‖y − ŷ‖²"
            run.result(id="S7", claim=claim, method=method, measured=found["error"][key], data=where)
        for key in found["used"]:
            claim = f"non-zeros of a code, of {self.atoms}"
            run.result(id="S7", claim=claim, method=METHODS[key], measured=found["used"][key], data=where)
        for key in ("coding", "autoencoder"):
            claim = "share of its square that an atom has in its strongest tenth of pixels"
            run.result(id="S7", claim=claim, method=METHODS[key], measured=found["local"][key], data=where)
        error = {name: found["error"][name] for name in ("coding", "pca", "mean")}
        run.finding(
            f"{found['used']['coding']:.0f} of {self.atoms} parts are active in a digit on average, and leave a "
            f"squared error of {error['coding']:.3g}; as many principal components leave {error['pca']:.3g}, the mean "
            f"image {error['mean']:.3g}."
        )
        run.part(self._page, coding, both, test, found, data.test.shape[2])

    def _learn(self, energy: SparseCoding, train: Tensor) -> None:
        shaping = ExpectationMaximisation(
            ActiveSet(0.03), memory=1.0, forgetting=4.0, replace_after=20, initialise=False, seed=self.seed
        )
        steps = max(1, self.epochs * len(train) // 256)
        fit(energy, train, shaping, max_steps=steps, batch_size=256, validation=0.0, seed=self.seed, progress=False)

    def _descend(self, energy: SparseAutoencoder, train: Tensor) -> None:
        shaping = MinimumEnergy(ActiveSet(0.03))
        steps = max(1, self.epochs * len(train) // 128)
        fit(
            energy, train, shaping, max_steps=steps, batch_size=128, lr=2e-3, validation=0.0, seed=self.seed,
            progress=False,
        )  # fmt: skip

    @torch.no_grad()
    def _test(
        self, coding: SparseCoding, both: SparseAutoencoder, noise: Tensor, train: Tensor, test: Tensor
    ) -> dict[str, Any]:
        def error(rebuilt: Tensor) -> float:
            return (rebuilt - test).square().sum(dim=1).mean().item()

        random = SparseCoding(test.shape[1], self.atoms, coding.sparsity, positive=True)
        random.dictionary.copy_(noise)
        codes = {
            name: infer(energy, y=test, over="z", solver=ActiveSet(1e-4)).value
            for name, energy in (("noise", random), ("coding", coding), ("autoencoder", both))
        }
        codes["encoder"] = both.domain("z").project(both.code(test))
        energies = {"noise": random, "coding": coding, "autoencoder": both, "encoder": both}
        rebuilt = {name: energies[name].reconstruct(None, None, code) for name, code in codes.items()}
        used = {name: (code != 0).float().sum(dim=1).mean().item() for name, code in codes.items()}
        mean = train.mean(dim=0)
        count = max(1, round(used["coding"]))
        basis = torch.linalg.svd(train - mean, full_matrices=False).Vh[:count]
        rebuilt |= {"mean": mean.expand_as(test), "pca": mean + (test - mean) @ basis.T @ basis}
        local = {
            name: energy.dictionary.square().T.sort(dim=1, descending=True).values[:, : test.shape[1] // 10]
            for name, energy in (("coding", coding), ("autoencoder", both))
        }
        return {
            "error": {name: error(value) for name, value in rebuilt.items()},
            "used": used,
            "local": {name: value.sum(dim=1).mean().item() for name, value in local.items()},
            "rebuilt": {name: rebuilt[name][:12] for name in ("coding", "encoder", "pca")},
            "codes": codes["coding"],
        }

    def _page(
        self, run: Run, coding: SparseCoding, both: SparseAutoencoder, test: Tensor, found: dict[str, Any], side: int
    ) -> None:
        run.section(f"{self.atoms} parts")
        pair = [
            (images(energy.dictionary.detach().T.clamp_min(0), (side, side), signed=False, each=True), caption)
            for energy, caption in ((coding, METHODS["coding"]), (both, "sparse auto-encoder"))
        ]
        run.grid("atoms", pair, columns=2, dpi=150, caption="The positive part of each atom, each to its own scale")
        run.section("Digits as their sums")
        rows, height = [], 10
        for code, digit in zip(found["codes"][:8], test[:8], strict=True):
            top = code.argsort(descending=True)[:height]
            parts = (coding.dictionary.detach()[:, top] * code[top]).T.clamp_min(0)
            rows.append(torch.cat([digit[None], (coding.dictionary.detach() @ code)[None].clamp(0, 1), parts]))
        sheet = images(torch.cat(rows), (side, side), columns=height + 2, signed=False, each=False)
        run.figure("sums", sheet, "each row: a test image, the sum of all its atoms, and the ten that weigh most")
        run.section("What comes back")
        tiles = torch.cat([test[:12], *(found["rebuilt"][name] for name in ("coding", "encoder", "pca"))]).clamp(0, 1)
        labels = ", ".join(METHODS[name] for name in ("coding", "encoder", "pca"))
        run.figure("rebuilt", images(tiles, (side, side), columns=12, signed=False), f"test images; {labels}")
