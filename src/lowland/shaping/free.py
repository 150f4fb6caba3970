"""The base of contrastive, score and likelihood shapings: the free energy F_β(x, y) that they shape, and its slope."""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import DomainError, LowlandError, OptionError, UnsupportedError
from lowland.inference import free_energy
from lowland.shaping.base import Shaping
from lowland.solvers.adjoint import Adjoint, Implicit
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG, tree_leaves, tree_map


class FreeEnergyShaping(Shaping):
    """Base of the shapings of F_β(x, y), in which a latent variable z of the energy is eliminated.

    Args:
        beta: inverse temperature of F, in 1 / units of E, if the energy has a z: 1 for likelihood-based methods, p(y |
            x) ∝ exp(−F_1); ∞ for F = min_z E. None takes 1 if F_1 is defined (a closed form, a finite or bounded z, or
            the energy's own `prior`) and ∞ otherwise, since a mean over an unbounded domain needs a normalised q(z).
        latent_solver: for z if F is a minimum over it; None takes the most exact solver for the energy.
        seed: see `Shaping`.

    Raises:
        OptionError: for a beta that is not a number.
    """

    def __init__(self, beta: float | None = None, latent_solver: Solver | None = None, seed: int = 0) -> None:
        super().__init__(seed)
        if beta is not None and (not isinstance(beta, float | int) or math.isnan(beta)):
            raise OptionError(f"beta must be a number, infinity included, or None, but it is {beta!r}.")
        self.beta, self.latent_solver = beta, latent_solver

    def free(self, energy: Energy, y: Any, x: Any = None, derivatives: int = 1) -> Tensor:
        """F_β(x, y), (B,), differentiable up to order `derivatives`.

        If F is a minimum over z, the first derivative is that of E at the minimiser (envelope theorem), the second uses
        the implicit function theorem, and a third is not supported.

        Raises:
            UnsupportedError: if the third derivative of a minimum is requested, or no solver supports z.
        """
        beta = self.beta_of(energy, y, x)
        adjoint: Adjoint | None = None
        if derivatives > 1 and beta == math.inf and _latent(energy, y, x).sought:
            if derivatives > 2:
                raise UnsupportedError(
                    f"{type(self).__name__} takes three derivatives of F, but F(y) = min_z E(y, z) of "
                    f"{type(energy).__name__} has two here. Use DenoisingScoreMatching, which takes two, or give the "
                    "energy a `prior` and pass beta=1.0."
                )
            adjoint = Implicit()
        # Draws of z are the same throughout a step, so that data and negatives are compared on equal terms.
        generator = torch.Generator().manual_seed(int(self.seed) * 1_000_003 + int(self.step))
        with naming(self, beta):
            return free_energy(
                energy, y, x, beta, solver=self.latent_solver, adjoint=adjoint, generator=generator
            ).value

    def slope(self, energy: Energy, y: Tensor, x: Any = None) -> tuple[Tensor, Tensor]:
        """F_β(x, y), (B,), and ∇_y F_β, (B, ...), with a graph, so that a loss on the gradient can train the energy."""
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            value = self.free(energy, y, x, derivatives=2)
            (gradient,) = torch.autograd.grad(value.sum(), y, create_graph=True)
        return value, gradient

    def beta_of(self, energy: Energy, y: Any, x: Any = None) -> float:
        """The β of F for this energy."""
        return self.beta if self.beta is not None else _latent(energy, y, x).beta


class _Latent(NamedTuple):
    """The default β at which F is defined, and whether min_z E needs a solver."""

    beta: float
    sought: bool


# Cached: neither changes in training, and finding out costs a draw and a closed form.
_LATENTS: weakref.WeakKeyDictionary[Energy, _Latent] = weakref.WeakKeyDictionary()


def _latent(energy: Energy, y: Any, x: Any) -> _Latent:
    if energy not in _LATENTS:
        _LATENTS[energy] = _find_out(energy, y, x)
    return _LATENTS[energy]


def _find_out(energy: Energy, y: Any, x: Any) -> _Latent:
    if "z" not in energy.domains or energy.domain("z").cardinality is not None:
        return _Latent(1.0, False)
    with torch.no_grad():
        y, x = tree_map(lambda tensor: tensor[:1], y), tree_map(lambda tensor: tensor[:1], x)
        encoded = None if x is None else energy.encode(x)
        sought = energy.marginal(encoded, y, math.inf) is None
        if energy.marginal(encoded, y, 1.0) is not None:
            return _Latent(1.0, sought)
        first = tree_leaves(y, "y")[0]
        try:
            energy.prior(encoded, PerSampleRNG(0, torch.arange(1, device=first.device), first.dtype), 1)
        except LowlandError:
            return _Latent(math.inf, sought)
    return _Latent(1.0, sought)


@contextlib.contextmanager
def naming(shaping: Shaping, beta: float) -> Iterator[None]:
    """Name the shaping in errors raised while F_β is computed."""
    try:
        yield
    except (DomainError, UnsupportedError) as error:
        raise type(error)(f"{type(shaping).__name__} shapes F_β with β = {beta:g}. {error}") from error
