"""Energies trained separately and added: the hidden half of a digit is inferred from their sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lowland.data.catalogue import load
from lowland.energies.base import Energy
from lowland.energies.compose import Clamped, Smoothness, Sum
from lowland.energies.gaussian import Gaussian
from lowland.energies.sparse_coding import SparseCoding
from lowland.inference import infer
from lowland.plots import curves, landscape, measure, plane_through
from lowland.plots.images import image_rows
from lowland.plots.style import FAINT, GOLD, INK, ORANGE, PAPER
from lowland.recipes.base import Bound, Count, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.alternation import Alternation
from lowland.solvers.gradient_descent import GradientDescent
from lowland.solvers.lbfgs import LBFGS
from lowland.solvers.proximal import FISTA
from lowland.training.fit import fit

SIDE, SHOWN = 8, 12
HALVES = {"right": (0, 4, 8, 4), "left": (0, 0, 8, 4), "lower": (4, 0, 4, 8), "upper": (0, 0, 4, 8)}
"""Halves of an image: first row and column, height and width in pixels."""
SPARSITIES = (0.03, 0.1, 0.2)
"""Values of λ among which the validation digits choose."""
WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Weights of the second energy of a sum, of which the validation digits choose one."""
PARTNERS = ("smoothness", "correlations")
BEST = "strokes + correlations"
LABELS = {"sum": (8, 7), "strokes": (-12, -20), "correlations": (-12, -20), "truth": (8, 5)}
"""Points named on a landscape, and how far from them their names stand."""


class Left(NamedTuple):
    """What the pictures need: energies, test digits, what each energy made of them, and the sum of each half."""

    energies: dict[str, Energy]
    test: Tensor
    done: dict[str, Tensor]
    halves: dict[str, Tensor]


@recipe
@dataclass(frozen=True)
class ComposeRecipe(SeededRecipe):
    """E(y, z) = ½‖y − W z‖² + λ‖z‖₁ + w F(y), with half of y known, minimised over the other half and z."""

    hidden: Literal["lower", "upper", "left", "right"] = "lower"
    """The half that is hidden."""
    atoms: Count = 100
    """Strokes in the dictionary."""
    steps: Count = 100
    """Updates of the dictionary, of 128 digits each."""
    rounds: Count = 100
    """Rounds of inference, over z and over the hidden half in turn."""
    images: Annotated[int, Bound(least=10)] = 300
    """Test digits, and the largest number of validation digits."""
    resolution: Count = 60
    """Cells along each side of a landscape."""

    stages: ClassVar[int] = 3
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "atoms": 20, "steps": 5, "rounds": 5, "images": 20, "resolution": 12}
    }

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        data, mask = load("digits").resplit(0.2, self.generator(100 + seed)), mask_of(self.hidden).to(self.device)
        train, validation, test = (
            getattr(data, name).flatten(1).to(self.device) for name in ("train", "validation", "test")
        )
        strokes = SparseCoding(SIDE**2, self.atoms, 0.3, positive=True, generator=self.generator(seed)).to(self.device)
        run.stage("strokes", partial(self._learn, strokes, train, seed), [strokes])
        partners = {"smoothness": Smoothness(SIDE, SIDE), "correlations": correlations(train)}
        choose = partial(self._choose, strokes, partners, validation[: self.images], mask)
        chosen = run.stage("validation", choose)
        again, weights = _resparsed(strokes, chosen["sparsity"]), chosen["weights"]
        sums = {f"strokes + {name}": add(again, name, part, weights[name]) for name, part in partners.items()}
        energies = {**partners, "strokes": again, **sums}
        tested = run.stage("test", partial(self._test, energies, train, test[: self.images], mask))
        halves = {}
        if seed == 0:
            for name in ("strokes", "correlations"):
                run.save_energy(name, energies[name])
            halves = run.stage("any-half", partial(self._any, energies[BEST], test[:SHOWN]))
        errors = tested["errors"]
        numbers = {name: {"error": error} for name, error in errors.items()}
        for name in PARTNERS:
            row, (alone, *tried) = numbers[f"strokes + {name}"], chosen["curves"][name]
            row["gain"] = row["error"] - min(errors["strokes"], errors[name])
            row |= {"validation alone": alone} | {f"validation {w}": v for w, v in zip(WEIGHTS, tried, strict=True)}
        return numbers, Left(energies, test[: self.images].cpu(), tested["completed"], halves)

    def _learn(self, strokes: SparseCoding, train: Tensor, seed: int) -> None:
        shaping = ExpectationMaximisation(solver=FISTA(max_steps=100), memory=1.0)
        fit(strokes, train, shaping, max_steps=self.steps, batch_size=128, validation=0.0, seed=seed, progress=False)

    def _choose(
        self, strokes: SparseCoding, partners: dict[str, Energy], validation: Tensor, mask: Tensor
    ) -> dict[str, Any]:
        """The sparsity that is best for the strokes alone, and then the weight of each partner, on validation digits.

        Half of the pixels are hidden, so a code has half the evidence that it had in training: another λ is best.
        """

        def error(energy: Energy) -> float:
            return _error(self.complete(energy, validation, mask), validation, mask)

        alone = {sparsity: error(_resparsed(strokes, sparsity)) for sparsity in SPARSITIES}
        sparsity = min(alone, key=alone.__getitem__)
        again, lines, weights = _resparsed(strokes, sparsity), {}, {}
        for name, partner in partners.items():
            errors = [error(add(again, name, partner, weight)) for weight in WEIGHTS]
            lines[name], weights[name] = [alone[sparsity], *errors], WEIGHTS[errors.index(min(errors))]
        return {"sparsity": sparsity, "weights": weights, "curves": lines}

    def _test(self, energies: dict[str, Energy], train: Tensor, test: Tensor, mask: Tensor) -> dict[str, Any]:
        completed = {"mean image": mask * test + (1 - mask) * train.mean(dim=0)}
        completed |= {name: self.complete(energy, test, mask) for name, energy in energies.items()}
        return {"errors": {name: _error(y, test, mask) for name, y in completed.items()}, "completed": completed}

    def _any(self, energy: Energy, y: Tensor) -> dict[str, Tensor]:
        return {half: self.complete(energy, y, mask_of(half).to(y)) for half in HALVES}

    def complete(self, energy: Energy, y: Tensor, mask: Tensor) -> Tensor:
        """Images with the hidden half inferred; what y has there is not used. All start at grey 0.3 and z = 0."""
        clamped, x = Clamped(energy), {"known": mask * y, "mask": mask.expand_as(y)}
        start = torch.full_like(y, 0.3)
        if "z" not in energy.domains:
            found = infer(clamped, x=x, over="y", solver=LBFGS(max_steps=200), init=start)
            return clamped.complete(x, found.value)
        descent = GradientDescent(1 / curvature(energy, y), max_steps=5, tol=None)
        solver = Alternation({"z": FISTA(max_steps=30), "y": descent}, max_steps=self.rounds, tol=1e-3)
        code = y.new_zeros(len(y), self.atoms)
        found = infer(clamped, x=x, over=("y", "z"), solver=solver, init={"y": start, "z": code})
        return clamped.complete(x, found.value["y"])

    def figures(self, run: Run, first: Left) -> None:
        truth, results = first.test[:SHOWN], run.measured
        given = torch.where(mask_of(self.hidden).bool(), truth, torch.nan)
        rows = {f"{name}  {results.mean(name, 'error'):.4f}": y[:SHOWN] for name, y in first.done.items()}
        run.figure("halves", _sheet({"given": given, **rows, "truth": truth}, {"given": self.hidden}))
        lines: dict[str, Any] = {}
        for name in PARTNERS:
            mean = partial(results.mean, f"strokes + {name}")
            lines[f"+ {name}"] = (WEIGHTS, [mean(f"validation {weight}") for weight in WEIGHTS])
            lines["strokes alone"] = (WEIGHTS, [mean("validation alone")] * len(WEIGHTS))
        ylabel = "squared error of a hidden pixel"
        run.figure("weights", curves(lines, title="Validation digits", xlabel="weight w", ylabel=ylabel, log="x"))
        run.part(self._landscapes, first)
        rows = {f"{half} half": y for half, y in first.halves.items()}
        run.figure("any", _sheet({**rows, "truth": truth}, {f"{half} half": half for half in HALVES}))

    def _landscapes(self, run: Run, first: Left) -> None:
        """Two energies and their sum on the plane through the truth and the answers of the two."""
        done = first.done
        index = int((done["strokes"] - done["correlations"])[:40].square().sum(dim=1).argmax())
        answers = {**{name: done[name][index] for name in ("strokes", "correlations")}, "truth": first.test[index]}
        plane = plane_through(torch.stack(list(answers.values())), (0, 1, 2))
        flat = {name: plane.project(y[None])[0] for name, y in {**answers, "sum": done[BEST][index]}.items()}
        half = 1.3 * float(torch.stack(list(flat.values())).abs().max())
        panels = []
        for name in ("strokes", "correlations", BEST):
            field = measure(
                first.energies[name].cpu(), ((-half, half), (-half, half)), resolution=self.resolution, arrows=13,
                plane=plane, solver=FISTA(max_steps=200),
            )  # fmt: skip
            drawn = landscape(field, title=name.capitalize())
            for label, u in flat.items():
                place = (float(u[0]), float(u[1]))
                drawn.axes[0].plot(*place, "o", color=GOLD, mec=INK, mew=0.8, ms=8, zorder=9)
                drawn.axes[0].annotate(
                    label, place, xytext=LABELS[label], textcoords="offset points", fontsize=12, color=INK, zorder=10,
                    bbox={"boxstyle": "round,pad=0.2", "fc": PAPER, "ec": "none", "alpha": 0.75},
                )  # fmt: skip
            panels.append((drawn, ""))
        run.grid("plane", panels)


def mask_of(hidden: str) -> Tensor:
    """(64,): 1 where a pixel is known."""
    top, left, height, width = HALVES[hidden]
    mask = torch.ones(SIDE, SIDE)
    mask[top : top + height, left : left + width] = 0
    return mask.flatten()


def curvature(energy: Energy, y: Tensor) -> float:
    """A bound on the curvature in y for given z: that of ½‖y − W z‖² is 1, and Smoothness and Gaussian know theirs."""
    if isinstance(energy, Sum):
        terms = {name: term for name, term in energy.terms.items() if isinstance(term, Energy)}
        return sum(energy.weights[name] * curvature(term, y) for name, term in terms.items())
    bound = energy.structure(("y",), None, y, None).bound()
    return 1.0 if bound is None else float(bound)


def correlations(train: Tensor) -> Gaussian:
    """The Gaussian of greatest likelihood of digits with noise of 0.1; without noise a border of zeros has no width."""
    covariance = torch.cov(train.T.double(), correction=0) + 0.01 * torch.eye(SIDE**2).to(train).double()
    return Gaussian(SIDE**2, train.mean(dim=0), torch.linalg.inv(covariance).to(train)).to(train.device)


def add(strokes: Energy, name: str, partner: Energy, weight: float) -> Sum:
    """The strokes and a weighted partner."""
    return Sum({"strokes": strokes, name: partner}, {name: weight})


def _resparsed(strokes: SparseCoding, sparsity: float) -> SparseCoding:
    """The same dictionary with another λ."""
    again = SparseCoding(SIDE**2, strokes.dictionary.shape[1], sparsity, positive=True).to(strokes.dictionary.device)
    again.load_state_dict(strokes.state_dict())
    return again


def _error(completed: Tensor, y: Tensor, mask: Tensor) -> float:
    """Mean squared error of the hidden pixels."""
    return (completed - y)[:, mask == 0].square().mean().item()


def _sheet(rows: Mapping[str, Tensor], hidden: Mapping[str, str]) -> Figure:
    """Rows of digits with their names; the hidden half of a row is framed, or tinted where its pixels are NaN."""
    drawn = image_rows({name: y.clamp(0, 1) for name, y in rows.items()}, signed=False, each=False)
    for index, (name, y) in enumerate(rows.items()):
        if name not in hidden:
            continue
        top, left, height, width = HALVES[hidden[name]]
        fill, edge = (FAINT, "none") if bool(y.isnan().any()) else ("none", ORANGE)
        for column in range(len(y)):
            corner = (column * (SIDE + 1) + left - 0.5, index * (SIDE + 1) + top - 0.5)
            box = Rectangle(corner, width, height, facecolor=fill, edgecolor=edge, linewidth=0.9)
            drawn.axes[0].add_patch(box)
    return drawn
