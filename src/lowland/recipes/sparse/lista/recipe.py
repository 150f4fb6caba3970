"""Learned encoders of sparse codes: how far a few unrolled steps of a solver get, and what for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowland.data.natural import patches
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError
from lowland.evaluation.amortisation import Encoder, amortisation_gap, error_path, iterates, worth_iterations
from lowland.evaluation.warm_start import warm_start_times
from lowland.inference import infer
from lowland.nn.learned_coordinate_descent import LearnedCoordinateDescent
from lowland.plots.curves import curves
from lowland.plots.images import image_rows, images
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe, train
from lowland.recipes.sparse.lista.encoders import BY_ENERGY, TWO, UNTIED, Plan, descent_of, encoders, lista_of
from lowland.reports.run import Run
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.active_set import ActiveSet
from lowland.solvers.proximal import FISTA, ISTA
from lowland.training.fit import fit

SIDE, EXACT, CERTIFICATE = 12, ActiveSet(1e-6), 1e-4
ZERO = "zero code (baseline)"


class Left(NamedTuple):
    """What the pictures need of a seed."""

    energy: SparseCoding
    test: Tensor
    two: nn.Module


@recipe
@dataclass(frozen=True)
class ListaRecipe(SeededRecipe):
    """E(y, z) = ½‖y − W z‖² + λ‖z‖₁ on natural patches; encoders learn argmin_z E for one learned dictionary W."""

    samples: Annotated[int, Bound(least=1000)] = 60_000
    """Training patches of 12 × 12 pixels."""
    tests: Count = 5_000
    """Test patches, and as many validation patches, from other parts of the photographs."""
    atoms: Count = 256
    """Atoms of the dictionary."""
    sparsity: Positive = 0.1
    """λ, in units of the patches, which have norm 1."""
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
        y, validation, test = (
            patches(SIDE, count, self.generator(10 * seed + number), part=part).to(self.device)
            for number, (part, count) in enumerate(
                {"train": self.samples, "validation": self.tests, "test": self.tests}.items()
            )
        )
        energy = SparseCoding(SIDE**2, self.atoms, self.sparsity).to(self.device)
        run.stage("dictionary", partial(self._dictionary, energy, y, seed), [energy])
        if seed == 0:
            run.save_energy("sparse-coding", energy)
        codes = cache(lambda: infer(energy, y=y, over="z", solver=EXACT).value)
        plans: dict[str, Plan] = {}
        lengths = (self.shrinkages, self.untied, self.inhibited, self.shares, self.ranks, self.descents)
        for plan in encoders(energy.dictionary.detach(), self.sparsity, *lengths):
            learn = partial(self._learn, energy, plan, y, codes, seed)
            run.stage(plan.name.replace(" ", "-"), learn, [plan.encoder])
            plans[plan.name] = plan
        paths = run.stage("iterations", partial(self._paths, energy, test))
        coders = self._baselines(energy) | {name: (plan.label, plan.encoder) for name, plan in plans.items()}
        compared = {name: encoder for name, (_, encoder) in coders.items()}
        report = run.stage("report", lambda: amortisation_gap(energy, test, compared, EXACT).rows())
        starts = {name: plan.encoder for name, plan in sorted(plans.items()) if plan.polished}
        times = partial(warm_start_times, energy, test, starts, validation, CERTIFICATE)
        polish = run.stage("polish", lambda: {name: start._asdict() for name, start in times().items()})
        labels = {name: label for name, (label, _) in coders.items()}
        return self._rows(labels, plans, report, paths, polish), Left(energy, test, plans["LISTA 2"].encoder)

    def _dictionary(self, energy: SparseCoding, y: Tensor, seed: int) -> None:
        """Online dictionary learning, from atoms that are patches."""
        with torch.no_grad():
            energy.dictionary.copy_(y[: self.atoms].T)
        shaping = ExpectationMaximisation(ActiveSet(CERTIFICATE), memory=1.0, forgetting=1.0, initialise=False)
        options = {"batch_size": min(1000, len(y)), "validation": 0.0, "progress": False}
        fit(energy, y, shaping, max_steps=self.updates, seed=seed, **options)

    def _learn(self, energy: SparseCoding, plan: Plan, y: Tensor, codes: Callable[[], Tensor], seed: int) -> None:
        """On exact codes or on the energy."""
        shaping = CodePrediction(plan.encoder.to(self.device), codes=codes(), objective=plan.objective)
        adam = partial(torch.optim.Adam, fused=True)
        steps = self.descent_steps if isinstance(plan.encoder, LearnedCoordinateDescent) else self.steps
        train(energy, y, shaping, steps, batch_size=128, lr=plan.rate, optimiser=adam, seed=seed)

    def _paths(self, energy: SparseCoding, test: Tensor) -> dict[str, dict[str, list[float]]]:
        """Code error and gap after each iteration, and after some numbers of steps of one unit each."""
        solvers = (ISTA(self.iterations, tol=None), FISTA(self.iterations, tol=None))
        paths = {type(solver).__name__: iterates(energy, solver) for solver in solvers}
        descents = [LearnedCoordinateDescent(energy.dictionary, self.sparsity, count) for count in self.descents]
        paths["coordinate descent"] = lambda y: [descent(y) for descent in descents]
        return {name: error_path(energy, test, path, EXACT)._asdict() for name, path in paths.items()}

    def _baselines(self, energy: SparseCoding) -> dict[str, tuple[str, Encoder]]:
        def fista(count: int) -> tuple[str, Encoder]:
            solve = partial(infer, energy, over="z", solver=FISTA(count, tol=None))
            return f"FISTA, {count} iterations (baseline)", lambda y: solve(y=y).value

        last = self.descents[-1]
        descent = LearnedCoordinateDescent(energy.dictionary, self.sparsity, last)
        return {
            "zero code": (ZERO, lambda y: y.new_zeros(len(y), self.atoms)), "FISTA 2": fista(2), "FISTA 20": fista(20),
            f"descent {last}": (f"coordinate descent, {last} steps, nothing learned (baseline)", descent),
        }  # fmt: skip

    def _rows(
        self, labels: Mapping[str, str], plans: Mapping[str, Plan], report: Any, paths: Any, polish: Any
    ) -> dict[str, dict[str, Any]]:
        """All numbers of a seed, by the names that methods have on the page."""
        base, step = SIDE**2 * self.atoms, self.atoms**2
        rows = {labels.get(name, name): {k: v for k, v in row.items() if k != "name"} for name, row in report.items()}
        counts = {name: plan.encoder.multiplications for name, plan in plans.items()}
        counts |= {"zero code": 0, "FISTA 2": base + step, "FISTA 20": base + 19 * step}
        counts |= {f"descent {self.descents[-1]}": base + self.descents[-1] * self.atoms}
        for name, count in counts.items():
            rows[labels[name]]["multiplications"] = count
        for label in (TWO, BY_ENERGY):
            for measure, key in (("error", "code_error"), ("gap", "gap")):
                rows[label][f"FISTA {measure}"] = worth_iterations(paths["FISTA"][measure], rows[label][key])
        for count, unlearned in zip(self.descents, paths["coordinate descent"]["error"], strict=True):
            rows[descent_of(count)]["unlearned"] = unlearned
        for name in ("LISTA 2", *(f"LCoD {count}" for count in self.descents)):
            if counts[name] <= counts["LISTA 2"]:
                rows[labels[name]]["affordable"] = rows[labels[name]]["code_error"]
        whole = counts[f"LISTA {self.inhibited}"] - base
        for name in [f"share {share:g}" for share in self.shares] + [f"rank {rank}" for rank in self.ranks]:
            row = rows[labels[name]]
            row |= {"share": (counts[name] - base) / whole, "partial": row["code_error"]}
        for name, start in polish.items():
            row = rows.setdefault(labels["zero code"] if name == "zero" else labels.get(name, name), {})
            row |= start | {"start": (start["encoder"] + start["coder"]) / polish["zero"]["coder"]}
        for solver in ("ISTA", "FISTA"):
            rows[solver] = {f"{m} {k}": value for m, path in paths[solver].items() for k, value in enumerate(path)}
        return rows

    def figures(self, run: Run, first: Left) -> None:
        mean, base, step = run.measured.mean, SIDE**2 * self.atoms, self.atoms**2

        def line(names: Mapping[Any, str], measure: str = "code_error") -> tuple[list[Any], list[Any]]:
            return list(names), [mean(name, measure) for name in names.values()]

        listas = {count: lista_of(count) for count in sorted(self.shrinkages)}
        # With 2 shrinkages there is one S: the lines of tied and untied steps begin at the same point.
        untied = {2: TWO} | {count: UNTIED.format(lista_of(count)) for count in sorted(self.untied)}
        fista: dict[str, list[Any]] = {}
        for measure, key, label in (
            ("error", "code_error", "code error  Σ‖z − z*‖² / Σ‖z*‖²"), ("gap", "gap", "(E(z) − E(z*)) / E(z*)")
        ):  # fmt: skip
            counts = range(1, self.iterations + 1)
            paths = {name: [mean(name, f"{measure} {count}") for count in counts] for name in ("ISTA", "FISTA")}
            lines: dict[str, Any] = {name: (counts, path) for name, path in paths.items()}
            lines["LISTA, tied"], fista[measure] = line(listas, key), paths["FISTA"]
            if self.untied:
                lines["LISTA, untied"] = line(untied, key)
            run.figure(f"shrinkages-{measure}", curves(lines, xlabel="shrinkages", ylabel=label, log="xy"))
        self._patches(run, first)
        steps = {mean(name, "multiplications"): name for name in map(descent_of, self.descents)}
        lines = {
            "FISTA": ([base + count * step for count in range(self.iterations)], fista["error"]),
            "LISTA": line({mean(name, "multiplications"): name for name in listas.values()}),
            "learned coordinate descent": line(steps),
            "coordinate descent": line(steps, "unlearned"),
        }
        axes = {"xlabel": "multiplications for a patch", "ylabel": "code error", "log": "xy"}
        run.figure("multiplications", curves(lines, **axes))
        lines = {}
        for kind, label in (("entries of S", "S sparse"), ("rank", "I − S of low rank")):
            names = [name for name in run.measured.methods("share") if kind in name]
            lines |= {label: line({mean(name, "share"): name for name in names})} if names else {}
        if lines:
            ends = [min(share for shares, _ in lines.values() for share in shares), 1.0]
            lines["whole S"] = (ends, [mean(listas[self.inhibited], "code_error")] * 2)
            lines["no S: LISTA 1"] = (ends, [mean(listas[1], "code_error")] * 2)
            axes |= {"xlabel": "share of the multiplications by S", "log": "x"}
            run.figure("inhibition", curves(lines, **axes))

    def _patches(self, run: Run, first: Left) -> None:
        energy, y = first.energy, first.test[:12]
        solve = partial(infer, energy, y=y, over="z")
        with torch.no_grad():
            codes = {"exact code": solve(solver=ActiveSet(CERTIFICATE)).value, TWO: first.two(y),
                     "FISTA, 2 iterations": solve(solver=FISTA(2, tol=None)).value}  # fmt: skip
            rows = {"patch": y} | {name: energy.reconstruct(None, y, z) for name, z in codes.items()}
        run.figure("patches", image_rows(rows))
        atoms = images(energy.dictionary.detach().cpu().T, each=True, columns=round(self.atoms**0.5))
        run.grid("atoms", [(atoms, "")], columns=2)
