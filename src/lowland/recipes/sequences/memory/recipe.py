"""An associative memory: how many keys it holds, half-covered digits, and how much the nearest keys say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.natural import patches
from lowland.data.optical_digits import digits
from lowland.evaluation.memory_capacity import (
    capacity,
    completions,
    half_point,
    recalled_share,
    retrieved_share,
    sphere,
)
from lowland.nn.key_search import KeySearch
from lowland.plots import curves, image_rows
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run

SETTINGS = {"16, 8": (16, 8.0), "64, 8": (64, 8.0), "64, 12": (64, 12.0)}
"""Sizes D and inverse temperatures β by name."""
CLASSICAL, LIMIT = "classical", 0.138
"""The Hopfield network, and its capacity in patterns per unit for many units."""
FACTORS = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)
"""Numbers of patterns that are tried, as multiples of the theory."""
WAYS = ("nothing", "attention", "descent", "nearest")
READ = (1, 8, 32, 128)
_SHOWN = 10


class Left(NamedTuple):
    """What the pictures need of the first seed: shares by number of patterns, and digits by how they were completed."""

    shares: dict[str, list[float]]
    pictures: dict[str, Tensor]


@recipe
@dataclass(frozen=True)
class MemoryRecipe(SeededRecipe):
    """E(y) = ½‖y‖² − 1/β log Σ_i exp(β x_i · y) of stored keys x_i; one step of descent is attention."""

    tried: Count = 200
    """Stored patterns from which retrieval is started, for each number of patterns."""
    units: Annotated[int, Bound(least=20)] = 200
    """Units of the classical network."""
    covered: Annotated[int, Bound(least=10)] = 200
    """Digits of which the lower half is covered, and as many others on which β is chosen."""
    betas: tuple[Positive, ...] = (5.0, 10.0, 20.0, 40.0, 80.0)
    """β for digits, to choose from."""
    keys: Annotated[int, Bound(least=200)] = 50_000
    """Patches of photographs as keys."""
    queries: Count = 200
    """Patches of other parts of the photographs as queries."""
    sharpness: tuple[Positive, ...] = (10.0, 30.0, 100.0)
    """β for patches."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 3
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "tried": 10, "units": 40, "covered": 10, "keys": 500, "queries": 10}
    }

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        shares = run.stage("capacity", partial(self._capacity, seed))
        numbers: dict[str, dict[str, Any]] = {}
        for name, (size, beta) in SETTINGS.items():
            theory = capacity(size, beta)
            found = half_point(self._counts(theory), shares[name])
            numbers[name] = {"theory": theory, "held": found, "ratio": None if found is None else found / theory}
        found = half_point(self._counts(LIMIT * self.units), shares[CLASSICAL])
        numbers[CLASSICAL] = {"theory": LIMIT * self.units, "held": found}
        numbers[CLASSICAL] |= {"ratio": None if found is None else found / (LIMIT * self.units)}
        filled = run.stage("digits", partial(self._digits, seed))
        numbers |= {name: {part: filled[name][part] for part in ("right", "error")} for name in WAYS}
        numbers["descent"]["beta"] = filled["beta"]
        numbers |= run.stage("patches", partial(self._patches, seed))
        pictures = {name: filled[name]["value"] for name in WAYS}
        return numbers, Left(shares, {"digit": filled["truth"], **pictures})

    def _counts(self, theory: float) -> list[int]:
        return sorted({max(2, round(factor * theory)) for factor in FACTORS})

    def _capacity(self, seed: int) -> dict[str, list[float]]:
        """The share of stored patterns that are retrieved, from where they are, by their number."""
        draw, shares = self.generator(1000 + seed), {}
        for name, (size, beta) in SETTINGS.items():
            shares[name] = []
            for count in self._counts(capacity(size, beta)):
                keys, number = sphere(count, size, draw), torch.arange(min(count, self.tried))
                shares[name].append(retrieved_share(keys, beta, keys[number], number))
        shares[CLASSICAL] = []
        for count in self._counts(LIMIT * self.units):
            patterns = (torch.rand(count, self.units, generator=draw) > 0.5).float()
            shares[CLASSICAL].append(recalled_share(patterns, min(count, self.tried)))
        return shares

    def _digits(self, seed: int) -> dict[str, Any]:
        """Digits with the lower half covered; β is the one that completes most of the validation digits."""
        data = digits().train.flatten(1)
        keys = functional.normalize(data - data.mean(dim=0), dim=1)
        seen = (torch.arange(keys.shape[1]) < keys.shape[1] // 2).to(keys.dtype)
        chosen = torch.randperm(len(keys), generator=self.generator(2000 + seed))[: 2 * self.covered]
        test, validation = chosen[: self.covered], chosen[self.covered :]
        errors = [completions(keys, validation, seen, beta)["descent"]["error"] for beta in self.betas]
        beta = self.betas[errors.index(min(errors))]
        rows: dict[str, Any] = completions(keys, test, seen, beta)
        for row in rows.values():
            row["value"] = row["value"][:_SHOWN]
        return rows | {"beta": beta, "truth": keys[test[:_SHOWN]]}

    def _patches(self, seed: int) -> dict[str, dict[str, float]]:
        """The mass that the softmax gives to the nearest keys, by their number and by β."""
        draw = self.generator(3000 + seed)
        search = KeySearch(patches(8, self.keys, draw, part="train"), "exact")
        query = patches(8, self.queries, draw, part="test")
        return {
            f"beta {beta:g}": {
                f"top {count}": float(1 - search.read(query, beta, count).left_out.mean()) for count in READ
            }
            for beta in self.sharpness
        }

    def figures(self, run: Run, first: Left) -> None:
        lines = {}
        for name, shares in first.shares.items():
            theory = LIMIT * self.units if name == CLASSICAL else capacity(*SETTINGS[name])
            label = name if name == CLASSICAL else f"D, β = {name}"
            lines[label] = [count / theory for count in self._counts(theory)], shares
        run.figure("capacity", curves(lines, xlabel="patterns / theory", ylabel="share retrieved"))
        run.figure("digits", partial(image_rows, first.pictures, (8, 8), signed=True))
