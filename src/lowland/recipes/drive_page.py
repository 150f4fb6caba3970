"""The page of the recipe `drive`: the film, success by method, how it ends, what the models know, what they promise."""

from __future__ import annotations

import io
import shlex
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from lowland.data.cleaning import Fault
from lowland.envs.drivers import sanity_drivers
from lowland.envs.trip import record
from lowland.evaluation.success import Interval, paired_bootstrap, wilson
from lowland.plots import curves
from lowland.plots.style import BLUE, FAINT, INK, MUTED, ORANGE, figure, ruled
from lowland.plots.video import drive_video
from lowland.recipes.drive_logs import Course
from lowland.recipes.drive_methods import CLAIMS, METHODS, MPUR, SUCCESS, VG
from lowland.reports.run import Run

if TYPE_CHECKING:
    from lowland.recipes.drive import DriveRecipe

Found = Mapping[str, list[dict[str, Any]]]
_ENDS = {"reached": "#009e73", "time": "#e6c04a", "off road": "#7a5cc4", "collision": "#d55e00"}
_ARRIVED = (
    "Share of test episodes, mean over seeds, with Wilson's 95 % intervals. Episodes are those of cars that were "
    "logged along the whole section, so that human replay can only fail by what the replay itself gets wrong."
)
_SHOWN = ("human", "no action", "imitation", VG.name, MPUR.name)


def write_page(
    run: Run,
    recipe: DriveRecipe,
    found: Found,
    policies: Mapping[str, Any],
    errors: Mapping[str, Mapping[str, torch.Tensor]],
    faults: Sequence[Fault],
    courses: Sequence[Sequence[Course]],
) -> None:
    """Fill the page; films and galleries are those of the first seed."""
    drivers = {**sanity_drivers(), **policies}
    _write_film(run, recipe.film, found, drivers, courses[0])
    _write_success(run, recipe, found)
    if courses[1]:
        _write_real(run, found)
    _write_gallery(run, found, drivers, courses[0])
    _write_models(run, recipe, errors)
    _write_promises(run, recipe, found)
    if policies:
        _write_use(run, recipe, policies, courses[0])
    if faults:
        run.section("What was found in the log")
        run.table(("fault", "count", "what was done"), [[fault.kind, fault.count, fault.sentence] for fault in faults])


def _write_film(run: Run, seconds: float, found: Found, drivers: Mapping[str, Any], courses: Sequence[Course]) -> None:
    """The same scene for each driver: one that tells methods apart, if there is one."""
    names = [name for name in _SHOWN if name in found]
    best = MPUR.name if MPUR.name in found else names[-1]
    ends = {name: [row["success"] for row in found[name][0]["test"]] for name in names}
    count = len(ends[best])
    number = max(range(count), key=lambda k: (ends[best][k], -sum(ends[name][k] for name in names)))
    row = found[best][0]["test"][number]
    replay = courses[row["recording"]].replay
    trips = [record(replay, drivers[name], row["episode"], name) for name in names]
    folder = run.folder / "figures"
    folder.mkdir(exist_ok=True)
    file = drive_video(folder / "drive.mp4", trips, longest=seconds)
    run.section("A car that nobody sees")
    run.text(
        "The orange car is driven by a policy; all others replay their log and do not react to it. Each lane of the "
        "film is the same scene from the same start, driven by another policy."
    )
    run.video(
        file, f"Scene {number}, chosen because {best} arrives there and as many of the others as possible do not."
    )


def _write_success(run: Run, recipe: DriveRecipe, found: Found) -> None:
    run.section("Who arrives")
    colours = {method.name: BLUE for method in METHODS} | {MPUR.name: ORANGE}
    published = {name: recipe.published(CLAIMS[name], SUCCESS) for name in found}
    run.figure("success", success_bars(intervals(found, "test"), colours, published), _ARRIVED)
    run.figure("ends", stacks(found, "test"), "How the episodes end.")
    if MPUR.name not in found:
        return
    ours, generator = rates(found[MPUR.name]), np.random.default_rng(0)
    rows = []
    for name, outcomes in found.items():
        if name == MPUR.name:
            continue
        gap = paired_bootstrap(ours, rates(outcomes), generator, draws=2000)
        told = "no order is claimed" if gap.low <= 0 <= gap.high else "more" if gap.value > 0 else "less"
        rows.append([name, *(100 * value for value in gap), told])
    run.table(
        ("against", "points", "from", "to", "successes of MPUR with z-dropout"),
        rows,
        "Difference of success on the same episodes, with the 95 % interval of a bootstrap over episodes and seeds.",
    )


def _write_real(run: Run, found: Found) -> None:
    run.section("In real traffic")
    rows = []
    for name, outcomes in found.items():
        every = [row for outcome in outcomes for row in outcome["real"]]
        interval = _pooled(every, len(outcomes))
        ends = Counter(row["reason"] for row in every)
        rows.append(
            [
                name,
                len(every) // len(outcomes),
                *(100 * value for value in interval),
                ends.get("collision", 0),
                ends.get("off road", 0),
            ]
        )
    run.text(
        "The same policies in the recordings of US-101, on which nothing was trained. They are a few seconds long: "
        "success is no collision and on the road until the recording of that car ends. Where two intervals overlap no "
        "order is claimed."
    )
    run.table(("driver", "episodes", "success, %", "from", "to", "collisions", "off road"), rows)


def _write_gallery(run: Run, found: Found, drivers: Mapping[str, Any], courses: Sequence[Course]) -> None:
    """The last moment of some episodes that went wrong."""
    items = []
    for name in (MPUR.name, VG.name, "imitation"):
        if name not in found:
            continue
        wrong = [row for row in found[name][0]["test"] if not row["success"]][:2]
        for row in wrong:
            trip = record(courses[row["recording"]].replay, drivers[name], row["episode"], name)
            picture = trip.picture(trip.seconds, (720, 224), 70.0)
            caption = f"{name}: {row['reason']} after {row['seconds']:.1f} s and {row['distance']:.0f} m"
            items.append((_png(picture), caption))
    if items:
        run.section("What goes wrong")
        run.grid("failures", items, 2)


def _write_use(run: Run, recipe: DriveRecipe, policies: Mapping[str, Any], courses: Sequence[Course]) -> None:
    """How a policy is loaded and driven, as code that runs."""
    name = MPUR.name if MPUR.name in policies else next(iter(policies))
    until = {course.replay.until for course in courses}
    options = ', until="recording"' if until == {"recording"} else ""
    log = str(Path(recipe.tracks).resolve()) if recipe.tracks else "test"
    run.section("The policies, to be used")
    run.text(
        f"They stand in `{run.checkpoints}`. This drives one of them through an episode"
        f"{' of your log' if recipe.tracks else ''}; `tracks` may be the path of any log:"
    )
    lines = (
        "import gymnasium",
        "import lowland as ll",
        "",
        f"policy = ll.planning.load_policy({str(run.folder.resolve())!r}, {name!r})",
        f'env = gymnasium.make("lowland/TrafficReplay-v0", tracks={log!r}{options}, **policy.sight)',
        "(observation, info), over = env.reset(seed=0), False",
        "while not over:",
        "    observation, reward, ended, cut, info = env.step(policy.act(observation))",
        "    over = ended or cut",
        "print(info)",
    )
    run.text("\n".join(f"    {line}".rstrip() for line in lines))
    run.text(
        f"    lowland export {shlex.quote(str(run.folder.resolve()))} --to onnx\n"
        f"    lowland export {shlex.quote(str(run.folder.resolve()))} --to safetensors\n\n"
        "write them as ONNX, and as weights beside `policy.py`, which loads them without Lowland."
    )


def _write_models(run: Run, recipe: DriveRecipe, errors: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    if not errors:
        return
    tier, first = recipe.tier, next(iter(errors.values()))
    told = {f"model, {name}": table["model"] for name, table in errors.items()} | {tier.baseline: first[tier.baseline]}
    seconds = [recipe.dt * (t + 1) for t in range(len(first["model"]))]
    for name, values in told.items():
        for step in sorted({0, len(seconds) // 2, len(seconds) - 1}):
            method = f"{name} (baseline)" if name == tier.baseline else name
            claim = f"{tier.error}, {seconds[step]:.1f} s ahead"
            run.result(id="W1", claim=claim, method=method, measured=float(values[step]), data=recipe.data)
    run.section("What the models know")
    run.text(f"{tier.told} {_unseen(recipe)} it is {_better(first, tier.baseline)} than the {tier.baseline}.")
    drawn = curves(
        {name: (seconds, values.tolist()) for name, values in told.items()}, xlabel="seconds ahead", ylabel=tier.error
    )
    run.figure(
        "errors", drawn, f"Other cars, held-out recordings, latents at 0; trained over {recipe.model_horizon} steps."
    )


def _unseen(recipe: DriveRecipe) -> str:
    return "Around cars that were held out" if recipe.tracks else "In traffic that it has not seen"


def _better(table: Mapping[str, torch.Tensor], baseline: str) -> str:
    share = 100 * (1 - float(table["model"][-1] / table[baseline][-1]))
    return f"{share:.0f} % nearer to the truth" if share > 0 else "no nearer to the truth"


def _write_promises(run: Run, recipe: DriveRecipe, found: Found) -> None:
    """Predicted against true cost: a policy that exploits its model is promised more than it gets."""
    shown = {name: outcomes for name, outcomes in found.items() if "told" in outcomes[0]}
    if not shown:
        return
    run.section("What the models promise")
    run.text(
        "Again and again on its way each policy is also rolled out in its own model, from where it is. Where the model "
        "promises a lower cost than comes, the policy has found a flaw in it, which is what the uncertainty cost is "
        f"for. Costs are those of driving, means over roll-outs of {recipe.horizon} steps of {recipe.dt:.1f} s; a step "
        "into a collision or off the road costs 1. What was imagined counts as long as the car really drove on."
    )
    write_promises(run, shown)
    costs = {
        name: outcomes[0]["learned"]["curves"]["cost"]
        for name, outcomes in found.items()
        if "learned" in outcomes[0] and "cost" in outcomes[0]["learned"]["curves"]
    }
    if not costs:
        return
    drawn = curves(
        {
            name: ([recipe.policy_steps * (k + 1) / len(values) for k in range(len(values))], _smooth(values))
            for name, values in costs.items()
        },
        xlabel="updates",
        ylabel="cost of a roll-out",
    )
    run.figure("training", drawn, "What driving costs in the model while the policy is trained (first seed).")


def write_promises(run: Run, found: Found) -> None:
    """The table of costs and uncertainties that were imagined and true, means over seeds."""
    rows = []
    for name, outcomes in found.items():
        means = {key: promised(outcomes, key) for key in outcomes[0]["told"]}
        ends = Counter(row["reason"] for outcome in outcomes for row in outcome["test"])
        total = sum(ends.values())
        failed = (100 * ends.get(reason, 0) / total for reason in ("collision", "off road"))
        rows.append(
            [name, means["told"], means["true"], means["true"] - means["told"], means["unsure"], means["unsure_true"],
             *failed]
        )  # fmt: skip
    run.table(
        ("policy", "promised cost", "true cost", "difference", "uncertainty, imagined", "uncertainty, true",
         "collisions, %", "off road, %"),
        rows,
        "Uncertainty is that of the model in which the policy was trained, in standard deviations from what is usual "
        "along the held-out log. Failures are those of all episodes.",
    )  # fmt: skip


def promised(outcomes: Sequence[Mapping[str, Any]], key: str) -> float:
    """One of the `promises`, the mean over seeds."""
    return statistics.fmean(outcome["told"][key] for outcome in outcomes)


def rates(outcomes: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Successes (S, N) as 0 and 1, for S seeds and N test episodes."""
    return np.array([[float(row["success"]) for row in outcome["test"]] for outcome in outcomes])


def _smooth(values: Sequence[float], width: int = 5) -> list[float]:
    return [statistics.fmean(values[max(0, k - width + 1) : k + 1]) for k in range(len(values))]


def intervals(found: Found, part: str) -> dict[str, Interval]:
    """Success of each driver, the mean over its seeds."""
    every = {name: [row for outcome in outcomes for row in outcome[part]] for name, outcomes in found.items()}
    return {name: _pooled(rows, len(found[name])) for name, rows in every.items()}


def _pooled(rows: Sequence[Mapping[str, Any]], seeds: int) -> Interval:
    """Wilson's interval of the mean over seeds, with no more episodes than there are: seeds drive the same ones."""
    return wilson(round(sum(bool(row["success"]) for row in rows) / seeds), len(rows) // seeds)


def success_bars(
    intervals: Mapping[str, Interval],
    colours: Mapping[str, str],
    published: Mapping[str, float | None] | None = None,
) -> Figure:
    """A bar in percent for each driver, with its interval; published figures, in percent, as open circles."""
    drawn = figure(7.6, 0.42 * len(intervals) + 0.9)
    ax = drawn.add_subplot()
    for place, (name, (rate, low, high)) in enumerate(intervals.items()):
        ax.barh(-place, 100 * rate, height=0.62, color=colours.get(name, MUTED), alpha=0.9)
        ax.plot([100 * low, 100 * high], [-place, -place], color=INK, linewidth=1.2)
        known = (published or {}).get(name)
        if known is not None:
            ax.plot(known, -place, "o", markersize=6, markerfacecolor="white", markeredgecolor=INK, zorder=3)
        ax.text(101.5, -place, f"{100 * rate:.1f}", va="center", fontsize=9, color=INK)
    ax.set_yticks([-place for place in range(len(intervals))], list(intervals), fontsize=9)
    ax.set_xlim(0, 110)
    circles = any(known is not None for known in (published or {}).values())
    ruled(ax, None, "success, %   (circles: published, on I-80)" if circles else "success, %")
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.grid(axis="y", visible=False)
    ax.set_axisbelow(True)
    return drawn


def stacks(found: Found, part: str) -> Figure:
    """How the episodes of each driver ended, in shares of all of them."""
    drawn = figure(7.6, 0.42 * len(found) + 0.9)
    ax = drawn.add_subplot()
    for place, outcomes in enumerate(found.values()):
        ends, left = Counter(row["reason"] for outcome in outcomes for row in outcome[part]), 0.0
        total = sum(ends.values())
        for reason, colour in _ENDS.items():
            share = 100 * ends.get(reason, 0) / total
            ax.barh(-place, share, left=left, height=0.62, color=colour, label=reason if place == 0 else None)
            left += share
    ax.set_yticks([-place for place in range(len(found))], list(found), fontsize=9)
    ax.set_xlim(0, 100)
    ruled(ax, None, "share of episodes, %")
    ax.grid(visible=False)
    ax.legend(ncols=len(_ENDS), fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0))
    return drawn


def _png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
