"""The page of the recipe `world` on images of traffic: a film of several futures, errors, calibration, and actions.

Shape letters: T steps, P frames of context, C channels, H and W rows and columns.
"""

from __future__ import annotations

import functools
import io
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lowland.envs.episodes import Logs
from lowland.evaluation.forward_models import COPY, VELOCITY
from lowland.evaluation.verdict import verdict
from lowland.plots import curves
from lowland.plots.video import write_video
from lowland.recipes.drive_logs import write_log
from lowland.reports.run import Run
from lowland.worlds.driving_costs import CARS, CROP, LANES, OFF_ROAD

NAMES = {"warp": "warp of the last frame", "additive": "sigmoid of last frame + change (the paper's)"}
Found = Sequence[Mapping[str, Any]]
_ASPHALT, _VERGE, _LINE = (0.20, 0.22, 0.26), (0.36, 0.45, 0.37), (0.93, 0.94, 0.96)
_OTHERS, _OWN = (0.55, 0.72, 0.92), (0.94, 0.42, 0.08)


def named(name: str) -> str:
    """A decoder or a baseline as it stands on the page."""
    for key, words in NAMES.items():
        name = name.replace(key, words, 1) if name.startswith(key) else name
    return f"{name} (baseline)" if name in (COPY, VELOCITY) else name


def write_results(run: Run, found: Found, data: str) -> None:
    """Errors, CRPS, coverage, sensitivity and KL, mean over seeds."""

    def row(id_: str, claim: str, name: str, read: Callable[[Mapping[str, Any]], Any]) -> None:
        values = [float(read(one)) for one in found]
        sd = statistics.stdev(values) if len(values) > 1 else None
        run.result(
            id=id_, claim=claim, method=named(name), measured=statistics.fmean(values), sd=sd, seeds=len(found),
            data=data,
        )  # fmt: skip

    first, seconds = found[0], found[0]["shown"]["seconds"]
    last = len(seconds)
    for step in sorted({1, min(5, last), last}):
        claim = f"squared error of other cars in the image, times 1,000, {seconds[step - 1]:.1f} s ahead"
        for name in first["errors"]:
            row("W1", claim, name, lambda one, n=name, s=step: 1000 * one["errors"][n][s - 1])
    for name in first["crps"]:
        claim = f"CRPS of how much of a cell cars cover, times 1,000, mean over {seconds[-1]:.1f} s"
        row("W5", claim, name, lambda one, n=name: 1000 * one["crps"][n].mean())
    for name in first["coverage"]:
        claim = f"cells inside the interval for {100 * first['level']:.0f} %, in percent"
        row("W5", claim, name, lambda one, n=name: 100 * one["coverage"][n].nanmean())
        row("W5", "KL of posterior and prior, nats a step", name, lambda one, n=name: one["kl"][n])
        claim = "error with another sample's actions, as a multiple of that with its own, z from the prior"
        row("W1", claim, name, lambda one, n=name: _swap(one, n))


def write_page(run: Run, found: Found, logs: Logs, size: int) -> None:
    """Fill the page; films are those of the first seed, curves the means of all."""
    shown: Mapping[str, Any] = found[0]["shown"]
    seconds: Sequence[float] = shown["seconds"]
    height, width = shown["truth"].shape[-2:]
    run.section("Several futures")
    run.text(
        "What happened around the orange car, and what each model expects, given the car's own actions: with z = 0, "
        f"the mean of the prior, and with three z that are drawn from it. Models see images of {height} × {width}, "
        f"72 m along the road and 15 m across, {seconds[0]:.1f} s apart, in three channels: markings, other cars, and "
        f"what is off the road. They have about {size:,} weights, and learned from other recordings than these."
    )
    path = run.folder / "figures" / "futures.mp4"
    path.parent.mkdir(exist_ok=True)
    run.video(lambda: write_video(path, _film(shown), rate=5), "Half as fast as in reality.")
    run.figure("futures", _strips(shown, 0), "The first scene at several times")
    run.part(_write_errors, found, seconds)
    run.part(_write_calibration, found, seconds)
    run.part(_write_sensitivity, found)
    run.part(write_log, logs)


def _write_errors(run: Run, found: Found, seconds: Sequence[float]) -> None:
    run.section("Error against horizon")
    ends = {name: 1000 * _mean(found, "errors", name)[-1] for name in found[0]["errors"]}
    best = min(ends[COPY], ends[VELOCITY])
    run.text(
        f"The squared error of the channel of other cars, at z = 0. {seconds[-1]:.1f} s ahead it is {ends['warp']:.0f} "
        f"for the warp and {ends['additive']:.0f} for the additive decoder, and {best:.0f} for the better of two "
        "simple answers: the last frame again, and all other cars drawn as if they went on evenly, which knows the "
        "speed of each car exactly. An empty frame has a low error, too, so look at the films."
    )
    lines = {named(name): (seconds, (1000 * _mean(found, "errors", name)).tolist()) for name in ends}
    title, ylabel = "Other cars in the image", "squared error × 1,000"
    run.figure("errors", curves(lines, title=title, xlabel="seconds ahead", ylabel=ylabel), "Mean over seeds, z = 0")


def _write_calibration(run: Run, found: Found, seconds: Sequence[float]) -> None:
    run.section("Are the futures right?")
    level, scores = 100 * found[0]["level"], {name: _mean(found, "crps", name).mean() for name in found[0]["crps"]}
    inside = {name: 100 * _mean(found, "coverage", name).nanmean() for name in found[0]["coverage"]}
    gain = 100 * (1 - float(scores["warp"] / scores["warp, z = 0"]))
    told = f"{gain:.0f} % lower" if gain > 0 else f"{-gain:.0f} % higher"
    word = verdict(
        *([float(one["crps"][name].mean()) for one in found] for name in ("warp", "warp, z = 0")),
        words=("higher", "lower"),
    ).word
    run.finding(
        f"With futures drawn, the CRPS of the warp is {told} than with z = 0 ({word}, over {len(found)} seeds); its "
        f"interval for {level:.0f} % holds {inside['warp']:.0f} % of the truths."
    )
    run.text(
        "An image is cut into cells of 9 × 3.7 m, and the share of a cell that cars cover is what is foreseen. "
        "**CRPS** is the error of a whole cloud of futures; for one answer the absolute error. **Coverage** is how "
        f"often the truth falls inside the interval that should hold it in {level:.0f} % of cases, among cells where a "
        f"future or the truth has a car. With z drawn, the CRPS of the warp is {told} than with z = 0. Its interval "
        f"holds {inside['warp']:.0f} % of the truths, that of the additive decoder {inside['additive']:.0f} %."
    )
    cloud = {name: (seconds, (1000 * _mean(found, "crps", name)).tolist()) for name in scores}
    cloud = {named(name): line for name, line in cloud.items()}
    spread = {named(name): (seconds, (100 * _mean(found, "coverage", name)).tolist()) for name in inside}
    spread["what it should be"] = (seconds, [level] * len(seconds))
    run.figure("crps", curves(cloud, title="CRPS", xlabel="seconds ahead", ylabel="× 1,000"), "Lower is better")
    run.figure("coverage", curves(spread, title="Coverage", xlabel="seconds ahead", ylabel="percent inside"))


def _write_sensitivity(run: Run, found: Found) -> None:
    run.section("Does the model listen to its actions?")
    run.text(
        "A posterior sees the next frame, and can tell all about it: then the model need not look at the actions, and "
        "a planner pulls at strings that hang loose. Another sample's actions must therefore hurt, above all where z "
        "comes from the prior, as in planning. The error is that of frames and of the own car's numbers together."
    )
    rows = []
    for name in found[0]["sensitivity"]:
        for z in ("zero", "prior", "posterior"):
            own, other = (statistics.fmean(_error(one, name, z, kind) for one in found) for kind in ("own", "swapped"))
            kl = statistics.fmean(float(one["kl"][name]) for one in found) if z == "posterior" else None
            rows.append([NAMES[name], z, own, other, other / own, kl])
    columns = ("model", "z", "error, own actions", "error, swapped actions", "ratio", "KL, nats a step")
    run.table(columns, rows, "Root mean square over all steps; mean over seeds.")


def _error(one: Mapping[str, Any], name: str, z: str, kind: str) -> float:
    return next(value for source, actions, value in one["sensitivity"][name] if (source, actions) == (z, kind))


def _swap(one: Mapping[str, Any], name: str) -> float:
    return _error(one, name, "prior", "swapped") / _error(one, name, "prior", "own")


def _mean(found: Found, part: str, name: str) -> Tensor:
    return torch.stack([one[part][name] for one in found]).mean(dim=0)


def _rows(shown: Mapping[str, Any], start: int) -> dict[str, Tensor]:
    """Films (T, C, H, W) of a scene by name: the truth, a baseline, and each decoder."""
    rows = {"what happened": shown["truth"][start], VELOCITY: shown[VELOCITY][start]}
    for name in NAMES:
        rows[f"{name}, z = 0"] = shown[name]["zero"][start]
        for number, film in enumerate(shown[name]["drawn"][start]):
            rows[f"{name}, z drawn {number + 1}"] = film
    return rows


def painted(frame: Tensor, size: Tensor) -> np.ndarray:
    """A frame (C, H, W) in colours, (W, H, 3) with the direction of travel to the right and the own car in it."""
    image = np.full((*frame.shape[1:], 3), _ASPHALT)
    height, width = frame.shape[1:]
    for channel, colour in ((OFF_ROAD, _VERGE), (LANES, _LINE), (CARS, _OTHERS)):
        share = frame[channel].clamp(0, 1).numpy()[..., None]
        image = (1 - share) * image + share * np.array(colour)
    half = [float(size[k]) / CROP[k] * side / 2 for k, side in enumerate((height, width))]
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    own = (np.abs(rows - height / 2) < half[0]) & (np.abs(columns - width / 2) < max(half[1], 0.8))
    image[own] = _OWN
    return image[::-1].transpose(1, 0, 2)


def _film(shown: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """All scenes one after the other, each from what was seen before on, at five pictures a second."""
    for start in range(len(shown["truth"])):
        rows, past, size = _rows(shown, start), shown["past"][start], shown["size"][start]
        names, last = list(rows), len(shown["truth"][start]) - 1
        for t in range(-len(past), last + 1):
            panels = {name: painted(past[t] if t < 0 else rows[name][t], size) for name in names}
            told = "what was seen before" if t < 0 else f"{shown['seconds'][t]:.1f} s ahead"
            columns = [names[:2], names[2:6], names[6:]]
            shelves = [[(name, panels[name]) for name in column] for column in columns]
            sheet = _sheet(shelves, 6, f"scene {start + 1}: {told}")
            for _ in range(2 if t < last else 6):
                yield sheet


def _strips(shown: Mapping[str, Any], start: int) -> bytes:
    """A row for each film, with frames at several times beside one another."""
    rows, size = _rows(shown, start), shown["size"][start]
    last = len(rows["what happened"])
    times = sorted({1, *(max(1, last * k // 4) for k in (1, 2, 3, 4))})
    columns = [
        [(f"{name}, {shown['seconds'][step - 1]:.1f} s", painted(film[step - 1], size)) for name, film in rows.items()]
        for step in times
    ]  # fmt: skip
    file = io.BytesIO()
    Image.fromarray(_sheet(columns, 4)).save(file, "PNG")
    return file.getvalue()


def _sheet(columns: Sequence[Sequence[tuple[str, np.ndarray]]], scale: int, title: str = "") -> np.ndarray:
    """Pictures (W, H, 3) in columns on white, enlarged, each with its name above: (rows, columns, 3) uint8."""
    high, wide = (scale * side for side in columns[0][0][1].shape[:2])
    header, gap = 18, 12
    shape = (max(map(len, columns)) * (high + header + 6), len(columns) * (wide + gap) - gap, 3)
    sheet = np.full(shape, 255, np.uint8)
    texts = [((8, shape[0] - 60), title, 22)] if title else []
    for column, panels in enumerate(columns):
        left = column * (wide + gap)
        for row, (name, picture) in enumerate(panels):
            top = row * (high + header + 6) + header
            large = np.rint(255 * picture).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
            sheet[top : top + high, left : left + wide] = large
            texts.append(((left, top - header + 2), name, 12))
    image = Image.fromarray(sheet)
    for place, text, size in texts:
        ImageDraw.Draw(image).text(place, text, fill=(40, 44, 52), font=_font(size))
    return np.array(image)


@functools.cache
def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)
