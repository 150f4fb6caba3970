"""Predictive sparse decomposition (row S6): a dictionary, and an encoder that saves the inference, learned together."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.data.natural import patches
from lowland.energies.predictive_sparse_coding import PredictiveSparseCoding
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError
from lowland.evaluation.gap_report import gap_report
from lowland.evaluation.orientation import orientation
from lowland.inference import infer
from lowland.nn.lista import LISTA, shrink
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.psd_page import write_page, write_results
from lowland.reports.run import Run
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.active_set import ActiveSet
from lowland.training.fit import fit

SIDE = 12
THRESHOLDS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
"""Thresholds after the linear map, of which validation patches choose one."""


@recipe(
    "psd",
    shows="A dictionary of natural patches and an encoder that predicts the sparse code are learned together; then the "
    "encoder alone stands in for inference.",
    rows=("S6", "A2"),
    minutes=2.5,
    title="Predictive sparse decomposition",
)
@dataclass(frozen=True)
class PsdRecipe(Recipe):
    """E(y, z) = ½‖y − W z‖² + (α/2)‖z − Enc(y)‖² + λ‖z‖₁: infer z, then take a step on W and on Enc."""

    seeds: int = 3
    """Repetitions, each with its own patches, first dictionary and order of training."""
    samples: int = 50_000
    """Training patches of 12 × 12 pixels."""
    tests: int = 5_000
    """Test patches, and as many validation patches, from other parts of the photographs."""
    atoms: int = 256
    """Atoms of the dictionary."""
    sparsity: float = 0.1
    """λ, in units of the patches, which have norm 1."""
    prediction: float = 1.0
    """α, the weight of the prediction."""
    shrinkages: int = 1
    """K of the encoder; with 1 it is a linear map and a shrinkage."""
    steps: int = 2000
    """Training steps, of 256 patches each."""
    rate: float = 2e-3
    """Learning rate at first; it falls to zero."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "samples": 1000, "tests": 100, "atoms": 32, "steps": 30}
    }

    def __post_init__(self) -> None:
        if min(self.seeds, self.tests, self.atoms, self.steps, self.shrinkages) < 1 or self.samples < 256:
            raise OptionError("seeds, tests, atoms, steps and shrinkages must be at least 1, and samples at least 256.")

    def run(self, run: Run) -> None:
        run.expect(4 * self.seeds)
        found, first = [], None
        for seed in range(self.seeds):
            setting = Setting(self, seed)
            loss = run.stage(f"seed-{seed}/together", setting.learn, [setting.energy])
            further = copy.deepcopy(setting.energy.encoder)
            run.stage(f"seed-{seed}/further", partial(setting.train_further, further), [further])
            linear = run.stage(f"seed-{seed}/linear", setting.regress)
            report = run.stage(f"seed-{seed}/report", partial(setting.report, further, linear))
            found.append({"loss": loss, "report": report, "selectivity": setting.selectivity()})
            first = first or setting
        assert first is not None
        run.save_energy("psd", first.energy)
        write_results(run, self, found)
        run.part(write_page, self, found, first.energy, first.test)


class Setting:
    """The patches, the energy and the exact codes of one seed; computed when a stage asks for them."""

    def __init__(self, options: PsdRecipe, seed: int) -> None:
        self.options, self.seed = options, seed
        self.energy = PredictiveSparseCoding(
            SIDE**2, options.atoms, options.sparsity, options.prediction, shrinkages=options.shrinkages,
            generator=options.generator(10 * seed + 3),
        ).to(options.device)  # fmt: skip
        self.first = self.energy.dictionary.detach().clone()

    def _patches(self, part: str, count: int) -> Tensor:
        offset = 10 * self.seed + ("train", "validation", "test").index(part)
        return patches(SIDE, count, self.options.generator(offset), part=part).to(self.options.device)

    @cached_property
    def train(self) -> Tensor:
        return self._patches("train", self.options.samples)

    @cached_property
    def test(self) -> Tensor:
        return self._patches("test", self.options.tests)

    @property
    def coding(self) -> SparseCoding:
        """The learned dictionary without the prediction: what exact inference minimises."""
        found = SparseCoding(SIDE**2, self.options.atoms, self.options.sparsity).to(self.options.device)
        with torch.no_grad():
            found.dictionary.copy_(self.energy.dictionary)
        return found

    @cached_property
    def codes(self) -> Tensor:
        """Exact codes of the training patches."""
        return infer(self.coding, y=self.train, over="z", solver=ActiveSet(1e-6)).value

    def untrained(self, dictionary: Tensor) -> LISTA:
        """The encoder with the weights of ISTA."""
        return LISTA(dictionary, self.options.sparsity, self.options.shrinkages).to(self.options.device)

    def selectivity(self) -> dict[str, float]:
        """How much of their power atoms have along one orientation, on average."""
        kinds = {"learned": self.energy.dictionary.T, "first": self.first.T, "patches": self.test[: self.options.atoms]}
        return {
            name: float(orientation(atoms.detach().cpu(), (SIDE, SIDE)).selectivity.mean())
            for name, atoms in kinds.items()
        }

    def learn(self) -> list[list[float]]:
        """Infer z, then step on the dictionary and on the encoder; returns steps and losses."""
        found = self._fit(self.energy, MinimumEnergy(ActiveSet(1e-4)), self.options.rate)
        return [list(map(float, found.steps)), list(map(float, found.values))]

    def train_further(self, encoder: nn.Module) -> None:
        """The encoder alone, on exact codes of the dictionary that is learned by now, for as long again."""
        self._fit(self.coding, CodePrediction(encoder, codes=self.codes), self.options.rate)

    def _fit(self, energy: SparseCoding, shaping: Any, rate: float) -> Any:
        steps = self.options.steps
        found = fit(
            energy, self.train, shaping, max_steps=steps, batch_size=256, lr=rate, optimiser=_adam,
            schedule=lambda step: 1 - step / steps, validation=0.0, seed=self.seed, log_every=max(1, steps // 60),
            progress=False,
        )  # fmt: skip
        return next(curve for name, curve in found.history.items() if name.startswith("loss/"))

    def regress(self) -> dict[str, Any]:
        """Least squares from patches to exact codes, and a threshold for it that validation patches choose."""
        y, z = self.train.double(), self.codes.double()
        # The mean of a patch is 0, so that yᵀy is singular.
        square = y.T @ y + 1e-6 * len(y) / SIDE**2 * torch.eye(SIDE**2).to(y)
        matrix = torch.linalg.solve(square, y.T @ z).to(self.train.dtype)
        validation, coding = self._patches("validation", self.options.tests), self.coding
        with torch.no_grad():
            codes = validation @ matrix
            scores = [float(coding(y=validation, z=_shrunk(codes, t)).mean()) for t in THRESHOLDS]
        return {"matrix": matrix, "threshold": THRESHOLDS[scores.index(min(scores))]}

    def report(self, further: nn.Module, linear: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The gap report of test patches."""
        matrix, code = linear["matrix"].to(self.options.device), self.energy.code
        with torch.no_grad():
            active = max(1, round(float((code(self.test) != 0).sum(dim=1).float().mean())))
        encoders: dict[str, Callable[[Tensor], Tensor]] = {
            "zero code": lambda y: y.new_zeros(len(y), self.options.atoms),
            "before training": self.untrained(self.first),
            "step of ISTA": self.untrained(self.energy.dictionary),
            "linear": lambda y: y @ matrix,
            "linear, as sparse": lambda y: _largest(y @ matrix, active),
            "linear, shrunk": lambda y: _shrunk(y @ matrix, linear["threshold"]),
            "PSD": code,
            "further": further,
        }
        rows = gap_report(self.coding, self.test, encoders, ActiveSet(1e-6))
        return {name: row._asdict() for name, row in rows.items()}


def _shrunk(codes: Tensor, threshold: float) -> Tensor:
    return shrink(codes, torch.full_like(codes[0], threshold))


def _largest(codes: Tensor, count: int) -> Tensor:
    """The largest units of each code, the others 0."""
    kept = codes.abs().topk(count, dim=1).indices
    return torch.zeros_like(codes).scatter(1, kept, codes.gather(1, kept))


def _adam(parameters: Sequence[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr, fused=True)
