"""One training step: losses of a batch, gradients of each parameter group, and a step of each optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lowland.energies.base import Energy
from lowland.energies.compose import Clamped, Sum, Transformed
from lowland.errors import (
    OptionError,
    TrainingError,
    UnsupportedError,
    check_instance,
    check_number,
    nearest,
)
from lowland.shaping.base import Batch, Losses, Shaping
from lowland.shaping.processes import as_first, average, single_process, world_size
from lowland.training.batches import as_batch, to_device

OptimiserFactory: TypeAlias = Callable[[list[nn.Parameter], float], Optimizer]
OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}
_PREPARED_ON = 4096


class Stepper:
    """Trains an energy with a shaping, one batch at a time. `fit` drives it, and a `Learner` is one.

    Args:
        energy, shaping, lr, optimiser, weight_decay, clip, schedule: see `Learner`.

    Raises:
        OptionError: for an unknown optimiser, or an argument of the wrong type or out of range.
    """

    def __init__(
        self,
        energy: Energy,
        shaping: Shaping,
        lr: float = 1e-3,
        optimiser: str | OptimiserFactory = "adam",
        weight_decay: float = 0.0,
        clip: float | None = None,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        super().__init__()
        check_instance(energy, Energy, "energy")
        check_instance(shaping, Shaping, "shaping")
        check_number("lr", lr, above=0)
        if isinstance(optimiser, str) and optimiser not in OPTIMISERS:
            raise OptionError(f"There is no optimiser {optimiser!r}. {nearest(optimiser, OPTIMISERS)}")
        if not isinstance(optimiser, str) and not callable(optimiser):
            raise OptionError(
                f"optimiser must be the name of one or a function (parameters, lr) that makes one, not {optimiser!r}. "
                f"{nearest('', OPTIMISERS)}"
            )
        check_number("clip", clip, above=0, none="clip nothing")
        check_number("weight_decay", weight_decay, least=0)
        if schedule is not None and not callable(schedule):
            raise OptionError(f"schedule must be a function from a step to a factor of lr, not {schedule!r}.")
        if weight_decay and not isinstance(optimiser, str):
            raise OptionError("weight_decay is for optimisers by name: a function (parameters, lr) sets its own.")
        self.energy, self.shaping, self.lr, self.optimiser = energy, shaping, lr, optimiser
        self.weight_decay, self.clip, self.schedule = weight_decay, clip, schedule
        self.step, self.prepared = 0, False
        self.optimisers: list[Optimizer] = []
        self.autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
        """Context of each forward pass, for mixed precision."""
        self.between: Callable[[], Any] | None = None
        """Called between the gradients of a step and the steps that they make."""
        self._names: set[str] = set()
        self._groups: dict[str, list[nn.Parameter]] = {}

    # ---- before the first step

    def make_optimisers(self) -> None:
        """One optimiser for each parameter group that is not empty; none for a shaping that defines `update`."""
        if not self.shaping.trains_by_gradient:
            return
        groups = {name: _trainable(part) for name, part in self.shaping.groups(self.energy).items()}
        for name in self.shaping.rates:
            if name not in groups:
                raise OptionError(
                    f"{type(self.shaping).__name__}.rates names a group {name!r}. {nearest(name, groups)}"
                )
        self._names = set(groups)
        self._groups = {name: part for name, part in groups.items() if part}
        if not self._groups:
            raise TrainingError(
                f"{type(self.shaping).__name__} finds nothing to train in {type(self.energy).__name__}: no parameter "
                "requires gradients. Unfreeze some with requires_grad_(), or choose another shaping."
            )
        self.optimisers = [self._optimiser(part, self._rate(name)) for name, part in self._groups.items()]

    def prepare(self, sample: Callable[[int], Any]) -> None:
        """Call `shaping.prepare` on training data, once.

        Args:
            sample: number n → up to n training samples.
        """
        if self.prepared:
            return
        self.prepared = True
        if type(self.shaping).prepare is Shaping.prepare and not _initialises(self.energy):
            return
        data = self.batch(sample(_PREPARED_ON))
        with torch.no_grad():
            self.shaping.prepare(self.energy, data)

    def synchronise(self) -> None:
        """Start all processes from the first one's parameters, and give restored optimiser states their memory layout.

        Raises:
            UnsupportedError: for a shaping that cannot train in several processes.
        """
        if world_size() > 1 and not self.shaping.trains_by_gradient:
            raise UnsupportedError(
                f"{type(self.shaping).__name__} changes parameters from the statistics of a batch, which several "
                "processes do not share: train it in one process."
            )
        for module in (self.energy, self.shaping):
            as_first(module)
        # A checkpoint stores optimiser moments contiguously, whatever their memory layout was.
        for optimiser in self.optimisers:
            for parameter, state in optimiser.state.items():
                for name, value in state.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        state[name] = _laid_out(value, parameter)

    def _rate(self, group: str) -> float:
        return self.lr * self.shaping.rates.get(group, 1.0) * self.factor(self.step)

    def factor(self, step: int) -> float:
        """The factor of the learning rate at a step.

        Raises:
            TrainingError: if the schedule gives anything but a finite number of at least 0.
        """
        if self.schedule is None:
            return 1.0
        found = self.schedule(step)
        try:
            check_number(f"schedule({step})", found.item() if isinstance(found, Tensor) else found, least=0)
        except OptionError as error:
            raise TrainingError(f"{error} Training stopped before that step.") from None
        return float(found)

    def _optimiser(self, parameters: list[nn.Parameter], rate: float) -> Optimizer:
        if not isinstance(self.optimiser, str):
            return self.optimiser(parameters, rate)
        kind = OPTIMISERS[self.optimiser]
        # A loop over parameters is most of the cost of a small step; a fused kernel avoids it.
        if self.optimiser != "rmsprop" and all(p.is_floating_point() for p in parameters):
            return kind(parameters, lr=rate, weight_decay=self.weight_decay, fused=True)
        return kind(parameters, lr=rate, weight_decay=self.weight_decay)

    # ---- one step

    def batch(self, data: Any) -> Batch:
        """The data as a Batch on the energy's device."""
        return to_device(as_batch(data, self.energy), self.energy)

    def advance(self, batch: Batch, take: Callable[[int], None] | None = None) -> Losses:
        """One training step.

        Args:
            batch: on the device of the energy.
            take: number i → optimiser i takes its step; by default `optimisers[i].step()`.
        """
        losses = Losses({}, {})
        if self.shaping.trains_by_gradient:
            with self.autocast():
                losses = self.shaping(self.energy, batch)
            self._descend(losses.losses, take or self._take)
        with torch.no_grad(), self.autocast():
            if not self.shaping.trains_by_gradient:
                losses = self.shaping.update(self.energy, batch)
            self.shaping.after_step(self.energy, batch)
        self.shaping.advance()
        self.step += 1
        return losses

    def _take(self, number: int) -> None:
        self.optimisers[number].step()

    def _descend(self, losses: dict[str, Tensor], take: Callable[[int], None]) -> None:
        """All gradients first, then all steps: a step changes parameters that the other losses depend on."""
        active = [name for name in self._groups if name in losses]
        self._check(losses, active)
        for number, name in enumerate(active):
            own = self._groups[name]
            last = number == len(active) - 1
            grads = torch.autograd.grad(losses[name], own, retain_graph=not last, allow_unused=True)
            average([grad for grad in grads if grad is not None])
            for parameter, grad in zip(own, grads, strict=True):
                parameter.grad = None if grad is None else _laid_out(grad, parameter)
        if self.between is not None:
            self.between()
        for number, (name, optimiser) in enumerate(zip(self._groups, self.optimisers, strict=True)):
            if name not in losses:
                continue
            if self.clip is not None:
                nn.utils.clip_grad_norm_(self._groups[name], self.clip)
            if self.schedule is not None:
                for group in optimiser.param_groups:
                    group["lr"] = self._rate(name)
            take(number)

    def _check(self, losses: dict[str, Tensor], active: list[str]) -> None:
        kind = type(self.shaping).__name__
        for name in losses:
            if name not in self._names:
                raise UnsupportedError(f"{kind} returned a loss for the group {name!r}. {nearest(name, self._names)}")
        if not active:
            raise UnsupportedError(
                f"{kind} returned no loss for any group that can be trained: {', '.join(self._groups)}."
            )
        for name in active:
            loss = losses[name]
            if loss.ndim or not loss.requires_grad:
                raise UnsupportedError(
                    f"{kind} must return a scalar that depends on the parameters of {name!r}, but its loss "
                    f"{f'has shape {tuple(loss.shape)}' if loss.ndim else 'depends on none of them'}."
                )
            # Reading a number synchronises with the accelerator, so there the recorder checks many losses at once.
            if loss.device.type == "cpu" and not bool(torch.isfinite(loss)):
                raise self.not_finite(name, self.step)

    def not_finite(self, group: str, step: int) -> TrainingError:
        """The error for a loss that is NaN or infinite."""
        return TrainingError(
            f"The loss of group {group!r} of {type(self.shaping).__name__} is not finite at step {step}: training "
            "stopped before that step. Lower lr, set clip, or scale the data."
        )

    # ---- validation and checkpoints

    def evaluate(self, batch: Batch) -> Losses:
        """Losses and metrics of a batch, without side effects: buffers, random states and modes stay unchanged."""
        return Losses(*({name: _off_graph(value) for name, value in part.items()} for part in self.untouched(batch)))

    def untouched(self, batch: Batch) -> Losses:
        """As `evaluate`, with the graph."""
        modules = [*self.energy.modules(), *self.shaping.modules()]
        kept = [(module, dict(module.__dict__), dict(module._buffers)) for module in modules]
        try:
            for module in modules:
                module.training = False
                for name, buffer in module._buffers.items():
                    module._buffers[name] = None if buffer is None else buffer.clone()
            # Gradients stay on: score matching differentiates the energy in its loss. All processes see the same
            # samples.
            with torch.enable_grad(), single_process(), self.autocast():
                return self.shaping(self.energy, batch)
        finally:
            for module, attributes, buffers in kept:
                module.__dict__.clear()
                module.__dict__.update(attributes)
                module._buffers.clear()
                module._buffers.update(buffers)

    def state(self) -> dict[str, Any]:
        """Everything the next step depends on, as a tree for a checkpoint."""
        weights = self.energy.state_dict(prefix="energy.") | self.shaping.state_dict(prefix="shaping.")
        return {
            "state_dict": dict(weights),
            "optimizer_states": [optimiser.state_dict() for optimiser in self.optimisers],
            "learner": {"step": self.step, "prepared": self.prepared},
        }

    def load(self, tree: dict[str, Any]) -> None:
        """Load a state; that of the optimisers only after `make_optimisers`."""
        for name, module in (("energy", self.energy), ("shaping", self.shaping)):
            weights = tree["state_dict"].items()
            module.load_state_dict(
                {key.removeprefix(f"{name}."): value for key, value in weights if key.startswith(f"{name}.")}
            )
        self.step, self.prepared = tree["learner"]["step"], tree["learner"]["prepared"]
        for optimiser, state in zip(self.optimisers, tree["optimizer_states"], strict=False):
            optimiser.load_state_dict(state)


def flat(losses: Losses, prefix: str = "") -> dict[str, Any]:
    """Losses as "loss/GROUP" and metrics by their names, detached."""
    named = {f"{prefix}loss/{name}": _off_graph(value) for name, value in losses.losses.items()}
    return named | {prefix + name: _off_graph(value) for name, value in losses.metrics.items()}


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """The value in the memory layout of its parameter: a fused optimiser walks through both in memory order."""
    if value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _off_graph(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _trainable(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]


def _initialises(energy: Energy) -> bool:
    """Whether the energy, or one that it consists of, sets parameters from data; sums and the like only pass it on."""
    parts = [part for part in energy.modules() if isinstance(part, Energy)]
    own = [type(part) for part in parts if not isinstance(part, Sum | Transformed | Clamped)]
    return any(kind.initialise is not Energy.initialise for kind in own)
