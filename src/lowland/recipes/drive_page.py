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

from lowland.envs.drivers import sanity_drivers
from lowland.envs.episodes import Episodes, Logs
from lowland.envs.trajectory import record
from lowland.evaluation.success import Interval, wilson
from lowland.evaluation.verdict import CLOSE, verdict
from lowland.plots import curves
from lowland.plots.style import BLUE, FAINT, INK, MUTED, ORANGE, figure, ruled
from lowland.plots.video import drive_video
from lowland.recipes.drive_logs import write_log
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
_HOW = {"reached": "arrives", "time": "runs out of time", "off road": "leaves the road", "collision": "collides"}
PAIRED = (
    "Difference of success on the same episodes, with its 95 % interval: exact with one seed, else over episodes and "
    "seeds."
)
_SHOWN = ("human", "no action", "imitation", VG.name, MPUR.name)


def write_page(
    run: Run,
    recipe: DriveRecipe,
    found: Found,
    policies: Mapping[str, Any],
    errors: Mapping[str, Mapping[str, torch.Tensor]],
    logs: Logs,
    episodes: Sequence[Sequence[Episodes]],
) -> None:
    """Fill the page; films and galleries are those of the first seed."""
    drivers = {**sanity_drivers(), **policies}
    run.part(_find, found)
    run.part(_write_film, recipe.film, found, drivers, episodes[0])
    run.part(_write_success, recipe, found)
    if episodes[1]:
        run.part(_write_real, found)
    run.part(_write_gallery, found, drivers, episodes[0])
    run.part(_write_models, recipe, errors)
    run.part(_write_exploitation, recipe, found)
    if policies:
        run.part(_write_use, recipe, policies, episodes[0])
    run.part(write_log, logs)


def _find(run: Run, found: Found) -> None:
    """The finding: how often the main method arrives, against the drivers at both ends."""
    best, told = _main(found), []
    share = {name: f"{100 * float(rates(found[name]).mean()):.0f} %" for name in found}
    for name in (name for name in _SHOWN if name in found and name != best):
        word = verdict(rates(found[best]), rates(found[name]), ("more often", "less often")).word
        told.append(f"{word} {'against' if word == CLOSE else 'than'} {name} ({share[name]})")
    run.finding(f"{best} arrives in {share[best]} of the test episodes: {', '.join(told)}.")


def _write_film(
    run: Run, seconds: float, found: Found, drivers: Mapping[str, Any], episodes: Sequence[Episodes]
) -> None:
    """The same scene for each driver: one that tells methods apart, if there is one."""
    names = [name for name in _SHOWN if name in found]
    best = _main(found)
    ends = {name: [row["success"] for row in found[name][0]["test"]] for name in names}
    count = len(ends[best])
    number = max(range(count), key=lambda k: (ends[best][k], -sum(ends[name][k] for name in names)))
    row = found[best][0]["test"][number]
    replay = episodes[row["recording"]].replay
    folder = run.folder / "figures"
    folder.mkdir(exist_ok=True)

    def film() -> Path:
        trajectories = [record(replay, drivers[name], row["episode"], name) for name in names]
        return drive_video(folder / "drive.mp4", trajectories, longest=seconds)

    run.section("A car that nobody sees")
    run.text(
        "The orange car is driven by a policy; all others replay their log and do not react to it. Each lane of the "
        "film is the same scene from the same start, driven by another policy."
    )
    run.video(film, _told(found, names, number))


def _told(found: Found, names: Sequence[str], number: int) -> str:
    """What happens to each driver in the scene of the film, and how it was chosen."""
    rows = {name: found[name][0]["test"][number] for name in names}
    best = _main(found)
    missed = sum(not row["success"] for row in rows.values())
    chosen = f"{best} arrives in none of {len(found[best][0]['test'])} scenes; in this one {missed} drivers do not"
    if rows[best]["success"]:
        chosen = f"a scene in which {best} arrives and as many of the others as possible, {missed} of them, do not"
    ends = "; ".join(f"{name}: {_HOW.get(row['reason'], row['reason'])}" for name, row in rows.items())
    return f"Scene {number}: {chosen}. {ends}."


def _main(found: Found) -> str:
    """The method that the page is about."""
    return MPUR.name if MPUR.name in found else list(found)[-1]


def _write_success(run: Run, recipe: DriveRecipe, found: Found) -> None:
    run.section("Who arrives")
    colours = {method.name: BLUE for method in METHODS} | {MPUR.name: ORANGE}
    published = {name: recipe.published(CLAIMS[name], SUCCESS) for name in found}
    run.figure("success", success_bars(intervals(found, "test"), colours, published), _ARRIVED)
    run.figure("ends", stacks(found, "test"), "How the episodes end.")
    if MPUR.name not in found:
        return
    rows = []
    for name, outcomes in found.items():
        if name == MPUR.name:
            continue
        gap, told = verdict(rates(found[MPUR.name]), rates(outcomes))
        rows.append([name, *(round(100 * value, 1) for value in gap), run.word(told)])
    run.table(("against", "points", "from", "to", "successes of MPUR with z-dropout"), rows, PAIRED)


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


def _write_gallery(run: Run, found: Found, drivers: Mapping[str, Any], episodes: Sequence[Episodes]) -> None:
    """The last moment of some episodes that went wrong."""
    items = []
    for name in (MPUR.name, VG.name, "imitation"):
        if name not in found:
            continue
        wrong = [row for row in found[name][0]["test"] if not row["success"]][:2]
        for row in wrong:
            trajectory = record(episodes[row["recording"]].replay, drivers[name], row["episode"], name)
            picture = trajectory.picture(trajectory.seconds, (720, 224), 70.0)
            caption = f"{name}: {row['reason']} after {row['seconds']:.1f} s and {row['distance']:.0f} m"
            items.append((_png(picture), caption))
    if items:
        run.section("What goes wrong")
        run.grid("failures", items, 2)


def _write_use(run: Run, recipe: DriveRecipe, policies: Mapping[str, Any], episodes: Sequence[Episodes]) -> None:
    """How a policy is loaded and driven, as code that runs."""
    name = MPUR.name if MPUR.name in policies else next(iter(policies))
    until = {one.replay.until for one in episodes}
    options = ', until="recording"' if until == {"recording"} else ""
    options = recipe.said + options
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
        f'env = gymnasium.make("lowland/TrafficReplay-v0", tracks={log!r}{options}, **policy.observation)',
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
    observation, first = recipe.observation, next(iter(errors.values()))
    predicted = model_errors(recipe, errors)
    seconds = [recipe.dt * (t + 1) for t in range(len(first["model"]))]
    run.section("What the models know")
    run.text(observation.predicts)
    run.verdict(
        f"{_unseen(recipe)} its mean error is {_better(first, observation.baseline)} that of the "
        f"{observation.baseline}."
    )
    drawn = curves(
        {name: (seconds, values.tolist()) for name, values in predicted.items()},
        xlabel="seconds ahead",
        ylabel=observation.error,
    )
    run.figure(
        "errors", drawn, f"Other cars, held-out recordings, latents at 0; trained over {recipe.model_horizon} steps."
    )


def model_errors(recipe: DriveRecipe, errors: Mapping[str, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Errors by horizon, of each model and then of the baseline."""
    predicted = {f"model, {name}": table["model"] for name, table in errors.items()}
    if errors:
        baseline = recipe.observation.baseline
        predicted[baseline] = next(iter(errors.values()))[baseline]
    return predicted


def _unseen(recipe: DriveRecipe) -> str:
    return "Around cars that were held out" if recipe.tracks else "In traffic that it has not seen"


def _better(table: Mapping[str, torch.Tensor], baseline: str) -> str:
    share = 100 * (1 - float(table["model"][-1] / table[baseline][-1]))
    return f"{share:.0f} % below" if share > 0 else f"{-share:.0f} % above"


def _write_exploitation(run: Run, recipe: DriveRecipe, found: Found) -> None:
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
    run.part(write_exploitation, shown)
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


def write_exploitation(run: Run, found: Found) -> None:
    """The table of costs and uncertainties that were imagined and true, means over seeds."""
    rows = []
    for name, outcomes in found.items():
        means = {key: cost_mean(outcomes, key) for key in outcomes[0]["told"]}
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


def cost_mean(outcomes: Sequence[Mapping[str, Any]], key: str) -> float:
    """One number of `exploitation`, the mean over seeds."""
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
