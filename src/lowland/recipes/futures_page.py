"""The page of the recipe `futures`: films side by side, errors against the number of samples, and the spread over z."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.energies.conditional_autoencoder import ConditionalAutoencoder
from lowland.evaluation.verdict import verdict
from lowland.plots import curves, images
from lowland.plots.style import FAINT, INK
from lowland.reports.run import Run

LATENT, ONE = "latent variable", "deterministic"
NOISE, SPREAD, NEAR, COPY = "white noise around it", "noise with its covariance", "nearest neighbours", "last frame"
Found = Sequence[Mapping[str, Any]]
Shapes = tuple[tuple[int, int, int], tuple[int, int, int]]


def write_results(run: Run, found: Found, samples: int, data: str) -> None:
    """Errors of each method, and the ratio that the recipe is about."""
    names = {
        LATENT: f"latent variable, best of {samples} samples",
        "one sample": "latent variable, one sample",
        "mean of the samples": f"latent variable, mean of {samples} samples",
        "z inferred from the answer": "latent variable, z inferred from y (a bound, not a prediction)",
        ONE: "deterministic, same budget (baseline)",
        NOISE: f"deterministic + white noise, best of {samples} (baseline)",
        SPREAD: f"deterministic + Gaussian of its residuals, best of {samples} (baseline)",
        NEAR: f"futures of the {samples} nearest training inputs, best of {samples} (baseline)",
        COPY: "last frame again (baseline)",
        "mean": "mean of the training answers (baseline)",
    }
    common = {"id": "S15", "seeds": len(found), "data": data}
    for key, name in names.items():
        if key in found[0]["errors"]:
            mean, sd = _spread([one["errors"][key] for one in found])
            run.result(claim="squared error of a prediction, ‖y − ŷ‖²", method=name, measured=mean, sd=sd, **common)
    claim = f"error of the best of {samples} as a share of that of the deterministic model"
    for key in (LATENT, NOISE, SPREAD, NEAR):
        mean, sd = _spread([one["errors"][key] / one["errors"][ONE] for one in found])
        run.result(claim=claim, method=names[key].split(",")[0], measured=mean, sd=sd, **common)


def write_page(
    run: Run,
    energy: ConditionalAutoencoder,
    found: Found,
    chosen: Mapping[str, Mapping[str, Any]],
    grids: Mapping[str, Sequence[Mapping[str, float]]],
    data: str,
    shapes: Shapes,
) -> None:
    """Fill the page; the pictures are those of the first seed."""
    ratio = statistics.fmean(one["errors"][LATENT] / one["errors"][ONE] for one in found)
    run.part(_write_problem, data, ratio, found)
    run.grid("films", [(_film(found[0], index, shapes), "") for index in range(4)], 2)
    run.part(_write_spread, energy, found[0], shapes)
    run.part(_write_counts, found)
    rows = [
        [method, ", ".join(f"{name} {value:g}" for name, value in setting.items()), error,
         "chosen" if index == chosen[method]["best"] else ""]
        for method, grid in grids.items()
        for index, (setting, error) in enumerate(zip(grid, chosen[method]["errors"], strict=True))
    ]  # fmt: skip
    run.section("Tuning")
    caption = "Four settings each, chosen by validation data. With z it is the error of the best."
    run.table(("model", "setting", "validation error", ""), rows, caption)


def _write_problem(run: Run, data: str, ratio: float, found: Found) -> None:
    run.section("One past, many futures")
    if data == "ball":
        run.text(
            "A ball falls onto rough ground. It rises again as fast as it fell, but to which side, and how steeply, is "
            "drawn at random: three frames of the past do not tell. Least squares answers with the mean of all "
            "futures, a fan of pale balls that never happens. With a latent variable z the network draws one future "
            "for each z."
        )
    else:
        run.text(
            "The upper half of a digit leaves open what is below: a 3, a 5 or a 9 may go on from the same arc. Least "
            "squares answers with the mean of all; with a latent variable z the network draws one lower half for each "
            "z."
        )
    told = {
        key: verdict(
            [one["errors"][LATENT] for one in found], [one["errors"][key] for one in found], ("higher", "lower")
        )
        for key in (ONE, NOISE, SPREAD, NEAR)
    }
    run.finding(
        f"The best of the samples has {ratio:.2f} of the error of the one deterministic answer ({told[ONE].word}, over "
        f"{len(found)} seeds). With as many tries, noise around that answer: {told[NOISE].word}; the futures of the "
        f"nearest training inputs: {told[NEAR].word}."
    )
    run.text(
        "The error of the best of the samples is compared with that of the deterministic one. Best-of-N rewards "
        "spread, and any spread would do if it were cheap: so noise around the deterministic answer, in two shapes and "
        "at its best size, has as many tries, and so have the futures of the nearest training inputs."
    )
    near = statistics.fmean(one["errors"][NEAR] / one["errors"][LATENT] for one in found)
    if told[NEAR].word == "higher":
        run.verdict(
            f"The nearest training inputs do better still, with {near:.2f} of the error of the latent variable: so few "
            "numbers describe an input here that a memory of all training data has seen almost every one."
        )


def _write_spread(run: Run, energy: ConditionalAutoencoder, first: Mapping[str, Any], shapes: Shapes) -> None:
    run.section("The spread over z")
    run.text(
        "z is walked along the main axes of its prior, from −2 to 2 standard deviations, for one input. The last "
        "picture is the standard deviation of each pixel over fifty draws of z: where the model knows that it does not "
        "know."
    )
    x, root, mean = first["x"][:1], energy.prior_root, energy.prior_mean
    order = root.norm(dim=0).argsort(descending=True)[:2]
    ways = torch.linspace(-2, 2, 7)
    panels = []
    for number, axis in enumerate(order.tolist()):
        z = mean + ways[:, None] * root[:, axis]
        with torch.no_grad():
            walked = energy.predict(x, z[None])[0]
        labels = [f"{way:+.1f}" for way in ways.tolist()]
        panels.append((_strip(walked, labels, shapes[1]), f"axis {number + 1} of z, in standard deviations"))
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(50, len(mean), generator=generator)
    rows = []
    with torch.no_grad():
        for index in range(min(4, len(first["x"]))):
            rows.append(energy.predict(first["x"][index : index + 1], (mean + draws @ root.T)[None])[0].std(dim=0))
    panels.append((_strip(torch.stack(rows), [str(n + 1) for n in range(len(rows))], shapes[1]), "spread, four inputs"))
    run.grid("spread", panels, min(3, len(panels)))


def _write_counts(run: Run, found: Found) -> None:
    run.section("How many tries")
    lines: dict[str, Any] = {}
    counts, curves_found = found[0]["counts"], [one["curve"] for one in found]
    lines["latent variable"] = (counts, [statistics.fmean(row) for row in zip(*curves_found, strict=True)])
    for name, key in (("deterministic", ONE), ("z inferred from y", "z inferred from the answer")):
        lines[name] = (counts, [statistics.fmean(one["errors"][key] for one in found)] * len(counts))
    drawn = curves(lines, title="Best of N", xlabel="samples N", ylabel="‖y − ŷ‖² of the best", log="x")
    run.figure("counts", drawn, f"Mean over {len(found)} seeds")


def _film(first: Mapping[str, Any], index: int, shapes: Shapes) -> Figure:
    """Past and truth, the one answer, and the best, the median and the worst of the samples."""
    errors = (first["drawn"][index] - first["y"][index]).square().sum(dim=1)
    order = errors.argsort()
    picks = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    rows = {"what happens": first["y"][index], "deterministic": first["one"][index]}
    rows |= {f"{name} sample": first["drawn"][index][place] for name, place in picks.items()}
    (past, height, width), (future, _, _) = shapes
    before = first["x"][index].reshape(past, height, width)
    frames = []
    for number, answer in enumerate(rows.values()):
        lead = before if number == 0 else torch.full_like(before, torch.nan)
        frames.append(torch.cat([lead, answer.reshape(future, height, width).clamp(0, 1)]))
    drawn = images(torch.cat(frames), columns=past + future, signed=False)
    _name_rows(drawn, list(rows), height)
    return drawn


def _strip(answers: Tensor, labels: list[str], shape: tuple[int, int, int]) -> Figure:
    drawn = images(answers.reshape(-1, *shape[1:]).clamp_min(0), columns=shape[0], signed=False)
    _name_rows(drawn, labels, shape[1])
    return drawn


def _name_rows(drawn: Figure, names: list[str], height: int) -> None:
    # Frames have white edges: without lines between them they run together.
    drawn.axes[0].set_facecolor(FAINT)
    for index, name in enumerate(names):
        place = index * (height + 1) + height / 2 - 0.5
        drawn.axes[0].text(-1.5, place, name, ha="right", va="center", fontsize=8, color=INK)


def _spread(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
