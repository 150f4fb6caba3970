"""Domains of sequences: each entry is the number of a category, and −1 stands where there is none."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from lowland.domains.base import LARGEST_TABLE, Domain
from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG

EMPTY = -1
"""The entry of a place without a token."""


class Tokens(Domain):
    """Sequences of numbers 0 … K − 1, not one-hot vectors: a row of T tokens is T numbers.

    Args:
        categories: K.
        length: T, the number of places.
        empty: which places may hold no token (−1): "none", "end" for sequences of at most T tokens that are filled up
            with −1, or "any" for a token here and there.

    Raises:
        OptionError: for fewer than one category, or another `empty`.

    >>> words = Tokens(26, 5, empty="end")
    >>> words.project(torch.tensor([[2.0, 0.0, 19.0, -1.0, 7.0]])), Tokens(2, 2, empty="end").cardinality
    (tensor([[ 2.,  0., 19., -1., -1.]]), 7)
    """

    def __init__(self, categories: int, length: int, empty: str = "none") -> None:
        super().__init__(length)
        if categories < 1 or empty not in ("none", "end", "any"):
            raise OptionError(
                f"Tokens need at least one category, and empty 'none', 'end' or 'any', not {categories} and {empty!r}."
            )
        self.categories, self.length, self.empty = categories, length, empty

    @property
    def discrete(self) -> bool:
        return True

    @property
    def bounds(self) -> None:
        return None

    @property
    def cardinality(self) -> int | None:
        least = LARGEST_TABLE.bit_length()
        if self.length > least and self.categories + (self.empty == "any") > 1:
            return None  # without computing a huge power
        if self.empty == "end":
            count = sum(self.categories**length for length in range(self.length + 1))
        else:
            count = (self.categories + (self.empty == "any")) ** self.length
        return count if count <= LARGEST_TABLE else None

    def project(self, u: Tensor) -> Tensor:
        u = u.round().clamp(0 if self.empty == "none" else EMPTY, self.categories - 1)
        if self.empty != "end":
            return u
        ended = (u < 0).cumsum(dim=-1) > 0
        return u.masked_fill(ended, EMPTY)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        """Draws in which every sequence is equally likely."""
        if self.empty == "end":
            drawn, place = self._draw(noise, count, 0), noise.uniform(count, 1).double()
            logits = torch.arange(self.length + 1, dtype=torch.float64, device=drawn.device) * math.log(self.categories)
            lengths = torch.searchsorted(logits.softmax(0).cumsum(0), place).clamp_max(self.length)
            return drawn.masked_fill(torch.arange(self.length, device=drawn.device) >= lengths, EMPTY)
        return self._draw(noise, count, EMPTY if self.empty == "any" else 0)

    def _draw(self, noise: PerSampleRNG, count: int, least: int) -> Tensor:
        values = self.categories - least
        return (noise.uniform(count, self.length) * values).floor().clamp_max(values - 1) + least

    def elements(self, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
        if self.cardinality is None:
            return super().elements(dtype, device)
        if self.empty == "end":
            rows = [
                (*row, *[EMPTY] * (self.length - length))
                for length in range(self.length + 1)
                for row in itertools.product(range(self.categories), repeat=length)
            ]
        else:
            first = EMPTY if self.empty == "any" else 0
            rows = list(itertools.product(range(first, self.categories), repeat=self.length))
        return torch.tensor(rows, dtype=dtype, device=device).reshape(-1, self.length)

    def __repr__(self) -> str:
        return f"Tokens({self.categories}, {self.length}{'' if self.empty == 'none' else f', empty={self.empty!r}'})"
