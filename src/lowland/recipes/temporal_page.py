"""The page of the recipe `temporal`: the films, what can be read out, and neighbours in time."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.evaluation.representations import represent
from lowland.evaluation.verdict import verdict_of_accuracies
from lowland.plots import curves
from lowland.plots.mosaic import mosaic
from lowland.recipes.baselines import BASELINES, PIXELS, RANDOM, SUPERVISED, titled
from lowland.reports.run import Run

_QUERIES, _NEAR = 5, 5


def write_page(
    run: Run, found: Mapping[str, Sequence[Mapping[str, float]]], kept: Mapping[str, Any], films: Tensor
) -> None:
    """Fill the page; pictures are those of the first seed, and of test films (N, T, 1, S, S)."""
    run.section("Films")
    run.text(
        "A digit drifts over a field and is thrown back by its walls. Two frames that follow each other are drawn "
        "together; no digit is named, no frame is cropped, turned or blurred. What the two have in common is which "
        "digit it is, its handwriting, and roughly where it is."
    )
    run.figure("films", mosaic({f"film {number + 1}": film for number, film in enumerate(films[:4])}))
    mean = {name: {key: statistics.fmean(one[key] for one in each) for key in each[0]} for name, each in found.items()}
    run.section("What is kept, and what is forgotten")
    methods = [name for name in mean if name not in BASELINES]
    best = max(methods, key=lambda name: mean[name]["validation"])
    told = {
        name: verdict_of_accuracies(*([one["digit"] for one in found[key]] for key in (best, name)), count=len(films))
        for name in (RANDOM, PIXELS)
    }
    run.finding(
        f"From the representation by {best} a linear classifier reads {100 * mean[best]['digit']:.1f} % of the digits: "
        f"{told[RANDOM].word} against the untrained encoder ({100 * mean[RANDOM]['digit']:.1f} %), {told[PIXELS].word} "
        f"against raw pixels ({100 * mean[PIXELS]['digit']:.1f} %)."
    )
    run.text(
        f"From the representation by {best} a linear classifier reads {100 * mean[best]['digit']:.1f} % of the digits, "
        f"{100 * mean[RANDOM]['digit']:.1f} % from that of the untrained encoder and "
        f"{100 * mean[PIXELS]['digit']:.1f} % from raw pixels; with all labels the encoder reaches "
        f"{100 * mean[SUPERVISED]['digit']:.1f} %. Slowness is the mean squared change from frame to frame over that "
        "between unrelated frames: 0 would be a film that stands still, 1 one without a trace of the frame before."
    )
    rows = [
        (
            titled(name),
            100 * values["digit"], values["place"], values["slowness"], 100 * values["neighbours"],
        )
        for name, values in mean.items()
    ]  # fmt: skip
    columns = ("encoder", "digit, %", "place, R²", "slowness", "nearest frame of the same film, %")
    run.table(columns, rows, "Test films of digits that were in no training film; linear read-outs of frozen encoders.")
    run.section("Nearest frames of other films")
    run.text("For some test frames the nearest frames of other films, by cosine.")
    panels = [(_neighbours(encoder, films), name) for name, encoder in kept["encoders"].items()]
    run.grid("neighbours", panels, 2)
    run.section("Training")
    run.figure("training", curves(kept["curves"], xlabel="step", ylabel="loss of a batch, each method's own", log="y"))


def _neighbours(encoder: nn.Module, films: Tensor) -> Any:
    frames = films.flatten(0, 1)
    unit = functional.normalize(represent(encoder, frames), dim=1)
    film = torch.arange(len(frames)) // films.shape[1]
    queries = torch.arange(_QUERIES) * films.shape[1]
    score = (unit[queries] @ unit.T).masked_fill(film[queries][:, None] == film[None], -torch.inf)
    # One frame of a film: its others would be much the same picture.
    best = score.unflatten(1, (-1, films.shape[1])).max(dim=2)
    chosen = best.values.topk(_NEAR, dim=1).indices
    place = chosen * films.shape[1] + best.indices.gather(1, chosen)
    rows = {"frame": frames[queries]} | {f"nearest {rank + 1}": frames[place[:, rank]] for rank in range(_NEAR)}
    return mosaic(rows)
