"""The lines at the top of the page of the recipe `lista`, and the names and figures that they share with it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lowland.recipes.compose_page import spread
from lowland.reports.run import Run

if TYPE_CHECKING:
    from lowland.recipes.lista import ListaRecipe

SIDE = 12
CERTIFICATE = 1e-4
PERFECT = "exact code"
BY_ENERGY = "LISTA 2 by energy"
Found = Sequence[Mapping[str, Any]]


def worth(one: Mapping[str, Any], encoder: str, measure: str) -> float:
    """Iterations after which FISTA is as good as an encoder, by "error" or "gap"; infinite if it never is.

    >>> one = {"FISTA": {"gap": [1.0, 0.5, 0.2]}, "report": {"LISTA 2": {"gap": 0.3}}}
    >>> worth(one, "LISTA 2", "gap")
    2.0
    """
    wanted = one["report"][encoder]["code_error" if measure == "error" else measure]
    return next((float(k) for k, value in enumerate(one["FISTA"][measure]) if value <= wanted), math.inf)


def mean(found: Found, name: str, measure: str = "code_error") -> float:
    """Of a line of the gap report, over seeds."""
    return statistics.fmean(one["report"][name][measure] for one in found)


def ratio(one: Mapping[str, Any], start: str) -> float:
    """Time of encoder and exact coder together over that of the exact coder from zero."""
    polish = one["polish"]
    return (polish[start]["encoder"] + polish[start]["coder"]) / polish["zero"]["coder"]


def write_results(run: Run, options: ListaRecipe, found: Found, counts: Mapping[str, int]) -> None:
    """The rows of `results.json`."""
    data = f"{options.tests} test patches, {options.atoms} atoms"

    def line(row: str, claim: str, method: str, values: Sequence[float]) -> None:
        middle, sd = spread(values)
        run.result(id=row, claim=claim, method=method, measured=middle, sd=sd, seeds=len(values), data=data)

    for what, measure in (("code error", "error"), ("objective gap", "gap")):
        claim = f"iterations after which FISTA has the {what} of the encoder"
        for name, method in (
            ("LISTA 2", "LISTA, 2 shrinkages"),
            (BY_ENERGY, "LISTA, 2 shrinkages, trained on the energy"),
        ):
            line("S3", claim, method, [worth(one, name, measure) for one in found])
    limit = f"code error with at most {counts['LISTA 2']:,} multiplications"
    line("S5", limit, "LISTA, 2 shrinkages", [one["report"]["LISTA 2"]["code_error"] for one in found])
    for name in affordable(options, counts):
        values = [one["report"][name]["code_error"] for one in found]
        line("S5", limit, f"{in_words(name)}: {counts[name]:,} multiplications", values)
    name = f"descent {options.descents[-1]}"
    values = [one["report"][name]["code_error"] for one in found]
    line("S5", limit, f"coordinate descent, {options.descents[-1]} steps, nothing learned (baseline)", values)
    claim = f"processor time to a certificate of {CERTIFICATE:g}, encoder included, over that of the exact coder from 0"
    best = best_start(found)
    line("S3", claim, f"from the code of {in_words(best)}, the best of all", [ratio(one, best) for one in found])
    line("S3", claim, "from the exact code, given for nothing (floor)", [ratio(one, PERFECT) for one in found])
    claim = "code error Σ‖z − z*‖² / Σ‖z*‖²"
    longest = max(options.shrinkages)
    shown = {
        "zero code": "zero code (baseline)",
        "FISTA 2": "FISTA, 2 iterations (baseline)",
        "LISTA 2": "LISTA, 2 shrinkages",
        f"LISTA {longest}": f"LISTA, {longest} shrinkages",
    }
    for name, method in shown.items():
        line("S3", claim, method, [one["report"][name]["code_error"] for one in found])
    share = shares_of(options, counts)
    for name in inhibited(options):
        method = f"LISTA, {options.inhibited} shrinkages, {partial_s(name)}: {share[name]:.0%} of its multiplications"
        line("S4", claim, method, [one["report"][name]["code_error"] for one in found])


def best_start(found: Found) -> str:
    """The encoder from whose code exactness is reached soonest, its own time included."""
    names = [name for name in found[0]["polish"] if name not in ("zero", PERFECT)]
    return min(names, key=lambda name: statistics.fmean(ratio(one, name) for one in found))


def inhibited(options: ListaRecipe) -> list[str]:
    """Names of the encoders with partial mutual inhibition."""
    return [f"share {share:g}" for share in options.shares] + [f"rank {rank}" for rank in options.ranks]


def descents(options: ListaRecipe) -> list[str]:
    """Names of the learned coordinate descents, in rising length."""
    return [f"LCoD {steps}" for steps in options.descents]


def affordable(options: ListaRecipe, counts: Mapping[str, int]) -> list[str]:
    """Coordinate descents that need no more multiplications than LISTA with 2 shrinkages."""
    return [name for name in descents(options) if counts[name] <= counts["LISTA 2"]]


def shares_of(options: ListaRecipe, counts: Mapping[str, int]) -> dict[str, float]:
    """The multiplications by each partial S over those by the whole S."""
    base = SIDE**2 * options.atoms
    full = counts[f"LISTA {options.inhibited}"] - base
    return {name: (counts[name] - base) / full for name in inhibited(options)}


def partial_s(name: str) -> str:
    """What is left of S, in words."""
    kind, number = name.split()
    return f"{float(number):.0%} of the entries of S" if kind == "share" else f"I − S of rank {number}"


def in_words(name: str) -> str:
    """An encoder and its length, in words."""
    kind, number = name.split()[:2]
    if name == BY_ENERGY:
        return "LISTA, 2 shrinkages, trained on the energy"
    return f"LISTA, {number} shrinkages" if kind == "LISTA" else f"learned coordinate descent, {number} steps"
