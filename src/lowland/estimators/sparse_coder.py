"""Sparse coding and dictionary learning as a transformer."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from lowland.energies.sparse_coding import SparseCoding
from lowland.estimators.arrays import points, train
from lowland.inference import infer
from lowland.shaping.base import Shaping
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.base import Solver
from lowland.solvers.proximal import FISTA


class SparseCoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Codes z that minimise ½‖y − W z‖² + λ‖z‖₁, over a dictionary W of unit-norm atoms learned from the data.

    Source: Olshausen & Field (1996). Data are not centred. Computed in double precision.

    Args:
        n_atoms: K, the size of a code.
        sparsity: λ, in units of X; as scikit-learn's `alpha` in `sparse_encode`.
        positive: codes are not negative.
        solver: for codes; by default FISTA to a residual of 10⁻⁸.
        shaping: how to learn the dictionary; None alternates codes of all data and dictionary, with a cheaper
            FISTA (`ExpectationMaximisation`; Mairal, Bach, Ponce & Sapiro 2009).
        max_steps, batch_size, lr: of training; see `lowland.fit`.
        seed: of the first dictionary and of training.

    Attributes:
        energy_: the trained `SparseCoding`.
        components_: (K, D), atoms as rows.
        n_features_in_: D.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> coder = SparseCoder(n_atoms=6, sparsity=0.5, max_steps=20).fit(X)
    >>> coder.transform(X).shape, coder.inverse_transform(coder.transform(X)).shape
    ((50, 6), (50, 4))
    """

    def __init__(
        self,
        n_atoms: int = 16,
        sparsity: float = 0.1,
        *,
        positive: bool = False,
        solver: Solver | None = None,
        shaping: Shaping | None = None,
        max_steps: int = 15,
        batch_size: int | None = None,
        lr: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.n_atoms = n_atoms
        self.sparsity = sparsity
        self.positive = positive
        self.solver = solver
        self.shaping = shaping
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.lr = lr
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> SparseCoder:
        """Learn the dictionary.

        Args:
            X: (N, D).
            y: ignored.
        """
        array = cast(np.ndarray, validate_data(self, X, dtype=[np.float64, np.float32]))
        generator = torch.Generator().manual_seed(self.seed)
        size = array.shape[1]
        self.energy_ = SparseCoding(size, self.n_atoms, self.sparsity, self.positive, generator).double()
        shaping = self.shaping or ExpectationMaximisation(FISTA(max_steps=100, tol=1e-3), seed=self.seed)
        y_ = points(self.energy_, array)
        train(self.energy_, y_, shaping, self.max_steps, self.batch_size, self.lr, self.seed)
        self.components_ = self.energy_.dictionary.detach().T.cpu().numpy().copy()
        self._n_features_out = self.n_atoms
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Codes (N, K) of the rows of X."""
        check_is_fitted(self)
        array = cast(np.ndarray, validate_data(self, X, dtype=[np.float64, np.float32], reset=False))
        solver = self.solver or FISTA(max_steps=2000, tol=1e-8)
        with torch.no_grad():
            return infer(self.energy_, y=points(self.energy_, array), over="z", solver=solver).value.cpu().numpy()

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows W z, (N, D), of codes (N, K)."""
        check_is_fitted(self)
        return np.asarray(X) @ self.components_
