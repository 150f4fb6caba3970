"""An energy and its shaping as a LightningModule: one optimiser for each parameter group, stepped by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lowland.energies.base import Energy
from lowland.errors import (
    CheckpointError,
    OptionError,
    TrainingError,
    UnsupportedError,
    check_instance,
    check_number,
    nearest,
)
from lowland.shaping.base import Batch, Losses, Shaping
from lowland.shaping.processes import apart, as_first, average, place
from lowland.training.checkpoints import read_checkpoint
from lowland.training.data import LoaderStream, Steps, Stream, as_batch, gather, placed

OptimiserFactory: TypeAlias = Callable[[list[nn.Parameter], float], Optimizer]
OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}
_PREPARED_ON = 4096


class Recorder(Protocol):
    """Who is told of each step: keeps the history, validates, writes checkpoints; true ends the training."""

    def after_step(self, learner: Learner, losses: Losses) -> bool: ...

    def state(self) -> dict[str, Any]: ...


class _Clock(Optimizer):
    """An optimiser that changes nothing: through it Lightning counts the steps of a shaping that has no gradients."""

    def __init__(self) -> None:
        super().__init__([torch.zeros(1, requires_grad=True)], {})

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return


class Learner(pl.LightningModule):
    """Trains an energy by a shaping, in `ll.fit` or in a user's own `lightning.Trainer`.

    Each step computes the losses of a batch, differentiates each with respect to the parameters of its own group only,
    and then lets the optimiser of each group take its step. A shaping that defines `update` needs no optimiser.

    Where several processes train as one, each starts with the parameters of the first, and gradients are averaged.

    `shaping.prepare` is called on the training data before anything else, also before a Trainer's first look at the
    validation data. What a Trainer writes goes back into an energy and a shaping that are built as they were:

        learner = Learner.load_from_checkpoint("step.ckpt", energy=energy, shaping=shaping)  # trained, in place
        trainer.fit(Learner(energy, shaping), loader, ckpt_path="step.ckpt")  # or goes on

    With `Trainer(plugins=[ll.training.SafetensorsIO()])` these files are safetensors; otherwise they are pickles.

    Args:
        energy: trained in place.
        shaping: the training method.
        lr: learning rate; a group's own is this times `shaping.rates[group]`.
        optimiser: "adam", "adamw", "sgd", "rmsprop", or a function (parameters, lr) → torch optimiser.
        weight_decay: for the optimisers by name.
        clip: largest Euclidean norm of the gradient of a group; None for no clipping. A Trainer's own
            `gradient_clip_val` knows no groups, and is refused.
        schedule: step (from 0) → factor of the learning rate, a finite number of at least 0.

    Raises:
        OptionError: for an unknown optimiser, or an argument of the wrong type or out of range.

    >>> import lightning.pytorch as pl
    >>> from lowland.energies.base import Energy
    >>> learner = Learner(Energy(), Shaping(), lr=1e-2)
    >>> learner.lr, isinstance(learner, pl.LightningModule)
    (0.01, True)
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
        self.automatic_optimization = False
        self.energy, self.shaping = energy, shaping
        self.lr, self.optimiser, self.weight_decay, self.clip, self.schedule = (
            lr,
            optimiser,
            weight_decay,
            clip,
            schedule,
        )
        self.step, self.prepared = 0, False
        self.recorder: Recorder | None = None
        self._names: set[str] = set()
        self._groups: dict[str, list[nn.Parameter]] = {}

    # ---- optimisers

    def configure_optimizers(self) -> list[Optimizer]:
        """One optimiser for each group of parameters that is not empty."""
        if not self.shaping.trains_by_gradient:
            return [_Clock()]
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
                "asks for gradients. Unfreeze some with requires_grad_(), or choose another shaping."
            )
        return [self._optimiser(part, self._rate(name)) for name, part in self._groups.items()]

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
        # One fused kernel instead of a loop over parameters is most of the cost of a small step.
        if self.optimiser != "rmsprop" and all(p.is_floating_point() for p in parameters):
            return kind(parameters, lr=rate, weight_decay=self.weight_decay, fused=True)
        return kind(parameters, lr=rate, weight_decay=self.weight_decay)

    # ---- one step

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One step, or those of a block of batches from `ll.fit`."""
        optimisers = self.optimizers(use_pl_optimizer=self.recorder is None)
        optimisers = optimisers if isinstance(optimisers, list) else [optimisers]
        for one in batch.batches if isinstance(batch, Steps) else [batch]:
            losses = self._advance(self.placed(one), optimisers)
            if self.recorder is None:
                self._log(losses, "")
            elif self.recorder.after_step(self, losses):
                self.trainer.should_stop = True
                return

    def placed(self, data: Any) -> Batch:
        """The data as a Batch on the device of the energy."""
        return placed(as_batch(data, self.energy), self.energy)

    def _advance(self, batch: Batch, optimisers: list[Any]) -> Losses:
        losses = Losses({}, {})
        if self.shaping.trains_by_gradient:
            losses = self.shaping(self.energy, batch)
            self._descend(losses.losses, optimisers)
        with torch.no_grad():
            if not self.shaping.trains_by_gradient:
                losses = self.shaping.update(self.energy, batch)
                optimisers[0].step()
            self.shaping.after_step(self.energy, batch)
        self.shaping.advance()
        self.step += 1
        return losses

    def _descend(self, losses: dict[str, Tensor], optimisers: list[Any]) -> None:
        """All gradients first, then all steps: a step would change the parameters under the other losses' feet."""
        active = [name for name in self._groups if name in losses]
        self._check(losses, active)
        for number, name in enumerate(active):
            own = self._groups[name]
            last = number == len(active) - 1
            grads = torch.autograd.grad(losses[name], own, retain_graph=not last, allow_unused=True)
            average([grad for grad in grads if grad is not None])
            for parameter, grad in zip(own, grads, strict=True):
                parameter.grad = None if grad is None else _laid_out(grad, parameter)
        counted = False
        for name, optimiser in zip(self._groups, optimisers, strict=True):
            if name not in losses:
                continue
            if self.clip is not None:
                nn.utils.clip_grad_norm_(self._groups[name], self.clip)
            if self.schedule is not None:
                for group in optimiser.param_groups:
                    group["lr"] = self._rate(name)
            # Lightning counts each step of its wrapped optimisers, but a batch is one step: only the first is counted.
            (optimiser.optimizer if counted and self.recorder is None else optimiser).step()
            counted = True

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
            # Reading a number waits for an accelerator, so there the recorder looks at many losses at once.
            if loss.device.type == "cpu" and not bool(torch.isfinite(loss)):
                raise self.not_finite(name, self.step)

    def not_finite(self, group: str, step: int) -> TrainingError:
        """The error for a loss that is NaN or infinite."""
        return TrainingError(
            f"The loss of group {group!r} of {type(self.shaping).__name__} is not finite at step {step}: training "
            "stopped before that step. Lower lr, set clip, or scale the data."
        )

    # ---- validation

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._log(self.evaluate(self.placed(batch)), "validation/")

    def evaluate(self, batch: Batch) -> Losses:
        """Losses and metrics of a batch, without a trace: buffers, random numbers and modes are as they were before."""
        modules = [*self.energy.modules(), *self.shaping.modules()]
        kept = [(module, dict(module.__dict__), dict(module._buffers)) for module in modules]
        try:
            for module in modules:
                module.training = False
                for name, buffer in module._buffers.items():
                    module._buffers[name] = None if buffer is None else buffer.clone()
            # Score matching differentiates the energy in its loss. All processes validate on the same samples.
            with torch.enable_grad(), apart():
                found = self.shaping(self.energy, batch)
            return Losses(*({name: _off_graph(value) for name, value in part.items()} for part in found))
        finally:
            for module, attributes, buffers in kept:
                module.__dict__.clear()
                module.__dict__.update(attributes)
                module._buffers.clear()
                module._buffers.update(buffers)

    def _log(self, losses: Losses, prefix: str) -> None:
        if not self.trainer.barebones:
            self.log_dict(flat(losses, prefix), batch_size=1)

    # ---- hooks of Lightning

    def configure_callbacks(self) -> Sequence[pl.Callback]:
        """None; it is the first hook that a Trainer calls, so that what it cannot do is said before it says it."""
        if self.trainer.gradient_clip_val:
            raise OptionError(
                f"Trainer(gradient_clip_val={self.trainer.gradient_clip_val}) does not know the groups of parameters, "
                f"each with a loss of its own: leave it out, and give clip={self.trainer.gradient_clip_val} to Learner."
            )
        if self.trainer.accumulate_grad_batches != 1:
            raise OptionError(
                f"Trainer(accumulate_grad_batches={self.trainer.accumulate_grad_batches}) would keep gradients that "
                "Learner computes anew at each step: leave it out, and let the loader give larger batches."
            )
        return []

    def on_validation_start(self) -> None:
        if self.trainer.sanity_checking:
            self.trainer.fit_loop.setup_data()
            self._once()

    def on_train_start(self) -> None:
        if place().size > 1 and not self.shaping.trains_by_gradient:
            raise UnsupportedError(
                f"{type(self.shaping).__name__} changes parameters from the statistics of a batch, which several "
                "processes do not share: train it in one process."
            )
        self._once()
        as_first(self)
        # A checkpoint holds the moments of its optimisers in the order of their axes, whatever the layout was.
        for optimiser in self.trainer.optimizers:
            for parameter, state in optimiser.state.items():
                for name, value in state.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        state[name] = _laid_out(value, parameter)

    def _once(self) -> None:
        """Let the shaping prepare itself on the training data, unless it has."""
        if self.prepared:
            return
        self.prepared = True
        if type(self.shaping).prepare is Shaping.prepare:
            return
        loader: Any = self.trainer.train_dataloader
        known = isinstance(loader, Stream | LoaderStream)
        data = loader.sample(_PREPARED_ON) if known else gather(loader, self.energy, _PREPARED_ON)
        with torch.no_grad():
            self.shaping.prepare(self.energy, self.placed(data))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # `placed` does it: Lightning's own way through the nested batch is slow, and blocks are lazy

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["learner"] = {"step": self.step, "prepared": self.prepared}
        if self.recorder is not None:
            checkpoint["recorder"] = self.recorder.state()
            # Lightning's own counters are those of blocks. `fit` starts anew at `step` instead of restoring them.
            checkpoint.pop("loops", None)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get("learner")
        if state is None:
            raise CheckpointError("This checkpoint was not written by a Learner of Lowland.")
        self.step, self.prepared = state["step"], state["prepared"]

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Learner:
        """The learner of a checkpoint of a Trainer, its weights and buffers put into `energy=` and `shaping=`.

        Args:
            checkpoint_path: as written with `SafetensorsIO`, or as Lightning writes it by itself.
            args, kwargs: `energy` and `shaping`, built as they were, by name; what `Learner` and Lightning's own
                `load_from_checkpoint` take besides.

        Raises:
            OptionError: without energy or shaping.
            CheckpointError: for a file that is damaged, of something else, or of another energy or shaping.
        """
        if missing := [name for name in ("energy", "shaping") if name not in kwargs]:
            raise OptionError(
                f"A checkpoint holds numbers, not code: build the {missing[0]} as it was, and give it as {missing[0]}=."
            )
        path = checkpoint_path
        try:
            if not isinstance(path, str | Path) or _zipped(Path(path)):
                return super().load_from_checkpoint(path, *args, **kwargs)
            tree, learner = read_checkpoint(Path(path)), cls(**kwargs)
            learner.on_load_checkpoint(tree)
            learner.load_state_dict(tree["state_dict"])
        except (KeyError, RuntimeError) as error:
            why = " ".join(str(error).split())
            raise CheckpointError(f"{path} is not of this energy and shaping: {why}") from None
        return learner


def _zipped(path: Path) -> bool:
    """Whether a file is one of torch.save, which is a zip archive."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK"
    except OSError:
        return False


def flat(losses: Losses, prefix: str = "") -> dict[str, Any]:
    """Losses as "loss/GROUP" and metrics by their names, off the graph."""
    named = {f"{prefix}loss/{name}": _off_graph(value) for name, value in losses.losses.items()}
    return named | {prefix + name: _off_graph(value) for name, value in losses.metrics.items()}


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """The value in the memory layout of its parameter: a fused optimiser takes both number by number as they lie."""
    if value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _off_graph(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _trainable(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]
