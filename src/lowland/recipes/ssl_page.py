"""The page of the recipe `ssl`: one table of all methods, learning curves, spectra, pictures of the embedding."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lowland.data.images import Images
from lowland.evaluation.verdict import CLOSE, verdict_of_accuracies
from lowland.plots import curves
from lowland.plots.style import FAMILIES, INK, MUTED, ORANGE, bare, figure, ruled
from lowland.recipes.baselines import BASELINES, PIXELS, RANDOM, SUPERVISED, titled
from lowland.recipes.ssl_measures import QUERIES, SHOWN
from lowland.recipes.ssl_methods import Method
from lowland.reports.run import Run
from lowland.words import plotted

Found = Sequence[Mapping[str, Mapping[str, Any]]]
"""What was measured, by seed and then by the title of a method or the name of a baseline."""

_ONLINE, _JEPA = (
    "CIFAR-10, ResNet-18, 1000 epochs, online probe, solo-learn",
    "CIFAR-10, ResNet-18, 300 epochs, eb_jepa",
)
PROBED = {
    "SimCLR": (90.74, _ONLINE), "BYOL": (92.58, _ONLINE), "Barlow Twins": (92.10, _ONLINE), "MoCo v3": (93.10, _ONLINE),
    "VICReg": (90.12, _JEPA), "SIGReg": (91.02, _JEPA),
}  # fmt: skip
VOTED = {"SimCLR": (84.8, "CIFAR-10, ResNet-18, 200 epochs, lightly")}
"""Published figures in percent, and what they were measured on."""
MARGIN, COLLAPSED = 0.05, 2.0
"""Accuracy above the random encoder that is asked of a method, and the RankMe below which it counts as collapsed."""


def average(found: Found, name: str, key: str) -> tuple[float, float | None] | None:
    """Mean and standard deviation over the seeds, of those in which the method did not fail."""
    values = [one[name][key] for one in found if key in one[name]]
    if not values:
        return None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def write_results(run: Run, found: Found, methods: Sequence[Method], data: str) -> None:
    """Rows of `results.json`: test accuracies in percent, and RankMe."""
    rows = [(method.title, method.row, method.title) for method in methods]
    rows += [(name, "J7", titled(name)) for name in BASELINES]
    cifar = data.startswith("cifar10")  # what the published figures were measured on
    for key, claim, factor, published in (
        ("probe", "linear probe, %", 100, PROBED if cifar else {}),
        ("knn", "nearest neighbours, %", 100, VOTED if cifar else {}),
        ("rank", "RankMe", 1, {}),
    ):
        for name, row, title in rows:
            mean, sd = average(found, name, key) or (None, None)
            figure, where = published.get(name, (None, ""))
            run.result(
                id=row, claim=claim, method=title, published=figure, seeds=sum(key in one[name] for one in found),
                measured=None if mean is None else factor * mean, sd=None if sd is None else factor * sd,
                data=f"{data}; published: {where}" if where else data,
            )  # fmt: skip


def write_page(run: Run, found: Found, methods: Sequence[Method], data: Images, steps: int, batch: int) -> None:
    """Fill the page; pictures are those of the first seed."""
    titles = [method.title for method in methods]
    working = [title for title in titles if average(found, title, "validation")]
    best = max(working, key=lambda title: _mean(found, title, "validation"), default=RANDOM)
    run.section("All methods, one table")
    run.text(
        f"Each method trains the same network for {steps} steps of {batch} images, two views of each, and sees no "
        "label. Then the network is frozen. The **linear probe** is a logistic regression on its representation, its "
        "weight decay chosen on validation images; the **neighbours** vote by cosine. Alignment and uniformity are of "
        "representations scaled to length 1, less being better. The **energy gap** is how often two views of one image "
        "have less energy than views of two images, the trained energy F(x, y) itself; baselines take 1 − cos of their "
        "representations. Test images were looked at once, by the probe and the neighbours of the frozen networks."
    )
    run.finding(_finding(found, titles, working, len(data.test)))
    run.verdict(_verdict(found, titles, working, best))
    for title in titles:
        for one in found:
            if "failed" in one[title]:
                run.text(f"**{title}** did not come to its end: {one[title]['failed']}")
    columns = {
        "linear probe, %": ("probe", 100), "neighbours, %": ("knn", 100), "RankMe": ("rank", 1),
        "alignment": ("alignment", 1), "uniformity": ("uniformity", 1), "energy gap": ("gap", 1),
        "seconds": ("seconds", 1),
    }  # fmt: skip
    ordered = sorted(titles, key=lambda title: -_mean(found, title, "probe"))
    rows = [
        [titled(name)] + [_cell(average(found, name, key), factor) for key, factor in columns.values()]
        for name in [*ordered, *BASELINES]
    ]
    low, high = _mean(found, RANDOM, "probe"), _mean(found, SUPERVISED, "probe")
    run.table(
        ["method", *columns], rows, heat={"linear probe, %": (100 * min(low, high) - 1, 100 * max(low, high) + 1)}
    )
    first = {name: one for name, one in found[0].items() if "failed" not in one}
    run.part(_write_training, first, methods)
    run.part(_write_lie, first, [*[title for title in ordered if title in first], *BASELINES], data)
    run.part(_write_pairs, first, best, data)


def _mean(found: Found, name: str, key: str) -> float:
    return (average(found, name, key) or (float("-inf"), None))[0]


def _cell(value: tuple[float, float | None] | None, factor: float) -> Any:
    """A mean, or a mean with its deviation; None where the method failed."""
    if value is None:
        return None
    mean, sd = (None if part is None else factor * part for part in value)
    assert mean is not None
    digits = 1 if factor == 100 or abs(mean) >= 10 else 2
    return round(mean, digits) if sd is None else (round(mean, digits), round(sd, digits))


def _finding(found: Found, titles: Sequence[str], working: Sequence[str], count: int) -> str:
    """Which methods are above the random encoder, by the interval of the difference of their linear probes."""
    told: dict[str, list[str]] = {}
    for title in working:
        pairs = [(one[title]["probe"], one[RANDOM]["probe"]) for one in found if "probe" in one[title]]
        ours, random = zip(*pairs, strict=True)
        gap, word = verdict_of_accuracies(ours, random, count, ("above", "below"))
        told.setdefault(word, []).append(f"{title} ({100 * gap.value:+.1f})")
    said = "; ".join(f"{word}: {', '.join(told[word])}" for word in ("above", "below", CLOSE) if word in told)
    return (
        f"Of {len(titles)} methods {len(told.get('above', []))} are above the random encoder by a linear probe of "
        f"{count:,} test images. In points, {said or 'none came to its end'}."
    )


def _verdict(found: Found, titles: Sequence[str], working: Sequence[str], best: str) -> str:
    random, pixels = (_mean(found, name, "probe") for name in (RANDOM, PIXELS))
    gains = {title: _mean(found, title, "probe") - random for title in working}
    enough = [title for title, gain in gains.items() if gain >= MARGIN]
    short = [f"{title} {100 * gain:+.1f}" for title, gain in gains.items() if gain < MARGIN]
    flat = [title for title in working if _mean(found, title, "rank") < COLLAPSED]
    parts = [
        f"In the mean {len(enough)} of {len(titles)} methods gain {100 * MARGIN:.0f} points or more on random weights "
        f"({100 * random:.1f} %)" + (f"; the others: {', '.join(short)}." if short else "."),
        f"The best on validation images is {best}, with {100 * _mean(found, best, 'probe'):.1f} % of the test images; "
        f"raw pixels have {100 * pixels:.1f} %.",
        f"Collapsed, with a RankMe below {COLLAPSED:.0f}: {', '.join(flat)}." if flat else "None has collapsed.",
    ]
    return " ".join(parts)


def _write_training(run: Run, first: Mapping[str, Mapping[str, Any]], methods: Sequence[Method]) -> None:
    run.section("While they learn")
    run.text(
        "A linear probe on a few thousand training images, tried on validation images along the way. It "
        "shows the way; the figures of the table are those of the probe at the end."
    )
    panels = []
    for rows, caption in ((("J1", "J2"), "with negatives"), (("J7",), "without negatives")):
        lines = {
            method.title: (
                [look["step"] for look in first[method.title]["looks"]],
                [100 * look["online"] for look in first[method.title]["looks"]],
            )
            for method in methods
            if method.row in rows and method.title in first
        }
        if lines:
            panels.append((curves(lines, xlabel="step", ylabel="% of validation images"), caption))
    if panels:
        run.grid("learning", panels, 2)


def _write_lie(run: Run, first: Mapping[str, Mapping[str, Any]], names: Sequence[str], data: Images) -> None:
    run.section("How the representations lie")
    run.text(
        f"{min(SHOWN, len(data.validation))} validation images in the plane of the first two principal components of "
        "each representation, coloured by a class that only the supervised network was told."
    )
    labels = data.validation_labels[:SHOWN]
    run.figure("planes", _planes({name: first[name]["plane"] for name in names}, labels, data.classes))
    run.text(
        "Singular values of the representations of the same images, the largest being 1: a line that drops to "
        "the floor early belongs to a network that uses few of its directions."
    )
    half = -(-(len(names) - len(BASELINES)) // 2)
    learned = [name for name in names if name not in BASELINES]
    panels = []
    for chosen, caption in ((learned[:half], "upper half of the table"), (learned[half:], "lower half of the table")):
        lines = {
            name: (list(range(1, 1 + len(values))), values.clamp_min(1e-5).tolist())
            for name in [*chosen, RANDOM]
            for values in [first[name]["spectrum"]]
        }
        panels.append((curves(lines, xlabel="direction", ylabel="singular value", log="y"), caption))
    run.grid("spectra", panels, 2)


def _write_pairs(run: Run, first: Mapping[str, Mapping[str, Any]], best: str, data: Images) -> None:
    run.section("What is close")
    run.text(f"Energies of pairs: two views of one image, and views of two images. Left {best}, right raw pixels.")
    run.grid("pairs", [(_energies(first[name]), name) for name in (best, PIXELS)], 2)
    run.text("The training images nearest to each validation image on the left, by cosine.")
    queries = data.validation[:QUERIES]
    sheets = [
        (_retrieved(queries, data.validation_labels, data, first[name]["neighbours"]), name)
        for name in (best, RANDOM, PIXELS)
    ]
    run.grid("neighbours", sheets, 3, "Orange frames: another class than that of the image on the left.")


def _planes(planes: Mapping[str, Tensor], labels: Tensor, classes: Sequence[str]) -> Figure:
    """A panel for each representation, and one legend for all."""
    columns = min(5, len(planes))
    rows = -(-len(planes) // columns)
    drawn = figure(1.75 * columns, 1.85 * rows + 0.5)
    colours = _colours(len(classes))
    for number, (name, points) in enumerate(planes.items()):
        ax = drawn.add_subplot(rows, columns, number + 1)
        bare(ax, name)
        ax.scatter(
            points[:, 0].tolist(), points[:, 1].tolist(), s=1.6, c=[colours[label] for label in labels.tolist()],
            linewidths=0, rasterized=True,
        )  # fmt: skip
    handles = [
        drawn.axes[0].scatter([], [], s=16, c=[colour], label=plotted(classes[k])) for k, colour in enumerate(colours)
    ]
    drawn.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=7.5, labelcolor=INK)
    return drawn


def _colours(count: int) -> list[Any]:
    """Eight colours that all readers tell apart, then ink and a dark red."""
    return [([*FAMILIES, INK, "#8c2d04"])[index % 10] for index in range(count)]


def _energies(one: Mapping[str, Any]) -> Figure:
    drawn = figure(4.2, 2.6)
    ax = drawn.add_subplot()
    ruled(ax, None, "F(x, y)", "pairs")
    near, far = one["near"], one["far"]
    edges = np.linspace(0, float(torch.quantile(torch.cat([near, far]), 0.995)) or 1.0, 50)
    ax.hist(far.clamp_max(edges[-1]).numpy(), bins=edges.tolist(), color=MUTED, alpha=0.6, label="views of two images")
    ax.hist(near.clamp_max(edges[-1]).numpy(), bins=edges.tolist(), color=ORANGE, alpha=0.75, label="of one image")
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    return drawn


def _retrieved(queries: Tensor, labels: Tensor, data: Images, places: Tensor) -> Figure:
    """Each row: an image, then, after a gap, its neighbours; all on one sheet."""
    (count, channels, height, width), found = queries.shape, places.shape[1]
    tall, wide, gap = height + 4, width + 4, width // 2
    sheet = torch.ones(count * tall, (1 + found) * wide + gap, channels)
    drawn = figure(4.0, 4.0 * sheet.shape[0] / sheet.shape[1])
    ax = drawn.add_subplot()
    bare(ax)
    for row in range(count):
        for column in range(1 + found):
            place = places[row, column - 1]
            tile = queries[row] if column == 0 else data.train[place]
            top, left = row * tall + 2, column * wide + 2 + (gap if column else 0)
            # Ink on paper for grey images, which are mostly empty; colours as they are.
            sheet[top : top + height, left : left + width] = (tile if channels == 3 else 1 - tile).permute(1, 2, 0)
            if column and data.train_labels[place] != labels[row]:
                corner = (left - 1.5, top - 1.5)
                ax.add_patch(Rectangle(corner, width + 2, height + 2, fill=False, edgecolor=ORANGE, linewidth=1.6))
    ax.imshow(sheet.expand(-1, -1, 3).numpy(), interpolation="nearest")
    ax.axis("off")
    return drawn
