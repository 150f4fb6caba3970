"""Tables and pictures of `plant`: methods by plants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lowland.plots.curves import curves
from lowland.reports.run import Run

OURS = ("careful", "CEM careful", "MPPI careful")
POLICIES = ("imitation", "start", "plain", "uncertain", "anchored", "careful")
CHOICES = {"start": "imitation of the best episodes", "uncertain": "through the model, λ chosen",
           "anchored": "through the model and the best actions, λ chosen"}  # fmt: skip


def summary(run: Run, k: int, rivals: Sequence[str]) -> dict[str, Any]:
    """Whether λ alone halves the gap of plant k, and keeps the return, and how ours compare with the rivals."""
    results = run.measured
    gap, beyond, kept = ({name: results.mean(name, f"{part}-{k}") or 0.0 for name in ("plain", "uncertain")}
                         for part in ("gap", "beyond", "return"))  # fmt: skip
    best = {
        kind: max(results.mean(name, f"return-{k}") or 0.0 for name in names)
        for kind, names in (("ours", OURS), ("rivals", rivals))
        if names
    }
    theirs = best.get("rivals", best["ours"])
    return {
        "k": k,
        "halved": gap["uncertain"] <= 0.5 * gap["plain"],
        "broken": beyond["plain"] > 0,
        "mended": beyond["plain"] > 0 and beyond["uncertain"] <= 0.5 * beyond["plain"],
        "kept": kept["uncertain"] >= kept["plain"] - 0.05 * abs(kept["plain"]),
        "ahead": bool(rivals) and best["ours"] > theirs,
        "near": bool(rivals) and best["ours"] >= theirs - 0.1 * abs(theirs),
    }


def draw(run: Run, shown: Sequence[Mapping[str, Any]], titles: Mapping[str, str], weights: Sequence[float]) -> None:
    """All tables, and the promises of each λ."""
    results, names = run.measured, [one["name"] for one in shown]

    def rows(measure: str, methods: Sequence[str]) -> list[list[Any]]:
        kept = [name for name in methods if any(results.has(name, f"{measure}-{one['k']}") for one in shown)]
        return [[titles[name], *(results.cell(name, f"{measure}-{one['k']}", 1) for one in shown)] for name in kept]

    policies = [name for name in titles if name not in ("model", "copy")]
    run.table(["method", *names], rows("return", policies), name="returns")
    promises = [
        [f"{titles[method]}: {word}", *cells]
        for method in POLICIES
        for word, measure in (("promised", "promised"), ("realised", "realised"), ("promised beyond", "beyond"))
        for cells in [row[1:] for row in rows(measure, [method])]
    ]
    run.table(["policy", *names], promises, name="promises")
    tried = {f"{weight:g}": f"through the model, λ = {weight:g}" for weight in weights}
    choice = [
        [one["name"], title, *cells]
        for one in shown
        for name, title in (tried | {name: CHOICES[name] for name in ("anchored", "start")}).items()
        for cells in [[results.cell(f"choice {name}", f"{part}-{one['k']}", 1) for part in ("said", "held")]]
    ]
    run.table(["plant", "policy", "promised", "held-out model"], choice, name="choice")
    titled = "plant; error; error of a copy; swapped actions; rank; λ chosen; seconds, policy; of all λ"
    models = [
        [
            one["name"],
            *(results.cell(name, f"{measure}-{one['k']}") for name, measure in (
                ("model", "error"), ("copy", "error"), ("model", "swapped"), ("model", "rank"), ("uncertain", "weight"),
                ("plain", "seconds"), ("careful", "seconds"),
            )),
        ]
        for one in shown
    ]  # fmt: skip
    run.table(titled.split("; "), models, name="models")
    for one in shown:
        lines = {
            label: (list(weights), results.curve("choice {}", f"{part}-{one['k']}", list(tried))[1])
            for label, part in (("model", "said"), ("held-out model", "held"))
        }
        drawn = partial(curves, lines, title=one["name"], xlabel="λ", ylabel="promised return")
        run.figure(f"promises-{one['k']}", drawn)
