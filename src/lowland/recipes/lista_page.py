"""The page of the recipe `lista`: error against shrinkages and multiplications, less inhibition, and polishing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.energies.sparse_coding import SparseCoding
from lowland.evaluation.verdict import verdict
from lowland.inference import infer
from lowland.plots import curves, images
from lowland.plots.style import INK
from lowland.recipes.lista_results import (
    BY_ENERGY,
    CERTIFICATE,
    PERFECT,
    SIDE,
    Found,
    affordable,
    best_start,
    descents,
    in_words,
    inhibited,
    mean,
    partial_s,
    ratio,
    shares_of,
    worth,
)
from lowland.reports.run import Run
from lowland.solvers.active_set import ActiveSet
from lowland.solvers.proximal import FISTA

if TYPE_CHECKING:
    from lowland.recipes.lista import ListaRecipe

_SHOWN = 12


def write_page(
    run: Run,
    options: ListaRecipe,
    found: Found,
    counts: Mapping[str, int],
    energy: SparseCoding,
    test: Tensor,
    encoders: Mapping[str, Callable[[Tensor], Tensor]],
) -> None:
    """The pictures and what they say.

    Args:
        run: to be filled.
        options: the recipe.
        found: of each seed: curves of the solvers, "report" and "polish".
        counts: multiplications of each encoder for one patch.
        energy, test, encoders: of the first seed.
    """
    run.part(_write_shrinkages, options, found, energy, test, encoders)
    run.part(_write_multiplications, options, found, counts)
    run.part(_write_inhibition, options, found, counts)
    run.part(_write_polish, found)
    run.part(_write_report, options, found, counts)


def _write_shrinkages(
    run: Run, options: ListaRecipe, found: Found, energy: SparseCoding, test: Tensor, encoders: Mapping[str, Any]
) -> None:
    run.section("Two steps for many")
    times = {
        (name, measure): [worth(one, name, measure) for one in found]
        for name in ("LISTA 2", BY_ENERGY)
        for measure in ("error", "gap")
    }
    run.finding(
        "Two learned shrinkages are worth "
        f"{_range(times['LISTA 2', 'error'])} iterations of FISTA by code error and "
        f"{_range(times['LISTA 2', 'gap'])} by energy; over {len(found)} seeds."
    )
    run.text(
        "ISTA and FISTA find a sparse code by repeating z ← shrink(W_e y + S z). LISTA is that graph, cut off after K "
        "shrinkages, with W_e, S and the thresholds learned from exact codes: it need not be right everywhere, only "
        f"where patches are. Two shrinkages of LISTA have the code error that FISTA has after "
        f"**{_range(times['LISTA 2', 'error'])} iterations**; by the energy that they give away they are worth "
        f"{_range(times['LISTA 2', 'gap'])}. Trained to lower the energy of the prediction, without exact codes, it is "
        f"{_range(times[BY_ENERGY, 'error'])} by code error and {_range(times[BY_ENERGY, 'gap'])} by energy. Learning "
        "rates and first weights were chosen on validation patches; all figures here are of test patches, from other "
        "parts of the photographs."
    )
    for measure, label in (("error", "code error  Σ‖z − z*‖² / Σ‖z*‖²"), ("gap", "(E(z) − E(z*)) / E(z*)")):
        key = "code_error" if measure == "error" else measure
        lines: dict[str, Any] = {}
        for solver in ("ISTA", "FISTA"):
            values = _over_seeds(found, solver, measure)
            lines[solver] = (range(1, len(values)), values[1:])
        lines["LISTA, tied"] = _line(found, {k: f"LISTA {k}" for k in options.shrinkages}, key)
        if options.untied:
            # With 2 shrinkages there is but one S, so that the lines begin at the same point.
            untied = {2: "LISTA 2", **{k: f"LISTA {k} untied" for k in options.untied}}
            lines["LISTA, untied"] = _line(found, untied, key)
        drawn = curves(lines, xlabel="shrinkages", ylabel=label, log="xy")
        run.figure(f"shrinkages-{measure}", drawn, f"Mean over {len(found)} seeds")
    y = test[:_SHOWN]
    with torch.no_grad():
        codes = {
            "exact code": infer(energy, y=y, over="z", solver=ActiveSet(CERTIFICATE)).value,
            "LISTA, 2 shrinkages": encoders["LISTA 2"](y),
            "FISTA, 2 iterations": infer(energy, y=y, over="z", solver=FISTA(2, tol=None)).value,
        }
        rows = {"patch": y, **{name: energy.reconstruct(None, y, z) for name, z in codes.items()}}
    run.figure("patches", patch_sheet(rows), "Test patches and what the codes decode to; each tile has its own scale")
    columns = round(options.atoms**0.5)
    atoms = images(energy.dictionary.detach().cpu().T, each=True, columns=columns, title=f"{options.atoms} atoms")
    run.grid("atoms", [(atoms, "The dictionary of the first seed, learned online with the exact coder")], columns=2)


def _write_multiplications(run: Run, options: ListaRecipe, found: Found, counts: Mapping[str, int]) -> None:
    run.section("One unit at a time")
    limit = counts["LISTA 2"]
    name = (affordable(options, counts) or descents(options))[-1]
    plain = _over_seeds(found, "coordinate descent", "error")[options.descents.index(int(name.split()[1]))]
    ours, lista = mean(found, name), mean(found, "LISTA 2")
    told = verdict(
        *([one["report"][key]["code_error"] for one in found] for key in (name, "LISTA 2")), words=("higher", "lower")
    ).word
    run.text(
        "Coordinate descent changes only the unit that would change most, which costs m multiplications where a step "
        f"of LISTA costs m². With {counts[name]:,} multiplications the code error of learned coordinate descent is "
        f"{ours:.3f}, LISTA's with {limit:,} is {lista:.3f}, and that of coordinate descent whose matrices were not "
        f"learned is {plain:.3f}. Multiplications are not time: finding "
        f"the largest change looks at all m units in each step. In torch {in_words(name)} takes "
        f"{mean(found, name, 'microseconds'):.0f} µs for a patch, LISTA with 2 shrinkages "
        f"{mean(found, 'LISTA 2', 'microseconds'):.0f} µs."
    )
    run.verdict(f"Its error against LISTA's, over {len(found)} seeds: **{told}**.")
    first, step = SIDE**2 * options.atoms, options.atoms**2
    values = _over_seeds(found, "FISTA", "error")[1:]
    lines: dict[str, Any] = {
        "FISTA": ([first + k * step for k in range(len(values))], values),
        "LISTA": _line(found, {counts[f"LISTA {k}"]: f"LISTA {k}" for k in options.shrinkages}),
        "LCoD": _line(found, {counts[n]: n for n in descents(options)}),
        "coordinate descent": (
            [first + t * options.atoms for t in options.descents],
            _over_seeds(found, "coordinate descent", "error"),
        ),
    }
    drawn = curves(lines, xlabel="multiplications for a patch", ylabel="code error", log="xy")
    run.figure("multiplications", drawn, "W_e y, which all of them need, is counted", dpi=160)


def _write_inhibition(run: Run, options: ListaRecipe, found: Found, counts: Mapping[str, int]) -> None:
    run.section("Partial mutual inhibition")
    share = shares_of(options, counts)
    all_of_it, none = mean(found, f"LISTA {options.inhibited}"), mean(found, f"LISTA {min(options.shrinkages)}")
    cheapest = min(share, key=share.__getitem__)
    least = min(inhibited(options), key=lambda name: mean(found, name) - all_of_it)
    run.text(
        "S says how units inhibit each other. It may be sparse, its largest entries at first being those learned, or "
        f"S = I − A B with thin A and B. All encoders here have {options.inhibited} shrinkages and were trained for as "
        f"long. The whole S has a code error of {all_of_it:.3f}. The best part of it is {partial_s(least)}, "
        f"{mean(found, least):.3f} for {share[least]:.0%} of the multiplications "
        f"by S; the cheapest is {partial_s(cheapest)}, {mean(found, cheapest):.3f} for {share[cheapest]:.0%}."
    )
    shown = {"S sparse": "share", "I − S of low rank": "rank"}
    lines: dict[str, Any] = {
        label: _line(found, {share[n]: n for n in inhibited(options) if n.startswith(kind)})
        for label, kind in shown.items()
    }
    ends = [min(share.values()), 1.0]
    lines["whole S"] = (ends, [all_of_it] * 2)
    if min(options.shrinkages) == 1:
        lines["no S: LISTA 1"] = (ends, [none] * 2)
    drawn = curves(lines, xlabel="share of the multiplications by S", ylabel="code error", log="x")
    run.figure("inhibition", drawn, f"Mean over {len(found)} seeds")


def _write_polish(run: Run, found: Found) -> None:
    run.section("Encoder, then polish")
    times = {name: statistics.fmean(ratio(one, name) for one in found) for name in found[0]["polish"]}
    part = {
        (name, key): statistics.fmean(one["polish"][name][key] for one in found)
        for name in times for key in found[0]["polish"][name]
    }  # fmt: skip
    best, zero = best_start(found), part["zero", "coder"]
    reached = times[best] <= 0.5
    run.text(
        "An exact coder may start from the encoder's code instead of zero. Each sample ends with a certificate of "
        f"at most {CERTIFICATE:g}, (primal − dual) / primal, whatever the start. From the code of {in_words(best)} "
        f"this takes **{times[best]:.2f}** of the time from zero, the encoder included."
    )
    run.verdict(f"Half the time, which was the aim, is {'reached' if reached else 'not reached'} in the mean.")
    if not reached:
        spare = zero / 2 - part[PERFECT, "coder"]
        rest = f"leaves {spare:.1f} µs for the encoder and its mistakes" if spare > 0 else "is more than half already"
        run.text(
            f"Why not: given the exact code itself, for nothing, the coder takes {times[PERFECT]:.2f} of its time from "
            f"zero, {part[PERFECT, 'coder']:.1f} of {zero:.1f} µs, which {rest}. {part['zero', 'fixed']:.1f} µs go to "
            "correlations and energies in float64 that every start needs, and "
            f"{part[PERFECT, 'coder'] - part['zero', 'fixed']:.1f} µs to the inverse of the Gram matrix of the "
            "support and one look at all correlations, which is the certificate. "
            f"From zero it takes {part['zero', 'checks']:.1f} looks, from this encoder {part[best, 'checks']:.1f}: the "
            f"encoder names {part[best, 'recall']:.0%} of the support, and {part[best, 'precision']:.0%} of what it "
            "names is right; what is wrong has to leave again. The encoder itself takes "
            f"{part[best, 'encoder']:.1f} µs."
        )
    columns = ("start", "encoder, µs", "coder, µs", "of the time from zero", "looks", "support found", "of it right")
    rows = [
        [name, *(part[name, key] for key in ("encoder", "coder")), times[name],
         *(part[name, key] for key in ("checks", "recall", "precision"))]
        for name in sorted(times, key=times.__getitem__)
    ]  # fmt: skip
    run.table(
        columns, rows,
        "Processor time for a patch, one thread, the least of three calls; means over seeds. Predicted units "
        "below a threshold chosen on validation patches are dropped before the start.",
    )  # fmt: skip


def _write_report(run: Run, options: ListaRecipe, found: Found, counts: Mapping[str, int]) -> None:
    run.section("All encoders")
    first, step = SIDE**2 * options.atoms, options.atoms**2
    known = {"FISTA 2": first + step, "FISTA 20": first + 19 * step, "zero code": 0, **counts}
    known |= {f"descent {t}": first + t * options.atoms for t in options.descents}
    measures = ("code_error", "gap", "worst", "reconstruction", "nonzeros", "microseconds")
    rows = [
        [name, known.get(name), *(mean(found, name, measure) for measure in measures)] for name in found[0]["report"]
    ]
    run.table(
        ("code", "multiplications", "code error", "mean gap", "worst gap", "‖y − Wz‖² / ‖y‖²", "non-zeros", "µs"), rows,
        f"`ll.evaluation.gap_report`; means over {len(found)} seeds. µs of processor time for a patch, one thread. "
        '"descent" is coordinate descent that learned nothing.',
    )  # fmt: skip


def _over_seeds(found: Found, solver: str, measure: str) -> list[float]:
    return [statistics.fmean(values) for values in zip(*(one[solver][measure] for one in found), strict=True)]


def _line(found: Found, names: Mapping[Any, str], measure: str = "code_error") -> tuple[list[float], list[float]]:
    return list(names), [mean(found, name, measure) for name in names.values()]


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def patch_sheet(rows: Mapping[str, Tensor]) -> Figure:
    """Rows of patches with their names."""
    side, tiles = 12, torch.cat([patch.cpu() for patch in rows.values()])
    drawn = images(tiles, columns=len(next(iter(rows.values()))), signed=True, each=True)
    for index, name in enumerate(rows):
        place = index * (side + 1) + side / 2 - 0.5
        drawn.axes[0].text(-1.5, place, name, ha="right", va="center", fontsize=8.5, color=INK)
    return drawn
