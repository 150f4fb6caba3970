"""Energies built from energies: weighted sums, an energy of a transformed y, and an energy with part of y fixed."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Binary, Domain, Product, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.sparse_coding import SparseCoding
from lowland.energies.structure import Hold, Structure
from lowland.errors import OptionError, UnsupportedError
from lowland.nn.layers import linear
from lowland.registry import register
from lowland.tensors import PerSampleRNG


@register("energy")
class Sum(Energy):
    """E(x, y, z) = Σ_i w_i E_i(x, y, z): separately trained energies, added; also written `0.5 * a + b`.

    A variable that several terms take is shared, so its domains must agree; each term gets only the variables that it
    takes. Structure that survives a sum is added (see `Structure`): quadratic parts, tables, Lipschitz bounds, and the
    penalty if only one term has one and its weight is positive. A term of weight 0 changes nothing: w·E and w·E + 0·E₂
    are solved as E is. The sum multiplies the densities exp(−E): a product of experts (Hinton 2002).

    Args:
        terms: energies by name.
        weights: w_i by name; 1 where not named.

    Raises:
        UnsupportedError: if two terms take the same variable from different domains.
        OptionError: if there is no term, a weight without a term, or a weight that is not finite.

    >>> import torch
    >>> both = 0.5 * Smoothness(2, 2) + Smoothness(2, 2)
    >>> type(both).__name__, both(y=torch.tensor([[0.0, 1.0, 0.0, 1.0]]))
    ('Sum', tensor([3.]))
    """

    def __init__(self, terms: Mapping[str, Energy], weights: Mapping[str, float] | None = None) -> None:
        if not terms:
            raise OptionError("A sum of energies needs at least one term.")
        unknown = sorted(set(weights or {}) - set(terms))
        if unknown:
            raise OptionError(f"There is a weight for {unknown[0]!r}, but the terms are {', '.join(terms)}.")
        for name, weight in (weights or {}).items():
            if not math.isfinite(weight):
                raise OptionError(f"The weight of {name!r} must be a finite number, but it is {weight}.")
        domains: dict[str, Domain] = {}
        for name, term in terms.items():
            for variable, domain in term.domains.items():
                known = domains.setdefault(variable, domain)
                if repr(known) != repr(domain):
                    raise UnsupportedError(
                        f"The terms take {variable} from different domains, {known!r} and {domain!r} (in {name}): "
                        "use Transformed, or build the terms for the same shape."
                    )
        super().__init__(**domains)
        self.terms = nn.ModuleDict(terms)
        self.weights = {name: float((weights or {}).get(name, 1.0)) for name in terms}
        self.views = any(term.views for _, _, term in self._live())

    @classmethod
    def of(cls, *terms: tuple[Energy, float]) -> Sum:
        """The weighted sum of energies, with nested sums flattened; terms are named "0", "1" …"""
        flat: list[tuple[Energy, float]] = []
        for energy, weight in terms:
            parts = energy._parts() if type(energy) is Sum else [("", 1.0, energy)]
            flat += [(term, weight * own) for _, own, term in parts]
        names = [str(i) for i in range(len(flat))]
        energies, weights = zip(*flat, strict=True)
        return cls(dict(zip(names, energies, strict=True)), dict(zip(names, weights, strict=True)))

    def _parts(self) -> list[tuple[str, float, Energy]]:
        return [(name, self.weights[name], term) for name, term in self.terms.items() if isinstance(term, Energy)]

    def _live(self) -> list[tuple[str, float, Energy]]:
        """The terms whose weight is not 0."""
        return [part for part in self._parts() if part[1] != 0]

    def _share(self, term: Energy, name: str, x: Any, y: Any, z: Any) -> tuple[Any, Any, Any]:
        values = {"x": None if x is None else x.get(name), "y": y, "z": z}
        own = {name: value if name in term.domains else None for name, value in values.items()}
        return own["x"], own["y"], own["z"]

    def encode(self, x: Any) -> dict[str, Any]:
        return {name: term.encode(x) for name, _, term in self._parts() if "x" in term.domains}

    def energy(self, x: Any, y: Any, z: Any) -> Tensor:
        # A term of weight 0 is left out: 0 times its infinity would be NaN.
        parts = self._live() or self._parts()
        values = [weight * term.energy(*self._share(term, name, x, y, z)) for name, weight, term in parts]
        return torch.stack(values).sum(dim=0)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        known: list[Structure] = []
        fixed: list[Tensor] = []
        for name, weight, term in self._live():
            share = self._share(term, name, x, y, z)
            own = tuple(variable for variable in over if variable in term.domains)
            if own and own != over:
                return Structure()
            if own:
                known.append(term.structure(over, *share).times(weight))
            else:
                fixed.append(weight * term.energy(*share))
        found = functools.reduce(operator.add, known) if known else Structure()
        return found.shift(torch.stack(fixed).sum(dim=0)) if fixed else found

    def marginal(self, x: Any, y: Any, beta: float) -> Tensor | None:
        """In closed form if at most one term takes z, its weight w is positive, and it has a closed form at w·β.

        The other terms are added.
        """
        latent = [weight for _, weight, term in self._live() if "z" in term.domains]
        if len(latent) > 1 or any(weight < 0 for weight in latent):
            return None
        values = []
        for name, weight, term in self._live():
            x_term, y_term, _ = self._share(term, name, x, y, None)
            if "z" in term.domains:
                free = term.marginal(x_term, y_term, weight * beta)
            else:
                free = term.energy(x_term, y_term, None)
            if free is None:
                return None
            values.append(weight * free)
        return torch.stack(values).sum(dim=0) if values else None

    def log_partition(self, x: Any) -> Tensor | None:
        """That of the term, if there is only one and its weight is 1."""
        live = self._live()
        if len(live) != 1 or live[0][1] != 1:
            return None
        name, _, term = live[0]
        return term.log_partition(self._share(term, name, x, None, None)[0])

    def prior(self, x: Any, noise: PerSampleRNG, count: int) -> Tensor:
        """The prior of the term that has its own; otherwise uniform on a bounded domain.

        Raises:
            UnsupportedError: if several terms have one.
        """
        owners = [(name, term) for name, _, term in self._live() if term.has_prior]
        if len(owners) > 1:
            names = ", ".join(type(term).__name__ for _, term in owners)
            raise UnsupportedError(f"Several terms of this sum have a prior q(z) of their own ({names}): use beta=inf.")
        for name, term in owners:
            return term.prior(self._share(term, name, x, None, None)[0], noise, count)
        return super().prior(x, noise, count)

    @property
    def has_prior(self) -> bool:
        return any(term.has_prior for _, _, term in self._live())

    def core(self) -> tuple[float, Energy]:
        live = self._live()
        if len(live) != 1:
            return 1.0, self
        weight, inner = live[0][2].core()
        return live[0][1] * weight, inner

    def initialise(self, x: Any, y: Any, noise: PerSampleRNG) -> None:
        """Initialise each term that takes y and has a non-zero weight."""
        for _, _, term in self._live():
            if "y" in term.domains:
                term.initialise(x if "x" in term.domains else None, y, noise)

    def reconstruct(self, x: Any, y: Any, z: Any) -> Any:
        """The reconstruction of the first term that has one."""
        for name, _, term in self._parts():
            decoded = term.reconstruct(*self._share(term, name, x, y, z))
            if decoded is not None:
                return decoded
        return None

    def constrain(self) -> None:
        for _, _, term in self._parts():
            term.constrain()

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """2 (½‖y − z‖² + ½‖z‖₁) is minimal at shrink_½(y), and so is half of it."""
        case = SparseCoding.reference_case()
        assert case.minimum is not None
        return case._replace(energy=cls({"code": case.energy}, {"code": 2.0}), minimum=2 * case.minimum)


@register("energy")
class Smoothness(Energy):
    """E(y) = Σ (y_i − y_j)² over neighbouring pixels i, j of an image: an image prior without parameters.

    Source: textbook; exp(−E) is a Gaussian Markov random field (Besag 1974).

    Args:
        height, width: of the image; y is flat, (B, height · width), or (B, height, width) with `flat=False`.

    >>> Smoothness(1, 3)(y=torch.tensor([[0.0, 1.0, 3.0]]))
    tensor([5.])
    """

    def __init__(self, height: int, width: int, flat: bool = True) -> None:
        super().__init__(y=Reals(height * width) if flat else Reals(height, width))
        self.height, self.width = height, width

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        image = y.reshape(-1, self.height, self.width)
        down = (image[:, 1:] - image[:, :-1]).square().sum(dim=(1, 2))
        return down + (image[:, :, 1:] - image[:, :, :-1]).square().sum(dim=(1, 2))

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        """The Hessian is twice the Laplacian of the grid, whose eigenvalues are below 8."""
        return Structure(lipschitz=16.0, convex=True) if over == ("y",) else Structure()

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Constant images have energy 0."""
        return ReferenceCase(cls(2, 2), {}, "y", minimum=torch.zeros(1), minimiser=torch.zeros(1, 4))


@register("energy")
class Transformed(Energy):
    """E(x, y, z) = E₀(x, T(y), z): an energy of a transformed y, for instance of its thermometer code.

    Source: textbook. As a density over y it lacks the volume term |∂T/∂y|, which the user must add.

    Args:
        inner: E₀.
        transform: T, a module that maps (B, *shape) to what E₀ takes.
        y: the domain of y before the transform.

    >>> code = Thermometer(2, levels=4, low=-1.0, high=1.0)
    >>> Transformed(Smoothness(1, 8), code, y=Reals(2))(y=torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def __init__(self, inner: Energy, transform: nn.Module, y: Domain) -> None:
        super().__init__(**{**inner.domains, "y": y})
        self.inner, self.transform = inner, transform

    def encode(self, x: Any) -> Any:
        return self.inner.encode(x)

    def energy(self, x: Any, y: Any, z: Any) -> Tensor:
        return self.inner.energy(x, self.transform(y), z)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        """If y is given, all structure of the inner energy; if y is free, at most the energies of candidates."""
        if "y" not in over:
            return self.inner.structure(over, x, self.transform(y), z)
        known = self.inner.structure(over, x, None, z).candidates
        if known is None or over != ("y",):
            return Structure()
        return Structure(candidates=lambda points: known(self._transformed(points)))

    def _transformed(self, points: Tensor) -> Tensor:
        """T of N flat points for each sample, (B, N, D) → (B, N, D₀)."""
        own, inner = self.domain("y"), self.inner.domain("y")
        return inner.pack(self.transform(own.unpack(points.flatten(0, 1)))).unflatten(0, points.shape[:2])

    def marginal(self, x: Any, y: Any, beta: float) -> Tensor | None:
        return self.inner.marginal(x, self.transform(y), beta)

    def prior(self, x: Any, noise: PerSampleRNG, count: int) -> Tensor:
        return self.inner.prior(x, noise, count)

    @property
    def has_prior(self) -> bool:
        return self.inner.has_prior

    def initialise(self, x: Any, y: Any, noise: PerSampleRNG) -> None:
        self.inner.initialise(x, self.transform(y), noise)

    def constrain(self) -> None:
        self.inner.constrain()

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """E = Σ (T_i − T_{i+1})² with T(y) = 2 y."""
        double = linear(3, 3, bias=False)
        double.weight.data = 2 * torch.eye(3)
        energy = cls(Smoothness(1, 3), double, y=Reals(3))
        return ReferenceCase(energy, {}, "y", minimum=torch.zeros(1), minimiser=torch.zeros(1, 3))


class Thermometer(nn.Module):
    """T(y)_{ik} = σ((y_i − t_k) / width): coordinate i as a column of `levels` units, switched on up to its value.

    With width 0 the units are exactly 0 or 1, as models of binary data need; a positive width makes the code smooth, so
    that its energy has a gradient in y.

    Args:
        n_features: coordinates of y.
        levels: thresholds t_k per coordinate, equally spaced strictly between `low` and `high`.
        low, high: range of y.
        width: of a threshold, in units of y.

    >>> Thermometer(1, levels=3, low=0.0, high=4.0)(torch.tensor([[2.5]]))
    tensor([[1., 1., 0.]])
    """

    thresholds: Tensor

    def __init__(self, n_features: int, levels: int, low: float, high: float, width: float = 0.0) -> None:
        super().__init__()
        if levels < 1 or not low < high or width < 0:
            raise OptionError(
                f"A thermometer needs levels ≥ 1, low < high and width ≥ 0, not {levels}, {low}, {high}, {width}."
            )
        self.n_features, self.width = n_features, width
        self.register_buffer("thresholds", torch.linspace(low, high, levels + 2)[1:-1])

    def forward(self, y: Tensor) -> Tensor:
        """(B, n_features) → (B, n_features · levels)."""
        above = y[:, :, None] - self.thresholds
        code = torch.sigmoid(above / self.width) if self.width > 0 else (above > 0).to(y.dtype)
        return code.flatten(1)


@register("energy")
class Clamped(Energy):
    """E(x, y, z) = E₀(m ⊙ x + (1 − m) ⊙ y, z): an energy of y alone, with a known part of y held fixed.

    Inferring y completes x: known pixels stay as they are, and the others are chosen so that the energy is low.
    Source: textbook.

    Args:
        inner: E₀(y, z), without an x.

    x is a dictionary of `known`, in the shape of y, and `mask` m, 1 where a value is known and 0 where it is to be
    inferred.

    Raises:
        UnsupportedError: if the inner energy already takes x.

    >>> energy = Clamped(Smoothness(1, 3))
    >>> x = {"known": torch.tensor([[0.0, 0.0, 2.0]]), "mask": torch.tensor([[1.0, 0.0, 1.0]])}
    >>> energy(x=x, y=torch.ones(1, 3))
    tensor([2.])
    """

    def __init__(self, inner: Energy) -> None:
        if "x" in inner.domains:
            raise UnsupportedError(f"{type(inner).__name__} already takes x, so part of y cannot be passed as x.")
        shape = inner.domain("y").shape
        known = Product({"known": inner.domain("y"), "mask": Binary(shape)})
        super().__init__(x=known, **inner.domains)
        self.inner = inner

    def complete(self, x: Any, y: Tensor) -> Tensor:
        """M ⊙ x + (1 − m) ⊙ y."""
        return x["mask"] * x["known"] + (1 - x["mask"]) * y

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return self.inner.energy(None, self.complete(x, y), z)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        """Over z, all structure of the inner energy; over y, the structure that still holds with a part fixed."""
        if "y" not in over:
            return self.inner.structure(over, None, self.complete(x, y), z)
        if x is None:
            return Structure()
        # y comes first in u, and a z after it is free.
        own, free = self.domain("y"), self.over(over)[1].size - self.domain("y").size
        hold = Hold(*(functional.pad(own.pack(x[part]), (0, free)) for part in ("mask", "known")))
        return self.inner.structure(over, None, None, z).clamp(hold)

    def marginal(self, x: Any, y: Tensor, beta: float) -> Tensor | None:
        return self.inner.marginal(None, self.complete(x, y), beta)

    def prior(self, x: Any, noise: PerSampleRNG, count: int) -> Tensor:
        return self.inner.prior(None, noise, count)

    @property
    def has_prior(self) -> bool:
        return self.inner.has_prior

    def initialise(self, x: Any, y: Tensor, noise: PerSampleRNG) -> None:
        self.inner.initialise(None, self.complete(x, y), noise)

    def constrain(self) -> None:
        self.inner.constrain()

    def reconstruct(self, x: Any, y: Tensor, z: Any) -> Tensor:
        """The completed y."""
        return self.complete(x, y)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Between 0 and 2, the smoothest value is 1."""
        x = {"known": torch.tensor([[0.0, 0.0, 2.0]]), "mask": torch.tensor([[1.0, 0.0, 1.0]])}
        return ReferenceCase(cls(Smoothness(1, 3)), {"x": x}, "y", minimum=torch.tensor([2.0]))
