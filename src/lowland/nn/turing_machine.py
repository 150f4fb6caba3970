"""The neural Turing machine: a controller with a memory that it reads and writes by soft addresses (system M7).

Legend: S copies of the network, each with weights of its own, B sequences, T places, N cells of the memory, M numbers
of a cell, I inputs and O outputs of a place, H hidden units.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError

_NOTHING = 1e-6
"""What is in a cell at the beginning; not 0, since a cosine with 0 has no slope."""


class Tape(NamedTuple):
    """What is carried from place to place.

    `memory` (S, B, N, M); `write` and `read` (S, B, N), the addresses of the two heads; `found` (S, B, M), what was
    read.
    """

    memory: Tensor
    write: Tensor
    read: Tensor
    found: Tensor


class TuringMachine(nn.Module):
    """A controller that writes to a memory and reads from it, S copies: (S, B, T, I) → scores of bits (S, B, T, O).

    A head addresses by content, keeps its place or takes that, moves by −1, 0 or 1 cells, and sharpens:

        c = softmax_n(β cos(k, m_n)),  g = γ c + (1 − γ) w_{t−1},  w_t ∝ (s ∗ g)^p,
        m_n ← m_n (1 − w_n e) + w_n a,  r = Σ_n w_n m_n,

    k, β > 0, 0 < γ < 1, s on the simplex, p ≥ 1, 0 < e < 1 and a come from the controller, a layer of H units that
    sees x_t and r_{t−1}. Both heads begin at the first cell. The memory is a ring. Source: Graves, Wayne & Danihelka,
    "Neural Turing machines" (2014), sections 3.1 to 3.3, with a feed-forward controller.

    Args:
        inputs: I.
        outputs: O.
        hidden: H.
        cells: N, as many as there will be things to keep.
        width: M.
        copies: S.
        generator: draws the weights.

    Raises:
        OptionError: for a size below 1, or fewer than three cells, on which moves cannot be told apart.

    >>> TuringMachine(inputs=4, outputs=3)(torch.zeros(1, 2, 5, 4)).shape
    torch.Size([1, 2, 5, 3])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int = 64,
        cells: int = 64,
        width: int = 12,
        copies: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(inputs, outputs, hidden, width, copies) < 1 or cells < 3:
            raise OptionError("A Turing machine needs sizes of at least 1, and at least 3 cells.")
        generator = generator or torch.Generator().manual_seed(0)
        self.cells, self.width, self.copies = cells, width, copies
        self.head = width + 6
        sizes = {"see": (inputs + width, hidden), "act": (hidden, 2 * self.head + 2 * width)}
        sizes["say"] = hidden + width, outputs
        for name, (before, after) in sizes.items():
            bound = 1 / math.sqrt(before)
            weight = torch.empty(copies, before, after).uniform_(-bound, bound, generator=generator)
            self.register_parameter(f"{name}_weight", nn.Parameter(weight))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(copies, 1, after)))

    see_weight: nn.Parameter
    see_bias: nn.Parameter
    act_weight: nn.Parameter
    act_bias: nn.Parameter
    say_weight: nn.Parameter
    say_bias: nn.Parameter

    def begin(self, rows: int) -> Tape:
        """The tape before the first place of B sequences."""
        like, first = self.see_weight, torch.zeros(self.cells, dtype=torch.long)
        first[0] = 1
        place = first.to(like).expand(self.copies, rows, -1)
        memory = like.new_full((self.copies, rows, self.cells, self.width), _NOTHING)
        return Tape(memory, place, place, like.new_zeros(self.copies, rows, self.width))

    def _address(self, told: Tensor, memory: Tensor, norms: Tensor, before: Tensor) -> Tensor:
        key, told = told[..., : self.width], told[..., self.width :]
        product = (memory @ key[..., None])[..., 0]
        cosine = product / (norms * key.norm(dim=-1, keepdim=True) + 1e-6)
        content = (functional.softplus(told[..., :1]) * cosine).softmax(dim=-1)
        place = torch.lerp(before, content, told[..., 1:2].sigmoid())
        move = told[..., 2:5].softmax(dim=-1)
        back, on = place.roll(-1, dims=-1), place.roll(1, dims=-1)
        place = move[..., :1] * back + move[..., 1:2] * place + move[..., 2:] * on
        sharp = (place + 1e-8) ** (1 + functional.softplus(told[..., 5:]))
        return sharp / sharp.sum(dim=-1, keepdim=True)

    def step(self, x: Tensor, tape: Tape) -> tuple[Tensor, Tape]:
        """What is said at one place, (S, B, H + M), and the tape after it; x is (S, B, I)."""
        seen = torch.cat([x, tape.found], dim=2)
        hidden = torch.baddbmm(self.see_bias, seen, self.see_weight).tanh()
        told = torch.baddbmm(self.act_bias, hidden, self.act_weight)
        norms = tape.memory.norm(dim=-1)
        write = self._address(told[..., : self.head], tape.memory, norms, tape.write)
        erase, add = told[..., 2 * self.head :].chunk(2, dim=2)
        at = write[..., None]
        memory = tape.memory * (1 - at * erase.sigmoid()[..., None, :]) + at * add.tanh()[..., None, :]
        read = self._address(told[..., self.head : 2 * self.head], memory, memory.norm(dim=-1), tape.read)
        found = (read[..., None, :] @ memory)[..., 0, :]
        return torch.cat([hidden, found], dim=2), Tape(memory, write, read, found)

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x)[0]

    def trace(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of bits (S, B, T, O), and where was written and read, (S, B, T, N) each."""
        tape, said, written, read = self.begin(x.shape[1]), [], [], []
        for one in x.unbind(2):
            words, tape = self.step(one, tape)
            said.append(words)
            written.append(tape.write)
            read.append(tape.read)
        words = torch.stack(said, dim=2)
        scores = torch.baddbmm(self.say_bias, words.flatten(1, 2), self.say_weight)
        return scores.unflatten(1, words.shape[1:3]), torch.stack(written, dim=2), torch.stack(read, dim=2)
