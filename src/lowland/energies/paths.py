"""Sums over, and the least of, all paths of an automaton through a row of cells, for a batch with an automaton each.

Where numba is there and tensors are in the processor's memory, by `lowland.compiled.lattice`; else by torch, step by
step.

Legend: B samples, C cells, L cells of the longest piece, K labels, S states, M arcs into a state, A arcs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from lowland.automata import Automaton
from lowland.compiled import in_threads, usable


@dataclasses.dataclass(frozen=True)
class Group:
    """Automata one behind the other, arcs ordered by target, and which of them each sample has.

    Attributes:
        which: (B,) the automaton of each sample.
        first: first state of each automaton, and the end.
        enter: first arc into each state, and the end.
        source: (A,) where an arc comes from, counted within its automaton.
        label, weight, origin: (A,), as in `Automaton`.
        start, final: (S,).
    """

    which: Any
    first: Any
    enter: Any
    source: Any
    label: Any
    weight: Any
    origin: Any
    start: Any
    final: Any

    @classmethod
    def of(cls, automata: Sequence[Automaton]) -> Group:
        """Of one automaton for each sample; what is the same object stands there once."""
        kept = list({id(each): each for each in automata}.values())
        places = {id(each): place for place, each in enumerate(kept)}
        arrivals = [each.arrivals for each in kept]
        arcs = {
            name: np.concatenate([each[name] for each in arrivals]) for name in ("source", "label", "weight", "origin")
        }
        entering = np.concatenate([each["entering"] for each in arrivals])
        return cls(
            which=np.array([places[id(each)] for each in automata]),
            first=np.cumsum([0, *(each.states for each in kept)]),
            enter=np.cumsum([0, *entering]),
            start=np.concatenate([each.start for each in kept]),
            final=np.concatenate([each.final for each in kept]),
            **arcs,
        )

    def arc_weights(self, learned: Tensor | None) -> Tensor:
        """(A,) float64: the automata's own costs, plus the learned ones (of the arcs they come from)."""
        own = torch.from_numpy(self.weight)
        if learned is None:
            return own
        return own.to(learned.device) + learned.double()[torch.from_numpy(self.origin).to(learned.device)]


def soft_path(cost: Tensor, cells: Tensor, group: Group, weight: Tensor) -> Tensor:
    """−log Σ over paths of exp(−cost of the path), (B,), in float64; +∞ where there is no path.

    Args:
        cost: (B, C, L, K) of label k for the piece of l + 1 cells that ends with cell c.
        cells: (B,) int64, cells of each sample; later ones are not read.
        group: automata.
        weight: (A,) of its arcs, from `Group.arc_weights`.

    Three cells that are each read as one of two letters for nothing have 2³ paths:

    >>> from lowland.automata import chain
    >>> group = Group.of([chain(2)])
    >>> soft_path(torch.zeros(1, 3, 1, 2), torch.tensor([3]), group, group.arc_weights(None)).neg().exp().round()
    tensor([8.], dtype=torch.float64)
    """
    if usable(cost, weight):
        return _SoftPath.apply(cost, cells, group, weight)
    return soft_path_in_torch(cost, cells, group, weight)


def best_path(cost: Tensor, cells: Tensor, group: Group, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The least cost of a path, (B,) in float64, and its arcs, (B, C) int64 in the numbers of `Group.origin`.

    An arc stands at the last cell of its piece, and −1 at the other cells; without a path the cost is +∞ and all are
    −1. Nothing here has a gradient. The arguments are those of `soft_path`.

    >>> from lowland.automata import chain
    >>> group, cost = Group.of([chain(2)]), torch.tensor([[[[1.0, 3.0]], [[4.0, 2.0]]]])
    >>> energy, path = best_path(cost, torch.tensor([2]), group, group.arc_weights(None))
    >>> energy, chain(2).label[path]
    (tensor([3.], dtype=torch.float64), array([[0, 1]]))
    """
    cost, weight = cost.detach(), weight.detach()
    if usable(cost, weight):
        total = np.empty(len(cost))
        path = np.full(tuple(cost.shape[:2]), -1, np.int64)
        arrays = _arrays(cost, cells, group, weight)
        from lowland.compiled.lattice import least_path

        in_threads(
            lambda chunk: cast(Any, least_path)(*arrays, group.start, group.final, chunk, total, path),
            _chunks(len(cost)),
        )
        arcs = torch.from_numpy(path)
        energy = torch.from_numpy(total)
    else:
        energy, arcs = _best_in_torch(cost, cells, group, weight)
    origin = torch.from_numpy(group.origin).to(arcs.device)
    return energy, torch.where(arcs < 0, arcs, origin[arcs.clamp_min(0)] if len(origin) else arcs)


def _arrays(cost: Tensor, cells: Tensor, group: Group, weight: Tensor) -> tuple[Any, ...]:
    return (
        np.ascontiguousarray(cost.detach().numpy()), cells.numpy(), group.which, group.first, group.enter,
        group.source, group.label, weight.detach().numpy(),
    )  # fmt: skip


def _chunks(count: int) -> list[Any]:
    pieces = min(count, 4 * torch.get_num_threads()) if torch.get_num_threads() > 1 else 1
    return np.array_split(np.arange(count), max(1, pieces))


class _SoftPath(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cost: Tensor, cells: Tensor, group: Group, weight: Tensor) -> Tensor:
        from lowland.compiled.lattice import powers, sum_paths

        *arrays, costs = _arrays(cost, cells, group, weight)
        factor, factor_k = np.empty(len(costs)), np.empty(len(costs), np.int64)
        powers(costs, factor, factor_k)
        arrays = (*arrays, factor, factor_k)
        shape = len(cost), cost.shape[1] + 1, int(np.diff(group.first).max(initial=0))
        alpha, alpha_k, total = np.empty(shape), np.empty(shape, np.int64), np.empty(len(cost))
        in_threads(
            lambda chunk: cast(Any, sum_paths)(*arrays, group.start, group.final, chunk, alpha, alpha_k, total),
            _chunks(len(cost)),
        )
        ctx.save_for_backward(cost, cells, weight)
        ctx.kept = (factor, factor_k), group, (alpha, alpha_k, total)
        return torch.from_numpy(total)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        from lowland.compiled.lattice import share_paths

        (cost, cells, weight), (factors, group, sums) = ctx.saved_tensors, ctx.kept
        if torch.is_grad_enabled():  # somebody wants the second derivative, which torch knows
            asked = [
                each for each, needed in ((cost, ctx.needs_input_grad[0]), (weight, ctx.needs_input_grad[3])) if needed
            ]
            total = soft_path_in_torch(cost, cells, group, weight)
            found = iter(torch.autograd.grad(total, asked, slope, create_graph=True, allow_unused=True))
            by_cost_, by_weight_ = (next(found) if ctx.needs_input_grad[place] else None for place in (0, 3))
            return by_cost_, None, None, by_weight_
        *arrays, _ = _arrays(cost, cells, group, weight)
        arrays = (*arrays, *factors)
        slopes, chunks = slope.double().contiguous().numpy(), _chunks(len(slope))
        by_cost = np.zeros_like(arrays[0])
        by_weight = np.zeros((len(chunks), len(group.source)))

        def work(piece: tuple[int, Any]) -> None:
            i, chunk = piece
            cast(Any, share_paths)(*arrays, group.final, chunk, *sums, slopes, by_cost, by_weight[i])

        in_threads(work, list(enumerate(chunks)))
        return torch.from_numpy(by_cost), None, None, torch.from_numpy(by_weight.sum(axis=0))


def _tables(cost: Tensor, group: Group, weight: Tensor) -> tuple[Tensor, ...]:
    """Padded: arcs into each state of each sample (B, S, M), −1 for none, and costs of start and end, (B, S)."""
    states, most = np.diff(group.first), int(np.diff(group.enter).max(initial=1)) or 1
    arcs = np.full((len(group.which), max(1, int(states.max(initial=1))), most), -1, np.int64)
    ends = np.full((2, *arcs.shape[:2]), np.inf)
    for b, q in enumerate(group.which):
        low, count = group.first[q], states[q]
        enter = group.enter[low : low + count + 1]
        places = enter[:-1, None] + np.arange(most)
        arcs[b, :count] = np.where(places < enter[1:, None], places, -1)
        ends[0, b, :count] = group.start[low : low + count]
        ends[1, b, :count] = group.final[low : low + count]
    device = cost.device
    index = torch.from_numpy(arcs).to(device)
    known = index.clamp_min(0)
    source, label = (torch.from_numpy(each).to(device) for each in (group.source, group.label))
    if not len(source):
        empty = torch.zeros_like(known)
        return index, empty, empty, torch.full(known.shape, math.inf, device=device).double(), *_pair(ends, device)
    costs = weight.to(device)[known].masked_fill(index < 0, math.inf)
    return index, source[known], label[known], costs, *_pair(ends, device)


def _pair(ends: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(ends[0]).to(device), torch.from_numpy(ends[1]).to(device)


def _steps(
    cost: Tensor, cells: Tensor, tables: tuple[Tensor, ...], reduce: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """−log sums or minima over all paths, (B,), those at the end by state, and the terms of each step."""
    _, source, label, weight, start, final = tables
    batch, length, longest = cost.shape[:3]
    _, states, most = source.shape
    by_arc = cost.double().gather(3, label.reshape(batch, 1, 1, -1).expand(-1, length, longest, -1))
    by_arc = by_arc.unflatten(3, (states, most)) + weight[:, None, None]
    flat, reached, terms = source.reshape(batch, -1), [start], []
    for c in range(length):
        parts = [
            reached[c - piece].gather(1, flat).reshape(batch, states, most) + by_arc[:, c, piece]
            for piece in range(min(longest, c + 1))
        ]
        terms.append(torch.cat(parts, dim=2))
        reached.append(reduce(terms[-1]))
    last = torch.stack(reached, dim=1)[torch.arange(batch, device=cost.device), cells.to(cost.device)] + final
    return reduce(last), last, terms


def _soft(values: Tensor) -> Tensor:
    """−log Σ exp(−v) over the last axis; a row of +∞ gives +∞, with a gradient of 0."""
    none = torch.isinf(values).all(dim=-1)
    return torch.where(none, math.inf, -torch.logsumexp(-values.masked_fill(none[..., None], 0.0), dim=-1))


def soft_path_in_torch(cost: Tensor, cells: Tensor, group: Group, weight: Tensor) -> Tensor:
    """`soft_path` in torch operations alone: on any device, and with derivatives of any order."""
    return _steps(cost, cells, _tables(cost, group, weight), _soft)[0]


def _best_in_torch(cost: Tensor, cells: Tensor, group: Group, weight: Tensor) -> tuple[Tensor, Tensor]:
    tables = _tables(cost, group, weight)
    total, last, terms = _steps(cost, cells, tables, lambda values: values.amin(dim=-1))
    index, source, most = tables[0], tables[1], tables[1].shape[2]
    path = torch.full(cost.shape[:2], -1, dtype=torch.int64, device=cost.device)
    state = last.argmin(dim=1)
    for b in range(len(cost)):
        cell, at = int(cells[b]), int(state[b])
        while cell > 0 and math.isfinite(float(total[b])):
            piece, arc = divmod(int(terms[cell - 1][b, at].argmin()), most)
            path[b, cell - 1] = index[b, at, arc]
            cell, at = cell - 1 - piece, int(source[b, at, arc])
    return total, path
