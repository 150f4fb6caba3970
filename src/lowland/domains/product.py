"""Several variables with a domain each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lowland.domains.base import LARGEST_TABLE, Domain
from lowland.errors import DomainError, ShapeError
from lowland.tensors import PerSampleRNG


class Product(Domain):
    """Several named domains side by side: the domain of a dictionary, or of two variables at once.

    >>> from lowland.domains import OneHot, Reals
    >>> both = Product({"y": Reals(2), "z": OneHot(3)})
    >>> both.size, both.slices["z"]
    (5, slice(2, 5, None))
    """

    def __init__(self, parts: Mapping[str, Domain]) -> None:
        if not parts:
            raise DomainError("A product of domains needs at least one part.")
        super().__init__(sum(part.size for part in parts.values()))
        self.parts = dict(parts)
        ends = list(itertools.accumulate(part.size for part in parts.values()))
        self.slices = {name: slice(end - part.size, end) for (name, part), end in zip(parts.items(), ends, strict=True)}

    @property
    def constrained(self) -> bool:
        return any(part.constrained for part in self.parts.values())

    @property
    def discrete(self) -> bool:
        return any(part.discrete for part in self.parts.values())

    @property
    def bounds(self) -> tuple[float, float] | None:
        kinds = {part.bounds for part in self.parts.values()}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def cardinality(self) -> int | None:
        count = 1
        for part in self.parts.values():
            count *= part.cardinality or LARGEST_TABLE + 1
        return count if count <= LARGEST_TABLE else None

    def project(self, u: Tensor) -> Tensor:
        return torch.cat([part.project(u[:, self.slices[name]]) for name, part in self.parts.items()], dim=1)

    def project_iterate(self, u: Tensor) -> Tensor:
        return torch.cat([part.project_iterate(u[:, self.slices[name]]) for name, part in self.parts.items()], dim=1)

    def limits(self, dtype: torch.dtype, device: torch.device | None = None) -> tuple[Tensor, Tensor] | None:
        known = [part.limits(dtype, device) for part in self.parts.values()]
        pairs = [pair for pair in known if pair is not None]
        if len(pairs) < len(known):
            return None
        return torch.cat([low for low, _ in pairs]), torch.cat([high for _, high in pairs])

    def reflect(self, u: Tensor) -> tuple[Tensor, Tensor]:
        pairs = [part.reflect(u[:, self.slices[name]]) for name, part in self.parts.items()]
        return torch.cat([point for point, _ in pairs], dim=1), torch.cat([sign for _, sign in pairs], dim=1)

    def start(self, batch: int, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
        return torch.cat([part.start(batch, dtype, device) for part in self.parts.values()], dim=1)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        return torch.cat([part.sample(noise, count) for part in self.parts.values()], dim=-1)

    def elements(self, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
        if self.cardinality is None:
            return super().elements(dtype, device)
        lists = [part.elements(dtype, device) for part in self.parts.values()]
        return torch.stack([torch.cat(rows) for rows in itertools.product(*lists)])

    def pack(self, value: Any, name: str = "value") -> Tensor:
        if not isinstance(value, Mapping) or set(value) != set(self.parts):
            keys = sorted(value) if isinstance(value, Mapping) else type(value).__name__
            raise ShapeError(f"{name} must be a dictionary with the keys {sorted(self.parts)}, but it is {keys}.")
        return torch.cat([part.pack(value[key], f"{name}[{key!r}]") for key, part in self.parts.items()], dim=1)

    def unpack(self, u: Tensor) -> Any:
        return {name: part.unpack(u[..., self.slices[name]]) for name, part in self.parts.items()}

    def __repr__(self) -> str:
        return f"Product({', '.join(f'{name}={part!r}' for name, part in self.parts.items())})"
