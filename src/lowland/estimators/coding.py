"""What estimators with a dictionary share: codes, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from lowland.energies.sparse_coding import SparseCoding
from lowland.estimators.arrays import DenseMixin, rows, threads
from lowland.inference import infer
from lowland.solvers.active_set import ActiveSet
from lowland.solvers.base import Solver

# Rows that are coded at once: the solver's tables of them are several times as large as their codes.
_CODED = 8192


class Coding(DenseMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base class of estimators that have learned an energy `SparseCoding`.

    Attributes:
        energy_: the energy.
        components_: (K, D), atoms as rows.
    """

    energy_: SparseCoding
    solver: Solver | None
    n_jobs: int | None

    def _publish(self) -> None:
        self.components_ = self.energy_.dictionary.detach().T.cpu().numpy().copy()
        self._n_features_out = len(self.components_)

    def transform(self, X: Any) -> np.ndarray:
        """Codes (N, K) of the rows of X, in the precision of the dictionary."""
        check_is_fitted(self)
        own = self.energy_.dictionary
        y = rows(self, X, reset=False, dtype=own.dtype)
        solver = self.solver or ActiveSet(tol=1e-8 if own.dtype == torch.float64 else 1e-5)
        found = np.empty((len(y), own.shape[1]), self.components_.dtype)
        with torch.no_grad(), threads(self.n_jobs):
            for first in range(0, len(y), _CODED):
                part = y[first : first + _CODED].to(own)
                code = infer(self.energy_, y=part, over="z", solver=solver).value
                found[first : first + len(part)] = code.cpu().numpy()
        return found

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows W z, (N, D), of codes (N, K)."""
        check_is_fitted(self)
        return np.asarray(X) @ self.components_

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean of ½‖y − W z‖² + λ‖z‖₁ over the rows of X."""
        codes = self.transform(X)
        with torch.no_grad():
            own = self.energy_.dictionary
            y_, z = (torch.as_tensor(np.asarray(a)).to(own) for a in (X, codes))
            return -float(self.energy_(y=y_, z=z).mean())
