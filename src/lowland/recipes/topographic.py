"""Topographic maps (row S12): atoms that share pools on a sheet arrange themselves by orientation."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.natural import patches
from lowland.energies.group_sparse_coding import GroupSparseCoding
from lowland.energies.lateral_inhibition import LateralInhibition
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError
from lowland.evaluation.orientation import map_test, orientation
from lowland.inference import infer
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.topographic_page import FLAT, INHIBITED, MAP, POOLED, UNTRAINED, write_page
from lowland.reports.run import Run
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.proximal import FISTA
from lowland.training.fit import fit


@recipe(
    "topographic",
    shows="Sparsity over overlapping pools of units on a sheet lays out the atoms of natural patches as a map, in "
    "which neighbours have similar orientations.",
    rows=("S12",),
    minutes=5.5,
    title="Atoms that find their neighbours",
)
@dataclass(frozen=True)
class TopographicRecipe(Recipe):
    """E(y, z) = ½‖y − W z‖² + λ Σ_g √(ε² + ‖z_g‖²), with pools g of neighbours on a closed sheet."""

    seeds: int = 3
    """Repetitions, each with its own patches and first dictionary."""
    side: int = 16
    """Rows and columns of the sheet, an even number."""
    pool: int = 3
    """Rows and columns of an overlapping pool."""
    patches: int = 50_000
    """Patches of 12 × 12 pixels, of which a fifth is for testing."""
    components: int = 64
    """Principal components of the patches that are kept and whitened."""
    steps: int = 200
    """Updates of each dictionary, of 512 patches each."""
    shuffles: int = 9999
    """Shuffled maps of the permutation test."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "side": 4, "patches": 1000, "components": 16, "steps": 3, "shuffles": 99}
    }

    def __post_init__(self) -> None:
        if self.side < 4 or self.side % 2 or not 2 <= self.pool < self.side:
            raise OptionError(
                f"side must be an even number of at least 4, and pool from 2 to side − 1, not {self.side}, {self.pool}."
            )
        if min(self.seeds, self.steps, self.shuffles) < 1 or self.patches < 10 or not 1 <= self.components <= 143:
            raise OptionError(
                "seeds, steps and shuffles must be at least 1, patches at least 10, and components from 1 to 143, "
                "since a patch without its mean has no more."
            )

    def run(self, run: Run) -> None:
        run.expect(self.seeds * (len(self._energies(0)) + 2))
        found: dict[str, list[dict[str, Any]]] = {}
        kept = {}
        for seed in range(self.seeds):
            data = run.stage(f"seed-{seed}/patches", partial(self._patches, seed))
            untrained = run.stage(f"seed-{seed}/untrained", partial(self._test, self._energies(seed)[MAP], data))
            found.setdefault(UNTRAINED, []).append(untrained)
            for name, energy in self._energies(seed).items():
                energy = energy.to(self.device)
                learn = partial(self._learn, energy, data, seed)
                measured = run.stage(f"seed-{seed}/{name.replace(' ', '-').replace(',', '')}", learn, [energy])
                found.setdefault(name, []).append(measured)
                if seed == 0:
                    kept[name] = energy
        for name in (MAP, INHIBITED):
            run.save_energy(name.replace(" ", "-").replace(",", ""), kept[name])
        self._results(run, found)
        run.part(write_page, found, (self.side, self.side), self.pool)

    def _energies(self, seed: int) -> dict[str, SparseCoding]:
        """Penalties are set so that a unit that fires alone pays about as much in each, except for the sparse map."""
        sheet, size = (self.side, self.side), self.components
        generator = partial(self.generator, seed)
        return {
            MAP: GroupSparseCoding(
                size, sheet, (self.pool, self.pool), (1, 1), 0.27 / self.pool**2, 0.01, generator()
            ),
            POOLED: GroupSparseCoding(size, sheet, (2, 2), sparsity=0.2, generator=generator()),
            INHIBITED: LateralInhibition(size, sheet, 0.5, 2.3, sparsity=0.03, generator=generator()),
            FLAT: SparseCoding(size, self.side**2, 0.15, generator=generator()),
        }  # fmt: skip

    def _patches(self, seed: int) -> dict[str, Tensor]:
        """Patches in whitened principal components, of unit norm, and the matrix that turns those into pixels."""
        raw = patches(12, self.patches, self.generator(100 + seed), unit_norm=False)
        train, test = raw.split([self.patches - self.patches // 5, self.patches // 5])
        values, vectors = torch.linalg.eigh((train.T @ train / len(train)).double())
        values, vectors = values[-self.components :], vectors[:, -self.components :]
        whiten = (vectors / values.clamp_min(1e-12).sqrt()).float()
        white = {"train": functional.normalize(train @ whiten), "test": functional.normalize(test @ whiten)}
        return {**white, "pixels": vectors.float()}

    def _learn(self, energy: SparseCoding, data: dict[str, Tensor], seed: int) -> dict[str, Any]:
        solver = FISTA(max_steps=100, tol=3e-3)
        shaping = ExpectationMaximisation(solver=solver, memory=0.95)
        train = data["train"].to(self.device)
        options = {"batch_size": min(512, len(train)), "validation": 0.0, "progress": False}
        fit(energy, train, shaping, max_steps=self.steps, seed=seed, **options)
        y = data["test"][:1000].to(self.device)
        with torch.no_grad():
            code = infer(energy, y=y, over="z", solver=solver).value
        return {
            **self._test(energy, data),
            "error": (y - energy.reconstruct(None, y, code)).square().sum(dim=1).mean().item(),
            "silent": (code.abs() < 0.05 * code.abs().amax(dim=1, keepdim=True)).float().mean().item(),
        }

    def _test(self, energy: SparseCoding, data: dict[str, Tensor]) -> dict[str, Any]:
        """The atoms in pixels, their orientations, and whether neighbours share them."""
        atoms = (data["pixels"] @ energy.dictionary.detach().cpu()).T
        angle, selectivity = orientation(atoms, (12, 12))
        value, shuffled, p = map_test(angle, (self.side, self.side), self.shuffles, self.seed)
        looks = {"atoms": atoms, "angle": angle, "selectivity": selectivity}
        return {**looks, "agreement": value, "shuffled": shuffled, "p": p}

    def _results(self, run: Run, found: dict[str, list[dict[str, Any]]]) -> None:
        common = {"id": "S12", "seeds": self.seeds, "data": f"{self.patches} patches of 12 × 12, whitened"}
        claim = "agreement of neighbours' orientations, mean of cos 2(θᵢ − θⱼ), less that of the same atoms shuffled"
        for name, each in found.items():
            gains = [one["agreement"] - one["shuffled"].mean().item() for one in each]
            sd = statistics.stdev(gains) if self.seeds > 1 else None
            run.result(claim=claim, method=_named(name), measured=statistics.fmean(gains), sd=sd, **common)
        claim = f"largest p of the seeds: share of maps, with {self.shuffles} shuffled ones, that agree no less"
        for name, each in found.items():
            run.result(claim=claim, method=_named(name), measured=max(one["p"] for one in each), **common)


def _named(method: str) -> str:
    return f"{method} (baseline)" if method in (UNTRAINED, FLAT) else method
