"""What the recipe `lista` computes for one seed: a dictionary, encoders, and what they are worth on test patches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lowland.data.natural import patches
from lowland.energies.sparse_coding import SparseCoding
from lowland.evaluation.gap_report import gap_report
from lowland.inference import infer
from lowland.nn.learned_coordinate_descent import LearnedCoordinateDescent
from lowland.nn.lista import LISTA
from lowland.recipes.lista_results import BY_ENERGY, CERTIFICATE, PERFECT, SIDE
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.active_set import ActiveSet
from lowland.solvers.proximal import FISTA, ISTA
from lowland.training.fit import fit

if TYPE_CHECKING:
    from lowland.recipes.lista import ListaRecipe

RATE = 1.5e-3
"""Learning rate of encoders at first, half of it for a longer LISTA that goes on from a shorter one.

Of the rates that were tried it is the best on validation patches."""
START, RELAXATION = 3.0, 0.3
"""Threshold of the shortest LISTA at first, in units of λ, and ρ of the first S of the others; chosen likewise."""
DROPS = (0.0, 0.01, 0.02, 0.05)
"""Units of a predicted code below one of these are dropped before polishing; validation patches choose which."""
_AT_ONCE = 500


class Setting:
    """The patches, the dictionary and the exact codes of one seed; computed when a stage asks for them."""

    def __init__(self, options: ListaRecipe, seed: int) -> None:
        self.options, self.seed = options, seed
        self.energy = SparseCoding(SIDE**2, options.atoms, options.sparsity).to(options.device)

    def _patches(self, part: str, count: int) -> Tensor:
        offset = 10 * self.seed + ("train", "validation", "test").index(part)
        return patches(SIDE, count, self.options.generator(offset), part=part).to(self.options.device)

    @cached_property
    def train_patches(self) -> Tensor:
        return self._patches("train", self.options.samples)

    @cached_property
    def test(self) -> Tensor:
        return self._patches("test", self.options.tests)

    @cached_property
    def validation(self) -> Tensor:
        return self._patches("validation", self.options.tests)

    @cached_property
    def train_codes(self) -> Tensor:
        return self.exact(self.train_patches)

    def exact(self, y: Tensor) -> Tensor:
        """Codes with a certificate of 1e-6."""
        return infer(self.energy, y=y, over="z", solver=ActiveSet(1e-6)).value

    def learn(self) -> None:
        """Online dictionary learning, from atoms that are patches."""
        energy, y = self.energy, self.train_patches
        with torch.no_grad():
            energy.dictionary.copy_(y[: self.options.atoms].T)
        shaping = ExpectationMaximisation(ActiveSet(CERTIFICATE), memory=1.0, forgetting=1.0, initialise=False)
        updates, size = self.options.updates, min(1000, len(y))
        fit(energy, y, shaping, max_steps=updates, batch_size=size, validation=0.0, seed=self.seed, progress=False)

    def shortest(self) -> LISTA:
        """LISTA with one shrinkage, at first that of the correlations with the atoms."""
        dictionary, sparsity = self.energy.dictionary.detach(), self.options.sparsity
        thresholds = torch.full_like(dictionary[0], START * sparsity)
        return LISTA(dictionary, sparsity, 1, filters=dictionary.T, thresholds=thresholds)

    def train(self, encoder: nn.Module, shorter: nn.Module | None = None, objective: bool = False) -> None:
        """On exact codes or on the energy; a longer encoder may begin with the weights of a shorter one."""
        rate, steps = RATE, self.options.steps
        if isinstance(encoder, LISTA) and isinstance(shorter, LISTA):
            encoder.begin_with(shorter)
            rate = RATE / 2
        elif isinstance(encoder, LearnedCoordinateDescent):
            steps = self.options.descent_steps
            if shorter is not None:
                encoder.load_state_dict(shorter.state_dict())
        encoder.to(self.options.device)
        shaping = CodePrediction(encoder, codes=self.train_codes, objective=objective)
        fit(
            self.energy, self.train_patches, shaping, max_steps=steps, batch_size=128, lr=rate, optimiser=_adam,
            schedule=lambda step: 1 - step / steps, validation=0.0, seed=self.seed, log_every=steps, progress=False,
        )  # fmt: skip

    @torch.no_grad()
    def iterate(self) -> dict[str, dict[str, list[float]]]:
        """Code error and gap of test patches after each iteration, and after a number of steps of one unit each."""
        count, found = self.options.iterations, {}
        for solver in (ISTA(count, tol=None), FISTA(count, tol=None)):
            rows = torch.zeros(count + 1, 3, dtype=torch.float64)
            for y in self.test.split(_AT_ONCE):
                path = infer(self.energy, y=y, over="z", solver=solver, record=True).trajectory
                assert path is not None
                exact = self.exact(y)
                rows += torch.stack([self._errors(y, z, exact) for z in path])
            found[type(solver).__name__] = self._ratios(rows)
        rows = torch.zeros(len(self.options.descents), 3, dtype=torch.float64)
        for y in self.test.split(_AT_ONCE):
            exact = self.exact(y)
            codes = [self._descent(steps)(y) for steps in self.options.descents]
            rows += torch.stack([self._errors(y, z, exact) for z in codes])
        return found | {"coordinate descent": self._ratios(rows)}

    def _descent(self, steps: int) -> Callable[[Tensor], Tensor]:
        return LearnedCoordinateDescent(self.energy.dictionary, self.options.sparsity, steps)

    def _errors(self, y: Tensor, z: Tensor, exact: Tensor) -> Tensor:
        """Sums over patches of ‖z − z*‖², ‖z*‖² and (E(z) − E(z*)) / E(z*)."""
        gaps = self.energy(y=y, z=z) / self.energy(y=y, z=exact) - 1
        return torch.stack([(z - exact).square().sum(), exact.square().sum(), gaps.sum()]).double().cpu()

    def _ratios(self, rows: Tensor) -> dict[str, list[float]]:
        return {"error": (rows[:, 0] / rows[:, 1]).tolist(), "gap": (rows[:, 2] / len(self.test)).tolist()}

    def report(self, encoders: Mapping[str, Callable[[Tensor], Tensor]]) -> dict[str, dict[str, Any]]:
        """The gap report of all encoders, with baselines."""
        coders: dict[str, Callable[[Tensor], Tensor]] = {
            "zero code": lambda y: y.new_zeros(len(y), self.options.atoms),
            "FISTA 2": self._fista(2),
            "FISTA 20": self._fista(20),
            f"descent {self.options.descents[-1]}": self._descent(self.options.descents[-1]),
        }
        rows = gap_report(self.energy, self.test, coders | dict(encoders), ActiveSet(1e-6))
        return {name: row._asdict() for name, row in rows.items()}

    def _fista(self, count: int) -> Callable[[Tensor], Tensor]:
        solver = FISTA(max_steps=count, tol=None)
        return lambda y: infer(self.energy, y=y, over="z", solver=solver).value

    @torch.no_grad()
    def polish(self, encoders: Mapping[str, Callable[[Tensor], Tensor]]) -> dict[str, dict[str, float]]:
        """Processor time to a certificate of 1e-4, in µs for a patch, from the codes of encoders and from zero."""
        y, exact, solver = self.test, self.exact(self.test), ActiveSet(CERTIFICATE)
        chosen = (
            {BY_ENERGY}
            | {f"LISTA {k}" for k in self.options.shrinkages}
            | {f"LCoD {t}" for t in self.options.descents[-3:]}
        )
        starts: dict[str, tuple[Tensor, float, float]] = {"zero": (torch.zeros_like(exact), 0.0, 0.0)}
        for name in sorted(chosen & set(encoders)):
            drop = self._drop(encoders[name])
            codes, seconds = _fastest(partial(_in_parts, encoders[name], y))
            starts[name] = (_dropped(codes, drop), seconds, drop)
        starts[PERFECT] = (infer(self.energy, y=y, over="z", solver=solver).value, 0.0, 0.0)
        fixed = _fastest(lambda: infer(self.energy, y=y, over="z", solver=ActiveSet(torch.inf)))[1]
        found = {}
        for name, (start, encoding, drop) in starts.items():
            seconds = _fastest(partial(infer, self.energy, y=y, over="z", solver=solver, init=start))[1]
            both = ((start != 0) & (exact != 0)).sum()
            found[name] = {
                "encoder": 1e6 * encoding / len(y),
                "coder": 1e6 * seconds / len(y),
                "fixed": 1e6 * fixed / len(y),
                "drop": drop,
                "checks": self._checks(y, start),
                "recall": float(both / (exact != 0).sum()),
                "precision": float(both / (start != 0).sum().clamp_min(1)),
            }
        return found

    def _drop(self, encoder: Callable[[Tensor], Tensor]) -> float:
        """The threshold below which predicted units are dropped: best F₁ of the support on validation patches."""
        exact, codes = self.exact(self.validation) != 0, _in_parts(encoder, self.validation)

        def score(threshold: float) -> float:
            support = _dropped(codes, threshold) != 0
            return float(2 * (support & exact).sum() / (support.sum() + exact.sum()).clamp_min(1))

        return max(DROPS, key=score)

    def _checks(self, y: Tensor, start: Tensor) -> float:
        """Mean number of looks at all correlations until the certificate is good enough, at most 30."""
        total, left = 0.0, torch.arange(len(y))
        for rounds in range(1, 31):
            total += len(left)
            solver = ActiveSet(CERTIFICATE, max_rounds=rounds)
            left = left[~infer(self.energy, y=y[left], over="z", solver=solver, init=start[left]).converged.cpu()]
            if not len(left):
                break
        return total / len(y)


def _adam(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr, fused=True)


def _dropped(codes: Tensor, threshold: float) -> Tensor:
    return codes * (codes.abs() > threshold)


def _in_parts(encoder: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
    return torch.cat([encoder(part) for part in y.split(_AT_ONCE)])


def _fastest(function: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the least processor time in seconds of three calls after a first."""
    result, seconds = function(), float("inf")
    for _ in range(3):
        began = time.process_time()
        function()
        seconds = min(seconds, time.process_time() - began)
    return result, seconds
