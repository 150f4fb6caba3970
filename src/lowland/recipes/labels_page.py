"""The page of the recipe `labels`: accuracy over labels, and what pretraining is worth with the fewest."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lowland.data.images import Images
from lowland.evaluation.verdict import verdict
from lowland.plots import curves
from lowland.recipes.baselines import PIXELS, RANDOM
from lowland.reports.run import Run

FROZEN, TUNED, SCRATCH = "pretrained, linear probe", "pretrained, fine-tuned", "from scratch"
PRETRAINED = "pretrained, the better on validation"
ROWS = (PRETRAINED, FROZEN, TUNED, SCRATCH, PIXELS, RANDOM)
RIVALS = (SCRATCH, PIXELS)
MARGIN = 0.03
"""How much better than both rivals the pretrained network is asked to be with the fewest labels."""

Found = Mapping[float, Sequence[Mapping[str, Any]]]
"""What was measured, by share of the labels and then by seed."""


def accuracies(found: Found, fraction: float, name: str) -> list[float]:
    """Test accuracies, one for each draw of the labels."""
    return [one["found"][name]["test"] for one in found[fraction]]


def write_results(run: Run, found: Found, best: str, data: str) -> None:
    """Rows of `results.json`: test accuracies in percent, and differences with the fewest labels in points."""
    for fraction, seeds in found.items():
        for name in ROWS:
            values = [100 * value for value in accuracies(found, fraction, name)]
            baseline = name in (SCRATCH, PIXELS, RANDOM)
            run.result(
                id="J6", claim=f"% of the test images, {100 * fraction:g} % of the labels", seeds=len(seeds), data=data,
                method=f"{name} (baseline)" if baseline else f"{name}, {best}", measured=statistics.fmean(values),
                sd=statistics.stdev(values) if len(values) > 1 else None,
            )  # fmt: skip
    fewest = min(found)
    for rival in RIVALS:
        gap = verdict(accuracies(found, fewest, PRETRAINED), accuracies(found, fewest, rival)).difference
        if len(found[fewest]) > 1:
            claim = f"points above {rival}, {100 * fewest:g} % of the labels"
            for what, value in (("", gap.value), (", lower end of the 95 % interval", gap.low)):
                run.result(
                    id="J6", claim=claim + what, method=best, measured=100 * value, seeds=len(found[fewest]), data=data
                )


def write_page(run: Run, found: Found, choice: Mapping[str, Sequence[float]], best: str, data: Images) -> None:
    """Fill the page."""
    fewest = min(found)
    run.section("What pretraining is worth")
    shares = ", ".join(f"{100 * fraction:g} % ({seeds[0]['labels']})" for fraction, seeds in found.items())
    run.text(
        f"The network saw all {len(data.train)} training images without labels, trained by {best}. Then some got "
        f"labels: {shares}. **From scratch** is the same network, trained on these labels alone for the same number of "
        "steps as fine-tuning, with the same views and as many learning rates to choose from. **Raw pixels** "
        "and **random encoder** are logistic regressions, as is the linear probe. Whatever was chosen, in any row, was "
        f"chosen on the same {len(data.validation)} labelled validation images; that is more labels than the smallest "
        f"share may have. Of frozen and fine-tuned, “{PRETRAINED}” takes the better one on those images, for each draw "
        "of the labels."
    )
    ours = accuracies(found, fewest, PRETRAINED)
    shown = [(rival, verdict(ours, accuracies(found, fewest, rival))) for rival in RIVALS]
    told = "; ".join(f"{100 * gap.value:+.1f} points against “{rival}” ({word})" for rival, (gap, word) in shown)
    run.finding(f"With {100 * fewest:g} % of the labels the pretrained network is {told}.")
    run.verdict(" ".join(_verdict(found, fewest, rival) for rival in RIVALS))
    fractions = list(found)
    rows = [
        [f"{name} (baseline)" if name in (SCRATCH, PIXELS, RANDOM) else name]
        + [_cell(accuracies(found, fraction, name)) for fraction in fractions]
        for name in ROWS
    ]
    headings = [f"{100 * fraction:g} % of the labels" for fraction in fractions]
    run.table(["% of the test images right", *headings], rows)
    if len(fractions) > 1:
        lines = {
            name: (
                [found[fraction][0]["labels"] for fraction in fractions],
                [100 * statistics.fmean(accuracies(found, fraction, name)) for fraction in fractions],
            )
            for name in ROWS
            if name != PRETRAINED
        }
        drawn = curves(lines, xlabel="labels", ylabel="% of the test images right", log="x")
        run.figure("labels", drawn, "Means over draws of the labels")
    run.section("How the method was chosen")
    run.text(
        f"Linear probes with {100 * fewest:g} % of the labels, on validation images; {best} was the best. No other "
        "method was tried on test images."
    )
    run.table(
        ["method", "% of the validation images right"],
        [[title, _cell(values)] for title, values in sorted(choice.items(), key=lambda one: -statistics.fmean(one[1]))],
    )
    run.text(
        "Training on labels was tried in all of the following ways on the first draw of each share of the labels; what "
        "was best on validation images was kept for the other draws."
    )
    run.table(
        ["% of the labels", "network", "views", "learning rate", "% of the validation images right"],
        [
            [f"{100 * fraction:g}", name, views, f"{rate:g}", round(100 * value, 1)]
            for fraction, seeds in found.items()
            for name in (TUNED, SCRATCH)
            for views, rate, value in seeds[0]["found"][name]["tried"]
        ],
    )
    run.section("Every draw of the labels")
    run.table(
        ["draw", *ROWS[1:], "better on validation"],
        [
            [seed + 1, *(round(100 * one["found"][name]["test"], 1) for name in ROWS[1:]), one["better"]]
            for seed, one in enumerate(found[fewest])
        ],
        f"% of the test images right, with {100 * fewest:g} % of the labels",
    )


def _cell(values: Sequence[float]) -> Any:
    mean = round(100 * statistics.fmean(values), 1)
    return mean if len(values) < 2 else (mean, round(100 * statistics.stdev(values), 1))


def _verdict(found: Found, fewest: float, rival: str) -> str:
    ours, theirs = (accuracies(found, fewest, name) for name in (PRETRAINED, rival))
    (gap, word), share = verdict(ours, theirs), f"{100 * fewest:g} % of the labels"
    if len(ours) < 2:
        return f"With {share} it is {100 * (ours[0] - theirs[0]):+.1f} points against “{rival}”, in one draw of them."
    enough = "lies above" if gap.low >= MARGIN else "lies below" if gap.high < MARGIN else "holds"
    return (
        f"With {share} the pretrained network is {100 * gap.value:+.1f} points against “{rival}” ({word}); the paired "
        f"95 % interval over {len(ours)} draws of the labels, from {100 * gap.low:+.1f} to {100 * gap.high:+.1f}, "
        f"{enough} the {100 * MARGIN:.0f} points that were asked for."
    )
