"""The contract of an energy: E(x, y, z) → (B,), lower is more compatible."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from lowland.domains import Domain, Product
from lowland.energies.structure import Structure
from lowland.errors import OptionError, ShapeError, UnsupportedError, check_instance, nearest
from lowland.registry import find
from lowland.tensors import PerSampleRNG, Value, batch_size, check_plain, tree_leaves

VARIABLES = ("x", "y", "z")


class ReferenceCase(NamedTuple):
    """A small problem with a known answer, for the tests that every energy and solver passes.

    Attributes:
        energy: an instance.
        given: the values of the variables that are not free, by name.
        over: the free variable or variables.
        minimum: (B,) the minimum energy over them, if known.
        minimiser: (B, D) the minimiser, flattened, if known and unique.
        start: (B, D) a start from which a local method reaches the minimum; None for the default start.
    """

    energy: Energy
    given: dict[str, Any]
    over: str | tuple[str, ...]
    minimum: Tensor | None = None
    minimiser: Tensor | None = None
    start: Tensor | None = None


class Energy(nn.Module, PyTorchModelHubMixin):
    """Base class of all energies.

    A subclass calls `super().__init__(y=..., z=...)` with the domain of each variable that it takes and defines
    `energy(x, y, z)` → (B,). It is deterministic, calls no solver and sums only over the axes of a single sample.
    Everything else is optional: `encode` for what depends on x alone, `structure` for what helps a solver, `marginal`
    for a free energy in closed form, `prior` for q(z), `reconstruct` for a decoded y.

    Args:
        domains: the `Domain` of each of x, y, z that the energy takes.

    >>> import torch
    >>> from lowland.domains import Reals
    >>> class Bowl(Energy):
    ...     def __init__(self) -> None:
    ...         super().__init__(y=Reals(2))
    ...     def energy(self, x, y, z):
    ...         return y.square().sum(dim=1)
    >>> Bowl()(y=torch.ones(3, 2))
    tensor([2., 2., 2.])
    """

    views = False
    """Whether it is trained on samples y alone, from which the shaping makes pairs (x, y) of views."""

    def __init__(self, **domains: Domain) -> None:
        super().__init__()
        for name in domains:
            if name not in VARIABLES:
                raise UnsupportedError(f"An energy has no variable {name!r}. {nearest(name, VARIABLES)}")
        self.domains = {name: domains[name] for name in VARIABLES if name in domains}

    def energy(self, x: Any, y: Any, z: Any) -> Tensor:
        """E for each sample, (B,). `x` is what `encode` returned; a variable that the energy does not have is None."""
        raise NotImplementedError

    def encode(self, x: Any) -> Any:
        """Anything computed from x alone, once per solve; by default x itself. Its tensors keep the batch axis."""
        return x

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        """What is known in closed form about E over the variables `over`, which are passed as None; x is encoded."""
        return Structure()

    def marginal(self, x: Any, y: Any, beta: float) -> Tensor | None:
        """F_beta(x, y), (B,), in closed form, or None if there is none for this beta."""
        return None

    def log_partition(self, x: Any) -> Tensor | None:
        """Log Z = log ∫ exp(−F_1(x, y)) dy in closed form, one number or (B,), or None if there is none."""
        return None

    def prior(self, x: Any, noise: PerSampleRNG, count: int) -> Tensor:
        """(B, count, D) draws of flat z from the normalised prior q(z); by default uniform on a bounded domain."""
        return self.domain("z").sample(noise, count)

    @property
    def has_prior(self) -> bool:
        """Whether the energy has its own `prior`, rather than the uniform one of the domain."""
        return type(self).prior is not Energy.prior

    def core(self) -> tuple[float, Energy]:
        """(w, E) such that this energy is w·E: (1, itself), or the one term of a sum with a non-zero weight.

        Optional methods beyond this contract (`lowland.energies.protocols`) are looked up on the core.
        """
        return 1.0, self

    def reconstruct(self, x: Any, y: Any, z: Any) -> Any:
        """The y that z (or the code of y) decodes to, or None if the energy does not reconstruct."""
        return None

    def initialise(self, x: Any, y: Any, noise: PerSampleRNG) -> None:
        """Initialise parameters from data (means, whitening, a codebook), in place and under no_grad.

        By default it does nothing. Shapings call it in `prepare`. `noise` has a random stream for each row of the data.
        """

    def constrain(self) -> None:
        """Project the parameters onto the set on which the energy is defined, in place and under no_grad.

        Examples are unit-norm atoms and orthonormal rows. By default it does nothing. Shapings call it in `after_step`.
        """

    def domain(self, name: str) -> Domain:
        """The domain of one variable; an UnsupportedError if the energy has no such variable."""
        if name not in self.domains:
            raise UnsupportedError(f"{type(self).__name__} has no variable {name!r}: it has {', '.join(self.domains)}.")
        return self.domains[name]

    def forward(self, x: Value | None = None, y: Value | None = None, z: Value | None = None) -> Tensor:
        """E(x, y, z), shape (B,).

        Raises:
            ShapeError: if a variable is missing or unexpected, or has the wrong shape, dtype or device, or if `energy`
                does not return one number per sample.
        """
        self.check(x=x, y=y, z=z)
        value = self.energy(None if x is None else self.encode(x), y, z)
        return check_output(self, value, batch_size(x=x, y=y, z=z))

    def __add__(self, other: Energy) -> Energy:
        """The sum of two energies, a `Sum`; shared variables must have the same domain."""
        check_instance(other, Energy, "What is added to an energy")
        return _sum((self, 1.0), (other, 1.0))

    def __mul__(self, weight: float) -> Energy:
        """The energy times a number, a `Sum` of one term."""
        if not isinstance(weight, float | int):
            raise OptionError(f"An energy is multiplied by a number, but this is a {type(weight).__name__}.")
        return _sum((self, float(weight)))

    __rmul__ = __mul__

    def check(self, free: tuple[str, ...] = (), **values: Any) -> None:
        """Raise a ShapeError unless all variables but the free ones are given, with right shape, dtype and device."""
        kind = type(self).__name__
        for name, value in values.items():
            if name in self.domains and value is None and name not in free:
                wanted = "an input x" if name == "x" else f"a value for {name}"
                raise ShapeError(f"{kind} needs {wanted} in {self.domains[name]!r}, but {name} was not given.")
            if name not in self.domains and value is not None:
                raise ShapeError(f"{kind} has no variable {name}: it has {', '.join(self.domains)}.")
        own = next(iter(self.parameters()), None)
        if own is not None:
            check_plain(own, f"{kind} (its first parameter)")
        for name, value in values.items():
            if value is None:
                continue
            for leaf in tree_leaves(value, name):
                check_plain(leaf, name)
                if own is not None and leaf.device != own.device:
                    raise ShapeError(
                        f"{name} is on {leaf.device}, but {kind} is on {own.device}: move one to the other."
                    )
                if own is not None and leaf.is_floating_point() and leaf.dtype != own.dtype:
                    raise ShapeError(
                        f"{name} is {leaf.dtype}, but {kind} is {own.dtype}: convert with .to({own.dtype})."
                    )
            batch_size(**{name: value})
            self.domains[name].pack(value, name)
            _check_kind(self.domains[name], value, name)
        if any(value is not None for value in values.values()):
            batch_size(**values)

    def over(self, names: str | tuple[str, ...]) -> tuple[tuple[str, ...], Domain]:
        """The free variables in canonical order, and their domain: a product if there are several."""
        if not isinstance(names, str | tuple | list) or not names:
            raise UnsupportedError(f"over must name the free variables, such as 'z' or ('y', 'z'), not {names!r}.")
        wanted = (names,) if isinstance(names, str) else tuple(names)
        chosen = tuple(name for name in VARIABLES if name in wanted)
        for name in wanted:
            self.domain(name)
        if len(chosen) == 1:
            return chosen, self.domain(chosen[0])
        return chosen, Product({name: self.domain(name) for name in chosen})


def _check_kind(domain: Domain, value: Any, name: str) -> None:
    """Raise a ShapeError for integers or booleans where real numbers are needed; a world's state may hold any dtype."""
    if isinstance(domain, Product):
        for key, part in domain.parts.items():
            _check_kind(part, value[key], f"{name}[{key!r}]")
    elif isinstance(value, Tensor) and not value.is_floating_point() and not domain.discrete:
        raise ShapeError(f"{name} is {value.dtype}, but a floating-point tensor is needed: convert with .float().")


def check_output(energy: Energy, value: Any, batch: int) -> Tensor:
    """Check the contract: one number per sample."""
    if not isinstance(value, Tensor) or value.shape != (batch,):
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ShapeError(
            f"{type(energy).__name__}.energy must return one number for each sample, shape ({batch},), but it returned "
            f"{shape}. Sum over the axes of a sample, not over the batch."
        )
    return value


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """‖a − b‖² over all axes but the first, (B,).

    >>> import torch
    >>> squared_distance(torch.zeros(1, 2, 2), torch.ones(1, 2, 2))
    tensor([4.])
    """
    return (a - b).square().flatten(1).sum(dim=1)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i − b_k‖² of all rows of a (B, D) and b (K, D), (B, K), computed from differences.

    The product form ‖a‖² − 2 a·b + ‖b‖² is faster, but cancels if points are close together and far from 0.

    >>> import torch
    >>> squared_distances(torch.tensor([[1e4]]), torch.tensor([[1e4], [10001.0]]))
    tensor([[0., 1.]])
    """
    if torch.compiler.is_exporting() or (torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)):
        return (a[:, None] - b).square().sum(dim=2)  # `cdist` has no second derivative
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()


def _sum(*terms: tuple[Energy, float]) -> Energy:
    # Looked up by name: `Sum` is itself an energy, so its module imports this one.
    sums: Any = find("energy", "Sum")
    return sums.of(*terms)
