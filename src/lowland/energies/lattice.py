"""Lattices: an answer with parts is a path of least energy through an automaton (systems V4, V5).

Legend: B samples, C cells, L cells of the longest piece, K labels, A arcs.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lowland.automata import Automaton, chain, compose, spelling
from lowland.domains import Product, Reals, Tokens
from lowland.domains.tokens import EMPTY
from lowland.energies.answers import least_answers
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.paths import Group, best_path, soft_path
from lowland.energies.structure import Structure
from lowland.errors import DomainError, OptionError, ShapeError, UnsupportedError
from lowland.nn.layers import evaluating
from lowland.nn.line_readers import FrameCosts
from lowland.registry import register
from lowland.tensors import PerSampleRNG, take

_NEVER, _FARTHEST = 1e30, 1e9
"""A cost from which on a piece is impossible, and the largest of one that is not."""


@register("energy")
class Lattice(Energy):
    """E(x, y, z) = Σ over the arcs a of the path z of c(x)[end, cells, label(a)] + w[a]; +∞ where z does not write y.

    x is cut into C cells: frames, or what lies between candidate cuts. A piece is 1 to L cells that follow one another,
    and c(x), from a network, says what it costs to read it as a label. A path through the automaton reads pieces that
    cover all cells; y are the letters that it writes, z is the path. The least path is exact (Viterbi), and so is the
    sum over all paths of an answer (the forward algorithm), which is a plain sum, not a mean:

        F_β(x, y) = −1/β log Σ over the paths z that write y of exp(−β E(x, y, z)),
        log Z(x)  = log Σ over all paths of exp(−E).

    So p(y | x) = exp(−F_1) / Z, and `MaximumLikelihood` trains the whole: connectionist temporal classification (CTC)
    with the automaton `frames`, a linear chain of labels with `chain` and learned costs, a semi-Markov model with
    `pieces`, the reader of graph transformer networks with a grammar. `HingePair(LeastAnswer(), margin=0, beta=∞)` is
    the perceptron. Sources: LeCun, Bottou, Bengio & Haffner 1998, part VI; Graves et al. 2006; Lafferty et al. 2001.

    Args:
        network: (B, *shape) → costs (B, C, K) of single cells, or (B, C, L, K) of the piece of l + 1 cells that ends
            with each cell; with an attribute `shape`, or a dictionary of shapes by name if it takes x as one.
        automaton: which paths there are; see `lowland.automata`.
        cells: C, the most cells of a sample.
        lengths: whether samples have cells of their own number: x is then {"input": …, "cells": (B,)}.
        learned: whether the costs of arcs, w, are learned, from those of the automaton on.

    Raises:
        OptionError: for a network without `shape`, or an automaton without a path.
        DomainError: when a network gives costs beyond 1e9; from 1e30 on they count as +∞.
        UnsupportedError: for F_β with β ≤ 0: a mean over alignments of answers of different length means nothing.

    >>> from lowland.automata import frames
    >>> energy = Lattice(FrameCosts(6, 4, labels=3), frames(2), cells=6)
    >>> y = energy.transcripts([[0, 1], [1]])
    >>> energy.marginal(energy.encode(torch.zeros(2, 6, 4)), y, 1.0).exp().mul(3**6).reciprocal()
    tensor([0.0960, 0.0288], grad_fn=<ReciprocalBackward0>)
    """

    arcs: Tensor
    costs: Tensor
    """Checksums of the automaton's own costs, which are stored with it and not with the weights."""

    def __init__(
        self, network: nn.Module, automaton: Automaton, cells: int, lengths: bool = False, learned: bool = False
    ) -> None:
        shape = getattr(network, "shape", None)
        if shape is None:
            raise OptionError(
                f"{type(network).__name__} has no `shape`: a network of costs must state its input shape."
            )
        automaton = automaton.trim()
        if automaton.states == 0 or automaton.letters == 0:
            raise OptionError(f"{automaton!r} has no path that writes a letter: no state can be begun in and ended in.")
        if getattr(network, "counts_cells", False) and not lengths:
            raise OptionError(
                f"{type(network).__name__} reads lines with cells of their own number: pass lengths=True."
            )
        self.named = isinstance(shape, Mapping)
        parts = {name: Reals(tuple(part)) for name, part in (shape if self.named else {"input": shape}).items()}
        counted = {"cells": Reals()} if lengths else {}
        super().__init__(
            x=Product(parts | counted) if self.named or lengths else parts["input"],
            y=Tokens(automaton.letters, cells, empty="end"),
            z=Tokens(automaton.arcs, cells, empty="any"),
        )
        # Arcs count from here on as those of this automaton.
        self.automaton = dataclasses.replace(automaton, origin=None)
        self.network, self.cells, self.lengths = network, cells, lengths
        table = np.stack([automaton.source, automaton.label, automaton.target, automaton.output])
        self.register_buffer("arcs", torch.from_numpy(table))
        costs = (automaton.weight, automaton.start, automaton.final)
        self.register_buffer("costs", torch.tensor([zlib.crc32(part.tobytes()) for part in costs]))
        self.weight = nn.Parameter(torch.zeros(automaton.arcs)) if learned else None
        # A constrained lattice shares the weights of the arcs that its own come from.
        self.origin: Tensor | None = None

    def constrained(self, grammar: Automaton) -> Lattice:
        """The same energy of the answers that a grammar accepts alone; it shares the network and all weights.

        The costs of the grammar are added.

        Raises:
            OptionError: if no answer is left, or the grammar accepts some in two ways, which would count twice in sums,
                or it writes other letters.
        """
        if grammar.ambiguous:
            raise OptionError(
                f"{grammar!r} accepts some answer in two ways, which would count twice in sums over paths: make it of "
                "one regular expression or one list of words."
            )
        inner = compose(self.automaton, grammar)
        if inner.letters > self.automaton.letters:
            raise OptionError(f"{grammar!r} writes letters that this lattice does not: it must write what it reads.")
        found = Lattice(self.network, inner, self.cells, self.lengths)
        found.domains["y"] = self.domains["y"]
        found.weight = self.weight
        if self.weight is not None:
            own = torch.tensor(inner.origin)
            found.origin = own if self.origin is None else self.origin[own]
        return found

    def transcripts(self, answers: Iterable[Sequence[int]]) -> Tensor:
        """Answers as a y, (B, C), filled up with −1.

        Raises:
            DomainError: for an answer longer than the cells, or a letter that the automaton does not write.
        """
        rows = []
        letters = self.automaton.letters
        for i, answer in enumerate(answers):
            if len(answer) > self.cells:
                raise DomainError(f"Answer {i} has {len(answer)} letters, but there are at most {self.cells} cells.")
            if any(isinstance(letter, str) or letter != int(letter) or not 0 <= letter < letters for letter in answer):
                raise DomainError(
                    f"Answer {i} must be numbers of letters from 0 to {letters - 1}, not {list(answer)[:10]}."
                )
            rows.append([*answer, *[EMPTY] * (self.cells - len(answer))])
        device = next((each.device for each in self.parameters()), None)
        return torch.tensor(rows, dtype=self._dtype(), device=device).reshape(-1, self.cells)

    def answers(self, x: Any, count: int) -> Tensor:
        """The `count` different answers of least F_∞(x, y), ascending, (B, count, C); x is encoded.

        Raises:
            DomainError: if a sample has fewer answers.
        """
        costs, cells = x["cost"].detach().double().cpu().numpy(), x["cells"].tolist()
        arcs = dataclasses.replace(
            self.automaton, weight=self._weights(x["cost"].detach().double()).detach().cpu().numpy()
        )
        found = [least_answers(cost, count_of, arcs, count) for cost, count_of in zip(costs, cells, strict=True)]
        short = next((i for i, rows in enumerate(found) if len(rows) < count), None)
        if short is not None:
            raise DomainError(f"Sample {short} has {len(found[short])} answers, but {count} are wanted.")
        rows = [self.transcripts([answer for _, answer in rows]) for rows in found]
        return torch.stack(rows).to(x["cost"].device)

    @torch.no_grad()
    def possible(self, x: Any, y: Tensor, batch: int = 256) -> Tensor:
        """(B,) of booleans, whether some path through the pieces that x has writes y; x is not encoded.

        A network with a method `there(x)` → (B, C, L) says which pieces there are; otherwise its finite costs do.
        """
        found, known = [], getattr(self.network, "there", None)
        for rows in torch.arange(len(y), device=y.device).split(batch):
            some = take(x, rows)
            if known is None:
                with evaluating(self):
                    encoded = self.encode(some)
                closed, cells = torch.isinf(encoded["cost"]), encoded["cells"]
            else:
                there = known(some if self.named or not self.lengths else some["input"])
                closed = ~there[..., None].expand(-1, -1, -1, self.automaton.labels)
                cells = self._cells(some, len(rows), there.shape[1])
            group = self._spelled(y[rows])
            cost = torch.zeros(closed.shape, dtype=torch.float64, device=y.device).masked_fill(closed, math.inf)
            found.append(torch.isfinite(best_path(cost, cells, group, torch.zeros(len(group.source)).double())[0]))
        return torch.cat(found).to(y.device)

    def shares(self, x: Any, y: Tensor | None = None) -> Tensor:
        """How likely each piece is read as each label, (B, C, L, K): ∂F/∂c of all paths, or of those of an answer.

        The paths are weighed by exp(−E); the shares of all pieces over a cell sum to 1. x is not encoded.
        """
        with torch.no_grad(), evaluating(self):
            encoded = self.encode(x)
        with torch.enable_grad():
            cost = encoded["cost"].detach().requires_grad_()
            given = {**encoded, "cost": cost}
            free = -self.log_partition(given) if y is None else self.marginal(given, y, 1.0)
            assert free is not None
            return torch.autograd.grad(free.sum(), cost)[0]

    def letters(self, y: Tensor) -> list[list[int]]:
        """The answers without the −1 behind them; a DomainError for a y that is none."""
        inside = self.domains["y"].contains(y.flatten(1), 1e-3)
        if not bool(inside.all()):
            row = int((~inside).nonzero()[0])
            raise DomainError(
                f"Sample {row} has the answer {y[row].tolist()[:10]}, but letters are whole numbers below "
                f"{self.automaton.letters}, with −1 behind the last one."
            )
        return [[int(letter) for letter in row if letter >= 0] for row in y.tolist()]

    def encode(self, x: Any) -> dict[str, Tensor]:
        """Costs (B, C, L, K), and the cells of each sample, (B,)."""
        cost = self.network(x if self.named or not self.lengths else x["input"])
        cost = cost[:, :, None] if cost.ndim == 3 else cost
        if cost.ndim != 4 or cost.shape[1] > self.cells or cost.shape[3] < self.automaton.labels:
            raise ShapeError(
                f"{type(self.network).__name__} gave costs {tuple(cost.shape)}, but (B, at most {self.cells}, L, at "
                f"least {self.automaton.labels}) are needed."
            )
        # What masks scores with the least number there is means: this cannot be.
        cost = torch.where(cost >= _NEVER, math.inf, cost)
        if not torch.compiler.is_exporting():
            far = cost.detach().abs() > _FARTHEST
            if bool(far.any()) and bool((far := far & ~(cost == math.inf)).any()):
                first = float(cost.detach()[far][0])
                raise DomainError(
                    f"{type(self.network).__name__} gives costs beyond {_FARTHEST:g}, such as {first:g}, whose sums "
                    "have no digits left: scale its scores down."
                )
        return {"cost": cost, "cells": self._cells(x, cost.shape[0], cost.shape[1]).to(cost.device)}

    def energy(self, x: dict[str, Tensor], y: Tensor, z: Tensor) -> Tensor:
        if z.is_floating_point() and self.automaton.arcs > 2 / torch.finfo(z.dtype).eps:
            raise UnsupportedError(f"{z.dtype} cannot count {self.automaton.arcs} arcs: use a lattice of float32.")
        cost, cells = x["cost"], x["cells"]
        length, longest = cost.shape[1:3]
        behind, z = z[:, length:], z[:, :length].long()
        place = torch.arange(length, device=z.device)
        used, ended = z >= 0, torch.where(z >= 0, place, EMPTY)
        # The end of the piece before each cell; ONNX has no running maximum.
        earlier = place[:, None] > place
        before = torch.where(earlier, ended[:, None], EMPTY).amax(dim=2)
        size, arc = place - before, z.clamp_min(0)
        source, label, target, output = self.arcs.to(z.device)
        part = (size - 1).clamp(0, longest - 1)
        rows = torch.arange(z.shape[0], device=z.device)[:, None]  # len() would fix the batch of an exported program
        value = cost[rows, place, part, label[arc]] + self._weights(cost)[arc]
        # The state before each cell: that of the last arc.
        state = target[z.gather(1, before.clamp_min(0)).clamp_min(0)]
        whole = ~used | ((size <= longest) & ((before < 0) | (state == source[arc])))
        last = ended.amax(dim=1)
        first = torch.where(used, place, length).amin(dim=1).clamp_max(length - 1)
        start, final = (torch.tensor(each).to(cost) for each in (self.automaton.start, self.automaton.final))
        begin, end = source[z.gather(1, first[:, None])[:, 0].clamp_min(0)], z.gather(1, last[:, None].clamp_min(0))
        ends = start[begin] + final[target[end[:, 0].clamp_min(0)]]
        valid = whole.all(dim=1) & (last == cells - 1) & (cells > 0) & (self._written(z, output) == y.long()).all(dim=1)
        valid = valid & (behind < 0).all(dim=1)
        total = torch.where(used, value, 0.0).sum(dim=1) + ends
        return torch.where(valid, total, math.inf)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if x is None:
            return Structure()
        if over == ("z",):
            return Structure(minimiser=lambda: self._padded(self._best(x, self._spelled(y))[1]))
        if over == ("y", "z"):

            def least() -> Tensor:
                path = self._padded(self._best(x, self._whole(len(x["cost"])))[1])
                return torch.cat([self._written(path.long(), self.arcs[3]).to(path.dtype), path], dim=1)

            return Structure(minimiser=least)
        if over == ("y",):
            return Structure(minimiser=lambda: self._written(z.long(), self.arcs[3]).to(z.dtype))
        return Structure()

    def marginal(self, x: Any, y: Tensor, beta: float) -> Tensor | None:
        if beta == math.inf:
            energy, path = self._best(x, self._spelled(y))
            at = self.energy(x, y, self._padded(path))
            return torch.where(torch.isinf(energy), math.inf, at)
        if beta <= 0:
            return None
        return self._soft(x, self._spelled(y), beta).to(x["cost"].dtype)

    def log_partition(self, x: Any) -> Tensor:
        return -self._soft(x, self._whole(len(x["cost"]))).to(x["cost"].dtype)

    def log_likelihood(self, x: Any, y: Tensor, possible: bool = True) -> Tensor:
        """The log-probability of y, −F_1(x, y) − log Z(x), (B,), subtracted in float64; x is encoded.

        Raises:
            DomainError: for an answer that no path writes, which has −∞ if it need not be `possible`.
        """
        free = self._soft(x, self._spelled(y))
        never = torch.isposinf(free)
        if possible and bool(never.any()):
            row = int(never.nonzero()[0])
            raise DomainError(
                f"Sample {row} of the batch has an answer that no path can write, {self.letters(y[row : row + 1])[0]} "
                f"with {int(x['cells'][row])} cells: leave such samples out, which `possible` finds."
            )
        found = (self._soft(x, self._whole(len(free))) - free).clamp_max(0.0)
        return torch.where(never, -math.inf, found)

    def _soft(self, x: Any, group: Group, beta: float = 1.0) -> Tensor:
        """F_β over the paths of a group, (B,), in float64."""
        weight = beta * group.arc_weights(self._learned())
        ends = dataclasses.replace(group, start=beta * group.start, final=beta * group.final)
        cost = x["cost"] if beta == 1 else beta * x["cost"].double()
        return soft_path(cost, x["cells"], ends, weight) / beta

    def prior(self, x: Any, noise: PerSampleRNG, count: int) -> Tensor:
        """None, and so an UnsupportedError: the alignments of an answer are summed."""
        raise UnsupportedError(
            "A lattice sums over the alignments of an answer, which have no prior to average over: use beta > 0, or "
            "beta=inf for the best alignment."
        )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **options: Any) -> None:
        for name, own in (("arcs", self.arcs), ("costs", self.costs)):
            saved = state_dict.get(prefix + name)
            if saved is not None and not (saved.shape == own.shape and bool((saved.cpu() == own.cpu()).all())):
                raise OptionError(
                    f"These weights are of a lattice with another automaton, whose {name} differ: build it with the "
                    "automaton that it was trained with."
                )
        super()._load_from_state_dict(state_dict, prefix, *args, **options)

    def _dtype(self) -> torch.dtype:
        return next((each.dtype for each in self.parameters() if each.is_floating_point()), torch.get_default_dtype())

    def _cells(self, x: Any, batch: int, most: int | None = None) -> Tensor:
        most = self.cells if most is None else most
        if not self.lengths:
            return torch.full((batch,), most)
        cells = x["cells"].round().long()
        wrong = (cells < 1) | (cells > most)
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise DomainError(f"Sample {row} has {int(cells[row])} cells, but 1 … {most} are there.")
        return cells

    def _learned(self) -> Tensor | None:
        return self.weight if self.weight is None or self.origin is None else self.weight[self.origin]

    def _weights(self, like: Tensor) -> Tensor:
        own = torch.tensor(self.automaton.weight).to(like)
        learned = self._learned()
        return own if learned is None else own + learned

    def _whole(self, batch: int) -> Group:
        return _group_of(self.automaton, batch)

    def _spelled(self, y: Tensor) -> Group:
        return Group.of([_spelled(self.automaton, tuple(letters)) for letters in self.letters(y)])

    def _best(self, x: Any, group: Group) -> tuple[Tensor, Tensor]:
        return best_path(x["cost"], x["cells"], group, group.arc_weights(self._learned()))

    def _padded(self, path: Tensor) -> Tensor:
        missing = self.cells - path.shape[1]
        return nn.functional.pad(path, (0, missing), value=EMPTY).to(self._dtype())

    def _written(self, z: Tensor, output: Tensor) -> Tensor:
        """The letters that paths write, (B, C), filled up with −1."""
        letters = torch.where(z < 0, EMPTY, output.to(z.device)[z.clamp_min(0)])
        place = torch.where(letters < 0, self.cells, (letters >= 0).cumsum(dim=1) - 1)
        empty = torch.full((letters.shape[0], self.cells + 1), EMPTY, device=z.device)
        return empty.scatter(1, place, letters)[:, : self.cells]

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Two labels, three cells, and 1 for each change of label: 0 1 1 costs −1 + 1 − 2 − 3."""
        network = FrameCosts(3, 2, labels=2)
        network.weight.data.copy_(torch.eye(2))
        energy = cls(network, chain(2, np.array([[0.0, 1.0], [1.0, 0.0]])), cells=3)
        x = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [0.0, 3.0]]])
        best = torch.tensor([[0.0, 1.0, 1.0, 4.0, 1.0, 3.0]])
        return ReferenceCase(energy, {"x": x}, ("y", "z"), minimum=torch.tensor([-5.0]), minimiser=best, start=best)


@functools.lru_cache(maxsize=1 << 14)
def _spelled(automaton: Automaton, letters: tuple[int, ...]) -> Automaton:
    return compose(automaton, spelling(letters))


@functools.lru_cache(maxsize=64)
def _group_of(automaton: Automaton, batch: int) -> Group:
    return Group.of([automaton] * batch)
