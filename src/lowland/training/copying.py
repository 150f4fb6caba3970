"""The task of copying: bits are shown, and are to be said again after a mark, however many there are (system M7).

Legend: S copies of a network, B sequences, L places that are copied, K bits of a place.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError

_EASY, _LONGER, _FIRST = 0.1, 0.05, 3.0
"""Below the first, in nats per bit, the longest sequence grows by the second, from the third on."""


class CopyTraining(NamedTuple):
    """How long and how a network is trained to copy: Adam, gradients of each weight of a copy at most `clip` long."""

    most: int = 20
    bits: int = 8
    steps: int = 1500
    batch: int = 16
    rate: float = 0.005
    clip: float = 10.0


class BitLSTM(nn.Module):
    """S LSTMs that see inputs (S, B, T, I) and say scores of bits (S, B, T, O), each with weights of its own.

    Args:
        inputs: I.
        outputs: O.
        hidden: units.
        copies: S.
        generator: draws the weights.

    >>> BitLSTM(4, 3, copies=2)(torch.zeros(2, 5, 6, 4)).shape
    torch.Size([2, 5, 6, 3])
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: int = 100, copies: int = 1, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.copies, bound = copies, 1 / math.sqrt(hidden)
        self.layers = nn.ModuleList(
            nn.LSTM(inputs, hidden, batch_first=True, proj_size=0, device="meta").to_empty(device="cpu")
            for _ in range(copies)
        )
        self.says = nn.ModuleList(
            nn.Linear(hidden, outputs, device="meta").to_empty(device="cpu") for _ in range(copies)
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.layers, self.says, x, strict=True)
        return torch.stack([say(layer(one)[0]) for layer, say, one in pairs])


def copy_task(length: int, bits: int, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inputs (B, 2 L + 2, K + 2) and what is to be said in the last L places, (B, L, K).

    The last two inputs are marks, one before the bits and one behind them; nothing is shown while they are to be said.
    Source: Graves, Wayne & Danihelka, "Neural Turing machines" (2014), section 4.1.

    >>> x, y = copy_task(3, 8, 5, torch.Generator().manual_seed(0))
    >>> x.shape, bool((x[:, 1:4, :8] == y).all()), float(x[:, 5:].sum())
    (torch.Size([5, 8, 10]), True, 0.0)
    """
    if min(length, bits, rows) < 1:
        raise OptionError(f"A copy needs a length, bits and rows of at least 1, not {length}, {bits} and {rows}.")
    answer = torch.randint(2, (rows, length, bits), generator=generator).float()
    x = torch.zeros(rows, 2 * length + 2, bits + 2)
    x[:, 1 : length + 1, :bits] = answer
    x[:, 0, bits], x[:, length + 1, bits + 1] = 1.0, 1.0
    return x, answer


def train_copying(
    network: nn.Module, copies: int, settings: CopyTraining, generator: torch.Generator
) -> dict[str, Any]:
    """Train all copies of a network in place, each on sequences of its own, the mean of −log p of the bits.

    Lengths are drawn evenly from 1 on. The longest is 3 at first, and grows while the median copy has less than 0.1
    nats per bit, to `most`.

    Args:
        network: (S, B, T, K + 2) → (S, B, T, K), such as `TuringMachine`. A weight with three axes is one of all
            copies, others belong to one copy.
        copies: S.
        settings: sizes and rates.
        generator: draws the sequences.

    Returns:
        "loss" (steps, S), in nats per bit, and "longest" (steps,).
    """
    if min(settings) <= 0:
        raise OptionError(f"Training to copy needs settings above 0, not {settings}.")
    optimiser = torch.optim.Adam(network.parameters(), settings.rate)
    longest, losses, lengths = min(_FIRST, settings.most), [], []
    for _ in range(settings.steps):
        length = int(torch.randint(1, int(longest) + 1, (1,), generator=generator))
        x, answer = copy_task(length, settings.bits, copies * settings.batch, generator)
        scores = network(x.unflatten(0, (copies, -1)))[:, :, length + 2 :]
        each = functional.binary_cross_entropy_with_logits(
            scores, answer.unflatten(0, (copies, -1)), reduction="none"
        ).mean(dim=(1, 2, 3))
        optimiser.zero_grad()
        each.sum().backward()
        for parameter in network.parameters():
            if parameter.grad is not None:
                own = parameter.grad.flatten(1) if parameter.ndim == 3 else parameter.grad.reshape(1, -1)
                scale = (settings.clip / own.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
                parameter.grad.copy_((own * scale).reshape(parameter.shape))
        optimiser.step()
        losses.append(each.detach())
        lengths.append(longest)
        if float(each.detach().median()) < _EASY:
            longest = min(float(settings.most), longest + _LONGER)
    return {"loss": torch.stack(losses), "longest": torch.tensor(lengths)}


@torch.no_grad()
def bit_errors(
    network: nn.Module, copies: int, length: int, bits: int, rows: int, generator: torch.Generator
) -> Tensor:
    """Bits that each copy says wrongly, in percent, (S,), of the same sequences for all copies."""
    x, answer = copy_task(length, bits, rows, generator)
    scores = network(x.expand(copies, -1, -1, -1))[:, :, length + 2 :]
    return 100 * ((scores > 0) != (answer > 0)).float().mean(dim=(1, 2, 3))
