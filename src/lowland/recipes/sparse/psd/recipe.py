"""Predictive sparse decomposition: a dictionary, and an encoder that saves the inference, learned together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lowland.data.natural import patches
from lowland.energies.predictive_sparse_coding import PredictiveSparseCoding
from lowland.energies.sparse_coding import SparseCoding
from lowland.evaluation.amortisation import amortisation_gap
from lowland.evaluation.linear_coder import LinearCoder, fit_linear_coder
from lowland.evaluation.orientation import orientation
from lowland.inference import infer
from lowland.nn.lista import LISTA
from lowland.plots import curves, images
from lowland.plots.images import image_rows
from lowland.recipes.base import Bound, Count, NotNegative, Positive, SeededRecipe, recipe, train
from lowland.reports.run import Run
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.active_set import ActiveSet

SIDE, BATCH = 12, 256
EXACT = ActiveSet(1e-6)


class Left(NamedTuple):
    """What the pictures need of a seed."""

    energy: PredictiveSparseCoding
    coding: SparseCoding
    test: Tensor
    loss: list[list[float]]


@recipe
@dataclass(frozen=True)
class PsdRecipe(SeededRecipe):
    """E(y, z) = ½‖y − W z‖² + (α/2)‖z − Enc(y)‖² + λ‖z‖₁: infer z, then take a step on W and on Enc."""

    samples: Annotated[int, Bound(least=BATCH)] = 50_000
    """Training patches of 12 × 12 pixels."""
    tests: Count = 5_000
    """Test patches, and as many validation patches, from other parts of the photographs."""
    atoms: Count = 256
    """Atoms of the dictionary."""
    sparsity: NotNegative = 0.1
    """λ, in units of the patches, which have norm 1."""
    prediction: NotNegative = 1.0
    """α, the weight of the prediction."""
    shrinkages: Count = 1
    """K of the encoder; with 1 it is a linear map and a shrinkage."""
    steps: Count = 2000
    """Training steps, of 256 patches each."""
    rate: Positive = 2e-3
    """Learning rate at first; it falls to zero."""

    stages: ClassVar[int] = 4
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "samples": 1000, "tests": 100, "atoms": 32, "steps": 30}
    }

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        parts = {"train": self.samples, "validation": self.tests, "test": self.tests}
        data, validation, test = (
            patches(SIDE, count, self.generator(10 * seed + number), part=part).to(self.device)
            for number, (part, count) in enumerate(parts.items())
        )
        energy = PredictiveSparseCoding(
            SIDE**2, self.atoms, self.sparsity, self.prediction, shrinkages=self.shrinkages,
            generator=self.generator(10 * seed + 3),
        ).to(self.device)  # fmt: skip
        first = energy.dictionary.detach().clone()
        learn = partial(self._train, energy, data, MinimumEnergy(ActiveSet(1e-4)), seed)
        loss = run.stage("together", learn, [energy])
        if seed == 0:
            run.save_energy("psd", energy)
        # The learned dictionary without the prediction: what exact inference minimises.
        coding = SparseCoding(SIDE**2, self.atoms, self.sparsity).to(self.device)
        coding.load_state_dict({"dictionary": energy.dictionary.detach()})
        codes = infer(coding, y=data, over="z", solver=EXACT).value
        further = copy.deepcopy(energy.encoder)
        run.stage("further", partial(self._train, coding, data, CodePrediction(further, codes=codes), seed), [further])
        linear = LinearCoder(**run.stage("linear", lambda: fit_linear_coder(coding, data, codes, validation)._asdict()))
        linear = linear._replace(matrix=linear.matrix.to(self.device))
        with torch.no_grad():
            active = max(1, round(float((energy.code(test) != 0).sum(dim=1).float().mean())))
        encoders: dict[str, Callable[[Tensor], Tensor]] = {
            "zero code": lambda y: y.new_zeros(len(y), self.atoms),
            "before training": LISTA(first, self.sparsity, self.shrinkages).to(self.device),
            "step of ISTA": LISTA(energy.dictionary, self.sparsity, self.shrinkages).to(self.device),
            "linear": linear.dense,
            "linear, as sparse": partial(linear.sparse, active=active),
            "linear, shrunk": linear.shrunk,
            "PSD": energy.code,
            "further": further,
        }
        numbers: dict[str, Any] = dict(
            run.stage("report", lambda: amortisation_gap(coding, test, encoders, EXACT).rows())
        )
        for name, atoms in {"learned": energy.dictionary.T, "first": first.T, "patches": test[: self.atoms]}.items():
            selectivity = orientation(atoms.detach().cpu(), (SIDE, SIDE)).selectivity
            numbers[name] = {"selectivity": float(selectivity.mean())}
        return numbers, Left(energy, coding, test, loss)

    def _train(self, energy: SparseCoding, data: Tensor, shaping: Any, seed: int) -> list[list[float]]:
        """Steps and losses."""
        found = train(energy, data, shaping, self.steps, batch_size=BATCH, lr=self.rate, optimiser=_adam, seed=seed)
        curve = next(curve for name, curve in found.history.items() if name.startswith("loss/"))
        return [list(map(float, curve.steps)), list(map(float, curve.values))]

    def figures(self, run: Run, first: Left) -> None:
        energy, y, columns = first.energy, first.test[:12], round(self.atoms**0.5)
        sheets = (energy.dictionary.T, energy.encoder.filters)
        drawn = [(images(part.detach().cpu(), each=True, columns=columns), "") for part in sheets]
        run.grid("atoms", drawn, columns=2, dpi=130)
        run.show(loss=first.loss)
        steps, losses = first.loss
        drawn = curves(
            {"first seed": (steps, losses)}, xlabel="step", ylabel="free energy of a batch", title="Training"
        )
        run.figure("training", drawn)
        with torch.no_grad():
            code = infer(first.coding, y=y, over="z", solver=EXACT).value
            rows = {"patch": y, "exact code": first.coding.reconstruct(None, y, code)}
            rows["encoder"] = first.coding.reconstruct(None, y, energy.code(y))
        run.figure("patches", image_rows(rows))


def _adam(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr, fused=True)
