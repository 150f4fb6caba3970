"""A Trainer of Lightning as a worker."""

from __future__ import annotations

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lowland as ll
from lowland.training.averaging.callback import Averaging
from lowland.training.averaging.centre import Centre
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Outer
from lowland.training.learner import Learner

DATA = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))
OPTIONS = {
    "max_epochs": 3, "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "limit_val_batches": 0, "accelerator": "cpu", "devices": 1,
}  # fmt: skip


def learner() -> Learner:
    energy = ll.energies.Autoencoder(3, 2, generator=torch.Generator().manual_seed(1))
    return Learner(energy, ll.shaping.MinimumEnergy(), lr=0.01, optimiser="sgd")


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*have no `val_dataloader`")
def test_a_trainer_meets_the_centre_and_ends_with_its_numbers() -> None:
    rule = Outer(2, lr=1.0, momentum=0.0)
    loader = DataLoader(TensorDataset(DATA), batch_size=8)
    alone = learner()
    pl.Trainer(**(OPTIONS | {"max_epochs": -1, "max_steps": 12})).fit(alone, loader)
    worker = learner()
    with Centre(rule) as centre:
        callback = Averaging(partial(Link, rule=rule, centre=centre.address))
        pl.Trainer(**OPTIONS, callbacks=[callback]).fit(worker, loader)
        assert centre.clock == 7
    # Six meetings, and one in the end: the centre has what the worker was.
    for mine, expected in zip(worker.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-6)
