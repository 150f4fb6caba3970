"""Negatives for contrastive shapings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lowland.domains import Binary
from lowland.energies.base import Energy
from lowland.energies.protocols import Answering
from lowland.errors import OptionError, UnsupportedError
from lowland.inference import infer
from lowland.shaping.base import Batch, Shaping
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver, bind
from lowland.tensors import repeat_rows

Negatives: TypeAlias = Callable[[FreeEnergyShaping, Energy, Batch, int], Tensor]
"""(shaping, energy, batch, count) → (B · count, ...): `count` points ŷ per sample, without a graph."""


def binarise(shaping: Shaping, energy: Energy, y: Tensor) -> Tensor:
    """If y is binary and holds grey values, a sample with these as probabilities of a 1; else y itself."""
    if not isinstance(energy.domain("y"), Binary):
        return y
    return (shaping.noise(y).uniform(*y.shape[1:]) < y).to(y.dtype)


def flat_vectors(shaping: Shaping, y: Any) -> Tensor:
    """The y of a shaping that works on vectors, (B, D); an UnsupportedError for any other shape."""
    if not isinstance(y, Tensor) or y.ndim != 2:
        shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise UnsupportedError(f"{type(shaping).__name__} needs y as vectors (B, D), but it is {shape}.")
    return y


class ShortRun:
    """The most offending points that a short run of a solver finds: ŷ ≈ argmin_y F(x, y).

    Args:
        solver: any solver over y, or over y and z if the energy has a z, for instance a few steps of Langevin dynamics
            or of gradient descent.
        spread: standard deviation of the Gaussian noise added to the start, in units of y. With 0 a deterministic
            solver could return the data themselves.
        start: "data" to start at the sample itself, or "noise" to start from noise around 0.

    Raises:
        OptionError: for another `start` or a negative spread.
    """

    def __init__(self, solver: Solver, spread: float = 0.1, start: str = "data") -> None:
        if start not in ("data", "noise") or not spread >= 0:
            raise OptionError(f"ShortRun needs start 'data' or 'noise' and spread ≥ 0, not {start!r} and {spread}.")
        self.solver, self.spread, self.start = solver, spread, start

    def __call__(self, shaping: FreeEnergyShaping, energy: Energy, batch: Batch, count: int) -> Tensor:
        with torch.no_grad():
            y, x = repeat_rows(batch.y, count), repeat_rows(batch.x, count)
            noise = self.spread * shaping.noise(y).normal(*y.shape[1:])
            first = energy.domain("y").unpack(
                energy.domain("y").project((noise if self.start == "noise" else y + noise).flatten(1))
            )
            if "z" not in energy.domains:
                return infer(energy, x, over="y", solver=self.solver, init=first, generator=shaping.generator()).value
            init = {"y": first, "z": infer(energy, x, first, over="z", solver=shaping.latent_solver).value}
            found = infer(energy, x, over=("y", "z"), solver=self.solver, init=init, generator=shaping.generator())
            return found.value["y"]


class Perturbed:
    """Points off the data, ŷ = y + s e with e standard normal: the cheapest negatives, only near the data.

    Args:
        spread: s, in units of y.
    """

    def __init__(self, spread: float) -> None:
        if not spread > 0:
            raise OptionError(f"spread must be positive, but it is {spread}: the negatives would be the data.")
        self.spread = spread

    def __call__(self, shaping: FreeEnergyShaping, energy: Energy, batch: Batch, count: int) -> Tensor:
        y = repeat_rows(batch.y, count)
        return y + self.spread * shaping.noise(y).normal(*y.shape[1:])


class OtherSamples:
    """The y of other samples of the batch, in random order without repetition: for energies F(x, y) of pairs."""

    def __call__(self, shaping: FreeEnergyShaping, energy: Energy, batch: Batch, count: int) -> Tensor:
        size = len(batch.y)
        if not 0 < count < size:
            raise OptionError(f"OtherSamples can give 1 … {size - 1} negatives in a batch of {size}, not {count}.")
        keys = shaping.noise(batch.y).uniform(size)
        keys = keys.masked_fill(torch.eye(size, dtype=torch.bool, device=keys.device), torch.inf)
        return batch.y[keys.argsort(dim=1)[:, :count].reshape(-1)]


class LeastAnswer:
    """The answer that the energy gives, right or wrong: ŷ = argmin_y F_∞(x, y), by `infer`.

    `HingePair(LeastAnswer(), margin=0.0, beta=math.inf)` is then the loss of the perceptron, F(x, y) − min_y' F(x, y').
    Source: LeCun et al., "A tutorial on energy-based learning" (2006), section 2.2.2.

    Args:
        solver: over y, or over y and z if the energy has a z; None takes the most exact one for the energy.

    Raises:
        OptionError: for more than one negative a sample.
    """

    def __init__(self, solver: Solver | None = None) -> None:
        self.solver = solver

    def __call__(self, shaping: FreeEnergyShaping, energy: Energy, batch: Batch, count: int) -> Tensor:
        if count != 1:
            raise OptionError(f"There is one answer of least energy, not {count}: use WrongAnswers or ShortRun.")
        over = ("y", "z") if "z" in energy.domains else ("y",)
        with torch.no_grad():
            found = infer(energy, batch.x, over=over, solver=self.solver, generator=shaping.generator()).value
        return found["y"] if len(over) > 1 else found


class WrongAnswers:
    """The lowest-energy answers other than the correct one: ŷ ∈ argmin_{y' ≠ y} F_∞(x, y').

    The first is the most offending answer. Over a finite y of an energy without latent variable all answers are listed;
    with count = K − 1 they are all wrong answers, and InfoNCE with them is maximum likelihood. An energy that offers
    `answers`, such as a lattice, lists the least ones itself.

    Raises:
        UnsupportedError: for another energy with a latent variable.
        OptionError, DomainError: if there are not so many answers.
    """

    def __call__(self, shaping: FreeEnergyShaping, energy: Energy, batch: Batch, count: int) -> Tensor:
        weight, core = energy.core()
        if weight > 0 and isinstance(core, Answering):
            return self._listed(core, batch, count)
        if "z" in energy.domains:
            raise UnsupportedError(
                f"WrongAnswers lists the answers of an energy E(x, y), but {type(energy).__name__} has a latent z: use "
                "LeastAnswer, ShortRun, OtherSamples or Perturbed."
            )
        with torch.no_grad():
            problem = bind(energy, {"x": batch.x}, over="y")
            elements = problem.domain.elements(problem.dtype, problem.device)
            if not 0 < count < len(elements):
                raise OptionError(
                    f"There are {len(elements) - 1} wrong answers in {problem.domain!r}, so WrongAnswers cannot give "
                    f"{count}."
                )
            own = (problem.domain.pack(batch.y, "y")[:, None] == elements).all(dim=2)
            table = problem.candidates(elements.expand(problem.batch, *elements.shape)).masked_fill(own, torch.inf)
            worst = table.topk(count, dim=1, largest=False).indices
            return problem.domain.unpack(elements[worst].flatten(0, 1))

    def _listed(self, energy: Any, batch: Batch, count: int) -> Tensor:
        with torch.no_grad():
            # The correct answer is one of the first count + 1, or else the last of these is left out.
            found = energy.answers(None if batch.x is None else energy.encode(batch.x), count + 1)
            own = (found == batch.y[:, None]).flatten(2).all(dim=2)
            own[:, -1] |= ~own.any(dim=1)
            return found[~own].reshape(len(found) * count, *found.shape[2:])
