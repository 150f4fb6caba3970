"""Sparse codes over a dictionary that is given, or learned by any training method."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError
from lowland.estimators.arrays import check_options, rows, seed_of, threads, train
from lowland.estimators.coding import Coding
from lowland.shaping.base import Shaping
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.active_set import ActiveSet
from lowland.solvers.base import Solver


class SparseCoder(Coding):
    """Codes z that minimise ½‖y − W z‖² + λ‖z‖₁, over a dictionary W of unit-norm atoms.

    The dictionary is given, or learned from data that fit into memory, by any shaping: this is the estimator for codes.
    For much data, or data that come in batches, learn it by `DictionaryLearning`. Source: Olshausen & Field (1996).
    Data are not centred. Computed in double precision.

    Args:
        n_atoms: K, the size of a code; a given dictionary has its own.
        sparsity: λ, in units of X; as scikit-learn's `alpha` in `sparse_encode`.
        dictionary: (K, D), atoms as rows, whose norms are then made 1; None learns one.
        positive: codes are not negative.
        solver: for codes; by default `ActiveSet` to a relative duality gap of 10⁻⁸.
        shaping: how to learn the dictionary; None alternates codes of all data and dictionary
            (`ExpectationMaximisation`; Mairal, Bach, Ponce & Sapiro 2009).
        max_steps, batch_size, lr: of training; see `lowland.fit`.
        n_jobs: threads for codes and training; None for as many as torch uses, −1 for all cores.
        random_state: seed of the first dictionary and of training, a generator of NumPy, or None.

    Attributes:
        energy_: the `SparseCoding`.
        components_: (K, D), atoms as rows.
        n_features_in_: D.

    Raises:
        OptionError: in `fit`, for a sparsity that is not positive, or a dictionary of the wrong shape, with an atom of
            zero norm or an entry that is not finite.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> coder = SparseCoder(n_atoms=6, sparsity=0.5, max_steps=20).fit(X)
    >>> coder.transform(X).shape, coder.inverse_transform(coder.transform(X)).shape
    ((50, 6), (50, 4))
    >>> SparseCoder(sparsity=0.5, dictionary=np.eye(4)).fit_transform(X[:1] * 0 + [2.0, -1.0, 0.1, 0.0])
    array([[ 1.5, -0.5,  0. ,  0. ]])
    """

    def __init__(
        self,
        n_atoms: int = 16,
        sparsity: float = 0.1,
        *,
        dictionary: Any = None,
        positive: bool = False,
        solver: Solver | None = None,
        shaping: Shaping | None = None,
        max_steps: int = 15,
        batch_size: int | None = None,
        lr: float = 1e-3,
        n_jobs: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.n_atoms = n_atoms
        self.sparsity = sparsity
        self.dictionary = dictionary
        self.positive = positive
        self.solver = solver
        self.shaping = shaping
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.lr = lr
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> SparseCoder:
        """Learn the dictionary, or take the one that is given.

        Args:
            X: (N, D).
            y: ignored.
        """
        y_ = rows(self, X, dtype=torch.float64)
        check_options(self, counts=["n_atoms", "max_steps"], positive=["sparsity", "lr"])
        seed, size = seed_of(self.random_state), y_.shape[1]
        generator = torch.Generator().manual_seed(seed)
        if self.dictionary is None:
            self.energy_ = SparseCoding(size, self.n_atoms, self.sparsity, self.positive, generator).double()
            shaping = self.shaping or ExpectationMaximisation(ActiveSet(1e-4), seed=seed)
            with threads(self.n_jobs):
                train(self.energy_, y_, shaping, self.max_steps, self.batch_size, self.lr, seed)
        else:
            atoms = unit_atoms(self.dictionary, size)
            self.energy_ = SparseCoding(size, len(atoms), self.sparsity, self.positive).double()
            with torch.no_grad():
                self.energy_.dictionary.copy_(atoms.T)
        self._publish()
        return self


def unit_atoms(dictionary: Any, size: int) -> torch.Tensor:
    """Atoms (K, D) at unit norm, float64; an OptionError for those that have none.

    >>> unit_atoms([[3.0, 4.0]], 2)
    tensor([[0.6000, 0.8000]], dtype=torch.float64)
    """
    atoms = np.asarray(dictionary, dtype=np.float64)
    if atoms.ndim != 2 or atoms.shape[1] != size or not len(atoms):
        raise OptionError(f"The dictionary must have one row of {size} numbers for each atom, not {atoms.shape}.")
    if not np.isfinite(atoms).all():
        raise OptionError("The dictionary contains NaN or infinity: leave those atoms out.")
    norm = np.linalg.norm(atoms, axis=1, keepdims=True)
    if (norm == 0).any():
        raise OptionError(f"Atom {int((norm[:, 0] == 0).argmax())} of the dictionary has zero norm: leave it out.")
    return torch.from_numpy(atoms / norm)
