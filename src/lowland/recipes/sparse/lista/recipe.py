"""Learned encoders of sparse codes: how far a few unrolled steps of a solver get, and what for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError
from lowland.evaluation.amortisation import Encoder, amortisation_gap, error_path, iterates, worth_iterations
from lowland.evaluation.warm_start import warm_start_times
from lowland.inference import infer
from lowland.nn.learned_coordinate_descent import LearnedCoordinateDescent
from lowland.plots import curves
from lowland.plots.atoms import atom_sheet, decoded_rows
from lowland.recipes.base import Bound, Count, recipe, train
from lowland.recipes.sparse.common import SIDE, PatchRecipe, fused_adam, stage_name
from lowland.recipes.sparse.lista.encoders import BY_ENERGY, TWO, UNTIED, Plan, descent_of, encoders, lista_of
from lowland.reports.run import Run
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.solvers.active_set import ActiveSet
from lowland.solvers.proximal import FISTA, ISTA
from lowland.training.online_dictionary import learn_online

EXACT, CERTIFICATE = ActiveSet(1e-6), 1e-4
ZERO = "zero code (baseline)"
Coder = tuple[str, Encoder, int]
"""Its name on the page, the function from patches to codes, and its multiplications for a patch."""
Left = tuple[SparseCoding, Tensor, nn.Module]
"""What the pictures need of a seed: the energy, test patches, and LISTA with two shrinkages."""


@recipe
@dataclass(frozen=True)
class ListaRecipe(PatchRecipe):
    """E(y, z) = ½‖y − W z‖² + λ‖z‖₁ on natural patches; encoders learn argmin_z E for one learned dictionary W."""

    samples: Annotated[int, Bound(least=1000)] = 60_000
    """Training patches of 12 × 12 pixels."""
    updates: Count = 60
    """Updates of the dictionary, of 1000 patches each."""
    steps: Count = 1500
    """Training steps of each LISTA encoder, of 128 patches each."""
    descent_steps: Count = 300
    """Training steps of each coordinate descent, of 128 patches each; a longer one starts from a shorter one."""
    shrinkages: tuple[Count, ...] = (1, 2, 3, 4)
    """Lengths of LISTA, 1 and 2 among them."""
    descents: tuple[Count, ...] = (8, 16, 32, 64)
    """Lengths of learned coordinate descent, rising."""
    untied: tuple[int, ...] = (4,)
    """Lengths of LISTA whose steps have matrices of their own, above 2 and among `shrinkages`."""
    inhibited: int = 2
    """Length of the encoders with partial mutual inhibition, one of `shrinkages`."""
    shares: tuple[float, ...] = (0.01, 0.05, 0.2)
    """Shares of the entries of S that stay."""
    ranks: tuple[int, ...] = (8, 32, 96)
    """Ranks of I − S."""
    iterations: Count = 96
    """Iterations of FISTA and ISTA to compare with."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "seeds": 2, "samples": 1500, "tests": 100, "atoms": 32, "updates": 3, "steps": 30, "descent_steps": 10,
            "shrinkages": (1, 2), "descents": (4, 8), "untied": (), "shares": (0.2,), "ranks": (4,), "iterations": 24,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if not {1, 2, self.inhibited} <= set(self.shrinkages) or self.inhibited < 2:
            raise OptionError(f"1, 2 and inhibited, {self.inhibited}, must be among the shrinkages {self.shrinkages}.")
        if not set(self.untied) <= {k for k in self.shrinkages if k > 2}:
            raise OptionError(f"untied must be above 2 and among the shrinkages {self.shrinkages}, not {self.untied}.")
        if not self.descents or list(self.descents) != sorted(set(self.descents)):
            raise OptionError(f"descents must be one or more rising numbers, not {self.descents}.")

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        y, validation, test = self.patches(seed)
        energy = SparseCoding(SIDE**2, self.atoms, self.sparsity).to(self.device)
        run.stage("dictionary", partial(self._dictionary, energy, y, seed), [energy])
        if seed == 0:
            run.save_energy("sparse-coding", energy)
        codes = cache(lambda: infer(energy, y=y, over="z", solver=EXACT).value)
        plans: dict[str, Plan] = {}
        lengths = (self.shrinkages, self.untied, self.inhibited, self.shares, self.ranks, self.descents)
        for plan in encoders(energy.dictionary.detach(), self.sparsity, *lengths):
            learn = partial(self._learn, energy, plan, y, codes, seed)
            run.stage(stage_name(plan.name), learn, [plan.encoder])
            plans[plan.name] = plan
        paths = run.stage("iterations", partial(self._paths, energy, test))
        coders = self._baselines(energy)
        coders |= {name: (plan.label, plan.encoder, plan.encoder.multiplications) for name, plan in plans.items()}
        compared = {name: encoder for name, (_, encoder, _) in coders.items()}
        report = run.stage("report", lambda: amortisation_gap(energy, test, compared, EXACT).rows())
        starts = {name: plan.encoder for name, plan in sorted(plans.items()) if plan.polished}
        times = partial(warm_start_times, energy, test, starts, validation, CERTIFICATE)
        polish = run.stage("polish", lambda: {name: start._asdict() for name, start in times().items()})
        return self._rows(coders, report, paths, polish), (energy, test, plans["LISTA 2"].encoder)

    def _dictionary(self, energy: SparseCoding, y: Tensor, seed: int) -> None:
        """Online dictionary learning, from atoms that are patches."""
        with torch.no_grad():
            energy.dictionary.copy_(y[: self.atoms].T)
        options = {"solver": ActiveSet(CERTIFICATE), "forgetting": 1.0, "replace_after": None, "seed": seed}
        learn_online(energy, y, self.updates, 1000, **options)

    def _learn(self, energy: SparseCoding, plan: Plan, y: Tensor, codes: Callable[[], Tensor], seed: int) -> None:
        """On exact codes or on the energy."""
        shaping = CodePrediction(plan.encoder.to(self.device), codes=codes(), objective=plan.objective)
        steps = self.descent_steps if isinstance(plan.encoder, LearnedCoordinateDescent) else self.steps
        train(energy, y, shaping, steps, batch_size=128, lr=plan.rate, optimiser=fused_adam, seed=seed)

    def _paths(self, energy: SparseCoding, test: Tensor) -> dict[str, dict[str, list[float]]]:
        """Code error and gap after each iteration, and after some numbers of steps of one unit each."""
        solvers = (ISTA(self.iterations, tol=None), FISTA(self.iterations, tol=None))
        paths = {type(solver).__name__: iterates(energy, solver) for solver in solvers}
        descents = [LearnedCoordinateDescent(energy.dictionary, self.sparsity, count) for count in self.descents]
        paths["coordinate descent"] = lambda y: [descent(y) for descent in descents]
        return {name: error_path(energy, test, path, EXACT)._asdict() for name, path in paths.items()}

    def _baselines(self, energy: SparseCoding) -> dict[str, Coder]:
        base, step, last = SIDE**2 * self.atoms, self.atoms**2, self.descents[-1]

        def fista(count: int) -> Coder:
            solve = partial(infer, energy, over="z", solver=FISTA(count, tol=None))
            return f"FISTA, {count} iterations (baseline)", lambda y: solve(y=y).value, base + (count - 1) * step

        descent = LearnedCoordinateDescent(energy.dictionary, self.sparsity, last)
        label = f"coordinate descent, {last} steps, nothing learned (baseline)"
        return {
            "zero code": (ZERO, lambda y: y.new_zeros(len(y), self.atoms), 0),
            "FISTA 2": fista(2),
            "FISTA 20": fista(20),
            f"descent {last}": (label, descent, descent.multiplications),
        }

    def _rows(self, coders: Mapping[str, Coder], report: Any, paths: Any, polish: Any) -> dict[str, dict[str, Any]]:
        """All numbers of a seed, by the names that methods have on the page."""
        labels: dict[str, str] = {name: label for name, (label, _, _) in coders.items()}
        labels |= {"exact": "exact", "exact code": "exact code", "zero": ZERO}
        rows = {labels[name]: dict(row) for name, row in report.items()}
        for label, _, count in coders.values():
            rows[label]["multiplications"] = count
        for label in (TWO, BY_ENERGY):
            for measure, key in (("error", "code_error"), ("gap", "gap")):
                rows[label][f"FISTA {measure}"] = worth_iterations(paths["FISTA"][measure], rows[label][key])
        for count, unlearned in zip(self.descents, paths["coordinate descent"]["error"], strict=True):
            rows[descent_of(count)]["unlearned"] = unlearned
        for label in (TWO, *map(descent_of, self.descents)):
            if rows[label]["multiplications"] <= rows[TWO]["multiplications"]:
                rows[label]["affordable"] = rows[label]["code_error"]
        base = rows[lista_of(1)]["multiplications"]
        whole = rows[lista_of(self.inhibited)]["multiplications"] - base
        for name in [f"share {share:g}" for share in self.shares] + [f"rank {rank}" for rank in self.ranks]:
            row = rows[labels[name]]
            row |= {"share": (row["multiplications"] - base) / whole, "partial": row["code_error"]}
        for name, start in polish.items():
            row = rows.setdefault(labels[name], {})
            row |= start | {"start": (start["encoder"] + start["coder"]) / polish["zero"]["coder"]}
        for solver in ("ISTA", "FISTA"):
            rows[solver] = {f"{m} {k}": value for m, path in paths[solver].items() for k, value in enumerate(path)}
        return rows

    def figures(self, run: Run, first: Left) -> None:
        mean, curve = run.measured.mean, run.measured.curve
        listas = {count: lista_of(count) for count in sorted(self.shrinkages)}
        # With 2 shrinkages there is one S: the lines of tied and untied steps begin at the same point.
        untied = {2: TWO} | {count: UNTIED.format(lista_of(count)) for count in sorted(self.untied)}

        def line(names: Mapping[int, str], y: str) -> Any:
            return list(names), [mean(name, y) for name in names.values()]

        def against(x: str, names: Iterable[str], y: str = "code_error") -> Any:
            return tuple([mean(name, measure) for name in names] for measure in (x, y))

        texts = {"error": "code error  Σ‖z − z*‖² / Σ‖z*‖²", "gap": "(E(z) − E(z*)) / E(z*)"}
        for measure, key in {"error": "code_error", "gap": "gap"}.items():
            counts = range(1, self.iterations + 1)
            lines: dict[str, Any] = {name: curve(name, f"{measure} {{}}", counts) for name in ("ISTA", "FISTA")}
            lines["LISTA, tied"] = line(listas, key)
            lines |= {"LISTA, untied": line(untied, key)} if self.untied else {}
            drawn = curves(lines, xlabel="shrinkages", ylabel=texts[measure], log="xy")
            run.figure(f"shrinkages-{measure}", drawn)
        self._patches(run, first)
        descents = list(map(descent_of, self.descents))
        costs = [SIDE**2 * self.atoms + count * self.atoms**2 for count in range(self.iterations)]
        lines = {
            "FISTA": (costs, curve("FISTA", "error {}", range(1, self.iterations + 1))[1]),
            "LISTA": against("multiplications", listas.values()),
            "learned coordinate descent": against("multiplications", descents),
            "coordinate descent": against("multiplications", descents, "unlearned"),
        }
        drawn = curves(lines, xlabel="multiplications for a patch", ylabel="code error", log="xy")
        run.figure("multiplications", drawn)
        kinds = {"S sparse": "entries of S", "I − S of low rank": "rank"}
        names = {
            label: [name for name in run.measured.methods("share") if kind in name] for label, kind in kinds.items()
        }
        lines = {label: against("share", each) for label, each in names.items() if each}
        if lines:
            ends = [min(share for shares, _ in lines.values() for share in shares), 1.0]
            lines["whole S"] = (ends, [mean(listas[self.inhibited], "code_error")] * 2)
            lines["no S: LISTA 1"] = (ends, [mean(listas[1], "code_error")] * 2)
            drawn = curves(lines, xlabel="share of the multiplications by S", ylabel="code error", log="x")
            run.figure("inhibition", drawn)

    def _patches(self, run: Run, first: Left) -> None:
        energy, test, two = first
        y, solve = test[:12], partial(infer, energy, y=test[:12], over="z")
        with torch.no_grad():
            codes = {"exact code": solve(solver=ActiveSet(CERTIFICATE)).value, TWO: two(y)}
            codes["FISTA, 2 iterations"] = solve(solver=FISTA(2, tol=None)).value
        run.figure("patches", decoded_rows(energy, y, codes))
        run.grid("atoms", [(atom_sheet(energy.dictionary.T), "")], columns=2)
