"""The page of the recipe `pendulum`: swing-ups, the withheld region, the landscape of the cost to come, and a film."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lowland.evaluation.verdict import verdict
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Policy
from lowland.plots.style import INK, LAND, MUTED, ORANGE, PAPER, SCORE, bare, figure, ruled
from lowland.plots.video import write_video
from lowland.reports.run import Run
from lowland.tensors import PerSampleRNG
from lowland.worlds.uncertainty import variance

if TYPE_CHECKING:
    from lowland.recipes.pendulum import PendulumRecipe

NOTHING, RANDOM, MPC = "no action (baseline)", "random actions (baseline)", "plans anew at every step (iCEM)"
CENTRE, HALF = 1.15, 0.65
"""The withheld region: angles of 0.5 to 1.8 rad from upright, on one side, at any speed."""
Kept = Mapping[str, tuple[Policy, PlanEnergy]]
POLICIES = {
    "full-plain": "policy through the model, no uncertainty cost",
    "full-careful": "policy through the model, uncertainty cost",
    "withheld-plain": "policy, no uncertainty cost",
    "withheld-careful": "policy, uncertainty cost",
}


def _ups(found: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Swing-ups in percent, by method and seed."""
    ups = {name: [100 * one["baselines"][name] for one in found] for name in (NOTHING, RANDOM)}
    ups[MPC] = [100 * one["mpc"]["up"] for one in found]
    return ups | {POLICIES[name]: [100 * one[name]["up"] for one in found] for name in ("full-plain", "full-careful")}


def write_results(run: Run, config: PendulumRecipe, found: Sequence[Mapping[str, Any]]) -> None:
    """Rows of `results.json`."""
    ups = _ups(found)
    described = f"Pendulum-v1, log of {config.log} random actions"
    for name, values in ups.items():
        count = config.planned if name == MPC else config.episodes
        _row(
            run, "W2" if name == MPC else "W4", "swing-ups, in percent", name, values, f"{described}, {count} episodes"
        )
    held = f"{described} without a region of angles, {config.episodes} episodes from hanging"
    measures = {
        "visits": ("time in the withheld region, in percent", 100),
        "ever": ("episodes that enter the withheld region, in percent", 100),
        "error": ("error of 10 imagined steps along the way, in deviations", 1),
        "up": ("swing-ups with a region withheld, in percent", 100),
        "reward": ("sum of the rewards of an episode with a region withheld", 1),
    }
    for key, (claim, factor) in measures.items():
        for name in ("withheld-plain", "withheld-careful"):
            _row(run, "W7", claim, POLICIES[name], [factor * one[name][key] for one in found], held)


def write_page(run: Run, config: PendulumRecipe, found: Sequence[Mapping[str, Any]], kept: Kept) -> None:
    """Fill the page; pictures are those of the first seed."""
    ups = _ups(found)
    up = {name: statistics.fmean(ups[name]) for name in (NOTHING, RANDOM, MPC, POLICIES["full-plain"])}
    run.finding(
        f"Planning in the model swings the pendulum up in {up[MPC]:.0f} % of the episodes and a policy learned in it "
        f"in {up[POLICIES['full-plain']]:.0f} %; random actions do in {up[RANDOM]:.0f} %, no action in "
        f"{up[NOTHING]:.0f} %."
    )
    run.part(_swing, config, found, kept, ups)
    run.part(_region, config, found, kept)


def _row(run: Run, system: str, claim: str, method: str, values: Sequence[float], data: str) -> None:
    sd = statistics.stdev(values) if len(values) > 1 else None
    run.result(
        id=system, claim=claim, method=method, measured=statistics.fmean(values), sd=sd, seeds=len(values), data=data
    )


def _swing(
    run: Run, config: PendulumRecipe, found: Sequence[Mapping[str, Any]], kept: Kept, ups: Mapping[str, Sequence[float]]
) -> None:
    latency = statistics.fmean(one["mpc"]["latency"]["median"] for one in found)
    run.section("Learned from chance, then planned")
    run.text(
        f"The log holds {config.log} transitions in which the torque was drawn at random; random torques swing the "
        f"pendulum up in {statistics.fmean(ups[RANDOM]):.0f} % of the episodes. {config.members} "
        "small networks learn what comes next. Then the plant is not touched any more: the planner searches for "
        f"actions in the model at each step (median {latency:.0f} ms for {config.planned} pendulums at once), and a "
        f"policy is trained by back-propagating the cost of {config.horizon} imagined steps. A swing-up counts if the "
        "pendulum stays within 0.3 rad of upright for the last 2.5 s."
    )
    path = run.folder / "figures" / "swing-up.mp4"
    path.parent.mkdir(exist_ok=True)
    film = {"no action": found[0]["baselines"], "planned": found[0]["mpc"], "policy": found[0]["full-plain"]}
    run.video(
        lambda: write_video(path, _frames(film, config.length)), "Three pendulums from three starts, in real time"
    )
    policy, plan = kept["full-plain"]
    run.figure("landscape", _landscape(policy, plan, found[0]["full-plain"]["paths"]),
               "Cost to come under the policy, imagined from every state, with real episodes on it")  # fmt: skip


def _region(run: Run, config: PendulumRecipe, found: Sequence[Mapping[str, Any]], kept: Kept) -> None:
    keys = ("visits", "error", "up", "reward")
    means = {name: {key: statistics.fmean(one[name][key] for one in found) for key in keys} for name in POLICIES}
    plain, careful = means["withheld-plain"], means["withheld-careful"]
    told = {
        key: verdict(
            [one["withheld-careful"][key] for one in found], [one["withheld-plain"][key] for one in found]
        ).word
        for key in ("visits", "error")
    }
    full = [100 * means[name]["up"] for name in ("full-careful", "full-plain")]
    run.section("A hole in the log")
    run.text(
        f"Now all transitions with the pendulum {CENTRE - HALF:g} to {CENTRE + HALF:g} rad to one side of upright are "
        "taken out of the log, at any speed. The other side stays, so that there is a way round. The networks disagree "
        f"in the hole, and their variance, above {config.hinge:g} standard deviations of what is usual on the log, "
        f"costs {config.uncertainty:g} each. Both policies have learned without that cost first and then go on for as "
        "many updates, one of them with it, and both are judged from the same starts, hanging. With the uncertainty "
        "cost the policy "
        f"spends {100 * careful['visits']:.1f} % of its time in the region in place of "
        f"{100 * plain['visits']:.1f} %, and errs by {careful['error']:.3f} deviations in place of "
        f"{plain['error']:.3f} along its way. It swings "
        f"up in {100 * careful['up']:.0f} % of the episodes, without the cost in {100 * plain['up']:.0f} %; its "
        f"rewards add up to {careful['reward']:.0f} an episode, without the cost to {plain['reward']:.0f}. On the full "
        f"log it is {full[0]:.0f} % of swing-ups with the uncertainty cost and {full[1]:.0f} % without."
    )
    run.verdict(
        f"Over {len(found)} paired seeds, time in the region with the uncertainty cost against without it: "
        f"**{told['visits']}**; error along the way: **{told['error']}**."
    )
    drawn = figure(9, 3.7)
    for ax, name in zip(drawn.subplots(1, 2), ("withheld-plain", "withheld-careful"), strict=True):
        title = "No uncertainty cost" if name.endswith("plain") else "Uncertainty cost"
        _portrait(ax, kept[name][1], found[0][name]["paths"], title)
    run.figure("region", drawn, "Real episodes from hanging over the variance of the model, dark where it is large")


def _grid(size: int = 61) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    angles, speeds = torch.linspace(-math.pi, math.pi, size), torch.linspace(-8, 8, size)
    v, a = torch.meshgrid(speeds, angles, indexing="ij")
    return angles, speeds, {"observation": torch.stack([a.cos(), a.sin(), v], dim=-1).flatten(0, 1)}


@torch.no_grad()
def _landscape(policy: Policy, plan: PlanEnergy, paths: Tensor) -> Figure:
    angles, speeds, state = _grid()
    terms = plan.terms(act=lambda now, t: policy(now), **plan.draw(state))
    value = terms.cost.flatten().reshape(len(speeds), len(angles))
    drawn = figure(6.4, 4.6)
    ax = drawn.subplots()
    lines = ax.contourf(angles, speeds, value, levels=24, cmap=LAND)
    drawn.colorbar(lines, ax=ax, label=f"cost of the next {0.05 * plan.horizon:g} s").outline.set_visible(False)
    _paths(ax, paths, ORANGE)
    _labels(ax, "The land that the policy descends")
    return drawn


@torch.no_grad()
def _portrait(ax: Axes, plan: PlanEnergy, paths: Tensor, title: str) -> None:
    angles, speeds, state = _grid()
    masks = plan.world.draw_mask(PerSampleRNG(0, torch.zeros(len(angles) * len(speeds), dtype=torch.int64)), plan.masks)
    spread = variance(plan.world, state, torch.zeros(len(masks), 1), None, masks).sqrt()
    ax.contourf(
        angles, speeds, spread.reshape(len(speeds), len(angles)).clamp_max(spread.quantile(0.98)), 20, cmap=SCORE
    )
    for edge in (CENTRE - HALF, CENTRE + HALF):
        ax.axvline(edge, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    _paths(ax, paths, ORANGE)
    _labels(ax, title)


def _paths(ax: Axes, paths: Tensor, colour: str) -> None:
    for path in paths:
        turn = torch.atan2(path[:, 1], path[:, 0])
        broken = torch.cat([torch.zeros(1, dtype=torch.bool), turn.diff().abs() > math.pi])
        ax.plot(
            turn.masked_fill(broken, math.nan), path[:, 2].masked_fill(broken, math.nan), color=colour, linewidth=1.1
        )
        ax.scatter(turn[:1], path[:1, 2], s=16, color=PAPER, edgecolors=colour, zorder=5)


def _labels(ax: Axes, title: str) -> None:
    ruled(ax, title, "angle from upright, rad", "angular speed, rad/s")
    ax.set_xticks([-math.pi, 0, math.pi], ["−π", "0", "π"])
    ax.grid(visible=False)


def _frames(film: Mapping[str, Mapping[str, Any]], length: int) -> Iterator[np.ndarray]:
    """Pendulums side by side, one row for each driver, at 20 frames a second."""
    drawn = figure(6.4, 2.5)
    axes = drawn.subplots(1, len(film))
    rods = []
    for ax, name in zip(np.ravel(axes), film, strict=True):
        bare(ax, name)
        ax.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
        ax.scatter([0], [0], s=20, color=MUTED, zorder=4)
        colours = (ORANGE, "#1f6fb2", "#009e73")
        rods.append([ax.plot([], [], color=c, linewidth=5, solid_capstyle="round", alpha=0.9)[0] for c in colours])
    canvas: Any = drawn.canvas
    canvas.draw()
    background = canvas.copy_from_bbox(drawn.bbox)
    for t in range(length + 1):
        canvas.restore_region(background)
        for ax, row, one in zip(np.ravel(axes), rods, film.values(), strict=True):
            for rod, path in zip(row, one["paths"][:3], strict=False):
                rod.set_data([0, -float(path[t, 1])], [0, float(path[t, 0])])
                ax.draw_artist(rod)
        yield np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
