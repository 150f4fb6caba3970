"""`Learner`: an energy and its shaping as a LightningModule, for a user's own `lightning.Trainer`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch.optim import Optimizer

from lowland.errors import CheckpointError, OptionError
from lowland.shaping.base import Losses
from lowland.training.checkpoints import read_checkpoint
from lowland.training.stepper import Stepper, flat
from lowland.training.streams import gather


class _Clock(Optimizer):
    """An optimiser that changes nothing; it lets Lightning count the steps of a shaping without gradients."""

    def __init__(self) -> None:
        super().__init__([torch.zeros(1, requires_grad=True)], {})

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return


class Learner(Stepper, pl.LightningModule):
    """Trains an energy with a shaping in a user's own `lightning.Trainer`; `ll.fit` needs no Trainer.

    Each step computes the losses of a batch, differentiates each with respect to the parameters of its own group only,
    and then lets the optimiser of each group take its step. A shaping that defines `update` needs no optimiser.

    Where several processes train as one, each starts with the parameters of the first, and gradients are averaged.

    `shaping.prepare` is called on the training data before anything else, including a Trainer's sanity check on the
    validation data. To load a Trainer's checkpoint, build the energy and the shaping as they were built before:

        learner = Learner.load_from_checkpoint("step.ckpt", energy=energy, shaping=shaping)  # trained, in place
        trainer.fit(Learner(energy, shaping), loader, ckpt_path="step.ckpt")  # or continues

    With `Trainer(plugins=[ll.training.SafetensorsIO()])` these files are safetensors; otherwise they are pickles.

    Args:
        energy: trained in place.
        shaping: the training method.
        lr: learning rate; a group's own is this times `shaping.rates[group]`.
        optimiser: "adam", "adamw", "sgd", "rmsprop", or a function (parameters, lr) → torch optimiser.
        weight_decay: for the optimisers by name.
        clip: maximum Euclidean norm of a group's gradient; None for no clipping. A Trainer's own `gradient_clip_val`
            does not know the groups, so it is refused.
        schedule: step (from 0) → factor of the learning rate, a finite number of at least 0.

    Raises:
        OptionError: for an unknown optimiser, or an argument of the wrong type or out of range.

    >>> import lightning.pytorch as pl
    >>> from lowland.energies.base import Energy
    >>> from lowland.shaping.base import Shaping
    >>> learner = Learner(Energy(), Shaping(), lr=1e-2)
    >>> learner.lr, isinstance(learner, pl.LightningModule)
    (0.01, True)
    """

    @property
    def automatic_optimization(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]  never set
        """False: each group of parameters has a loss and a step of its own."""
        return False

    # ---- hooks of Lightning, in the order in which a Trainer calls them

    def configure_callbacks(self) -> Sequence[pl.Callback]:
        """No callbacks; a Trainer calls this hook first, so unsupported Trainer options are refused here."""
        if self.trainer.gradient_clip_val:
            raise OptionError(
                f"Trainer(gradient_clip_val={self.trainer.gradient_clip_val}) does not know the groups of parameters, "
                f"each with a loss of its own: leave it out, and give clip={self.trainer.gradient_clip_val} to Learner."
            )
        if self.trainer.accumulate_grad_batches != 1:
            raise OptionError(
                f"Trainer(accumulate_grad_batches={self.trainer.accumulate_grad_batches}) would keep gradients that "
                "Learner recomputes at each step: leave it out, and let the loader give larger batches."
            )
        return []

    def configure_optimizers(self) -> list[Optimizer]:
        """One optimiser for each parameter group that is not empty."""
        self.make_optimisers()
        return self.optimisers or [_Clock()]

    def on_validation_start(self) -> None:
        if self.trainer.sanity_checking:
            self.trainer.fit_loop.setup_data()
            self._prepare()

    def on_train_start(self) -> None:
        self._prepare()
        self.synchronise()

    def _prepare(self) -> None:
        self.prepare(lambda count: gather(self.trainer.train_dataloader, self.energy, count))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # `Stepper.batch` does it, faster than Lightning's walk through nested data

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimisers: Any = self.optimizers()
        optimisers = optimisers if isinstance(optimisers, list) else [optimisers]
        counted = False

        def take(number: int) -> None:
            # Lightning counts each step of its wrapped optimisers, but a batch is one step: only the first is counted.
            nonlocal counted
            (optimisers[number].optimizer if counted else optimisers[number]).step()
            counted = True

        losses = self.advance(self.batch(batch), take)
        if not self.optimisers:
            with torch.no_grad():
                take(0)
        self._log(losses, "")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._log(self.evaluate(self.batch(batch)), "validation/")

    def _log(self, losses: Losses, prefix: str) -> None:
        if not self.trainer.barebones:
            self.log_dict(flat(losses, prefix), batch_size=1)

    # ---- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["learner"] = {"step": self.step, "prepared": self.prepared}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get("learner")
        if state is None:
            raise CheckpointError("This checkpoint was not written by a Learner of Lowland.")
        self.step, self.prepared = state["step"], state["prepared"]

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Learner:
        """The learner of a Trainer's checkpoint; weights and buffers are loaded into `energy=` and `shaping=`.

        Args:
            checkpoint_path: as written with `SafetensorsIO`, or as Lightning writes it by itself.
            args, kwargs: `energy` and `shaping` by name, built as before, and what else `Learner` and Lightning's
                `load_from_checkpoint` take.

        Raises:
            OptionError: without energy or shaping.
            CheckpointError: for a file that is damaged, not a checkpoint, or of another energy or shaping.
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
