"""Principal components as a transformer."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from lowland.energies.pca import PCA as PCAEnergy
from lowland.errors import OptionError
from lowland.estimators.arrays import DenseMixin, rows
from lowland.evaluation.energy_gap import scores
from lowland.tensors import PerSampleRNG


class PCA(DenseMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """The flat of k dimensions with the least mean squared distance to the data, by eigenvectors of their covariance.

    The energy is `lowland.energies.PCA`. The moments are summed in double precision, so that `partial_fit` over all
    batches gives what `fit` gives for the whole. They cost N D² and memory of D²: with more than some thousand columns,
    scikit-learn's randomised solver is the better choice.

    Args:
        n_components: k; None takes the lesser of N and D of the first data, and a number above 0 and below 1 the fewest
            components that explain more than this share of the variance.

    Attributes:
        energy_: the fitted energy.
        components_: (k, D), orthonormal rows, by falling variance, each with its largest entry positive.
        n_components_: k.
        mean_: (D,).
        explained_variance_: (k,) variances along the components, with N − 1 in the denominator.
        explained_variance_ratio_: (k,) the same as shares of the variance of all columns.
        n_samples_seen_: N.
        n_features_in_: D.

    Raises:
        OptionError: for an n_components that is neither a whole number from 1 to the lesser of N and D of the first
            data, nor a share.

    >>> found = PCA(n_components=1).fit([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]])
    >>> found.components_.round(3), found.explained_variance_ratio_.round(3)
    (array([[0.707, 0.707]]), array([1.]))
    """

    def __init__(self, n_components: int | float | None = None) -> None:
        self.n_components = n_components

    def fit(self, X: Any, y: Any = None) -> PCA:
        """Find the flat.

        Args:
            X: (N, D).
            y: ignored.
        """
        self._sums: dict[str, Tensor] = {}
        return self._add(rows(self, X, least=2))

    def partial_fit(self, X: Any, y: Any = None) -> PCA:
        """Add the samples of one more batch to those so far."""
        first = not hasattr(self, "_sums")
        y_ = rows(self, X, reset=first, least=2 if first else 1)
        if first:
            self._sums = {}
        return self._add(y_)

    def _add(self, y: Tensor) -> PCA:
        if not self._sums:
            most, wanted = min(y.shape), self.n_components
            share = isinstance(wanted, float) and 0 < wanted < 1
            whole = isinstance(wanted, Integral) and not isinstance(wanted, bool) and 1 <= wanted <= most
            if not (wanted is None or share or whole):
                raise OptionError(
                    f"n_components must be a whole number from 1 to {most}, the lesser of samples and features, a "
                    f"share of the variance above 0 and below 1, or None, but it is {wanted!r}."
                )
            size = int(wanted) if whole and wanted is not None else most
            self._whole = PCAEnergy(y.shape[1], size).to(y.dtype).requires_grad_(False)
        if not self._sums:
            self._whole.initialise(None, y, PerSampleRNG(0, torch.arange(len(y))))
        found = self._whole.statistics(None, y, None)
        self._sums = {name: value + self._sums.get(name, 0.0) for name, value in found.items()}
        self._whole.refit(self._sums)
        return self._publish()

    def _publish(self) -> PCA:
        count, rest = self._sums["count"], self._sums["total"]  # about the mean, as it was rounded
        covariance = (self._sums["outer"] - torch.outer(rest, rest) / count) / (count - 1)
        components = self._whole.components.double()
        variance = torch.einsum("ki,ij,kj->k", components, covariance, components).clamp_min(0)
        total = covariance.diagonal().sum()
        if isinstance(self.n_components, float):
            explained = variance.cumsum(0) / total.clamp_min(1e-300)
            kept = min(int((explained <= self.n_components).sum()) + 1, len(variance))
            self.energy_ = PCAEnergy(len(rest), kept).to(self._whole.mean.dtype).requires_grad_(False)
            self.energy_.components.copy_(self._whole.components[:kept])
            self.energy_.mean.copy_(self._whole.mean)
            variance = variance[:kept]
        else:
            self.energy_ = self._whole
        self.components_, self.mean_ = self.energy_.components.numpy().copy(), self.energy_.mean.numpy().copy()
        self.n_components_ = len(self.components_)
        self.explained_variance_ = variance.numpy().astype(self.components_.dtype)
        # Without any variance there is nothing to explain.
        self.explained_variance_ratio_ = (variance / total.clamp_min(1e-300)).numpy().astype(self.components_.dtype)
        self.n_samples_seen_ = int(count)
        self._n_features_out = len(self.components_)
        return self

    def _rows(self, X: Any) -> Tensor:
        check_is_fitted(self)
        return rows(self, X, reset=False, dtype=self.energy_.mean.dtype)

    def transform(self, X: Any) -> np.ndarray:
        """W (y − μ) of each row, (N, k)."""
        y = self._rows(X)
        return ((y - self.energy_.mean) @ self.energy_.components.T).numpy()

    def inverse_transform(self, X: Any) -> np.ndarray:
        """μ + Wᵀz of each row, (N, D)."""
        check_is_fitted(self)
        return np.asarray(X) @ self.components_ + self.mean_

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean squared distance to the flat."""
        y = self._rows(X)
        return -float(scores(self.energy_, y).mean())
