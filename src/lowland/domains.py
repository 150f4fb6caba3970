"""Where a free variable may live. Solvers see one flat variable u (B, D); a domain says what each slice may hold.

A domain packs a value (B, *shape) into u and back, projects u onto itself, gives a starting point, and, where it is
bounded, a uniform prior. A finite domain also lists its K elements.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lowland.errors import DomainError, ShapeError
from lowland.tensors import PerSampleRNG

_LARGEST_TABLE = 65536


class Domain:
    """The reals, and the base of all other domains.

    Args:
        shape: shape of one sample, without the batch axis; an integer means a vector.

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
        return type(self) is not Reals

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
            f"{self!r} cannot be enumerated: it is not finite, or has more than {_LARGEST_TABLE} elements."
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


class Reals(Domain):
    """All real numbers."""


class NonNegative(Domain):
    """u ≥ 0 in each coordinate."""

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, torch.inf)

    def project(self, u: Tensor) -> Tensor:
        return u.clamp_min(0)

    def reflect(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return u.abs(), torch.where(u < 0, -1.0, 1.0).to(u.dtype)


class Box(Domain):
    """low ≤ u ≤ high in each coordinate; `periodic` glues the two ends, as for an angle.

    >>> Box(1, low=-1.0, high=1.0).project(torch.tensor([[3.0]]))
    tensor([[1.]])
    """

    def __init__(
        self, *shape: int | tuple[int, ...], low: float = 0.0, high: float = 1.0, periodic: bool = False
    ) -> None:
        super().__init__(*shape)
        if not -torch.inf < low < high < torch.inf:
            raise DomainError(f"A box needs finite low < high, but low is {low} and high is {high}.")
        self.low, self.high, self.periodic = low, high, periodic

    @property
    def bounds(self) -> tuple[float, float]:
        return (-torch.inf, torch.inf) if self.periodic else (self.low, self.high)

    def contains(self, u: Tensor, tolerance: float = 1e-4) -> Tensor:
        return torch.ones_like(u[:, 0], dtype=torch.bool) if self.periodic else super().contains(u, tolerance)

    def project(self, u: Tensor) -> Tensor:
        if self.periodic:
            return self.low + torch.remainder(u - self.low, self.high - self.low)
        return u.clamp(self.low, self.high)

    def project_iterate(self, u: Tensor) -> Tensor:
        return u if self.periodic else self.project(u)

    def reflect(self, u: Tensor) -> tuple[Tensor, Tensor]:
        if self.periodic:
            return u, torch.ones_like(u)
        width = self.high - self.low
        phase = torch.remainder(u - self.low, 2 * width)
        return self.high - (width - phase).abs(), torch.where(phase > width, -1.0, 1.0).to(u.dtype)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        return self.low + (self.high - self.low) * noise.uniform(count, self.size)


class Sphere(Domain):
    """Vectors of Euclidean norm `radius`."""

    def __init__(self, *shape: int | tuple[int, ...], radius: float = 1.0) -> None:
        super().__init__(*shape)
        self.radius = radius

    @property
    def bounds(self) -> None:
        return None

    def project(self, u: Tensor) -> Tensor:
        north = torch.zeros_like(u)
        north[:, 0] = 1
        length = u.norm(dim=1, keepdim=True)
        return self.radius * torch.where(length > 0, u / length.clamp_min(torch.finfo(u.dtype).tiny), north)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        return self.radius * torch.nn.functional.normalize(noise.normal(count, self.size), dim=-1)


class Ball(Domain):
    """Vectors of Euclidean norm at most `radius`.

    >>> Ball(2, radius=1.0).project(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """

    def __init__(self, *shape: int | tuple[int, ...], radius: float = 1.0) -> None:
        super().__init__(*shape)
        if not 0 < radius < torch.inf:
            raise DomainError(f"A ball needs a positive radius, but it is {radius}.")
        self.radius = radius

    @property
    def bounds(self) -> None:
        return None

    def project(self, u: Tensor) -> Tensor:
        return u * (self.radius / u.norm(dim=1, keepdim=True).clamp_min(self.radius))

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        direction = torch.nn.functional.normalize(noise.normal(count, self.size), dim=-1)
        return self.radius * noise.uniform(count, 1) ** (1 / self.size) * direction


class Sparse(Domain):
    """Vectors with at most `nonzeros` entries that are not 0; the closest one keeps those of largest size.

    Args:
        size: D.
        nonzeros: bound on ‖u‖₀, from 1 to D.
        positive: u ≥ 0 besides.

    >>> Sparse(3, nonzeros=1).project(torch.tensor([[0.5, -2.0, 1.0]]))
    tensor([[ 0., -2.,  0.]])
    """

    def __init__(self, size: int, nonzeros: int, positive: bool = False) -> None:
        super().__init__(size)
        if not 1 <= nonzeros <= size:
            raise DomainError(f"nonzeros must be from 1 to {size}, the size of the vector, but it is {nonzeros}.")
        self.nonzeros, self.positive = nonzeros, positive

    @property
    def bounds(self) -> None:
        return None

    def project(self, u: Tensor) -> Tensor:
        u = u.clamp_min(0) if self.positive else u
        kept = u.abs().topk(self.nonzeros, dim=1).indices
        return torch.zeros_like(u).scatter(1, kept, u.gather(1, kept))


class Simplex(Domain):
    """u ≥ 0 with sum 1: projection by sorting (Held, Wolfe & Crowder 1974)."""

    @property
    def bounds(self) -> None:
        return None

    def project(self, u: Tensor) -> Tensor:
        descending = u.sort(dim=1, descending=True).values
        index = torch.arange(1, self.size + 1, device=u.device, dtype=u.dtype)
        shifted = (descending.cumsum(dim=1) - 1) / index
        last = ((descending > shifted).sum(dim=1, keepdim=True) - 1).clamp_min(0)
        return (u - shifted.gather(1, last)).clamp_min(0)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        exponential = -torch.log(noise.uniform(count, self.size))
        return exponential / exponential.sum(dim=-1, keepdim=True)


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


class Product(Domain):
    """Several named domains side by side: the domain of a dictionary, or of two variables at once.

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
            count *= part.cardinality or _LARGEST_TABLE + 1
        return count if count <= _LARGEST_TABLE else None

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
