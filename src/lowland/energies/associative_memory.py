"""The modern Hopfield network: a memory whose retrieval is attention (system M3).

Legend: B samples, N keys, D their width, M that of the values.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import OptionError, ShapeError
from lowland.registry import register


@register("energy")
class AssociativeMemory(Energy):
    """E(y) = ½‖y‖² − 1/β log Σ_i exp(β x_i · y): low where y is close to a stored key x_i.

    Ramsauer et al. 2020, "Hopfield networks is all you need", equation 2, without its constants. The gradient is
    y − Σ_i c_i x_i with c = softmax(β X y), so that one step of gradient descent of size 1 is attention (equation 3):
    `GradientDescent(1.0, max_steps=1, tol=None)`. More steps retrieve, and never raise E. Started at the query, a
    solver ends at a key if the others are far, and else at a mean of several.

    With values v_i it is a differentiable memory, the key–value look-up of memory networks: `reconstruct` reads
    Σ_i c_i v_i at y, by default of the keys.

    Args:
        keys: x_i, (N, D).
        beta: β > 0, in 1 / squared units of y; 1 / √D in a transformer.
        values: v_i, (N, M); None for the keys themselves.
        learned: whether keys and values are trained.

    Raises:
        OptionError: for a β that is not positive.
        ShapeError: for keys that are not (N, D), or other numbers of keys and values.

    >>> import lowland as ll
    >>> energy = AssociativeMemory(torch.eye(2), beta=8.0)
    >>> query = torch.tensor([[0.6, 0.1]])
    >>> one = ll.infer(energy, over="y", init=query, solver=ll.solvers.GradientDescent(1.0, max_steps=1, tol=None))
    >>> torch.allclose(one.value, torch.softmax(8 * query @ torch.eye(2), dim=1) @ torch.eye(2))
    True
    """

    keys: Tensor
    values: Tensor | None

    def __init__(self, keys: Tensor, beta: float = 1.0, values: Tensor | None = None, learned: bool = False) -> None:
        if not 0 < beta < math.inf:
            raise OptionError(f"beta must be a positive number, but it is {beta}.")
        if keys.ndim != 2 or not len(keys) or not keys.is_floating_point():
            raise ShapeError(f"keys must be real (N, D) with at least one key, but they are {tuple(keys.shape)}.")
        if values is not None and (values.ndim != 2 or len(values) != len(keys)):
            raise ShapeError(f"values must be ({len(keys)}, M), one for each key, but they are {tuple(values.shape)}.")
        super().__init__(y=Reals(keys.shape[1]))
        self.beta = beta
        for name, tensor in (("keys", keys), ("values", values)):
            if learned and tensor is not None:
                setattr(self, name, nn.Parameter(tensor.detach().clone()))
            else:
                self.register_buffer(name, None if tensor is None else tensor.detach())

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        found = torch.logsumexp(self.beta * (y @ self.keys.T), dim=1) / self.beta
        return 0.5 * y.square().sum(dim=1) - found

    def shares(self, y: Tensor) -> Tensor:
        """How much of each key is in what is read at y, c = softmax(β X y): (B, D) → (B, N)."""
        return torch.softmax(self.beta * (y @ self.keys.T), dim=1)

    def reconstruct(self, x: Any, y: Tensor, z: Any) -> Tensor:
        """What is read at y, Σ_i c_i v_i: (B, D) → (B, M)."""
        return self.shares(y) @ (self.keys if self.values is None else self.values)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        """The Hessian is I − β Cov, where Cov, the covariance of the keys under c, is at most r², r = max ‖x_i‖.

        It is positive for β r² ≤ 1.
        """
        if over != ("y",):
            return Structure()
        curvature = self.beta * self.keys.detach().square().sum(dim=1).amax()
        return Structure(lipschitz=lambda: (curvature - 1).clamp_min(1), convex=bool(curvature <= 1))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Two keys at right angles, at β = 1: E is convex, and by symmetry least between them, at −¼ − log 2."""
        minimum = torch.full((1,), -0.25 - math.log(2))
        return ReferenceCase(cls(torch.eye(2)), {}, "y", minimum, torch.tensor([[0.5, 0.5]]))
