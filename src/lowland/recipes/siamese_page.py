"""The page of the recipe `siamese`: the verification curve, the embedding of unseen people, and who is mistaken."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from torch import Tensor

from lowland.evaluation.verdict import CLOSE, verdict
from lowland.plots import curves
from lowland.plots.mosaic import mosaic
from lowland.plots.style import FAMILIES, INK, MUTED, bare, figure, ruled
from lowland.reports.run import Run

_GRID = np.linspace(0, 1, 201)


def write_page(run: Run, found: Sequence[Mapping[str, Any]], method: str) -> None:
    """Fill the page; pictures of single people are those of the first fold."""
    mean = {
        name: 100 * statistics.fmean(fold["measured"][name]["equal error"] for fold in found)
        for name in found[0]["measured"]
    }
    each = {name: [fold["measured"][name]["equal error"] for fold in found] for name in mean}
    told = [
        f"{word} {'against' if word == CLOSE else 'than'} {name} ({mean[name]:.1f} %)"
        for name in mean
        if name != method
        for word in [verdict(each[method], each[name], ("more", "fewer")).word]
    ]
    run.finding(f"{method} errs on {mean[method]:.1f} % of the pairs of unseen people: {', '.join(told)}.")
    run.section("Verification")
    run.text(
        "Two photographs are taken for the same person where their distance is below a threshold. A low threshold "
        "refuses too many, a high one accepts strangers; at the **equal-error rate** both happen equally often. Nobody "
        "on the photographs was seen in training."
    )
    run.figure("verification", _curve(found), "Means over the folds; dots mark the equal-error rates", dpi=130)
    columns = ("method", *(f"fold {number + 1}" for number in range(len(found))), "chosen on validation people")
    rows = [
        (
            name,
            *(f"{100 * fold['measured'][name]['equal error']:.1f}" for fold in found),
            "; ".join(dict.fromkeys(fold["measured"][name]["chosen"] for fold in found)),
        )
        for name in mean
    ]
    run.table(columns, rows, "Equal-error rates in %, each fold with other people")
    run.part(_write_embedding, found[0], method)
    run.part(_write_mistakes, found[0], method)
    run.section("Training")
    lines = {f"margin {name}": (line["steps"], line["values"]) for name, line in found[0]["loss"].items()}
    run.figure("training", curves(lines, title="DrLIM, first fold", xlabel="step", ylabel="loss of a batch"))


def _curve(found: Sequence[Mapping[str, Any]]) -> Figure:
    drawn = figure(6.4, 4.2)
    ax = drawn.add_subplot()
    ruled(ax, None, "strangers accepted", "same person recognised")
    ax.plot([0, 1], [1, 0], color=MUTED, linewidth=0.8, linestyle=":")
    for number, name in enumerate(found[0]["measured"]):
        each = [fold["measured"][name] for fold in found]
        line = np.mean([np.interp(_GRID, one["accepted"], one["recognised"]) for one in each], axis=0)
        rate = statistics.fmean(one["equal error"] for one in each)
        colour = FAMILIES[number % len(FAMILIES)]
        ax.plot(_GRID, line, color=colour, linewidth=1.8, label=f"{name}: {100 * rate:.1f} %")
        ax.plot(rate, 1 - rate, "o", color=colour, markersize=5)
    ax.set(xlim=(0, 0.6), ylim=(0.4, 1.005))
    ax.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="lower right")
    return drawn


def _write_embedding(run: Run, fold: Mapping[str, Any], method: str) -> None:
    run.section("Unseen people in the plane")
    run.text(
        "The two directions in which the codes of the test people of the first fold vary most. A colour of a frame is "
        "one person. Who it is has to be read from the picture alone: no label of theirs was ever used."
    )
    for name, codes in fold["codes"].items():
        run.figure(f"plane-{name.lower()}", _plane(codes, fold["images"], fold["who"], name), dpi=150)


def _plane(codes: Tensor, images: Tensor, who: Tensor, name: str) -> Figure:
    centred = (codes - codes.mean(dim=0)).double()
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2]
    place = (centred @ axes.T).numpy()
    drawn = figure(6.4, 5.0)
    ax = drawn.add_subplot()
    ax.plot(place[:, 0], place[:, 1], linestyle="none")
    ax.margins(0.08)
    people = {person: number for number, person in enumerate(who.unique().tolist())}
    # Tiles of about a third of an inch, whatever the size of the images.
    zoom = 22.0 / images.shape[2]
    for point, image, person in zip(place, images, who.tolist(), strict=True):
        tile = OffsetImage(image.mean(dim=0).numpy(), zoom=zoom, cmap="gray", interpolation="nearest")
        colour = FAMILIES[people[person] % len(FAMILIES)]
        style = {"edgecolor": colour, "linewidth": 1.6, "linestyle": "-" if people[person] < len(FAMILIES) else ":"}
        ax.add_artist(AnnotationBbox(tile, tuple(point), pad=0.12, bboxprops=style))
    bare(ax, f"{name}: two principal components", size=10)
    return drawn


def _write_mistakes(run: Run, fold: Mapping[str, Any], method: str) -> None:
    codes, images, who = fold["codes"][method], fold["images"], fold["who"]
    far = torch.cdist(codes, codes, compute_mode="donot_use_mm_for_euclid_dist")
    first, second = torch.triu_indices(len(codes), len(codes), 1)
    same, pair = who[first] == who[second], far[first, second]
    strangers = torch.where(same, torch.inf, pair).argsort()[:10]
    friends = torch.where(same, pair, -torch.inf).argsort(descending=True)[:10]
    run.section("The hardest pairs")
    rows = {
        "strangers that look alike": images[first[strangers]],
        "": images[second[strangers]],
        "one person, two looks": images[first[friends]],
        " ": images[second[friends]],
    }
    run.figure("mistakes", mosaic(rows), "The nearest pairs of different people, and the farthest of the same one")
