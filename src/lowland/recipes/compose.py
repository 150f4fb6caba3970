"""Energies trained apart and added (rows E2, E5): the hidden half of a digit is inferred from their sum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.energies.base import Energy
from lowland.energies.compose import Clamped, Smoothness, Sum
from lowland.energies.gaussian import Gaussian
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError, nearest
from lowland.inference import infer
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.compose_page import (
    BEST,
    HALVES,
    PARTNERS,
    SHOWN,
    SIDE,
    WEIGHTS,
    mask_of,
    spread,
    write_any_half,
    write_errors,
    write_landscapes,
)
from lowland.reports.run import Run
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.alternation import Alternation
from lowland.solvers.gradient_descent import GradientDescent
from lowland.solvers.lbfgs import LBFGS
from lowland.solvers.proximal import FISTA
from lowland.training.fit import fit

SPARSITIES = (0.03, 0.1, 0.2)
"""Values of λ among which the validation digits choose."""


@recipe(
    "compose",
    shows="Two energies that were trained apart are added, and the hidden half of a digit is inferred from the sum: "
    "better than from either alone.",
    rows=("E2", "E5"),
    minutes=1.5,
    title="Energies add up",
)
@dataclass(frozen=True)
class ComposeRecipe(Recipe):
    """E(y, z) = ½‖y − W z‖² + λ‖z‖₁ + w F(y), with half of y known, minimised over the other half and z."""

    hidden: str = "lower"
    """The half that is hidden: lower, upper, left or right."""
    seeds: int = 3
    """Repetitions, each with its own first dictionary and its own split into training and validation."""
    atoms: int = 100
    """Strokes in the dictionary."""
    steps: int = 100
    """Updates of the dictionary, of 128 digits each."""
    rounds: int = 100
    """Rounds of inference, over z and over the hidden half in turn."""
    images: int = 300
    """Test digits, and at most so many validation digits."""
    resolution: int = 60
    """Cells along each side of a landscape."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "atoms": 20, "steps": 5, "rounds": 5, "images": 20, "resolution": 12}
    }

    def __post_init__(self) -> None:
        if self.hidden not in HALVES:
            raise OptionError(f"There is no half called {self.hidden!r}. {nearest(self.hidden, HALVES)}")
        if min(self.seeds, self.atoms, self.steps, self.rounds, self.resolution) < 1 or self.images < 10:
            raise OptionError("seeds, atoms, steps, rounds and resolution must be at least 1, and images at least 10.")

    def run(self, run: Run) -> None:
        run.expect(3 * self.seeds + 1)
        mask, found, kept = mask_of(self.hidden).to(self.device), [], None
        for seed in range(self.seeds):
            data = load("digits").resplit(0.2, self.generator(100 + seed))
            train, validation, test = (self._flat(data, name) for name in ("train", "validation", "test"))
            strokes = SparseCoding(SIDE**2, self.atoms, 0.3, positive=True, generator=self.generator(seed))
            strokes = strokes.to(self.device)
            run.stage(f"seed-{seed}/strokes", partial(self._learn, strokes, train, seed), [strokes])
            partners = {"smoothness": Smoothness(SIDE, SIDE), "correlations": _correlations(train)}
            choose = partial(self._choose, strokes, partners, validation[: self.images], mask)
            chosen = run.stage(f"seed-{seed}/validation", choose)
            energies = _energies(strokes, partners, chosen)
            tested = run.stage(f"seed-{seed}/test", partial(self._test, energies, train, test[: self.images], mask))
            found.append({"curves": chosen["curves"], "errors": tested["errors"]})
            kept = kept or (energies, test[: self.images], tested["completed"])
        assert kept is not None
        for name in ("strokes", "correlations"):
            run.save_energy(name, kept[0][name])
        self._results(run, found)
        energies, digits_shown, done = kept
        shown = digits_shown.cpu()
        any_half = run.stage("any-half", partial(self._any, energies[BEST].to(self.device), digits_shown[:SHOWN]))
        run.part(write_errors, found, self.hidden, shown, done)
        run.part(write_landscapes, energies, shown, done, self.resolution)
        run.part(write_any_half, any_half, shown)

    def _flat(self, data: Images, split: str) -> Tensor:
        return getattr(data, split).flatten(1).to(self.device)

    def _learn(self, strokes: SparseCoding, train: Tensor, seed: int) -> None:
        shaping = ExpectationMaximisation(solver=FISTA(max_steps=100), memory=1.0)
        fit(strokes, train, shaping, max_steps=self.steps, batch_size=128, validation=0.0, seed=seed, progress=False)

    def _choose(
        self, strokes: SparseCoding, partners: dict[str, Energy], validation: Tensor, mask: Tensor
    ) -> dict[str, Any]:
        """The sparsity that is best for the strokes alone, and then the weight of each partner, on validation digits.

        Half of the pixels are hidden, so that a code has half the evidence that it had in training: another λ is best.
        """

        def error(energy: Energy) -> float:
            return _error(self.complete(energy, validation, mask), validation, mask)

        alone = {sparsity: error(_resparsed(strokes, sparsity)) for sparsity in SPARSITIES}
        sparsity = min(alone, key=alone.__getitem__)
        again, lines, weights = _resparsed(strokes, sparsity), {}, {}
        for name, partner in partners.items():
            errors = [error(_sum(again, name, partner, weight)) for weight in WEIGHTS]
            lines[name], weights[name] = [alone[sparsity], *errors], WEIGHTS[errors.index(min(errors))]
        return {"sparsity": sparsity, "weights": weights, "curves": lines}

    def _test(self, energies: dict[str, Energy], train: Tensor, test: Tensor, mask: Tensor) -> dict[str, Any]:
        completed = {"mean image": mask * test + (1 - mask) * train.mean(dim=0)}
        completed |= {name: self.complete(energy, test, mask) for name, energy in energies.items()}
        return {"errors": {name: _error(y, test, mask) for name, y in completed.items()}, "completed": completed}

    def complete(self, energy: Energy, y: Tensor, mask: Tensor) -> Tensor:
        """Images with the hidden half inferred; what y has there is not used. All start at grey 0.3 and z = 0."""
        clamped, x = Clamped(energy), {"known": mask * y, "mask": mask.expand_as(y)}
        start = torch.full_like(y, 0.3)
        if "z" not in energy.domains:
            found = infer(clamped, x=x, over="y", solver=LBFGS(max_steps=200), init=start)
            return clamped.complete(x, found.value)
        descent = GradientDescent(1 / _curvature(energy, y), max_steps=5, tol=None)
        solver = Alternation({"z": FISTA(max_steps=30), "y": descent}, max_steps=self.rounds, tol=1e-3)
        code = y.new_zeros(len(y), self.atoms)
        found = infer(clamped, x=x, over=("y", "z"), solver=solver, init={"y": start, "z": code})
        return clamped.complete(x, found.value["y"])

    def _results(self, run: Run, found: list[dict[str, Any]]) -> None:
        claim = "mean squared error of the hidden pixels of test digits, with grey levels from 0 to 1"
        common = {
            "id": "E2",
            "seeds": self.seeds,
            "data": f"digits, {min(self.images, 300)} test images, {self.hidden} half hidden",
        }
        for name in found[0]["errors"]:
            mean, sd = spread([one["errors"][name] for one in found])
            method = f"{name} (baseline)" if name == "mean image" else name
            run.result(claim=claim, method=method, measured=mean, sd=sd, **common)
        for name in PARTNERS:
            gain = [one["errors"][f"strokes + {name}"] - min(one["errors"]["strokes"], one["errors"][name])
                    for one in found]  # fmt: skip
            mean, sd = spread(gain)
            claim = "error of the sum less that of the better of its two terms alone, seed by seed"
            run.result(claim=claim, method=f"strokes + {name}", measured=mean, sd=sd, **common)

    def _any(self, energy: Energy, y: Tensor) -> dict[str, Tensor]:
        return {half: self.complete(energy, y, mask_of(half).to(y)) for half in HALVES}


def _curvature(energy: Energy, y: Tensor) -> float:
    """A bound on the curvature in y for given z: that of ½‖y − W z‖² is 1, and Smoothness and Gaussian know theirs."""
    if isinstance(energy, Sum):
        terms = {name: term for name, term in energy.terms.items() if isinstance(term, Energy)}
        return sum(energy.weights[name] * _curvature(term, y) for name, term in terms.items())
    bound = energy.structure(("y",), None, y, None).bound()
    return 1.0 if bound is None else float(bound)


def _correlations(train: Tensor) -> Gaussian:
    """The Gaussian of greatest likelihood of digits with noise of 0.1; without noise a border of zeros has no width."""
    covariance = torch.cov(train.T.double(), correction=0) + 0.01 * torch.eye(SIDE**2).to(train).double()
    return Gaussian(SIDE**2, train.mean(dim=0), torch.linalg.inv(covariance).to(train)).to(train.device)


def _resparsed(strokes: SparseCoding, sparsity: float) -> SparseCoding:
    """The same dictionary with another λ."""
    again = SparseCoding(SIDE**2, strokes.dictionary.shape[1], sparsity, positive=True).to(strokes.dictionary.device)
    again.load_state_dict(strokes.state_dict())
    return again


def _sum(strokes: Energy, name: str, partner: Energy, weight: float) -> Sum:
    return Sum({"strokes": strokes, name: partner}, {name: weight})


def _energies(strokes: SparseCoding, partners: dict[str, Energy], chosen: dict[str, Any]) -> dict[str, Energy]:
    """Each energy alone, and the strokes with each partner, with what the validation digits chose."""
    again = _resparsed(strokes, chosen["sparsity"])
    sums = {f"strokes + {name}": _sum(again, name, part, chosen["weights"][name]) for name, part in partners.items()}
    return {**partners, "strokes": again, **sums}


def _error(completed: Tensor, y: Tensor, mask: Tensor) -> float:
    """Mean squared error of the hidden pixels."""
    return (completed - y)[:, mask == 0].square().mean().item()
