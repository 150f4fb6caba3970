"""The page of the recipe `world`: fans of futures, errors against horizon, coverage, CRPS, and what actions do."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.gym_log import GymLog
from lowland.evaluation.forward_models import COPY, MODEL, VELOCITY
from lowland.evaluation.verdict import verdict
from lowland.plots import curves
from lowland.plots.style import BLUE, INK, MUTED, ORANGE, figure, ruled
from lowland.reports.run import Run
from lowland.words import verbatim

DETERMINISTIC, VARIATIONAL, DROPPED = "deterministic", "latent z", "latent z with z-dropout"
RESIDUALS = "deterministic + its past errors"
Found = Sequence[Mapping[str, Any]]
_BASELINES = (COPY, VELOCITY, RESIDUALS)


def write_results(run: Run, found: Found, data: str) -> None:
    """Errors, CRPS, coverage, sensitivity and divergence, mean over seeds."""
    common = {"seeds": len(found), "data": data}

    def row(id_: str, claim: str, method: str, read: Callable[[Mapping[str, Any]], float]) -> None:
        mean, sd = _spread([float(read(one)) for one in found])
        named = f"{method} (baseline)" if method in _BASELINES else method
        run.result(id=id_, claim=claim, method=named, measured=mean, sd=sd, **common)

    last = len(found[0]["errors"][COPY])
    for method in (MODEL, VARIATIONAL, DROPPED, VELOCITY, COPY):
        named = DETERMINISTIC if method == MODEL else method
        claim = f"error after {last} steps, root mean square in deviations of the data"
        row("W1", claim, named, lambda one, m=method: one["errors"][m][-1])
    for method in found[0]["crps"]:
        claim = f"CRPS in deviations of the data, mean over {last} steps"
        row("W5", claim, method, lambda one, m=method: one["crps"][m].mean())
    for method in found[0]["coverage"]:
        claim = f"share inside the interval for {100 * found[0]['level']:.0f} %, in percent"
        row("W5", claim, method, lambda one, m=method: 100 * one["coverage"][m].mean())
    for method in (DETERMINISTIC, VARIATIONAL, DROPPED):
        z = "zero" if method == DETERMINISTIC else "prior"
        claim = "error with another sample's actions, as a multiple of that with its own"
        row("W1", claim, method, lambda one, m=method, z=z: _swap(one, m, z))
    for method in (VARIATIONAL, DROPPED):
        row("W5", "KL of posterior and prior, nats a step", method, lambda one, m=method: one["kl"][m])
    claim = "rank correlation of uncertainty and squared error of one step"
    row("W7", claim, "dropout masks", lambda one: one["uncertainty"]["rank"])
    claim = "uncertainty three deviations away from the data, as a multiple of that on them"
    row("W7", claim, "dropout masks", _away)


def write_page(run: Run, found: Found, log: GymLog, data: str, gusts: float | None) -> None:
    """Fill the page; the pictures are those of the first seed."""
    first = found[0]
    run.section("Futures of held-out starts")
    made = (
        f"The log was made here: {log.name} under random actions, with Gaussian gusts of {gusts:g} halves of their "
        "range on top, which the log does not name. No model can know them: the best it can do is to give each future "
        "its due."
        if gusts is not None
        else "The log is your own."
    )
    run.text(f"{made} Data: {verbatim(data, 0)}. " + verbatim(" ".join(log.dropped), 0))
    run.text(
        "Each picture starts at a state that no model was trained on and follows the actions of the log. Blue is what "
        "the model with a latent variable draws from its prior: the band holds 80 % of its futures, the thin lines are "
        "five of them. Orange is what happened; the grey dashes are the one answer of the deterministic model."
    )
    dims = min(3, first["shown"]["truth"].shape[-1])
    fans = [
        (fan(first["shown"], VARIATIONAL, start, dims), f"start {start + 1}") for start in range(min(4, _starts(first)))
    ]
    run.grid("futures", fans, 2, "In deviations of the data from their mean.")
    run.part(_write_errors, found)
    run.part(_write_calibration, found)
    run.part(_write_sensitivity, found)
    run.part(_write_uncertainty, found)


def _write_errors(run: Run, found: Found) -> None:
    run.section("Error against horizon")
    last = {name: _mean(found, lambda one, n=name: one["errors"][n][-1]) for name in found[0]["errors"]}
    ratio = last[MODEL] / min(last[COPY], last[VELOCITY])
    run.text(
        f"The best single answer, which for a model with z is the mean of its futures. After {_steps(found)} steps the "
        f"deterministic model is at {ratio:.2f} times the error of the better of the two baselines."
    )
    names = {MODEL: DETERMINISTIC, VARIATIONAL: VARIATIONAL, DROPPED: DROPPED, COPY: COPY, VELOCITY: VELOCITY}
    top = 1.15 * max(float(one["errors"][COPY].max()) for one in found)
    lines = {}
    for key, name in names.items():
        values = torch.stack([one["errors"][key] for one in found]).mean(dim=0)
        # A velocity held for long leaves the picture, and would press all else to its floor.
        lines[name] = (_times(found), [v if v <= top else float("nan") for v in values.tolist()])
    title, ylabel = "How far off, step by step", "root mean square error, in deviations"
    run.figure("errors", curves(lines, title=title, xlabel="steps ahead", ylabel=ylabel), "Mean over seeds")


def _write_calibration(run: Run, found: Found) -> None:
    run.section("Are the futures right?")
    level = 100 * found[0]["level"]
    scores = {name: _mean(found, lambda one, n=name: one["crps"][n].mean()) for name in found[0]["crps"]}
    inside = {name: 100 * _mean(found, lambda one, n=name: one["coverage"][n].mean()) for name in found[0]["coverage"]}
    told = verdict(
        *([float(one["crps"][name].mean()) for one in found] for name in (VARIATIONAL, RESIDUALS)),
        words=("above", "below"),
    ).word
    run.finding(
        f"The futures of the model with z have a CRPS of {scores[VARIATIONAL]:.3f}, those of the deterministic answer "
        f"with its residuals {scores[RESIDUALS]:.3f}: {told}, over {len(found)} seeds."
    )
    run.text(
        f"**CRPS** is the error of a whole cloud of futures; for one answer it is the absolute error. **Coverage** is "
        f"how often the truth falls inside the interval that should hold it in {level:.0f} % of cases. The baseline "
        "takes the deterministic answer and adds, whole, what it left unexplained on an episode of the training data: "
        f"it has the right spread on average, and the same one everywhere. The CRPS of the model with z, "
        f"{scores[VARIATIONAL]:.3f}; that of the baseline is {scores[RESIDUALS]:.3f}; the interval holds "
        f"{inside[VARIATIONAL]:.0f} % of the truths, that of the baseline {inside[RESIDUALS]:.0f} %."
    )
    run.text(
        "**z-dropout** makes training draw every other z from the prior. A squared error then pays for wrong guesses, "
        "so that the best a model can do is to trust z less: half as far, where z alone decides. Its interval holds "
        f"{inside[DROPPED]:.0f} % of the truths, against {inside[VARIATIONAL]:.0f} % without the dropout."
    )
    panels = []
    lines: dict[str, Any] = {
        name: (_times(found), torch.stack([one["crps"][name] for one in found]).mean(dim=0).tolist()) for name in scores
    }
    panels.append((curves(lines, title="CRPS", xlabel="steps ahead", ylabel="in deviations"), ""))
    # Nothing to draw for the deterministic model, which keeps its colour all the same.
    lines = {DETERMINISTIC: (_times(found), [float("nan")] * _steps(found))}
    lines |= {
        name: (_times(found), (100 * torch.stack([one["coverage"][name] for one in found]).mean(dim=0)).tolist())
        for name in inside
    }
    lines["what it should be"] = (_times(found), [level] * _steps(found))
    panels.append((curves(lines, title="Coverage", xlabel="steps ahead", ylabel="percent inside"), ""))
    run.grid("calibration", panels, 2)


def _write_sensitivity(run: Run, found: Found) -> None:
    run.section("Does the model listen to its actions?")
    run.text(
        "A posterior sees the next state and can tell the decoder all about it: then the model need not look at the "
        "actions, and a planner pulls at strings that hang loose. The table gives the error over the whole roll-out "
        "with z from each source, with a sample's own actions and with those of another one. Swapped actions must "
        "hurt, most of all where z comes from the prior, as in planning."
    )
    rows = []
    for method in (DETERMINISTIC, VARIATIONAL, DROPPED):
        kl = _mean(found, lambda one, m=method: one["kl"][m]) if method in found[0]["kl"] else None
        for z in ("zero", "prior", "posterior"):
            if method == DETERMINISTIC and z != "zero":
                continue
            own, swapped = (
                _mean(found, lambda one, m=method, z=z, k=kind: _error(one, m, z, k)) for kind in ("own", "swapped")
            )
            rows.append([method, z, own, swapped, swapped / own, kl if z == "posterior" else None])
    columns = ("model", "z", "error, own actions", "error, swapped actions", "ratio", "KL, nats a step")
    run.table(columns, rows, "Root mean square over all steps, in deviations of the data; mean over seeds.")


def _write_uncertainty(run: Run, found: Found) -> None:
    run.section("Does it know what it does not know?")
    rank, away = _mean(found, lambda one: one["uncertainty"]["rank"]), _mean(found, _away)
    ranks = [float(one["uncertainty"]["rank"]) for one in found]
    told = verdict(ranks, [0.0] * len(ranks), ("it ranks them better than chance", "it ranks them worse than chance"))
    run.text(
        "The uncertainty is the variance of the next state over 20 dropout masks. It is meant to grow where the log "
        f"has not been: on states that were moved by three deviations at random it is {away:.1f} times as large "
        f"(median against median). On held-out states its rank correlation with the errors of single steps is "
        f"{rank:.2f}. Chance makes errors that no mask can foresee."
    )
    run.verdict(f"Whether it ranks the errors of single steps, over {len(found)} seeds: {told.word}.")
    one = found[0]["uncertainty"]
    drawn = figure(6.4, 2.6)
    ax = drawn.add_subplot()
    ruled(ax, "Uncertainty of one step", "variance over dropout masks", "states")
    both = torch.cat([one["near"], one["far"]]).clamp_min(1e-12).log10()
    edges = np.logspace(float(both.min()), float(both.max()) + 1e-6, 40)
    for key, colour, name in (("near", BLUE, "held-out states"), ("far", ORANGE, "moved away from the data")):
        ax.hist(one[key].clamp_min(1e-12).numpy(), bins=edges.tolist(), color=colour, alpha=0.65, label=name)
    ax.set_xscale("log")
    ax.legend(frameon=False, fontsize=8.5, labelcolor=INK)
    run.figure("uncertainty", drawn, "First seed")


def fan(shown: Mapping[str, Any], name: str, start: int, dims: int) -> Figure:
    """One row a feature: the band of 80 % of the futures, five of them, the truth and the deterministic answer."""
    truth, alone, samples = shown["truth"][start], shown["alone"][start], shown[name][start]
    now = shown["past"][start]
    times = np.arange(len(truth) + 1)

    def whole(path: Tensor) -> np.ndarray:
        return torch.cat([now[None], path]).numpy()

    drawn = figure(5.2, 1.35 * dims + 0.5)
    axes = drawn.subplots(dims, 1, sharex=True, squeeze=False)[:, 0]
    paths = np.stack([whole(path) for path in samples])
    low, high = np.quantile(paths, (0.1, 0.9), axis=0)
    for dim, ax in enumerate(axes):
        ruled(ax, None, "steps ahead" if dim == dims - 1 else None, f"number {dim + 1}")
        ax.fill_between(times, low[:, dim], high[:, dim], color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(times, paths[:5, :, dim].T, color=BLUE, linewidth=0.7, alpha=0.7)
        ax.plot(times, whole(alone)[:, dim], color=MUTED, linewidth=1.2, linestyle=(0, (3, 2)))
        ax.plot(times, whole(truth)[:, dim], color=ORANGE, linewidth=1.8)
    return drawn


def _error(one: Mapping[str, Any], method: str, z: str, kind: str) -> float:
    return next(value for source, actions, value in one["sensitivity"][method] if (source, actions) == (z, kind))


def _swap(one: Mapping[str, Any], method: str, z: str) -> float:
    return _error(one, method, z, "swapped") / _error(one, method, z, "own")


def _away(one: Mapping[str, Any]) -> float:
    return float(one["uncertainty"]["far"].median() / one["uncertainty"]["near"].median().clamp_min(1e-12))


def _mean(found: Found, read: Callable[[Mapping[str, Any]], Any]) -> float:
    return statistics.fmean(float(read(one)) for one in found)


def _steps(found: Found) -> int:
    return len(found[0]["errors"][COPY])


def _times(found: Found) -> list[int]:
    return list(range(1, _steps(found) + 1))


def _starts(first: Mapping[str, Any]) -> int:
    return len(first["shown"]["truth"])


def _spread(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
