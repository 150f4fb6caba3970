"""What the page of `pretrain` shows: values for its text, tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lowland.data.folder import Folder
from lowland.data.split import HELD_OUT, Split
from lowland.evaluation.pretrained import RAW, TRAINED, gains, helped
from lowland.plots import contact_sheet, curves, neighbour_sheet, scatter, spectrum_curves, unnamed, view_sheet
from lowland.reports.run import Run
from lowland.shaping.joint import JointShaping
from lowland.training.folder_training import FolderTraining
from lowland.training.pretraining import described
from lowland.words import verbatim

_SHOWN, _COLUMNS, _PICTURES, _SKIPPED = 24, 12, 120, 40
_PLANE = "Representations, first two principal components"


def describe(run: Run, work: FolderTraining, parts: Split, shaping: JointShaping) -> None:
    """The data and the choices, which stand on the page also if the training fails."""
    data, chosen = work.data, work.plan
    run.show(
        **data.facts, **parts.facts, held_out=HELD_OUT, skipped_shown=_SKIPPED, trained_by=chosen.method,
        encoder=chosen.encoder, steps=chosen.steps, batch=chosen.batch, reasons=chosen.reasons,
        views=described(shaping.views), weights="", compared={}, failed=[], collapsed=False, drawn=False,
    )  # fmt: skip
    if data.skipped:
        rows = [(verbatim(file), verbatim(why, 200)) for file, why in data.skipped[:_SKIPPED]]
        run.table(("file", "why"), rows, name="skipped")


def judge(run: Run, right: Mapping[str, Tensor], owners: Sequence[str]) -> None:
    """What pretraining gained over each baseline, and whether that is enough for a verdict; see `gains`."""
    found = gains(right, owners)
    percent = {name: [100 * value for value in one.difference] for name, one in found.items()}
    run.show(
        compared={name: [*percent[name], one.word] for name, one in found.items()}, helped=helped(found),
        behind=[name for name, one in found.items() if not one.close and one.difference.value < 0],
        close=[name for name, one in found.items() if one.close],
    )  # fmt: skip
    rows = [
        (name, f"{100 * (run.measured.mean(name, 'linear probe') or 0):.1f}", f"{value:+.1f}".replace("-", "−"),
         f"{low:+.1f} to {high:+.1f}".replace("-", "−"), run.word(found[name].word))
        for name, (value, low, high) in percent.items()
    ]  # fmt: skip
    run.table(
        ("alternative", "% right", "points gained", "95 % interval", "right after pretraining"), rows, name="gains"
    )


def samples(run: Run, data: Folder, parts: Split, shaping: JointShaping) -> None:
    """Some training samples as the encoder gets them, and two views of a few."""
    count = min(_SHOWN, len(parts.train))
    tiles = data.take(parts.train[torch.linspace(0, len(parts.train) - 1, count).long()])
    run.figure("samples", contact_sheet(unnamed(tiles.split(_COLUMNS))))
    assert shaping.views is not None
    run.figure("views", view_sheet(tiles[:8], shaping.views))


def training(run: Run, lines: Mapping[str, Any], method: str, ranks: Sequence[tuple[int, float]] = ()) -> None:
    """The loss, and beside it the rank of the representations or, without it, the deviation of the embeddings."""
    run.show(drawn="loss/energy" in lines)
    if "loss/energy" not in lines:
        return
    panels = [(curves({"loss": lines["loss/energy"]}, title=f"{method}, loss of a batch", xlabel="step"), "")]
    if ranks:
        line = {"RankMe": ([step for step, _ in ranks], [rank for _, rank in ranks])}
        title = "Directions that the representations use"
        panels.append((curves(line, title=title, xlabel="step", ylabel="RankMe"), ""))
    elif "deviation" in lines:
        line, title = {"deviation": lines["deviation"]}, "Deviation of the embeddings in a batch"
        panels.append((curves(line, title=title, xlabel="step"), ""))
    run.grid("training", panels, 2)


def results(run: Run, data: Folder, parts: Split, test: Mapping[str, Any]) -> None:
    """Neighbours of held-out samples, the plane of the first principal components, and the spectrum."""
    queries, near = data.take(test["queries"]), test["neighbours"]
    sheets = [neighbour_sheet(queries, (data.take(rows) for rows in near[name])) for name in (TRAINED, RAW)]
    run.grid("neighbours", [(sheet, "") for sheet in sheets], 2)
    rows, plane = test["plane_rows"], test["plane"]
    if parts.labels is not None:
        run.figure("plane", scatter(plane, parts.labels[rows], parts.classes, title=_PLANE))
    elif data.kind == "series":
        run.figure("plane", scatter(plane, title=_PLANE))
    if data.kind == "images":
        some = torch.linspace(0, len(rows) - 1, min(_PICTURES, len(rows))).long()
        run.figure("pictures", scatter(plane[some], pictures=data.take(rows[some]), title="The same plane, by picture"))
    drawn = spectrum_curves(test["spectra"], title="Spectrum", ylabel="singular value / largest")
    run.figure("spectrum", drawn)
