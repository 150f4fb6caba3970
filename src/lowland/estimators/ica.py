"""Independent components as a transformer."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from lowland.energies.ica import SquareICA
from lowland.estimators.arrays import rows, settle
from lowland.evaluation.energy_gap import scores
from lowland.shaping.regularised.natural_gradient import NaturalGradient


class ICA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """s = W (y − μ) with sources s that are as independent as can be, as many as there are columns.

    The energy is `lowland.energies.SquareICA`, minus the log-density of y for sources of a given kind (Bell & Sejnowski
    1995), lowered by the natural gradient (Amari, Cichocki & Yang 1996) from whitened data. Right for sources with
    heavier tails than a Gaussian, such as speech or filtered images. For fewer sources than columns, put `PCA` before
    it in a pipeline. Computed in double precision.

    Args:
        source: density of a source: "logistic" or "laplace".
        max_iter: steps.
        tol: it ends when a step raises the mean log-likelihood by at most this.
        step_size: of the natural gradient; twice the default no longer converges.
        seed: of the first rotation.

    Attributes:
        energy_: the trained energy.
        components_: (D, D) W.
        mixing_: (D, D) W⁻¹: column i is what source i adds to y.
        mean_: (D,).
        n_iter_: steps taken.
        n_features_in_: D.

    Raises:
        DomainError: in `fit`, for data without variance.

    >>> sources = np.random.default_rng(0).laplace(size=(500, 2))
    >>> found = ICA().fit(sources @ np.array([[1.0, 0.5], [0.2, 1.0]]))
    >>> found.transform(sources).shape
    (500, 2)
    """

    def __init__(
        self,
        *,
        source: Literal["logistic", "laplace"] = "logistic",
        max_iter: int = 300,
        tol: float = 1e-6,
        step_size: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.source: Literal["logistic", "laplace"] = source
        self.max_iter = max_iter
        self.tol = tol
        self.step_size = step_size
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> ICA:
        """Find W.

        Args:
            X: (N, D).
            y: ignored.
        """
        y_ = rows(self, X, least=2).double()
        generator = torch.Generator().manual_seed(self.seed)
        self.energy_ = SquareICA(y_.shape[1], self.source, generator).double()
        self.n_iter_, _ = settle(self.energy_, y_, NaturalGradient(self.step_size), self.max_iter, self.tol)
        self.energy_.requires_grad_(False)
        self.components_, self.mean_ = self.energy_.unmixing.numpy().copy(), self.energy_.mean.numpy().copy()
        self.mixing_ = np.linalg.pinv(self.components_)
        self._n_features_out = len(self.components_)
        return self

    def _rows(self, X: Any) -> Tensor:
        check_is_fitted(self)
        return rows(self, X, reset=False).double()

    def transform(self, X: Any) -> np.ndarray:
        """Sources of each row, (N, D)."""
        y = self._rows(X)
        return self.energy_.sources(y).numpy()

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows y, (N, D), of sources (N, D)."""
        check_is_fitted(self)
        return np.asarray(X) @ self.mixing_.T + self.mean_

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-likelihood."""
        y = self._rows(X)
        return -float(scores(self.energy_, y).mean())
