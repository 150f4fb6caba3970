"""Slope and curvature of an energy at given points; the curvature limits the step size of gradient descent."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import ShapeError


def slope(energy: Energy, y: Tensor) -> Tensor:
    """‖∇F(y)‖ at each point, (N,), in units of the energy per unit of y.

    Args:
        energy: over y alone, twice differentiable.
        y: (N, n).

    Raises:
        ShapeError: if y is not a matrix.

    >>> from lowland.energies import Gaussian
    >>> slope(Gaussian(2), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([5., 0.])
    """
    return _gradient(energy, y)[1].norm(dim=1).detach()


def curvature(energy: Energy, y: Tensor) -> Tensor:
    """The largest eigenvalue of ∇²F(y) at each point, (N,). Descent is stable there for steps below 2 / curvature.

    Full Hessians are formed, n² numbers per point, by n backward passes.

    Args:
        energy: over y alone, twice differentiable.
        y: (N, n).

    Raises:
        ShapeError: if y is not a matrix.

    >>> from lowland.energies import Gaussian
    >>> curvature(Gaussian(2, precision=torch.diag(torch.tensor([1.0, 9.0]))), torch.zeros(2, 2))
    tensor([9., 9.])
    """
    y, gradient = _gradient(energy, y, twice=True)
    with torch.enable_grad():
        sums = gradient.sum(dim=0).unbind()
    rows = [torch.autograd.grad(part, y, retain_graph=True)[0] for part in sums]
    return torch.linalg.eigvalsh(torch.stack(rows, dim=1))[:, -1]


def _gradient(energy: Energy, y: Tensor, twice: bool = False) -> tuple[Tensor, Tensor]:
    """A copy of y that requires gradients, and ∇F there."""
    if y.ndim != 2:
        raise ShapeError(f"y must be a matrix with one point in each row, but its shape is {tuple(y.shape)}.")
    y = y.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(energy(y=y).sum(), y, create_graph=twice)
    return y, gradient
