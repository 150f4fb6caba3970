"""Online dictionary learning: codes of a batch, then all atoms, from statistics that forget early batches."""

from __future__ import annotations

from torch import Tensor

from lowland.energies.sparse_coding import SparseCoding
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.active_set import ActiveSet
from lowland.solvers.base import Solver
from lowland.training.fit import fit


def learn_online(
    energy: SparseCoding,
    y: Tensor,
    steps: int,
    batch_size: int = 512,
    solver: Solver | None = None,
    forgetting: float = 4.0,
    replace_after: int | None = 20,
    seed: int = 0,
) -> None:
    """Train the dictionary W of a sparse-coding energy in place, from the atoms that it has.

    Source: Mairal, Bach, Ponce & Sapiro, "Online learning for matrix factorization and sparse coding" (2010),
    algorithm 1, with `ll.shaping.ExpectationMaximisation(memory=1.0)`.

    Args:
        energy: such as `ll.energies.SparseCoding`.
        y: (N, n_features).
        steps: batches.
        batch_size: samples in a batch, at most N.
        solver: of the codes; None for `ActiveSet(0.03)`, whose certificate of 3 % is enough while atoms still move.
        forgetting, replace_after: see `ExpectationMaximisation`.
        seed: of the order of samples, and of the atoms that replace others.

    >>> import torch
    >>> energy, y = SparseCoding(4, 6, sparsity=0.1), torch.eye(4).repeat(10, 1)
    >>> learn_online(energy, y, steps=5, batch_size=40)
    >>> bool(energy.dictionary.norm(dim=0).sub(1).abs().max() < 1e-5)
    True
    """
    shaping = ExpectationMaximisation(
        solver or ActiveSet(0.03), memory=1.0, forgetting=forgetting, replace_after=replace_after, initialise=False,
        seed=seed,
    )  # fmt: skip
    options = {"batch_size": min(batch_size, len(y)), "validation": 0.0, "progress": False}
    fit(energy, y, shaping, max_steps=steps, seed=seed, **options)
