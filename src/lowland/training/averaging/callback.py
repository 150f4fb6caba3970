"""Averaging for a user's own Trainer of Lightning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from torch import nn
from torch.optim import Optimizer

from lowland.training.averaging.link import Link


class Averaging(pl.Callback):
    """Makes a Trainer one of several workers that meet a centre.

    The meeting comes between a gradient and the step of the first optimiser, and once more in the end; then the module
    has the centre's numbers. Checkpoints on the way, and validation, are of the worker's own numbers. Each process has
    a Trainer of its own, with one device: averaging is between Trainers.

    Args:
        link: module → its link, such as `functools.partial(Link, rule=Elastic(10), centre="127.0.0.1:29600")`.

    >>> from functools import partial
    >>> from lowland.training.averaging.rules import Elastic
    >>> callback = Averaging(partial(Link, rule=Elastic(period=10), centre="127.0.0.1:29600"))
    >>> isinstance(callback, pl.Callback)
    True
    """

    def __init__(self, link: Callable[[nn.Module], Link]) -> None:
        self._make = link
        self.link: Link | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.link = self._make(pl_module)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        if self.link is not None and optimizer is _bare(trainer.optimizers[0]):
            self.link.step()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.link is not None:
            self.link.meet()
            self.link.load_centre()
            self.link.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self.link is not None:
            self.link.close()


def _bare(optimiser: Any) -> Optimizer:
    return getattr(optimiser, "optimizer", optimiser)
