"""What a domain is: where a free variable may live."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.errors import DomainError, ShapeError
from lowland.tensors import PerSampleRNG

LARGEST_TABLE = 65536
"""Most elements of a domain that is listed whole."""


class Domain:
    """The reals, and the base of all other domains.

    Args:
        shape: shape of one sample, without the batch axis; an integer means a vector.

    >>> from lowland.domains import Reals
    >>> Reals(3).size, Reals((1, 8, 8)).size
    (3, 64)
    """

    def __init__(self, *shape: int | tuple[int, ...]) -> None:
        flat = tuple(n for part in shape for n in (part if isinstance(part, tuple | list) else (part,)))
        if not all(isinstance(n, int) for n in flat):
            raise DomainError(f"Every axis of a domain is a whole number long, but the shape is {flat}.")
        if any(n < 1 for n in flat):
            raise DomainError(f"Every axis of a domain must be at least 1 long, but the shape is {flat}.")
        self.shape = torch.Size(flat)

    @property
    def size(self) -> int:
        """D, the number of scalars of one sample."""
        return self.shape.numel()

    @property
    def cardinality(self) -> int | None:
        """K, the number of elements of a finite domain that is small enough to list; None for all others."""
        return None

    @property
    def discrete(self) -> bool:
        """Whether the variable has no gradient to follow."""
        return False

    @property
    def bounds(self) -> tuple[float, float] | None:
        """(low, high) where the domain is an interval in each coordinate; None where it is not."""
        return (-torch.inf, torch.inf)

    @property
    def constrained(self) -> bool:
        """Whether `project` does anything."""
        return True

    def project(self, u: Tensor) -> Tensor:
        """The closest point of the domain, (B, D) → (B, D)."""
        return u

    def project_iterate(self, u: Tensor) -> Tensor:
        """`project` for the iterates of a solver: a periodic coordinate runs on, so that differences stay short."""
        return self.project(u)

    def limits(self, dtype: torch.dtype, device: torch.device | None = None) -> tuple[Tensor, Tensor] | None:
        """(low (D,), high (D,)) where the domain is an interval in each coordinate, else None."""
        if self.bounds is None:
            return None
        low, high = (torch.full((self.size,), bound, dtype=dtype, device=device) for bound in self.bounds)
        return low, high

    def reflect(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Mirror u at the bounds until it is inside; −1 in each coordinate whose direction was turned, else 1."""
        if self.bounds is None:
            raise DomainError(f"{self!r} has no bounds to reflect at, since it is not an interval in each coordinate.")
        return u, torch.ones_like(u)

    def contains(self, u: Tensor, tolerance: float = 1e-4) -> Tensor:
        """(B,) of booleans: whether each row lies in the domain, to a tolerance."""
        return (self.project(u) - u).abs().amax(dim=1) <= tolerance

    def start(self, batch: int, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
        """(B, D), a fixed starting point."""
        return self.project(torch.zeros(batch, self.size, dtype=dtype, device=device))

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        """(B, count, D) draws from the uniform prior; an unbounded domain has none and raises DomainError."""
        raise DomainError(
            f"{self!r} is unbounded, so it has no uniform prior, and F_beta with finite beta needs a normalised q(z). "
            "Give the energy a method `prior`, or use beta=inf."
        )

    def elements(self, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
        """(K, D), all elements of a finite domain."""
        raise DomainError(
            f"{self!r} cannot be enumerated: it is not finite, or has more than {LARGEST_TABLE} elements."
        )

    def pick(self, index: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, D), the elements of those numbers (B,) in the order of `elements`."""
        return self.elements(dtype, index.device)[index]

    def pack(self, value: Any, name: str = "value") -> Tensor:
        """(B, *shape) → (B, D); a wrong shape raises ShapeError."""
        if not isinstance(value, Tensor):
            raise ShapeError(f"{name} must be a tensor, but it is a {type(value).__name__}.")
        if value.shape[1:] != self.shape:
            raise ShapeError(
                f"{name} has shape {tuple(value.shape)}, but (B, {', '.join(map(str, self.shape))}) is needed. "
                "Add a batch axis with value[None] or reshape it."
            )
        return value.reshape(value.shape[0], self.size)

    def unpack(self, u: Tensor) -> Any:
        """(..., D) → (..., *shape)."""
        return u if len(self.shape) == 1 else u.reshape(*u.shape[:-1], *self.shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(str, self.shape))})"
