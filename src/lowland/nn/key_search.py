"""Look-ups among very many keys: the nearest alone are read, and what was left out is said.

Legend: B queries, N keys, D their width, M that of the values, k keys that are read.
"""

from __future__ import annotations

import importlib.util
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError


class Read(NamedTuple):
    """What was read: `value` (B, M), the `number` (B, k) of each key, its `share` (B, k), and the mass `left_out` (B,).

    Shares of the keys that were read sum to 1. `left_out` is the share that the softmax over all keys gives to the
    others.
    """

    value: Tensor
    number: Tensor
    share: Tensor
    left_out: Tensor


class KeySearch:
    """The k keys of the largest product with a query: exact, in pieces that fit into memory, or by faiss.

    With faiss the keys are in lists around centres, of which only the closest to a query are searched (an inverted
    file, Jégou et al. 2011; Johnson et al. 2019). It finds most of the nearest keys, not always all.

    Args:
        keys: (N, D) on the CPU for faiss.
        index: "exact", "faiss", or "auto" for faiss from 100,000 keys on where it is installed (the extra `search`).
        lists: of faiss; by default 2 √N.
        probes: lists that are searched for each query.
        piece: keys that are compared at once, which bounds memory.
        seed: of the centres, and of the keys that stand for those left out.

    Raises:
        OptionError: for an unknown index, or faiss where it is not installed.
        ShapeError: for keys that are not (N, D).

    >>> search = KeySearch(torch.eye(4))
    >>> product, number = search.nearest(torch.tensor([[0.1, 0.0, 0.9, 0.2]]), count=2)
    >>> product, number
    (tensor([[0.9000, 0.2000]]), tensor([[2, 3]]))
    """

    def __init__(
        self, keys: Tensor, index: str = "auto", lists: int | None = None, probes: int = 32, piece: int = 65536,
        seed: int = 0,
    ) -> None:  # fmt: skip
        if keys.ndim != 2 or not len(keys):
            raise ShapeError(f"keys must be (N, D) with at least one key, but they are {tuple(keys.shape)}.")
        if index not in ("auto", "exact", "faiss"):
            raise OptionError(f"index must be 'auto', 'exact' or 'faiss', but it is {index!r}.")
        if probes < 1 or piece < 1 or (lists is not None and not 1 <= lists <= len(keys)):
            raise OptionError(f"probes, piece and lists must be at least 1, not {probes}, {piece} and {lists}.")
        there = importlib.util.find_spec("faiss") is not None
        if index == "faiss" and not there:
            raise OptionError("faiss is not installed: pip install faiss-cpu, or take index='exact'.")
        self.keys, self.piece, self.seed = keys.detach(), piece, seed
        self.approximate = index == "faiss" or (index == "auto" and there and len(keys) >= 100_000)
        self._faiss = (
            self._built(lists or max(1, round(2 * math.sqrt(len(keys)))), probes) if self.approximate else None
        )

    def _built(self, lists: int, probes: int) -> Any:
        import faiss

        keys = self.keys.float().numpy()
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(keys.shape[1]), keys.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.niter, index.cp.min_points_per_centroid = self.seed, 10, 1
        # As few keys as its k-means wants of each centre; more would take longer and change little.
        index.cp.max_points_per_centroid = 40
        index.train(keys)
        index.add(keys)
        index.nprobe = probes
        return index

    @torch.no_grad()
    def nearest(self, query: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The k largest products with a query, in order, and the numbers of their keys: (B, D) → (B, k) each.

        faiss gives −∞ and the number −1 where its lists hold fewer keys.
        """
        self._check(query, count)
        if self._faiss is None:
            product, number, _ = self._exact(query, count, None)
            return product, number
        product, number = self._faiss.search(query.detach().float().numpy(), count)
        product = torch.from_numpy(product).to(query.dtype)
        number = torch.from_numpy(number)
        return product.masked_fill(number < 0, -torch.inf), number

    @torch.no_grad()
    def read(
        self, query: Tensor, beta: float, count: int, values: Tensor | None = None, counted: int = 512,
        sample: int = 4096,
    ) -> Read:  # fmt: skip
        """Attention to the k nearest keys alone, and the mass of the others.

        Σ_i c_i v_i over the k keys of the largest product, c = softmax(β x_i · q) over these; `left_out` is
        1 − Σ_k exp(β x_i · q) / Z. The exact index knows Z, a sum over all keys. With faiss it is estimated: the
        nearest keys are counted one by one, and a random sample stands for all others. The estimate of Z has no bias,
        but the larger β is, the more of the mass lies in few keys, which a sample may miss.

        Args:
            query: q, (B, D).
            beta: β.
            count: k.
            values: (N, M); None for the keys.
            counted: keys that are counted in Z one by one, with faiss.
            sample: keys that stand for the others, with faiss.
        """
        self._check(query, count)
        counted = min(max(counted, count), len(self.keys))
        if self._faiss is None:
            product, number, total = self._exact(query, count, beta)
        else:
            product, number = self.nearest(query, counted)
            total = self._estimated(query, beta, product, number, min(sample, len(self.keys)))
            product, number = product[:, :count], number[:, :count]
        share = torch.softmax(beta * product, dim=1)
        left_out = -torch.expm1((torch.logsumexp(beta * product, dim=1) - total).clamp_max(0))
        stored = self.keys if values is None else values
        value = (share[:, :, None] * stored[number.clamp_min(0)]).sum(dim=1)
        return Read(value, number, share, left_out)

    def _exact(self, query: Tensor, count: int, beta: float | None) -> tuple[Tensor, Tensor, Tensor]:
        """The k largest products, their numbers, and log Σ exp(β x_i · q) over all keys where there is a β."""
        best = torch.full((len(query), 0), -torch.inf, dtype=query.dtype, device=query.device)
        number = torch.zeros(len(query), 0, dtype=torch.int64, device=query.device)
        total = torch.full((len(query),), -torch.inf, dtype=query.dtype, device=query.device)
        for start in range(0, len(self.keys), self.piece):
            product = query @ self.keys[start : start + self.piece].T.to(query.dtype)
            if beta is not None:
                total = torch.logaddexp(total, torch.logsumexp(beta * product, dim=1))
            more, place = product.topk(min(count, product.shape[1]), dim=1)
            both, numbers = torch.cat([best, more], dim=1), torch.cat([number, place + start], dim=1)
            best, order = both.topk(min(count, both.shape[1]), dim=1)
            number = numbers.gather(1, order)
        return best, number, total

    def _estimated(self, query: Tensor, beta: float, product: Tensor, number: Tensor, sample: int) -> Tensor:
        """The logarithm of Z, from the keys that were found, and a sample for the rest."""
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randint(len(self.keys), (sample,), generator=generator)
        # A key that was found is counted already.
        known = number.sort(dim=1).values
        place = torch.searchsorted(known, drawn.expand(len(query), -1).contiguous()).clamp_max(known.shape[1] - 1)
        again = known.gather(1, place) == drawn
        others = (beta * (query @ self.keys[drawn].T.to(query.dtype))).masked_fill(again, -torch.inf)
        rest = torch.logsumexp(others, dim=1) + math.log(len(self.keys) / sample)
        return torch.logaddexp(torch.logsumexp(beta * product, dim=1), rest)

    def _check(self, query: Tensor, count: int) -> None:
        if query.ndim != 2 or query.shape[1] != self.keys.shape[1]:
            raise ShapeError(f"A query must be (B, {self.keys.shape[1]}), but it is {tuple(query.shape)}.")
        if not 1 <= count <= len(self.keys):
            raise OptionError(f"From 1 to {len(self.keys)} keys can be read, not {count}.")
