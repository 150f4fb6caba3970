"""The page of the recipe `drive-remedies`: success, promised against true cost, uncertainty, and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lowland.evaluation.verdict import CLOSE, Verdict, verdict
from lowland.plots.style import BLUE, INK, MUTED, ORANGE, figure, ruled
from lowland.recipes.drive_page import (
    PAIRED,
    Found,
    cost_mean,
    intervals,
    rates,
    stacks,
    success_bars,
    write_exploitation,
)
from lowland.reports.run import Run

_CAREFUL = "MPUR"
_AIM = 30.0


def write_page(
    run: Run,
    found: Found,
    changes: Mapping[str, str],
    pairs: Sequence[tuple[str, str]],
    apart: Sequence[tuple[str, str]],
    updates: int,
) -> None:
    """Fill the page.

    Args:
        run: of the recipe.
        found: outcomes by name: those that learn nothing, then those of `changes`.
        changes: what is changed in each variant, in words.
        pairs: policies through the same model, whose difference is what the uncertainty cost is worth.
        apart: policies that differ in the model, too.
        updates: of each policy.
    """
    run.section("What the uncertainty cost is worth")
    run.text(
        "A policy is trained by going down the cost that a learned model foresees, so that it will find whatever the "
        "model gets wrong. MPUR adds a cost where the model is unsure; without it, the talks say, it does not work. "
        "Here it is tried with one thing changed at a time. All drive in the traffic for validation, since "
        "settings are compared: the test of the recipe drive is left for what is chosen."
    )
    colours = {name: ORANGE if name.startswith(_CAREFUL) else BLUE for name in changes}
    bars = success_bars(intervals(found, "test"), colours)
    run.figure(
        "success", bars, f"Orange: with the uncertainty cost; blue: without. {updates} updates of each policy, and "
        "Wilson's 95 % intervals.",
    )  # fmt: skip
    run.part(_write_gaps, found, pairs, apart)
    run.table(("variant", "what is changed"), [[name, words] for name, words in changes.items()])
    shown = {name: found[name] for name in changes}
    run.section("What the models promise, and what comes")
    run.text(
        "A policy that exploits its model is promised a low cost and gets a high one, and it is led to where the model "
        "is unsure. Every few seconds on its way each policy is also rolled out in its own model, from where it is: "
        "open circles are what was imagined, full ones what came. With the uncertainty cost the two should be closer "
        "together, and the uncertainty lower."
    )
    run.figure(
        "promises", _exploitation(shown), "Mean over the steps up to the true end of each episode: cost of driving, 1 "
        "for a step into a collision or off the road; uncertainty in standard deviations from the usual along the "
        "held-out log, of the model in which the policy was trained.",
    )  # fmt: skip
    run.part(write_exploitation, shown)
    run.section("How the episodes end")
    run.figure("ends", stacks(found, "test"), "Shares of all episodes.")


def _gap(found: Found, pair: tuple[str, str]) -> Verdict:
    one, other = pair
    return verdict(rates(found[one]), rates(found[other]), ("more", "fewer"))


def _write_gaps(run: Run, found: Found, pairs: Sequence[tuple[str, str]], apart: Sequence[tuple[str, str]]) -> None:
    if pairs:
        gaps = {pair: _gap(found, pair) for pair in pairs}
        reached = sum(100 * gap.difference.low >= _AIM for gap in gaps.values())
        known = "An ensemble has the model of its row without uncertainty cost as first member, which alone imagines."
        words = [gap.word for gap in gaps.values()]
        run.finding(
            f"Of {len(gaps)} pairs that differ by the uncertainty cost alone, {words.count('more')} arrive more often "
            f"with it, {words.count('fewer')} less often, and {words.count(CLOSE)} are too close to call."
        )
        run.verdict(
            f"{reached} of {len(gaps)} pairs through the same model, which differ by the uncertainty cost alone, are "
            f"{_AIM:.0f} points apart or more, in favour of it, with the whole interval."
        )
        if any("ensemble" in one for one, _ in gaps):
            run.text(known)
        _table(run, gaps)
    if apart:
        run.text(
            "MPUR against VG, as the paper's table has them, differ in two things: MPUR goes through a stochastic "
            "model that was trained with z-dropout, VG through a deterministic one, and MPUR has the uncertainty cost."
        )
        _table(run, {pair: _gap(found, pair) for pair in apart})


def _table(run: Run, gaps: Mapping[tuple[str, str], Verdict]) -> None:
    rows = []
    for (one, other), gap in gaps.items():
        rows.append([f"{one} against {other}", *(100 * value for value in gap.difference), run.word(gap.word)])
    run.table(("policies", "points", "from", "to", "successes of the first"), rows, PAIRED)


def _exploitation(found: Found) -> Figure:
    """For each variant a line from what was imagined to what came: of the cost, and of the uncertainty."""
    drawn = figure(9.4, 0.36 * len(found) + 1.1)
    axes = drawn.subplots(1, 2, sharey=True)
    panels = (("cost of driving", "told", "true"), ("uncertainty, deviations", "unsure", "unsure_true"))
    for ax, (label, imagined, came) in zip(axes, panels, strict=True):
        for place, (name, outcomes) in enumerate(found.items()):
            first, last = (cost_mean(outcomes, key) for key in (imagined, came))
            colour = ORANGE if name.startswith(_CAREFUL) else BLUE
            ax.plot([first, last], [-place, -place], color=colour, linewidth=2, alpha=0.5)
            ax.plot(first, -place, "o", markersize=6, markerfacecolor="white", markeredgecolor=colour)
            ax.plot(last, -place, "o", markersize=6, color=colour)
        ruled(ax, None, label)
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks([-place for place in range(len(found))], list(found), fontsize=9, color=INK)
    axes[1].axvline(0, color=MUTED, linewidth=0.8)
    return drawn
