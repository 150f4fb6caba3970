"""Sparse coding of digits: atoms become parts, of which a digit is a sum."""

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
from lowland.evaluation.gabor import locality
from lowland.evaluation.representations import principal_reconstruction
from lowland.inference import infer
from lowland.plots import images
from lowland.plots.atoms import sums_of_atoms
from lowland.recipes.base import Count, NotNegative, recipe
from lowland.recipes.sparse.common import DigitsRecipe
from lowland.reports.run import Run
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.active_set import ActiveSet
from lowland.training.fit import fit
from lowland.training.online_dictionary import learn_online

SUMS, PARTS, REBUILT = 8, 10, 12
"""Images that are shown as sums, the atoms shown of each, and images shown beside their reconstructions."""


@recipe
@dataclass(frozen=True)
class SparseDigitsRecipe(DigitsRecipe):
    """E(y, z) = ½‖y − W z‖² + λ‖z‖₁ with z ≥ 0, and the same with ½α‖z − Enc(y)‖² added: the sparse auto-encoder."""

    atoms: Count = 256
    """Atoms of a dictionary."""
    sparsity: NotNegative = 0.2
    """λ, for pixels in [0, 1]; it is scaled by the root of the pixels' number over 784."""
    epochs: Count = 10
    """Passes over the training images."""
    images: Count = 1000
    """Test images."""
    hidden: Count = 256
    """Hidden units of the encoder."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"data": "digits", "atoms": 40, "epochs": 1, "images": 100, "hidden": 20}
    }

    def run(self, run: Run) -> None:
        run.expect(3)
        data = load(self.data)
        if data.stand_in_for:
            run.stand_in(f"{len(data.train):,} of the images of {data.stand_in_for} stand in for all of them.")
        train, test = data.train.flatten(1), data.test.flatten(1)[: self.images]
        size, sparsity = train.shape[1], self.sparsity * (train.shape[1] / 784) ** 0.5
        coding = SparseCoding(size, self.atoms, sparsity, positive=True, generator=self.generator())
        options = {"positive": True, "hidden": (self.hidden,), "generator": self.generator()}
        both = SparseAutoencoder(size, self.atoms, sparsity, **options)
        noise = coding.dictionary.detach().clone()
        # Atoms that start as images stay images: these start as noise where there is ink.
        grain = torch.rand(size, self.atoms, generator=self.generator(1)) * train.mean(dim=0)[:, None] + 1e-3
        for energy in (coding, both):
            energy.dictionary.data = functional.normalize(grain, dim=0)
        learn = partial(learn_online, coding, train, self._steps(train, 256), 256, seed=self.seed)
        run.stage("coding", learn, [coding])
        run.stage("autoencoder", partial(self._descend, both, train), [both])
        found = run.stage("test", partial(self._test, coding, both, noise, train, test))
        for name, energy in (("sparse-coding", coding), ("sparse-autoencoder", both)):
            run.save_energy(name, energy)
        for measure in ("error", "used", "local"):
            run.measured.add({method: {measure: value} for method, value in found[measure].items()})
        run.show(tested=len(test), name=data.name)
        run.part(self._figures, coding, both, test, found, data.shape[1:])

    def _steps(self, train: Tensor, batch: int) -> int:
        return max(1, self.epochs * len(train) // batch)

    def _descend(self, energy: SparseAutoencoder, train: Tensor) -> None:
        options = {"batch_size": 128, "lr": 2e-3, "validation": 0.0, "seed": self.seed, "progress": False}
        fit(energy, train, MinimumEnergy(ActiveSet(0.03)), max_steps=self._steps(train, 128), **options)

    @torch.no_grad()
    def _test(
        self, coding: SparseCoding, both: SparseAutoencoder, noise: Tensor, train: Tensor, test: Tensor
    ) -> dict[str, Any]:
        """Squared errors, non-zeros, how local atoms are, and what the pictures need."""
        random = SparseCoding(test.shape[1], self.atoms, coding.sparsity, positive=True)
        random.dictionary.copy_(noise)
        energies = {"noise": random, "coding": coding, "autoencoder": both, "encoder": both}
        codes = {
            name: infer(energies[name], y=test, over="z", solver=ActiveSet(1e-4)).value
            for name in ("noise", "coding", "autoencoder")
        }
        codes["encoder"] = both.domain("z").project(both.code(test))
        rebuilt = {name: energies[name].reconstruct(None, None, code) for name, code in codes.items()}
        used = {name: (code != 0).float().sum(dim=1).mean().item() for name, code in codes.items()}
        size = max(1, round(used["coding"]))
        rebuilt |= {
            "mean": train.mean(dim=0).expand_as(test),
            "pca": principal_reconstruction(train, test, size),
        }
        local = {name: locality(energies[name].dictionary.T).mean().item() for name in ("coding", "autoencoder")}
        return {
            "error": {name: (value - test).square().sum(dim=1).mean().item() for name, value in rebuilt.items()},
            "used": used,
            "local": local,
            "rebuilt": {name: rebuilt[name][:REBUILT] for name in ("coding", "encoder", "pca")},
            "codes": codes["coding"],
        }

    def _figures(
        self, run: Run, coding: SparseCoding, both: SparseCoding, test: Tensor, found: Any, shape: tuple[int, int]
    ) -> None:
        positive = [energy.dictionary.detach().T.clamp_min(0) for energy in (coding, both)]
        run.grid("atoms", [(images(part, shape, signed=False, each=True), "") for part in positive], 2, dpi=150)
        codes, y = found["codes"][:SUMS], test[:SUMS]
        run.figure("sums", sums_of_atoms(coding.dictionary.detach().T, codes, y, shape, parts=PARTS))
        tiles = torch.cat([test[:REBUILT], *(found["rebuilt"][name] for name in ("coding", "encoder", "pca"))])
        run.figure("rebuilt", images(tiles.clamp(0, 1), shape, columns=min(REBUILT, len(test)), signed=False))
