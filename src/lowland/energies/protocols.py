"""Optional methods of an energy beyond its contract, for the training methods that need them.

A training method asks with `offered`, which looks through a weight: `2.0 * KMeans(…)` offers what `KMeans` offers. To
make your own energy work with a training method, define the methods of the protocol; no base class is needed. A
training method whose loss is a formula of one energy, such as those of joint embeddings, asks for that class instead.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import UnsupportedError, check_instance
from lowland.registry import registered

P = TypeVar("P")


@runtime_checkable
class Refittable(Protocol):
    """Optimal parameters, for fixed z, follow from sums over the data: for `ExpectationMaximisation`."""

    def statistics(self, x: Any, y: Any, z: Tensor) -> dict[str, Tensor]:
        """Sums over a batch, in float64, that add up over batches; z is flat (B, D), or indices (B,) from `argmin`."""
        ...

    def refit(self, statistics: dict[str, Tensor]) -> None:
        """Set the parameters to the minimiser of the mean energy with these statistics, in place and under no_grad."""
        ...


@runtime_checkable
class Replaceable(Refittable, Protocol):
    """Has parts, such as atoms or centres, that may be unused: for `ExpectationMaximisation(replace_after=…)`."""

    def used(self, statistics: dict[str, Tensor]) -> Tensor:
        """(K,) of booleans, whether a part was used."""
        ...

    def replace(self, unused: Tensor, y: Tensor, statistics: dict[str, Tensor]) -> None:
        """Move the parts with these indices onto samples y, and remove them from the statistics, in place."""
        ...


@runtime_checkable
class Encoding(Protocol):
    """Has a differentiable encoder: for `Contraction`."""

    def code(self, y: Tensor) -> Tensor:
        """Enc(y), (B, C)."""
        ...


@runtime_checkable
class Saturating(Protocol):
    """Has a code whose activation has flat regions: for `Saturation`."""

    def preactivation(self, y: Tensor) -> Tensor:
        """The code before its activation, (B, C)."""
        ...

    def distance_to_flat(self, a: Tensor) -> Tensor:
        """Distance of each unit from the flat region of its activation, (B, C)."""
        ...


@runtime_checkable
class Completing(Protocol):
    """It fills in the hidden coordinates of y from those it sees: for `Masked`."""

    def hidden_error(self, y: Tensor, mask: Tensor, x: Any = None) -> Tensor:
        """The energy of y under one mask (B, D), 1 where y is visible: the error of the hidden coordinates, (B,).

        x is as in the batch, None for an energy that has none.
        """
        ...


@runtime_checkable
class Answering(Protocol):
    """It lists its answers in order: for `WrongAnswers`."""

    def answers(self, x: Any, count: int) -> Tensor:
        """The `count` different y of least F_∞(x, y), ascending, (B, count, ...); x is encoded."""
        ...


@runtime_checkable
class Likely(Protocol):
    """It has log p(y | x) as one number, without the rounding of two large ones: for `MaximumLikelihood`."""

    def log_likelihood(self, x: Any, y: Any) -> Tensor:
        """The log-probability of y given x, (B,), at most 0; x is encoded."""
        ...


@runtime_checkable
class VariationalBound(Protocol):
    """Has a posterior q(z|y), and so a bound on −log ∫ exp(−E) dz: for `VariationalFreeEnergy`."""

    def bound(self, y: Tensor, noise: Tensor) -> Tensor:
        """E(y, z) − H(q), (B,), with z drawn from q(z|y) by reparameterising standard normal `noise` (B, D)."""
        ...


@runtime_checkable
class Rounded(Protocol):
    """Has an encoder with a rounded code: for `StraightThrough`."""

    def straight_through(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """E at the rounded code z, (B,), with gradients as if nothing were rounded; and that z."""
        ...


def methods(protocol: type) -> list[str]:
    """The names of the methods of a protocol."""
    return sorted(name for base in protocol.__mro__ for name in vars(base) if not name.startswith("_"))


def offered(energy: Energy, kind: type[P], user: str) -> tuple[float, P]:
    """(w, E₀) where the energy is w·E₀, w > 0, and E₀ is what a training method of the name `user` needs.

    Args:
        energy: the energy to train.
        kind: a protocol of this module, or a class of energies.
        user: names the method in the error.

    Raises:
        OptionError: if `energy` is no energy.
        UnsupportedError: if there is no such E₀; the sentence says what is needed, and which energies have it.

    >>> from lowland.energies.kmeans import KMeans
    >>> weight, energy = offered(2.0 * KMeans(2, 3), Refittable, "ExpectationMaximisation")
    >>> weight, type(energy).__name__
    (2.0, 'KMeans')
    """
    check_instance(energy, Energy, "The energy")
    weight, core = energy.core()
    if weight > 0 and isinstance(core, kind):
        return weight, core
    if issubclass(kind, Energy):
        wanted = f"a {kind.__name__}, or one"
    else:
        needed = methods(kind)
        known = [name for name, cls in registered("energy").items() if all(hasattr(cls, method) for method in needed)]
        wanted = f"an energy with `{'`, `'.join(needed)}`, such as {', '.join(known)}, or one of them"
    found = f"{'' if weight == 1 else f'{weight:g} times '}a {type(core).__name__}"
    raise UnsupportedError(
        f"{user} needs {wanted} times a positive number, but this is {found}: train it with another method."
    )
