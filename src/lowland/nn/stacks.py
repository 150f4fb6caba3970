"""Recurrent networks of symbols, several copies side by side: with stacks, and the LSTM (system M6).

Legend: S copies of a network, each with weights of its own, B sequences, T places, V symbols, H hidden units,
K stacks, D entries of a stack.
"""

from __future__ import annotations

import copy
import math
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError

Memory: TypeAlias = tuple[Tensor, ...]
"""What a network carries from one symbol to the next; each tensor begins with axes S, B."""
BOTTOM = -1.0
"""What is read of a stack below its last entry, as in the paper."""


class SymbolNetwork(nn.Module):
    """S copies of a recurrent network that says of each symbol which one comes next.

    A subclass defines `begin` and `step`. Copies do not know of each other: they are trained side by side because one
    product of S small matrices costs little more than one.

    Args:
        symbols: V.
        hidden: H.
        copies: S.

    Raises:
        OptionError: for a size below 1.
    """

    def __init__(self, symbols: int, hidden: int, copies: int) -> None:
        super().__init__()
        if min(symbols, hidden, copies) < 1:
            raise OptionError(f"A network of symbols needs sizes of at least 1, not {(symbols, hidden, copies)}.")
        self.symbols, self.hidden, self.copies = symbols, hidden, copies

    def begin(self, rows: int) -> Memory:
        """What is carried into the first symbol of B new sequences."""
        raise NotImplementedError

    def step(self, seen: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Hidden units (S, B, H) and what is carried on, from what the symbol gives them, `look(…)` of one place."""
        raise NotImplementedError

    def look(self, one_hot: Tensor) -> Tensor:
        """What each symbol gives to the hidden units, (S, N, V) → (S, N, ·)."""
        raise NotImplementedError

    def decide(self, hidden: Tensor) -> Tensor:
        """Scores of the next symbol, (S, N, H) → (S, N, V)."""
        raise NotImplementedError

    def copy(self, number: int) -> SymbolNetwork:
        """One of the copies, alone, with weights of its own."""
        one = copy.deepcopy(self)
        one.copies = 1
        for parameter in one.parameters():
            parameter.data = parameter.data[number : number + 1].clone()
        return one

    def forward(self, inputs: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Scores of what follows each symbol, (S, B, T, V), and what is carried on.

        Args:
            inputs: (S, B, T) numbers of symbols; −1 where there is none yet.
            memory: what an earlier call returned, or None at the beginning of the sequences.
        """
        rows, places = inputs.shape[1:]
        memory = self.begin(rows) if memory is None else memory
        own = next(self.parameters())
        one_hot = (inputs[..., None] == torch.arange(self.symbols, device=inputs.device)).to(own.dtype)
        seen = self.look(one_hot.flatten(1, 2)).unflatten(1, (rows, places))
        hidden = []
        for look in seen.unbind(2):
            one, memory = self.step(look, memory)
            hidden.append(one)
        return self.decide(torch.stack(hidden, dim=2).flatten(1, 2)).unflatten(1, (rows, places)), memory


class StackNetwork(SymbolNetwork):
    """A network whose only memory are stacks that it pushes to and pops from, S copies (S, B, T) → (S, B, T, V).

        h_t = σ(U x_t + Σ_k P_k s_{t−1}[k, : depth] + b),  a_t[k] = softmax(A_k h_t),
        s_t[k, 0] = push σ(D_k h_t) + pop s_{t−1}[k, 1] + keep s_{t−1}[k, 0],
        s_t[k, i] = push s_{t−1}[k, i−1] + pop s_{t−1}[k, i+1] + keep s_{t−1}[k, i],

    and the scores of the next symbol are V h_t + c. With `discrete` set, the likeliest action is taken alone. Source:
    Joulin & Mikolov, "Inferring algorithmic patterns with stack-augmented recurrent nets" (2015), equations 3 to 6,
    with recurrence through the stacks only, which is their setting for counting. Below its last entry a stack reads −1.

    Args:
        symbols: V.
        hidden: H; 40 in the paper.
        stacks: K; 10 in the paper.
        depth: how many upper entries the hidden units read; 2 in the paper.
        capacity: D; what is pushed out below is lost.
        keep: whether there is the third action, to keep a stack as it is.
        copies: S.
        generator: draws the weights.

    Raises:
        OptionError: for a size below 1, or a capacity below the depth.

    >>> network = StackNetwork(symbols=2, copies=3)
    >>> scores, memory = network(torch.zeros(3, 5, 7))
    >>> scores.shape, memory[0].shape
    (torch.Size([3, 5, 7, 2]), torch.Size([3, 5, 10, 32]))
    """

    def __init__(
        self,
        symbols: int,
        hidden: int = 40,
        stacks: int = 10,
        depth: int = 2,
        capacity: int = 32,
        keep: bool = False,
        copies: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(symbols, hidden, copies)
        if stacks < 1 or not 1 <= depth <= capacity:
            raise OptionError(f"Stacks need 1 <= depth <= capacity, not {stacks} stacks, {depth} and {capacity}.")
        generator = generator or torch.Generator().manual_seed(0)
        self.stacks, self.depth, self.capacity, self.actions = stacks, depth, capacity, 3 if keep else 2
        self.discrete = False
        self.look_weight = _normal(copies, symbols, hidden, generator=generator)
        self.read_weight = _normal(copies, stacks * depth, hidden, generator=generator)
        self.bias = nn.Parameter(torch.zeros(copies, 1, hidden))
        self.act_weight = _normal(copies, hidden, stacks * (self.actions + 1), generator=generator)
        self.decide_weight = _normal(copies, hidden, symbols, generator=generator)
        self.decide_bias = nn.Parameter(torch.zeros(copies, 1, symbols))

    def begin(self, rows: int) -> Memory:
        return (self.bias.new_full((self.copies, rows, self.stacks, self.capacity), BOTTOM),)

    def look(self, one_hot: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, one_hot, self.look_weight)

    def step(self, seen: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        (stack,) = memory
        hidden = torch.baddbmm(seen, stack[..., : self.depth].flatten(2), self.read_weight).sigmoid()
        act = torch.bmm(hidden, self.act_weight).unflatten(2, (self.stacks, self.actions + 1))
        pushed, action = act[..., :1].sigmoid(), act[..., 1:].softmax(dim=3)
        if self.discrete:
            action = functional.one_hot(action.argmax(dim=3), self.actions).to(action.dtype)
        room = torch.cat([pushed, stack, torch.full_like(pushed, BOTTOM)], dim=3)
        moved = action[..., :1] * room[..., : self.capacity] + action[..., 1:2] * room[..., 2:]
        if self.actions == 3:
            moved = moved + action[..., 2:] * stack
        return hidden, (moved,)

    def decide(self, hidden: Tensor) -> Tensor:
        return torch.baddbmm(self.decide_bias, hidden, self.decide_weight)


class LSTM(SymbolNetwork):
    """A layer of long short-term memory, S copies (S, B, T) → (S, B, T, V).

        i, f, o = σ(W x_t + R h_{t−1} + b), g = tanh(…), c_t = f c_{t−1} + i g, h_t = o tanh(c_t).

    Source: Hochreiter & Schmidhuber, "Long short-term memory" (1997), with the forget gate of Gers, Schmidhuber &
    Cummins (2000), whose bias begins at 1.

    Args:
        symbols: V.
        hidden: H.
        copies: S.
        generator: draws the weights.

    >>> LSTM(symbols=2, copies=3)(torch.zeros(3, 5, 7))[0].shape
    torch.Size([3, 5, 7, 2])
    """

    def __init__(
        self, symbols: int, hidden: int = 40, copies: int = 1, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(symbols, hidden, copies)
        generator = generator or torch.Generator().manual_seed(0)
        bound = 1 / math.sqrt(hidden)
        self.look_weight = _uniform(copies, symbols, 4 * hidden, bound=bound, generator=generator)
        self.read_weight = _uniform(copies, hidden, 4 * hidden, bound=bound, generator=generator)
        bias = torch.zeros(copies, 1, 4 * hidden)
        bias[..., hidden : 2 * hidden] = 1.0
        self.bias = nn.Parameter(bias)
        self.decide_weight = _uniform(copies, hidden, symbols, bound=bound, generator=generator)
        self.decide_bias = nn.Parameter(torch.zeros(copies, 1, symbols))

    def begin(self, rows: int) -> Memory:
        nothing = self.bias.new_zeros(self.copies, rows, self.hidden)
        return nothing, nothing

    def look(self, one_hot: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, one_hot, self.look_weight)

    def step(self, seen: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        hidden, cell = memory
        gates = torch.baddbmm(seen, hidden, self.read_weight)
        write, keep, show = gates[..., : 3 * self.hidden].sigmoid().chunk(3, dim=2)
        cell = keep * cell + write * gates[..., 3 * self.hidden :].tanh()
        hidden = show * cell.tanh()
        return hidden, (hidden, cell)

    def decide(self, hidden: Tensor) -> Tensor:
        return torch.baddbmm(self.decide_bias, hidden, self.decide_weight)


def _normal(*shape: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=generator) / math.sqrt(shape[-2]))


def _uniform(*shape: int, bound: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))
