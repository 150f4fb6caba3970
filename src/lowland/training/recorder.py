"""What happens after each step of `fit`, in this order: history, validation, callback, early stopping, checkpoint."""

from __future__ import annotations

import hashlib
import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lowland.errors import CheckpointError, OptionError
from lowland.shaping.base import Batch, Losses
from lowland.shaping.processes import of_first, rank, world_size
from lowland.training.checkpoints import Checkpoints, write_checkpoint
from lowland.training.logs import Logs, Row
from lowland.training.samples import Samples
from lowland.training.stepper import Stepper, flat

_PENDING = 64
MAX_STEPS = "max_steps"
Callback: TypeAlias = Callable[[int, Row], bool | None]


class FitRecorder:
    """Called after each step; a checkpoint covers exactly the steps before it.

    Args:
        logs: receive the rows.
        last: total number of steps.
        log_every: steps between rows.
        samples, held_out, batch_size: data for validation; none if `held_out` is empty.
        validate_every: steps between validations.
        patience: validations without improvement until training stops; None never stops early.
        callback: see `fit`.
        checkpoints: None for no files.
        checkpoint_every: steps between checkpoints.
        settings: what the run is, from `settings_of`.
    """

    def __init__(
        self,
        logs: Logs,
        last: int,
        log_every: int,
        samples: Samples | None,
        held_out: Tensor,
        batch_size: int,
        validate_every: int,
        patience: int | None,
        callback: Callback | None,
        checkpoints: Checkpoints | None,
        checkpoint_every: int,
        settings: dict[str, Any],
    ) -> None:
        self.logs, self.last, self.log_every = logs, last, log_every
        self.samples, self.held_out, self.batch_size = samples, held_out, batch_size
        self.validate_every, self.patience, self.callback = validate_every, patience, callback
        self.checkpoints, self.checkpoint_every, self.settings = checkpoints, checkpoint_every, settings
        self.best, self.waited, self.stopped = math.inf, 0, MAX_STEPS
        self._rates = hashlib.sha256()
        self.interrupted = False
        self.latest: Row = {}
        self._pending: list[tuple[int, dict[str, Any]]] = []

    def after_step(self, stepper: Stepper, losses: Losses) -> bool:
        """Record a step; True ends training."""
        step = stepper.step
        self._note_rate(stepper, step - 1)
        row = flat(losses) if step % self.log_every == 0 or step == self.last else {}
        regular = step % self.validate_every == 0
        if len(self.held_out) and (regular or step == self.last):
            found = self._validate(stepper)
            row |= found
            # A run that is made longer must have as much patience as one that never ended here.
            if regular and self.patience is not None:
                self._watch(found)
        if row:
            self._pending.append((step, row))
        if row and self.callback is not None:
            self._call(stepper, self.callback)
        done = self.stopped != MAX_STEPS or self.interrupted
        due = self.checkpoints is not None and (step % self.checkpoint_every == 0 or step == self.last or done)
        if due or done or len(self._pending) >= _PENDING:
            self.flush(stepper)
        if due:
            self.save(stepper)
        return done

    def _call(self, stepper: Stepper, callback: Callback) -> None:
        """Ask the callback whether to stop; with several processes, the first one decides."""
        self.flush(stepper)
        answer = callback(stepper.step, dict(self.latest))
        if answer is not None and not isinstance(answer, bool | np.bool_):
            raise OptionError(
                f"callback must return True to stop, or False or None to go on, but it returned {repr(answer)[:80]}."
            )
        if of_first(float(answer or 0)):
            self.stopped = "callback"

    def _validate(self, stepper: Stepper) -> Row:
        assert self.samples is not None
        total: dict[str, float] = {}
        held_out = self.held_out
        if stepper.energy.views and len(held_out) > self.batch_size:
            # Losses that compare the samples of a batch depend on its size, so only full batches count.
            held_out = held_out[: len(held_out) // self.batch_size * self.batch_size]
        for rows in held_out.split(self.batch_size):
            batch: Batch = stepper.batch(self.samples.take(rows))
            for name, value in flat(stepper.evaluate(batch), "validation/").items():
                total[name] = total.get(name, 0.0) + float(value) * len(rows) / len(held_out)
        return total

    def _watch(self, row: Row) -> None:
        """Early stopping on the loss of the group "energy", or of the first group if there is none of that name."""
        names = [name for name in row if name.startswith("validation/loss/")]
        if not names:
            raise OptionError("patience needs a validation loss, but this shaping gives none: leave patience out.")
        # Running averages of batch normalisation differ a little between processes, but all must stop together.
        value = of_first(row["validation/loss/energy" if "validation/loss/energy" in names else names[0]])
        if value < self.best:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
            if self.patience is not None and self.waited >= self.patience:
                self.stopped = "patience"

    def flush(self, stepper: Stepper) -> None:
        """Read the numbers of the steps since the last flush, check that losses are finite, and log them."""
        pending, self._pending = self._pending, []
        values = [value for _, row in pending for value in row.values()]
        numbers = iter(_numbers(values))
        rows = {step: {name: next(numbers) for name in row} for step, row in pending}
        for step, row in rows.items():
            for name, value in row.items():
                if name.startswith("loss/") and not math.isfinite(value):
                    raise stepper.not_finite(name.removeprefix("loss/"), step - 1)
        if rows:
            self.latest = next(reversed(rows.values()))
            self.logs.write(rows)

    def _note_rate(self, stepper: Stepper, step: int) -> None:
        if stepper.schedule is not None and self.checkpoints is not None:
            self._rates.update(f"{stepper.factor(step)!r};".encode())

    def save(self, stepper: Stepper) -> None:
        """Write a checkpoint of the steps so far."""
        assert self.checkpoints is not None
        self.logs.force()
        if rank() == 0:
            write_checkpoint(stepper.state() | {"recorder": self.state()}, self.checkpoints.path(stepper.step))
            self.checkpoints.tidy()
        of_first(0.0)  # no process continues, or ends and resumes, before the file exists

    def save_last(self, stepper: Stepper) -> None:
        """Write the last checkpoint again, with what came into the parameters after the last step."""
        if self.checkpoints is not None and stepper.step:
            self.save(stepper)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs of this object."""
        return {
            "best": self.best,
            "waited": self.waited,
            "stopped": self.stopped,
            "settings": self.settings,
            "rates": self._rates.hexdigest(),
            "history": self.logs.fingerprint(),
        }

    def restore(self, state: dict[str, Any], stepper: Stepper, steps: int, leads: bool) -> None:
        """Continue from the state of the run that is resumed.

        Raises:
            CheckpointError: if the schedule gives other rates for the steps so far, or `metrics.csv` has changed since
                it was written. Runs of earlier versions did not store what is needed for this check.
        """
        self.best, self.waited, self.stopped = state["best"], state["waited"], state["stopped"]
        for step in range(steps):
            self._note_rate(stepper, step)
        if state.get("rates", self._rates.hexdigest()) != self._rates.hexdigest():
            raise CheckpointError(
                f"The schedule gives other learning rates for the first {steps} steps than those that were used. Pass "
                "the schedule that the run was made with, or choose another folder."
            )
        if leads and state.get("history", self.logs.fingerprint()) != self.logs.fingerprint():
            raise CheckpointError(
                f"{self.logs.path} is damaged: its rows up to step {steps} are not those that were written. Restore it "
                "from a copy, or start a new run."
            )

    @contextmanager
    def catching_interrupts(self) -> Iterator[None]:
        """The first Ctrl-C ends training after the current step; a second one acts at once, as usual.

        With several processes, the first Ctrl-C acts at once too.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: Any) -> None:
            if world_size() > 1:  # the others may be steps ahead or behind, and would wait for this process
                raise KeyboardInterrupt
            self.interrupted = True
            signal.signal(signal.SIGINT, previous)

        previous = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def _numbers(values: Sequence[Any]) -> list[float]:
    """Scalars as floats; those on an accelerator are fetched together, since each fetch is a synchronisation."""
    far = [value for value in values if isinstance(value, Tensor) and value.device.type != "cpu"]
    fetched = iter(torch.stack([value.reshape(()).double() for value in far]).tolist() if far else [])
    return [
        next(fetched) if isinstance(value, Tensor) and value.device.type != "cpu" else float(value) for value in values
    ]
