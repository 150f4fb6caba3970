"""The task of copying, and training for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowland.errors import OptionError
from lowland.nn.turing_machine import TuringMachine
from lowland.training.copying import BitLSTM, CopyTraining, bit_errors, copy_task, train_copying

SHORT = CopyTraining(most=2, bits=1, steps=60, batch=8, rate=0.02)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Perfect(nn.Module):
    """Says what was shown half a sequence and a mark before."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = (x.shape[2] - 2) // 2
        said = torch.zeros_like(x[..., :-2])
        said[:, :, length + 2 :] = 2 * x[:, :, 1 : length + 1, :-2] - 1
        return said


def test_errors_are_counted_bit_by_bit() -> None:
    assert bit_errors(Perfect(), 2, 5, 3, 7, seeded()).tolist() == [0.0, 0.0]
    silent = bit_errors(BitLSTM(5, 3, copies=1), 1, 5, 3, 200, seeded())
    assert 40 < float(silent[0]) < 60  # 3,000 random bits: a deviation of 0.9


@pytest.mark.parametrize("kind", ["tape", "LSTM"])
def test_training_lowers_the_loss(kind: str) -> None:
    make = TuringMachine if kind == "tape" else BitLSTM
    network = make(3, 1, hidden=16, copies=2, generator=seeded())
    found = train_copying(network, 2, SHORT, seeded(1))
    assert found["loss"].shape == (60, 2)
    assert bool((found["loss"][-10:].mean(dim=0) < found["loss"][:10].mean(dim=0)).all())
    assert bool((found["longest"] <= 2).all())


def test_what_cannot_be_copied() -> None:
    with pytest.raises(OptionError, match="not 0"):
        copy_task(0, 8, 1, seeded())
    with pytest.raises(OptionError, match="above 0"):
        train_copying(BitLSTM(3, 1), 1, SHORT._replace(rate=0.0), seeded())
