"""Predictive sparse decomposition: a dictionary, and an encoder that saves the inference, learned together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from lowland.energies.predictive_sparse_coding import PredictiveSparseCoding
from lowland.energies.sparse_coding import SparseCoding
from lowland.evaluation.amortisation import amortisation_gap
from lowland.evaluation.linear_coder import LinearCoder, fit_linear_coder
from lowland.evaluation.orientation import orientation
from lowland.inference import infer
from lowland.nn.lista import LISTA
from lowland.plots import curves
from lowland.plots.atoms import atom_sheet, decoded_rows
from lowland.recipes.base import Bound, Count, NotNegative, Positive, recipe, train
from lowland.recipes.sparse.common import SIDE, PatchRecipe, fused_adam
from lowland.reports.run import Run
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.active_set import ActiveSet

BATCH, EXACT = 256, ActiveSet(1e-6)
Left = tuple[PredictiveSparseCoding, SparseCoding, Tensor, list[list[float]]]
"""What the pictures need of a seed: the energy, the same without its prediction, test patches, and the loss."""


@recipe
@dataclass(frozen=True)
class PsdRecipe(PatchRecipe):
    """E(y, z) = ½‖y − W z‖² + (α/2)‖z − Enc(y)‖² + λ‖z‖₁: infer z, then take a step on W and on Enc."""

    samples: Annotated[int, Bound(least=BATCH)] = 50_000
    """Training patches of 12 × 12 pixels."""
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
        data, validation, test = self.patches(seed)
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
        numbers: dict[str, Any] = run.stage("report", lambda: amortisation_gap(coding, test, encoders, EXACT).rows())
        for name, atoms in {"learned": energy.dictionary.T, "first": first.T, "patches": test[: self.atoms]}.items():
            selectivity = orientation(atoms.detach().cpu(), (SIDE, SIDE)).selectivity
            numbers[name] = {"selectivity": float(selectivity.mean())}
        return numbers, (energy, coding, test, loss)

    def _train(self, energy: SparseCoding, data: Tensor, shaping: Any, seed: int) -> list[list[float]]:
        """Steps and losses."""
        options = {"batch_size": BATCH, "lr": self.rate, "optimiser": fused_adam, "seed": seed}
        found = train(energy, data, shaping, self.steps, **options)
        curve = next(curve for name, curve in found.history.items() if name.startswith("loss/"))
        return [list(map(float, curve.steps)), list(map(float, curve.values))]

    def figures(self, run: Run, first: Left) -> None:
        energy, coding, test, loss = first
        sheets = (energy.dictionary.T, energy.encoder.filters)
        run.grid("atoms", [(atom_sheet(part), "") for part in sheets], columns=2, dpi=130)
        run.show(loss=loss)
        axes: dict[str, Any] = {"xlabel": "step", "ylabel": "free energy of a batch", "title": "Training"}
        run.figure("training", curves({"first seed": (loss[0], loss[1])}, **axes))
        y = test[:12]
        codes = {"exact code": infer(coding, y=y, over="z", solver=EXACT).value, "encoder": energy.code(y)}
        run.figure("patches", decoded_rows(coding, y, codes))
