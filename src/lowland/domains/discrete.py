"""Domains of finitely many values: bits, and one of K."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from lowland.domains.base import Domain
from lowland.tensors import PerSampleRNG

_LARGEST_TABLE = 65536


class Binary(Domain):
    """0 or 1 in each coordinate."""

    @property
    def discrete(self) -> bool:
        return True

    @property
    def cardinality(self) -> int | None:
        return 2**self.size if 2**self.size <= _LARGEST_TABLE else None

    def project(self, u: Tensor) -> Tensor:
        return (u > 0.5).to(u.dtype)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        return (noise.uniform(count, self.size) > 0.5).to(noise.dtype)

    def elements(self, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
        if self.cardinality is None:
            return super().elements(dtype, device)
        codes = torch.arange(self.cardinality, device=device)
        return ((codes[:, None] >> torch.arange(self.size, device=device)) & 1).to(dtype)


class OneHot(Domain):
    """`groups` one-hot vectors of `categories` entries: shape (categories,), or (groups, categories) for several.

    >>> OneHot(3).elements()
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    """

    def __init__(self, categories: int, groups: int | None = None) -> None:
        super().__init__(categories) if groups is None else super().__init__(groups, categories)
        self.categories, self.groups = categories, groups or 1

    @property
    def discrete(self) -> bool:
        return True

    @property
    def bounds(self) -> None:
        return None

    @property
    def cardinality(self) -> int | None:
        count = self.categories**self.groups
        return count if count <= _LARGEST_TABLE else None

    def pick(self, index: Tensor, dtype: torch.dtype) -> Tensor:
        powers = self.categories ** torch.arange(self.groups - 1, -1, -1, device=index.device)
        return self._encode(index[:, None] // powers % self.categories, dtype)

    def _encode(self, index: Tensor, dtype: torch.dtype) -> Tensor:
        return torch.nn.functional.one_hot(index, self.categories).to(dtype).flatten(-2)

    def project(self, u: Tensor) -> Tensor:
        return self._encode(u.reshape(-1, self.groups, self.categories).argmax(dim=-1), u.dtype)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        index = (noise.uniform(count, self.groups) * self.categories).long().clamp_max(self.categories - 1)
        return self._encode(index, noise.dtype)

    def elements(self, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
        if self.cardinality is None:
            return super().elements(dtype, device)
        choices = itertools.product(range(self.categories), repeat=self.groups)
        return self._encode(torch.tensor(list(choices), device=device), dtype)
