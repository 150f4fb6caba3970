"""Topographic maps: atoms that share pools on a sheet arrange themselves by orientation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.natural import patches
from lowland.data.whitening import whitening
from lowland.energies.group_sparse_coding import GroupSparseCoding
from lowland.energies.lateral_inhibition import LateralInhibition
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError
from lowland.evaluation.orientation import agreement_by_distance, map_test, orientation
from lowland.inference import infer
from lowland.plots import curves, images
from lowland.plots.histogram import histogram
from lowland.plots.orientation import orientation_map
from lowland.recipes.base import Bound, Count, SeededRecipe, recipe
from lowland.recipes.sparse.common import stage_name
from lowland.reports.run import Run
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.proximal import FISTA
from lowland.training.fit import fit

MAP, POOLED, INHIBITED, FLAT = "overlapping pools", "pools of 4, apart", "lateral inhibition", "sparse coding, no pools"
UNTRAINED = "random atoms, untrained"
SOLVER = FISTA(max_steps=100, tol=3e-3)


@recipe
@dataclass(frozen=True)
class TopographicRecipe(SeededRecipe):
    """E(y, z) = ½‖y − W z‖² + λ Σ_g √(ε² + ‖z_g‖²), with pools g of neighbours on a closed sheet."""

    side: Annotated[int, Bound(least=4)] = 16
    """Rows and columns of the sheet, an even number."""
    pool: Annotated[int, Bound(least=2)] = 3
    """Rows and columns of an overlapping pool, fewer than those of the sheet."""
    patches: Annotated[int, Bound(least=10)] = 50_000
    """Patches of 12 × 12 pixels, of which a fifth is for testing."""
    components: Annotated[int, Bound(least=1, most=143)] = 64
    """Principal components of the patches that are kept and whitened; a patch without its mean has at most 143."""
    steps: Count = 200
    """Updates of each dictionary, of 512 patches each."""
    shuffles: Count = 9999
    """Shuffled maps of the permutation test."""

    stages: ClassVar[int] = 6
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "side": 4, "patches": 1000, "components": 16, "steps": 3, "shuffles": 99}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side % 2 or self.pool >= self.side:
            raise OptionError(f"side must be even and above pool, {self.pool}, but it is {self.side}.")

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        data = run.stage("patches", partial(self._patches, seed))
        found = {UNTRAINED: run.stage("untrained", partial(self._test, self._energies(seed)[MAP], data))}
        for name, energy in self._energies(seed).items():
            energy, plain = energy.to(self.device), stage_name(name)
            found[name] = run.stage(plain, partial(self._learn, energy, data, seed), [energy])
            if seed == 0 and name in (MAP, INHIBITED):
                run.save_energy(plain, energy)
        rows = {}
        for name, one in found.items():
            rows[name] = {key: one[key] for key in ("agreement", "p", "error", "silent") if key in one}
            rows[name]["gain"] = one["agreement"] - one["shuffled"].mean().item()
            by_distance = agreement_by_distance(one["angle"], (self.side, self.side))
            rows[name] |= {f"agreement at {ring}": value for ring, value in enumerate(by_distance, 1)}
            p = [one["p"], *(run.measured.each(name, "p") if seed else [])]
            run.measured.set(name, "largest p", max(p), seeds=len(p))
        return rows, found

    def _energies(self, seed: int) -> dict[str, SparseCoding]:
        """Penalties are set so that a unit that fires alone pays about as much in each, except for the sparse map."""
        sheet, size = (self.side, self.side), self.components
        generator = partial(self.generator, seed)
        pool = (self.pool, self.pool)
        return {
            MAP: GroupSparseCoding(size, sheet, pool, (1, 1), 0.27 / self.pool**2, 0.01, generator()),
            POOLED: GroupSparseCoding(size, sheet, (2, 2), sparsity=0.2, generator=generator()),
            INHIBITED: LateralInhibition(size, sheet, 0.5, 2.3, sparsity=0.03, generator=generator()),
            FLAT: SparseCoding(size, self.side**2, 0.15, generator=generator()),
        }

    def _patches(self, seed: int) -> dict[str, Tensor]:
        """Patches in whitened principal components, of unit norm, and the matrix that turns those into pixels."""
        raw = patches(12, self.patches, self.generator(100 + seed), unit_norm=False)
        train, test = raw.split([self.patches - self.patches // 5, self.patches // 5])
        matrix, axes = whitening(train, self.components)
        return {
            "train": functional.normalize(train @ matrix),
            "test": functional.normalize(test @ matrix),
            "pixels": axes,
        }

    def _learn(self, energy: SparseCoding, data: dict[str, Tensor], seed: int) -> dict[str, Any]:
        train, shaping = data["train"].to(self.device), ExpectationMaximisation(solver=SOLVER, memory=0.95)
        options = {"batch_size": min(512, len(train)), "validation": 0.0, "progress": False}
        fit(energy, train, shaping, max_steps=self.steps, seed=seed, **options)
        y = data["test"][:1000].to(self.device)
        with torch.no_grad():
            code = infer(energy, y=y, over="z", solver=SOLVER).value
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

    def figures(self, run: Run, first: Mapping[str, Any]) -> None:
        sheet = (self.side, self.side)
        atoms = {name: partial(images, one["atoms"], columns=self.side) for name, one in first.items()}
        wheels = {
            name: partial(orientation_map, one["angle"], one["selectivity"], sheet) for name, one in first.items()
        }
        run.grid("map", [(atoms[MAP](title="Atoms, where they are on the sheet"), ""), (wheels[MAP](), "")], 2)
        rings = range(1, self.side // 2 + 1)
        axes: dict[str, Any] = {"xlabel": "distance on the sheet", "ylabel": "mean of cos 2(θᵢ − θⱼ)"}
        lines = {name: run.measured.curve(name, "agreement at {}", rings) for name in first}
        drawn = curves(lines, title="Agreement against distance", **axes)
        chance = histogram(
            first[MAP]["shuffled"], first[MAP]["agreement"], "this map", title="Agreement of neighbours",
            xlabel="mean of cos 2(θᵢ − θⱼ) over neighbours", ylabel="shuffled maps",
        )  # fmt: skip
        run.grid("test", [(chance, ""), (drawn, "")], 2)
        others = (POOLED, INHIBITED, FLAT)
        panels = [atoms[name]() for name in others] + [wheels[name]() for name in others]
        run.grid("others", [(panel, "") for panel in panels], 3)
