"""What a problem takes from its energy and from what is given."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.domains import Domain, Reals, Tokens
from lowland.energies.base import Energy
from lowland.solvers import bind


class Turned(Energy):
    """‖A y − c‖² with A and c as buffers, of which the matrix product wants a y of the same dtype."""

    matrix: Tensor
    centre: Tensor

    def __init__(self, x: Domain | None = None) -> None:
        super().__init__(y=Reals(2), **({} if x is None else {"x": x}))
        self.register_buffer("matrix", torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
        self.register_buffer("centre", torch.tensor([1.0, 4.0]))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return (y @ self.matrix.T - self.centre).square().sum(dim=1) + (0 if x is None else x.sum(dim=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("domain", "x"),
    [
        (None, None),
        (Tokens(3, 2), torch.zeros(2, 2).long()),
        (Tokens(3, 2), torch.zeros(2, 2)),
        (Reals(2), torch.zeros(2, 2)),
    ],
    ids=["nothing given", "whole numbers", "single", "reals in single"],
)
def test_buffers_alone_say_which_dtype(dtype: torch.dtype, domain: Domain | None, x: Tensor | None) -> None:
    """With float64 buffers and float32 values the free variable was float32, and the matrix product failed."""
    energy = Turned(domain).to(dtype)
    assert bind(energy, {"x": x}, "y").dtype == dtype
    found = ll.infer(energy, x=x, over="y", solver=ll.solvers.LBFGS())
    assert found.value.dtype == found.energy.dtype == dtype
    torch.testing.assert_close(found.value[0].double(), torch.tensor([2.0, 1.0]).double(), rtol=1e-4, atol=1e-4)
