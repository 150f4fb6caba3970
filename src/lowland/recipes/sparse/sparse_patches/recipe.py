"""Sparse coding of natural images: atoms become oriented edges, as in the visual cortex."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

from torch import Tensor

from lowland.data.natural import patches
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError
from lowland.evaluation.gabor import GaborFit, gabor_fit
from lowland.inference import infer
from lowland.plots import images
from lowland.plots.atoms import wave_vectors
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.solvers.active_set import ActiveSet
from lowland.training.online_dictionary import learn_online

GOOD = 0.5
"""r² above which an atom counts as a Gabor function."""
Left = tuple[Tensor, GaborFit]
"""What the pictures need of a seed: atoms (n_atoms, size²) and the functions fitted to them."""


@recipe
@dataclass(frozen=True)
class SparsePatchesRecipe(SeededRecipe):
    """min over W of the mean of min_z ½‖y − W z‖² + λ‖z‖₁, on patches of photographs, mean removed, unit norm.

    Atoms are learned online (Mairal et al. 2010) with exact codes, and each is fitted by a Gabor function. Patches of
    training and of test come from parts of the photographs that do not overlap.
    """

    size: Annotated[int, Bound(least=2)] = 12
    """Side of a patch, in pixels."""
    atoms: Count = 256
    """Atoms of the dictionary, at most as many as samples."""
    sparsity: Positive = 0.1
    """λ, for patches of unit norm."""
    samples: Count = 50_000
    """Training patches."""
    tested: Count = 5_000
    """Test patches."""
    epochs: Count = 4
    """Passes over the training patches."""
    fit_steps: Count = 150
    """Steps of L-BFGS to fit a Gabor function."""
    data_dir: str = ""
    """Folder with photographs of your own; by default scikit-learn's two."""

    accelerated: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("data_dir",)
    stages: ClassVar[int] = 2
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"atoms": 20, "samples": 600, "tested": 100, "epochs": 1, "seeds": 2, "size": 8, "fit_steps": 4}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.atoms > self.samples:
            raise OptionError(f"atoms must be at most samples, {self.samples}, but they are {self.atoms}.")

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        draw = partial(patches, self.size, data_dir=self.data_dir or None)
        train = draw(self.samples, self.generator(seed), part="train")
        test = draw(self.tested, self.generator(100 + seed), part="test")
        energy = SparseCoding(self.size**2, self.atoms, self.sparsity, generator=self.generator(seed))
        noise, first = energy.dictionary.detach().clone(), train[: self.atoms].T.clone()
        energy.dictionary.data = first.clone()
        steps = max(1, self.epochs * len(train) // 512)
        run.stage("learn", partial(learn_online, energy, train, steps, 512, seed=seed), [energy])
        if seed == 0:
            run.save_energy("sparse-patches", energy)
        learned = energy.dictionary.detach()
        sets = {"noise (learns nothing)": noise, "patches (learns nothing)": first, "learned": learned}
        found = run.stage("measure", partial(self._measure, sets, test))
        fits = {name: GaborFit(**fit) for name, fit in found["fits"].items()}
        rows = {
            name: {"gabor": float((fit.explained > GOOD).double().mean()), "energy": free, "used": used}
            for (name, fit), free, used in zip(
                fits.items(), found["free"].values(), found["used"].values(), strict=True
            )
        }
        return rows, (learned.T, fits["learned"])

    def _measure(self, sets: dict[str, Tensor], test: Tensor) -> dict[str, Any]:
        """F on test patches, non-zeros, and the Gabor fits of each set of atoms."""
        fits, free, used = {}, {}, {}
        for name, atoms in sets.items():
            energy = SparseCoding(self.size**2, self.atoms, self.sparsity).requires_grad_(False)
            energy.dictionary.copy_(atoms)
            codes = infer(energy, y=test, over="z", solver=ActiveSet(1e-4))
            free[name], used[name] = codes.energy.mean().item(), (codes.value != 0).float().sum(dim=1).mean().item()
            fits[name] = gabor_fit(atoms.T, self.fit_steps)._asdict()
        return {"fits": fits, "free": free, "used": used}

    def figures(self, run: Run, first: Left) -> None:
        atoms, fits = first
        order = fits.explained.argsort(descending=True)
        run.grid("atoms", [(images(atoms[order]), ""), (images(fits.fitted[order]), "")], columns=2, dpi=150)
        good = fits.explained > GOOD
        run.figure("map", wave_vectors(fits, GOOD))
        turned = (fits.angle[good] * 180 / math.pi).abs()
        upright = ((turned < 22.5) | (turned > 67.5)).double()
        run.show(good=int(good.sum()))
        if good.any():
            run.show(upright=float(upright.mean()), frequency=float(fits.frequency[good].median()))
