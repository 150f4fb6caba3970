"""The linear encoder is the least-squares solution, and its threshold the best of those tried."""

from __future__ import annotations

import torch

from lowland.energies.sparse_coding import SparseCoding
from lowland.evaluation.linear_coder import THRESHOLDS, fit_linear_coder
from lowland.inference import infer
from lowland.solvers.active_set import ActiveSet


def test_no_direction_of_the_matrix_has_a_slope_but_for_the_ridge() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.nn.functional.normalize(torch.randn(500, 16, generator=generator), dim=1)
    energy = SparseCoding(16, 24, 0.1, generator=generator)
    codes = infer(energy, y=y, over="z", solver=ActiveSet(1e-6)).value
    coder = fit_linear_coder(energy, y, codes, y[:100])
    # The ridge is 1e-6 of the mean square of y, and single precision adds about as much.
    slope = y.T @ (coder.dense(y) - codes)
    assert float(slope.norm()) < 1e-3 * float((y.T @ codes).norm())
    with torch.no_grad():
        scores = [float(energy(y=y[:100], z=coder._replace(threshold=t).shrunk(y[:100])).mean()) for t in THRESHOLDS]
    assert coder.threshold == THRESHOLDS[scores.index(min(scores))]


def test_a_sparse_code_keeps_the_largest_units() -> None:
    y = torch.eye(4)
    coder = fit_linear_coder(SparseCoding(4, 4, 0.1), y, torch.tensor([[3.0, -4.0, 1.0, 0.0]] * 4), y)
    assert torch.equal(coder.sparse(y, 2) != 0, torch.tensor([[True, True, False, False]] * 4))
