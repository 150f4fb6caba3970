"""The page of the recipe `pretrain`: what was found, what was chosen and why, and whether it paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.folder import Folder
from lowland.errors import CollapseError, TrainingError
from lowland.evaluation.verdict import CLOSE, Verdict, verdict
from lowland.plots.contact import contact_sheet
from lowland.plots.curves import curves
from lowland.plots.scatter import scatter
from lowland.recipes.pretrain_test import RAW, TEST, TRAINED, UNTRAINED, Split
from lowland.reports.run import Run
from lowland.shaping.joint import JointShaping
from lowland.tensors import PerSampleRNG
from lowland.training.fit import FitResult
from lowland.training.pretraining import Plan, described
from lowland.words import verbatim

_SHOWN = 24
_SKIPPED = 40
_PICTURES = 120
_CLAIMS = {
    "linear probe": ("J6", "classes that a linear probe gets right"),
    "kNN": ("J6", "classes that 5 nearest neighbours get right"),
    "pairs told apart": ("J7", "views of one sample nearer than views of two (AUROC)"),
    "RankMe": ("J7", "directions that representations use (RankMe)"),
}


def write_found(
    run: Run, name: str, data: Folder, parts: Split, chosen: Plan, shaping: JointShaping, rate: float
) -> None:
    """What was in the folder, and what is going to be done with it: on the page also of a run that fails."""
    run.section("What was found")
    size = " × ".join(map(str, data.shape))
    what = f"{data.kind} of {size}" if data.kind == "images" else f"windows of series, {size} (channels × steps)"
    run.text(
        f"**{verbatim(name)}**: {len(data):,} {what}, from {len(set(data.files)):,} files. " + " ".join(data.notes)
    )
    held = f"{len(parts.test):,} were set apart before training and serve as test"
    if parts.labels is not None:
        known = int((parts.labels >= 0).sum())
        run.text(
            f"{known:,} samples have one of {len(parts.classes)} labels: {', '.join(map(verbatim, parts.classes[:20]))}"
            f"{' …' if len(parts.classes) > 20 else ''}. {held}, {100 * TEST:.0f} % of the labelled files. Labels are "
            "used afterwards, to measure, and never to pretrain. " + " ".join(parts.notes)
        )
    else:
        run.text(f"There are no labels. {held}. With `--labels` the page would say what a classifier gains.")
    if data.skipped:
        run.text(f"**{len(data.skipped)} files could not be used** and were left out:")
        run.table(("file", "why"), [(verbatim(file), verbatim(why, 200)) for file, why in data.skipped[:_SKIPPED]])
        if len(data.skipped) > _SKIPPED:
            run.text(f"… and {len(data.skipped) - _SKIPPED} more, which `skipped.txt` in the folder of the run lists.")
    count = min(_SHOWN, len(parts.train))
    rows = parts.train[torch.linspace(0, len(parts.train) - 1, count).long()]
    tiles = data.take(rows)
    run.figure("samples", contact_sheet({str(number): part for number, part in _lines(tiles)}), "As they go in")
    run.section("What was chosen")
    run.text("".join(f"- {reason}\n" for reason in chosen.reasons) or "Everything was given.")
    run.table(
        ("", "value"),
        [
            ("method", chosen.method),
            ("encoder", chosen.encoder),
            ("training", f"{chosen.steps:,} steps of {chosen.batch} samples, rate {rate:g}"),
            ("views", described(shaping.views)),
        ],
    )
    few = tiles[:8]
    noise = [PerSampleRNG(number, torch.arange(len(few))) for number in range(2)]
    views = {"sample": few, "a view": shaping.views(few, noise[0]), "another": shaping.views(few, noise[1])}  # pyright: ignore[reportOptionalCall]
    run.figure(
        "views",
        contact_sheet(views),
        "Two views of one sample are to lie close, and those of two samples apart",
    )


def _lines(tiles: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """Twelve to a row; names of spaces keep the rows apart and show nothing."""
    return [(" " * (number + 1), part) for number, part in enumerate(tiles.split(12))]


def write_failure(run: Run, error: TrainingError, chosen: Plan) -> None:
    """Why the training ended, with the curves so far."""
    run.section("Training stopped")
    run.text(f"**{type(error).__name__}**: {verbatim(str(error), 0)}")
    if isinstance(error, CollapseError):
        run.text(
            "On the command line `--rate` is the learning rate, and `--options alarm=0` passes an argument to "
            f"{chosen.method}, as it does for its other arguments."
        )
    if isinstance(error.result, FitResult):
        lines = {name: (list(curve.steps), list(curve.values)) for name, curve in error.result.history.items()}
        _draw_training(run, lines, chosen)


def write_results(run: Run, measured: Mapping[str, Mapping[str, float]], chosen: Plan, count: int) -> None:
    """Rows of `results.json`, on so many test samples."""
    for measure, (system, claim) in _CLAIMS.items():
        for method, row in measured.items():
            if measure in row:
                named = chosen.method if method == TRAINED else f"{method} (baseline)"
                run.result(
                    id=system,
                    claim=claim,
                    method=named,
                    measured=row[measure],
                    data=f"{count:,} unseen samples",
                )


def write_page(
    run: Run, data: Folder, parts: Split, chosen: Plan, looks: Sequence[Mapping[str, Any]], test: Mapping[str, Any]
) -> None:
    """The table, the verdict, and all pictures."""
    write_verdict(run, data, chosen, test)
    run.section("Training")
    rank = {"RankMe": ([one["step"] for one in looks], [one["rankme"] for one in looks])}
    panel = curves(rank, title="Directions that the representations use", xlabel="step", ylabel="RankMe")
    _draw_training(run, looks[-1]["curves"], chosen, panel)
    run.text("Directions that fall to a few are the beginning of a collapse, which would end the training by itself.")
    run.section("What the encoder makes of samples that it has not seen")
    queries = data.take(test["queries"])
    panels = []
    for method in (TRAINED, RAW):
        rows = {
            " " * (number + 1): torch.cat([query[None], data.take(near)])
            for number, (query, near) in enumerate(zip(queries, test["neighbours"][method], strict=True))
        }
        panels.append(
            (contact_sheet(rows, apart=1), f"nearest by the {'encoder' if method == TRAINED else 'raw data'}")
        )
    caption = "At the left of each row a sample that was set apart, then the nearest of those learned from"
    run.grid("neighbours", panels, 2, caption)
    rows, plane = test["plane_rows"], test["plane"]
    labels = None if parts.labels is None else parts.labels[rows]
    if labels is not None:
        drawn = scatter(plane, labels, parts.classes, title="Representations, first two principal components")
        run.figure("plane", drawn, "Each point is a sample that was set apart; the encoder knew no label")
    if data.kind == "images":
        some = torch.linspace(0, len(rows) - 1, min(_PICTURES, len(rows))).long()
        drawn = scatter(plane[some], pictures=data.take(rows[some]), title="The same plane, by picture")
        run.figure("pictures", drawn, f"{len(some)} samples that were set apart")
    elif labels is None:
        run.figure("plane", scatter(plane, title="Representations, first two principal components"))
    lines = {name: (range(1, len(values) + 1), values.tolist()) for name, values in test["spectra"].items()}
    drawn = curves(lines, title="Spectrum", xlabel="direction", ylabel="singular value / largest", log="xy")
    run.figure("spectrum", drawn, "How evenly the directions of the representation are used, after centring")


def _draw_training(run: Run, lines: Mapping[str, Any], chosen: Plan, panel: Figure | None = None) -> None:
    """The loss, and beside it a panel, by default the deviation of the embeddings."""
    if "loss/energy" not in lines:
        run.text("It ended before a loss was recorded.")
        return
    loss = curves({"loss": lines["loss/energy"]}, title=f"{chosen.method}, loss of a batch", xlabel="step")
    if panel is None and "deviation" in lines:
        spread = {"deviation": lines["deviation"]}
        panel = curves(spread, title="Deviation of the embeddings in a batch", xlabel="step")
    run.grid("training", [(loss, ""), *([(panel, "")] if panel is not None else [])], 2)


def write_verdict(run: Run, data: Folder, chosen: Plan, test: Mapping[str, Any]) -> None:
    """Whether it paid, as far as the test samples can say; nothing where a run is too short to say anything."""
    if not run.conclusive:
        return
    run.section("Did it pay?")
    measured = test["measured"]
    own, random = measured[TRAINED], measured[UNTRAINED]
    if not test["right"]:
        run.text(
            "Without labels this can only be guessed. Two views of an unseen sample are nearer than views of two in "
            f"{100 * own['pairs told apart']:.1f} % of the cases, untrained in "
            f"{100 * random['pairs told apart']:.1f} %. The representations use {own['RankMe']:.0f} directions; "
            f"untrained {random['RankMe']:.0f}."
        )
        return
    owners = [data.files[row] for row in test["plane_rows"].tolist()]
    compared = compare(test["right"], owners)
    run.finding(f"Did pretraining by {chosen.method} pay? {verdict_of(compared)}")
    rows = [
        (name, f"{100 * measured[name]['linear probe']:.1f}", f"{100 * found.difference.value:+.1f}",
         f"{100 * found.difference.low:+.1f} to {100 * found.difference.high:+.1f}", found.word)
        for name, found in compared.items()
    ]  # fmt: skip
    share, count = 100 * own["linear probe"], len(owners)
    run.text(
        f"{verdict_of(compared)} A linear classifier on the representations of {chosen.method} gets {share:.1f} % of "
        f"the {count:,} test samples right, one of which is {100 / count:.1f} points. The other three get the same "
        "classifier, its weight decay chosen on a part of the training samples, and the same test samples, which were "
        "looked at once."
    )
    run.table(("instead", "% right", "points gained", "95 % interval", f"{chosen.method} has"), rows)
    run.text(
        "The interval is of the difference on the same test files, for the networks of this run: another seed trains "
        f"others. Where it holds 0, the two are {CLOSE}."
    )


def compare(right: Mapping[str, Tensor], owners: Sequence[str]) -> dict[str, Verdict]:
    """The pretrained encoder beside each of the others, by name: what it gained on the same test files.

    Windows of one file are no witnesses of their own, so that each file counts once, by the share that is right.

    Args:
        right: by method, whether each test sample is right, (N,) of 0 and 1.
        owners: file of each test sample.
    """
    number = {file: index for index, file in enumerate(dict.fromkeys(owners))}
    file_N = torch.tensor([number[file] for file in owners])
    windows = torch.bincount(file_N)
    shares = {name: torch.bincount(file_N, part.double()) / windows for name, part in right.items()}
    return {name: verdict(shares[TRAINED].numpy(), part.numpy()) for name, part in shares.items() if name != TRAINED}


def verdict_of(compared: Mapping[str, Verdict]) -> str:
    """Yes, no, or too close to call, with whom it is compared."""
    behind = [name for name, found in compared.items() if not found.close and found.difference.value < 0]
    close = [name for name, found in compared.items() if found.close]
    if behind:
        return f"**No**: it is behind {_listed(behind)}."
    if close:
        return f"**{CLOSE[0].upper()}{CLOSE[1:]}** beside {_listed(close)}."
    return "**Yes**: it is ahead of all three."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(", ".join(f"“{name}”" for name in names).rsplit(", ", 1))
