"""The page of the recipe `classify`: energies of ten answers, errors, the most offending images, the exported graph."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from lowland.data.images import Images
from lowland.energies.classifier import Classifier
from lowland.evaluation.verdict import verdict
from lowland.plots import curves
from lowland.plots.style import BLUE, FAINT, INK, MUTED, ORANGE, PAPER, SCORE, SIGNED, bare, figure, ruled
from lowland.recipes.compose_page import spread
from lowland.reports.run import Run
from lowland.words import plotted, verbatim

LIKELIHOOD, HINGE, GRAPH = "likelihood", "hinge", "gated graph"
SHOWN = 24
_NAMES = {
    LIKELIHOOD: "network, MaximumLikelihood",
    HINGE: "network, HingePair",
    GRAPH: "gated graph, MaximumLikelihood",
    "logistic regression": "logistic regression (baseline)",
    "most frequent class": "most frequent class (baseline)",
}
_RUNTIMES = {"torch.export": "program of torch.export", "ONNX": "ONNX in onnxruntime"}


def write_results(
    run: Run, found: Sequence[Mapping[str, Any]], same: float, exported: Mapping[str, Any], data: str, count: int
) -> None:
    """The rows of `results.json`."""
    common = {"seeds": len(found), "data": f"{data}, {count} test images"}
    for method, name in _NAMES.items():
        mean, sd = spread([100 * (1 - one[method]["test"]) for one in found])
        claim = "test images on which a wrong answer has the least energy, %"
        run.result(id="V1", claim=claim, method=name, measured=mean, sd=sd, **common)
    for runtime, one in exported[LIKELIHOOD].items():
        claim = "exported graph: test images that it decides otherwise"
        run.result(id="H5", claim=claim, method=_RUNTIMES[runtime], measured=one["otherwise"], data=common["data"])
        claim = "exported graph: largest |ΔE| over all test images and answers"
        run.result(id="H5", claim=claim, method=_RUNTIMES[runtime], measured=one["difference"], data=common["data"])
    for method in (LIKELIHOOD, HINGE, "logistic regression"):
        mean, sd = spread([one[method]["nll"] for one in found])
        claim = "−log p of the right answer, mean of test images, p = exp(−E) / Z (ten answers alike: 2.303)"
        run.result(id="E1", claim=claim, method=_NAMES[method], measured=mean, sd=sd, **common)
    claim = "training images whose right answer lies below all others, %"
    for method, key, words in ((LIKELIHOOD, "before", "network, untrained (baseline)"),
                               (LIKELIHOOD, "after", _NAMES[LIKELIHOOD]), (HINGE, "after", _NAMES[HINGE])):  # fmt: skip
        mean, sd = spread([100 * one[method][key] for one in found])
        run.result(id="E6", claim=claim, method=words, measured=mean, sd=sd, seeds=len(found), data=f"{data}, training")
    claim = "largest difference from torch's cross_entropy, of the loss and of its gradient (exact: 0)"
    run.result(id="E6", claim=claim, method=_NAMES[LIKELIHOOD], measured=same, data=f"{data}, test images")


def write_page(
    run: Run,
    energy: Classifier,
    found: Sequence[Mapping[str, Any]],
    exported: Mapping[str, Any],
    data: Images,
    steps: Sequence[int],
) -> None:
    """Everything below the table of results.

    Args:
        run: to be filled.
        energy: of the first seed, trained by maximum likelihood.
        found: of each seed and method: "steps", "validation" errors, "test" accuracy, "table" of test energies.
        exported: of each energy and runtime: the largest difference, the decisions that differ, bytes.
        data: test images and their labels.
        steps: at which the validation errors were measured.
    """
    tables = [one[LIKELIHOOD]["table"] for one in found]
    layers = [len(bias) for bias in energy.network.parameters() if bias.ndim == 1]
    right = {name: [one[name]["test"] for one in found] for name in (LIKELIHOOD, HINGE)}
    told = verdict(right[HINGE], right[LIKELIHOOD], ("fewer errors", "more errors")).word
    wrong = {name: f"{100 * (1 - statistics.fmean(each)):.1f} %" for name, each in right.items()}
    run.finding(
        f"An energy of images and answers, minimised over the ten answers, errs on {wrong[LIKELIHOOD]} of the test "
        f"images where likelihood shaped it, and on {wrong[HINGE]} where a hinge did: {told}, over {len(found)} seeds."
    )
    run.part(_answers, tables[0], data, "-".join(map(str, [data.test[0].numel(), *layers])))
    run.part(_shapings, found, steps)
    run.part(_failures, tables, data)
    run.part(_wishes, energy, data)
    run.part(_export, exported)


def _gap(table: Tensor, labels: Tensor) -> Tensor:
    """Energy of the most offending wrong answer less that of the right one, (N,): negative where the image is lost."""
    right = table.gather(1, labels[:, None])[:, 0]
    return table.scatter(1, labels[:, None], torch.inf).min(dim=1).values - right


def _answers(run: Run, table: Tensor, data: Images, sizes: str) -> None:
    gap = _gap(table, data.test_labels)
    order = gap.argsort()
    hard = [int(index) for index in order if gap[index] > 0][:2]
    chosen = [int(order[-1]), int(order[len(order) // 2]), *hard, int(order[1]), int(order[0])]
    run.section("An answer is inferred")
    run.text(
        "The energy E(x, y) = −y·f(x) takes an image and an answer. It is built from a network f that knows nothing "
        f"of energies: here layers of {sizes} units with ReLU between them, after the 784-1000-10 of the talks. The "
        "answer is the y of least energy, and `infer` finds it as it finds any other: y lies in a finite set, so every "
        "element is looked at. "
        "Beyond the best answer there is the whole table: how far the next one lies above it says how sure the answer "
        "is, and log Z(x) = log Σ exp(−E) turns energies into probabilities, the softmax of f."
    )
    run.figure(
        "answers",
        _bars(data, table, chosen),
        "Energies of all answers above the lowest, for test images from the surest to the most mistaken. Orange: the "
        f"right answer. The triangle marks the answer that is inferred. {_legend(data)}",
    )


def _bars(data: Images, table: Tensor, chosen: Sequence[int]) -> Figure:
    drawn = figure(8.4, 3.1)
    panels = drawn.subplots(2, len(chosen), height_ratios=(1, 1.7), squeeze=False)
    above = table - table.min(dim=1, keepdim=True).values
    top = float(above[chosen].max())
    for column, index in enumerate(chosen):
        label, answer = int(data.test_labels[index]), int(table[index].argmin())
        panels[0, column].imshow(data.test[index, 0].numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        names = _names(data)
        bare(panels[0, column], f"right {names[label]}, inferred {names[answer]}", 8)
        ax, count = panels[1, column], table.shape[1]
        ruled(ax)
        ax.bar(
            range(count), above[index].tolist(), color=[ORANGE if k == label else BLUE for k in range(count)], width=0.7
        )
        ax.plot(
            answer, 0, "v", color=ORANGE if answer == label else BLUE, ms=6, mec=PAPER, mew=0.6, clip_on=False, zorder=5
        )
        ax.set(ylim=(0, top), xticks=range(count))
        ax.tick_params(axis="x", labelsize=6.5, length=0, pad=3)
        if column:
            ax.set_yticklabels([])
        else:
            ax.set_ylabel("E − min E, nats", fontsize=8, color=MUTED)
    return drawn


def _names(data: Images) -> list[str]:
    """The classes as they stand in pictures: by number where their names are long."""
    return [str(k) if _long(data) else name for k, name in enumerate(data.classes)]


def _legend(data: Images) -> str:
    """What the numbers mean, where `_names` gives numbers."""
    return ", ".join(f"{k} {verbatim(name)}" for k, name in enumerate(data.classes)) if _long(data) else ""


def _long(data: Images) -> bool:
    return max(map(len, data.classes)) > 2


def _shapings(run: Run, found: Sequence[Mapping[str, Any]], steps: Sequence[int]) -> None:
    run.section("Two ways to shape one energy, and two graphs")
    run.text(
        "**MaximumLikelihood** pushes the right answer down and all answers up, each by its probability: L = E(x, y) + "
        "log Z(x). With ten answers Z is a sum of ten terms, and the loss is exactly the cross-entropy of the "
        "textbooks. **HingePair** compares the right answer with the most offending wrong one, and does nothing once "
        "the margin of 1 is kept. Both train the same network from the same first weights. **gated graph** puts "
        "another module in its place, one that is not a chain: f(x) = A (h ⊙ σ(G h)) + C x with h = [B x]⁺. Nothing "
        "else changes."
    )
    columns = ("method", "steps, median", "validation error, %", "test error, %")
    rows = []
    for method in (LIKELIHOOD, HINGE, GRAPH):
        mine = [one[method] for one in found]
        rows.append([_NAMES[method], statistics.median(one["steps"] for one in mine),
                     spread([100 * min(one["validation"]) for one in mine]),
                     spread([100 * (1 - one["test"]) for one in mine])])  # fmt: skip
    run.table(
        columns,
        rows,
        caption="Mean and standard deviation over seeds. The validation error is the one that chose the number of "
        "steps, and so is a little too good. Where that number is the largest tried, more may help.",
    )
    lines = {
        method: (
            steps,
            np.mean([[100 * error for error in one[method]["validation"]] for one in found], axis=0).tolist(),
        )
        for method in (LIKELIHOOD, HINGE, GRAPH)
    }
    drawn = curves(lines, title="Validation images", xlabel="training steps", ylabel="error, %", log="xy")
    ax = drawn.axes[0]
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())
    low, high = ax.get_ylim()
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if low <= tick <= high]
    ax.set_xticks(list(steps), [str(step) for step in steps])
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    run.figure("steps", drawn, f"Mean over {len(found)} seeds. Each seed keeps the weights of its own best point.")
    run.text(
        "The hinge stops at its margin, so that its exp(−E) / Z is no estimate of a probability; likelihood aims at "
        "nothing else. The figures measured here compare −log p of the right answer."
    )


def _failures(run: Run, tables: Sequence[Tensor], data: Images) -> None:
    run.section("Where it fails")
    gap = _gap(tables[0], data.test_labels)
    order = gap.argsort()[:SHOWN]
    run.text(
        "The test images on which a wrong answer comes closest to the right one, or lies below it. No image of the "
        "test split had a say in training or in the choice of steps."
    )
    drawn = _named(data, order, tables[0], gap)
    run.figure("offending", drawn, "Right answer → most offending wrong answer, and how far that lies above the right "
               f"one, in nats. Orange: it lies below, and the image is lost. {_legend(data)}")  # fmt: skip
    counts = torch.zeros(tables[0].shape[1], tables[0].shape[1])
    for table in tables:
        pairs = torch.stack([data.test_labels, table.argmin(dim=1)])
        counts.index_put_((pairs[0], pairs[1]), torch.ones(len(data.test_labels)), accumulate=True)
    run.figure("confusion", _confusion(counts, _names(data)), f"Test images of {len(tables)} seeds together: what was "
               f"inferred, by the right answer. {_legend(data)}")  # fmt: skip


def _named(data: Images, chosen: Tensor, table: Tensor, gap: Tensor) -> Figure:
    columns = 8
    drawn = figure(7.2, 1.12 * -(-len(chosen) // columns))
    panels = drawn.subplots(-(-len(chosen) // columns), columns, squeeze=False).flatten()
    names = _names(data)
    wrong = table.scatter(1, data.test_labels[:, None], torch.inf).argmin(dim=1)
    for ax, index in zip(panels, chosen.tolist(), strict=False):
        ax.imshow(data.test[index, 0].numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        bare(ax)
        lost = bool(gap[index] < 0)
        words = f"{names[int(data.test_labels[index])]} → {names[int(wrong[index])]}  {gap[index]:+.1f}"
        ax.set_title(plotted(words.replace("-", "−")), fontsize=7.5, color=ORANGE if lost else INK, pad=3)
    for ax in panels[len(chosen) :]:
        ax.axis("off")
    return drawn


def _confusion(counts: Tensor, classes: Sequence[str]) -> Figure:
    drawn = figure(4.6, 4.3)
    ax = drawn.add_subplot()
    wrong = counts.clone().fill_diagonal_(0)
    shown = np.ma.masked_equal(wrong.numpy(), 0)
    ax.imshow(shown, cmap=SCORE, norm=LogNorm(0.5, max(2.0, float(wrong.max()))))
    for (row, column), count in np.ndenumerate(counts.numpy()):
        if count:
            dark = count > 0.5 * float(wrong.max())
            ink = MUTED if row == column else PAPER if dark else INK
            ax.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=8, color=ink)
    ax.set_xticks(range(len(classes)), [plotted(name) for name in classes], fontsize=8, color=MUTED)
    ax.set_yticks(range(len(classes)), [plotted(name) for name in classes], fontsize=8, color=MUTED)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set(color=FAINT)
    ax.set_xlabel("inferred", fontsize=9, color=MUTED)
    ax.set_ylabel("right", fontsize=9, color=MUTED)
    return drawn


def _wishes(run: Run, energy: Classifier, data: Images) -> None:
    run.section("What each answer wants to see")
    run.text(
        "An energy is differentiable in the image as it is in the weights. The slope −∂E(x, y)/∂x says which ink would "
        "lower the energy of an answer: compare it with the mean image of its class."
    )
    x = data.test.flatten(1).requires_grad_()
    table = -energy.cpu().encode(x)
    slopes = [torch.autograd.grad(table[:, k].sum(), x, retain_graph=True)[0] for k in range(table.shape[1])]
    drawn = figure(8.4, 1.95)
    panels = drawn.subplots(2, len(slopes), squeeze=False)
    for k, slope in enumerate(slopes):
        mean, wish = data.test[data.test_labels == k].mean(dim=0)[0], -slope.mean(dim=0).reshape(data.shape[1:])
        size = float(wish.abs().max())
        panels[0, k].imshow(mean.numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        panels[1, k].imshow(wish.numpy(), cmap=SIGNED, vmin=-size, vmax=size, interpolation="nearest")
        bare(panels[0, k], _names(data)[k], 8)
        bare(panels[1, k])
    run.figure(
        "wishes",
        drawn,
        "Above: the mean test image of each class. Below: −∂E(x, y)/∂x for that answer, mean over all test images; "
        f"ink lowers the energy where it is orange, and raises it where it is blue. {_legend(data)}",
    )


def _export(run: Run, exported: Mapping[str, Any]) -> None:
    run.section("Without torch")
    run.text(
        "What is exported is the energy itself: a graph with the inputs x and y, a free batch axis, and the weights "
        "inside. `lowland export` writes the same files. onnxruntime is a C++ library; Python only hands it the "
        "arrays here. The gated graph has no saved configuration, since its module is not one of the library, but it "
        "is exported in the same way."
    )
    rows = [
        [f"{_NAMES[method]}: {_RUNTIMES[runtime]}", one["difference"], one["otherwise"], round(one["bytes"] / 1024)]
        for method in (LIKELIHOOD, GRAPH)
        for runtime, one in exported[method].items()
    ]
    columns = ("energy and runtime", "largest |ΔE|", "decided otherwise", "file, KiB")
    run.table(columns, rows, caption="All test images, each with every answer, against the energy in Python")
    if exported["missing"]:
        run.text(f"There is no ONNX here: {exported['missing']}")
