"""What happens after each step of `fit`, in one fixed order: history, validation, early stopping, checkpoint."""

from __future__ import annotations

import hashlib
import math
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lowland.errors import CheckpointError, OptionError
from lowland.shaping.base import Batch, Losses
from lowland.shaping.processes import of_first, place
from lowland.training.checkpoints import Checkpoints
from lowland.training.data import Samples
from lowland.training.learner import Learner, flat
from lowland.training.logs import Logs, Row

_PENDING = 64


class FitRecorder:
    """Told of each step by the Learner, so that a checkpoint holds all of the steps before it and nothing else.

    Args:
        logs: where rows go.
        last: number of steps of the whole run.
        log_every: steps between rows.
        samples, held_out, batch_size: data for validation; no validation where `held_out` is empty.
        validate_every: steps between validations.
        patience: validations without improvement until training stops; None never stops early.
        checkpoints: None for no files.
        checkpoint_every: steps between checkpoints.
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
        checkpoints: Checkpoints | None,
        checkpoint_every: int,
        settings: dict[str, Any],
    ) -> None:
        self.logs, self.last, self.log_every = logs, last, log_every
        self.samples, self.held_out, self.batch_size = samples, held_out, batch_size
        self.validate_every, self.patience = validate_every, patience
        self.checkpoints, self.checkpoint_every, self.settings = checkpoints, checkpoint_every, settings
        self.best, self.waited, self.stopped = math.inf, 0, "max_steps"
        self._rates = hashlib.sha256()
        self.interrupted = False
        self.latest: Row = {}
        self._pending: list[tuple[int, dict[str, Any]]] = []

    def after_step(self, learner: Learner, losses: Losses) -> bool:
        """Record a step; true ends the training."""
        step = learner.step
        self._note_rate(learner, step - 1)
        row = flat(losses) if step % self.log_every == 0 or step == self.last else {}
        if len(self.held_out) and (step % self.validate_every == 0 or step == self.last):
            row |= self._validate(learner)
        if row:
            self._pending.append((step, row))
        done = self.stopped == "patience" or self.interrupted
        due = self.checkpoints is not None and (step % self.checkpoint_every == 0 or step == self.last or done)
        if due or done or len(self._pending) >= _PENDING:
            self.flush(learner)
        if due:
            self.save(learner)
        return done

    def _validate(self, learner: Learner) -> Row:
        assert self.samples is not None
        total: dict[str, float] = {}
        held_out = self.held_out
        if learner.energy.views and len(held_out) > self.batch_size:
            # Losses that compare the samples of a batch mean something for batches of one size alone.
            held_out = held_out[: len(held_out) // self.batch_size * self.batch_size]
        for rows in held_out.split(self.batch_size):
            batch: Batch = learner.placed(self.samples.take(rows))
            for name, value in flat(learner.evaluate(batch), "validation/").items():
                total[name] = total.get(name, 0.0) + float(value) * len(rows) / len(held_out)
        if self.patience is not None:
            self._watch(total)
        return total

    def _watch(self, row: Row) -> None:
        """Early stopping on the loss of the energy, or of the first group where there is none of that name."""
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

    def flush(self, learner: Learner) -> None:
        """Read the numbers of the steps since the last flush, all at once, check them and hand them to the logs."""
        pending, self._pending = self._pending, []
        values = [value for _, row in pending for value in row.values()]
        numbers = iter(_numbers(values))
        rows = {step: {name: next(numbers) for name in row} for step, row in pending}
        for step, row in rows.items():
            for name, value in row.items():
                if name.startswith("loss/") and not math.isfinite(value):
                    raise learner.not_finite(name.removeprefix("loss/"), step - 1)
        if rows:
            self.latest = next(reversed(rows.values()))
            self.logs.write(rows)

    def _note_rate(self, learner: Learner, step: int) -> None:
        if learner.schedule is not None and self.checkpoints is not None:
            self._rates.update(f"{learner.factor(step)!r};".encode())

    def save(self, learner: Learner) -> None:
        """Write a checkpoint of the steps so far."""
        assert self.checkpoints is not None
        self.logs.force()
        learner.trainer.save_checkpoint(self.checkpoints.path(learner.step), weights_only=False)
        if place().rank == 0:
            self.checkpoints.tidy()

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

    def restore(self, state: dict[str, Any], learner: Learner, steps: int, leads: bool) -> None:
        """Take up the state of the run that is resumed.

        Raises:
            CheckpointError: if the schedule gives other rates for the steps so far, or `metrics.csv` is not what was
                written. Runs of earlier versions did not keep what this is told by.
        """
        self.best, self.waited, self.stopped = state["best"], state["waited"], state["stopped"]
        for step in range(steps):
            self._note_rate(learner, step)
        if state.get("rates", self._rates.hexdigest()) != self._rates.hexdigest():
            raise CheckpointError(
                f"The schedule gives other learning rates for the first {steps} steps than those that they were taken "
                "with. Pass the schedule that the run was made with, or choose another folder."
            )
        if leads and state.get("history", self.logs.fingerprint()) != self.logs.fingerprint():
            raise CheckpointError(
                f"{self.logs.path} is damaged: its rows up to step {steps} are not those that were written. Restore it "
                "from a copy, or start a new run."
            )

    @contextmanager
    def catching_interrupts(self) -> Iterator[None]:
        """The first Ctrl-C ends training after the step that runs; a second one acts at once, as usual.

        Where several processes train as one, the first acts at once, too.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: Any) -> None:
            if place().size > 1:  # the others may be steps ahead or behind, and would wait for this one
                raise KeyboardInterrupt
            self.interrupted = True
            signal.signal(signal.SIGINT, previous)

        previous = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def _numbers(values: Sequence[Any]) -> list[float]:
    """Numbers of many scalars; those on an accelerator are fetched together, since each fetch waits for it."""
    far = [value for value in values if isinstance(value, Tensor) and value.device.type != "cpu"]
    fetched = iter(torch.stack([value.reshape(()).double() for value in far]).tolist() if far else [])
    return [
        next(fetched) if isinstance(value, Tensor) and value.device.type != "cpu" else float(value) for value in values
    ]
