"""Energies trained separately and added: the hidden half of a digit is inferred from their sum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from lowland.data.catalogue import load
from lowland.energies.base import Energy
from lowland.energies.compose import Smoothness
from lowland.energies.gaussian import Gaussian
from lowland.energies.sparse_coding import SparseCoding
from lowland.evaluation.completion import complete, hidden_error
from lowland.plots import curves, landscapes_through
from lowland.plots.images import image_rows
from lowland.recipes.base import Bound, Count, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
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
        partners = {"smoothness": Smoothness(SIDE, SIDE), "correlations": Gaussian.of(train, noise=0.1)}
        choose = partial(self._choose, strokes, partners, validation[: self.images], mask)
        chosen = run.stage("validation", choose)
        again, weights = strokes.with_sparsity(chosen["sparsity"]), chosen["weights"]
        sums = {f"strokes + {name}": again + weights[name] * part for name, part in partners.items()}
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
            return hidden_error(complete(energy, validation, mask, rounds=self.rounds), validation, mask)

        alone = {sparsity: error(strokes.with_sparsity(sparsity)) for sparsity in SPARSITIES}
        sparsity = min(alone, key=alone.__getitem__)
        again, lines, weights = strokes.with_sparsity(sparsity), {}, {}
        for name, partner in partners.items():
            errors = [error(again + weight * partner) for weight in WEIGHTS]
            lines[name], weights[name] = [alone[sparsity], *errors], WEIGHTS[errors.index(min(errors))]
        return {"sparsity": sparsity, "weights": weights, "curves": lines}

    def _test(self, energies: dict[str, Energy], train: Tensor, test: Tensor, mask: Tensor) -> dict[str, Any]:
        completed = {"mean image": mask * test + (1 - mask) * train.mean(dim=0)}
        completed |= {name: complete(energy, test, mask, rounds=self.rounds) for name, energy in energies.items()}
        return {"errors": {name: hidden_error(y, test, mask) for name, y in completed.items()}, "completed": completed}

    def _any(self, energy: Energy, y: Tensor) -> dict[str, Tensor]:
        return {half: complete(energy, y, mask_of(half).to(y), rounds=self.rounds) for half in HALVES}

    def figures(self, run: Run, first: Left) -> None:
        truth, results = first.test[:SHOWN], run.measured
        given = torch.where(mask_of(self.hidden).bool(), truth, torch.nan)
        rows = {f"{name}  {results.mean(name, 'error'):.4f}": y[:SHOWN] for name, y in first.done.items()}
        rows, boxes = {"given": given, **rows, "truth": truth}, {"given": HALVES[self.hidden]}
        sheet = partial(image_rows, signed=False, each=False)
        run.figure("halves", partial(sheet, {name: y.clamp(0, 1) for name, y in rows.items()}, boxes=boxes))
        lines: dict[str, Any] = {}
        for name in PARTNERS:
            tried = [results.mean(f"strokes + {name}", f"validation {weight}") for weight in WEIGHTS]
            lines[f"+ {name}"] = (WEIGHTS, tried)
            lines["strokes alone"] = (WEIGHTS, [results.mean(BEST, "validation alone")] * len(WEIGHTS))
        ylabel = "squared error of a hidden pixel"
        run.figure("weights", curves(lines, title="Validation digits", xlabel="weight w", ylabel=ylabel, log="x"))
        run.part(self._landscapes, first)
        rows = {f"{half} half": y.clamp(0, 1) for half, y in first.halves.items()} | {"truth": truth}
        run.figure("any", partial(sheet, rows, boxes={f"{half} half": box for half, box in HALVES.items()}))

    def _landscapes(self, run: Run, first: Left) -> None:
        """Two energies and their sum on the plane through the truth and the answers of the two."""
        done = first.done
        index = int((done["strokes"] - done["correlations"])[:40].square().sum(dim=1).argmax())
        points = {name: done[name][index] for name in ("strokes", "correlations")}
        points |= {"truth": first.test[index], "sum": done[BEST][index]}
        energies = {name.capitalize(): first.energies[name].cpu() for name in ("strokes", "correlations", BEST)}
        drawn = landscapes_through(energies, points, solver=FISTA(max_steps=200), resolution=self.resolution)
        run.grid("plane", [(one, "") for one in drawn])


def mask_of(hidden: str) -> Tensor:
    """(64,): 1 where a pixel is known."""
    top, left, height, width = HALVES[hidden]
    mask = torch.ones(SIDE, SIDE)
    mask[top : top + height, left : left + width] = 0
    return mask.flatten()
