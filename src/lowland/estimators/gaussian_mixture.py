"""A mixture of Gaussians as a density and a clusterer."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from lowland.energies.mixture import GaussianMixture as MixtureEnergy
from lowland.errors import OptionError
from lowland.estimators.arrays import check_options, rows, seed_of, settle
from lowland.evaluation.energy_gap import scores
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation


class GaussianMixture(DensityMixin, BaseEstimator):
    """p(y) = Σ_k π_k N(y; μ_k, Σ_k), by EM (Dempster, Laird & Rubin 1977) from the clusters of K-means.

    The energy is `lowland.energies.GaussianMixture`, whose F_1 is −log p. Computed in double precision.

    Args:
        n_components: K.
        covariance_type: "full", or "diag" for independent coordinates.
        reg_covar: least variance in any direction, in squared units of X.
        max_iter: of EM.
        tol: it ends when an iteration raises the mean log-likelihood by at most this.
        n_init: starts, of which the one with the highest likelihood is kept.
        random_state: seed of the starts, a generator of NumPy, or None.

    Attributes:
        energy_: the trained energy.
        weights_: (K,) π.
        means_: (K, D).
        covariances_: (K, D, D), or (K, D) for "diag".
        converged_: whether EM ended by `tol`.
        n_iter_: iterations of the best start.
        lower_bound_: mean log-likelihood of the training data.
        n_features_in_: D.

    Raises:
        OptionError: in `fit`, for an n_components that is not from 1 to the number of samples, or an n_init below 1.
        DomainError: in `fit`, with reg_covar = 0, for a component without variance in some direction. With a reg_covar
            that exceeds the variance of the data there, `fit` warns.

    >>> X = [[0.0], [0.2], [8.0], [8.4]]
    >>> GaussianMixture(n_components=2).fit(X).predict(X).tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
    True
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: Literal["full", "diag"] = "full",
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        tol: float = 1e-3,
        n_init: int = 1,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.covariance_type: Literal["full", "diag"] = covariance_type
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> GaussianMixture:
        """Find weights, means and covariances.

        Args:
            X: (N, D).
            y: ignored.
        """
        y_ = rows(self, X, least=2, dtype=torch.float64)
        check_options(self, counts=["n_components", "n_init", "max_iter"], others=["reg_covar", "tol"])
        if self.n_components > len(y_):
            raise OptionError(f"n_components must be at most n_samples = {len(y_)}, but it is {self.n_components}.")
        seed = seed_of(self.random_state)
        self.lower_bound_ = -np.inf
        for start in range(self.n_init):
            energy = MixtureEnergy(y_.shape[1], self.n_components, self.covariance_type, self.reg_covar)
            energy = energy.double().requires_grad_(False)
            shaping = ExpectationMaximisation(beta=1.0, seed=seed + start)
            steps, converged = settle(energy, y_, shaping, self.max_iter, self.tol, max(4096, 20 * self.n_components))
            bound = -float(scores(energy, y_, beta=1.0).mean())
            if bound > self.lower_bound_:
                self.energy_, self.lower_bound_, self.n_iter_, self.converged_ = energy, bound, steps, converged
        scale = self.energy_.scale
        self.weights_ = torch.softmax(self.energy_.logits, dim=0).numpy()
        self.means_ = self.energy_.means.numpy().copy()
        self.covariances_ = (scale.tril() @ scale.tril().mT if scale.ndim == 3 else scale.square()).numpy()
        if (thin := int(self._thin().sum())) > 0:
            warnings.warn(
                f"In {thin} of {self.n_components} components the data vary in some direction by less than rounding or "
                f"reg_covar = {self.reg_covar:g}, which decides the density there: leave out constant and dependent "
                "columns, scale X where its units are small, or lower reg_covar.",
                stacklevel=2,
            )
        return self

    def _thin(self) -> np.ndarray:
        """(K,) whether a component is thinner in some direction than the floor, or than rounding can tell."""
        if self.covariance_type == "diag":
            return self.covariances_.min(axis=1) < 2 * self.reg_covar
        variances = self.covariances_.diagonal(axis1=1, axis2=2)
        # What is left of the variance of a column, given those before it; in any units of the columns.
        left = np.square(self.energy_.scale.diagonal(dim1=1, dim2=2).numpy())
        rounding = 100 * variances.shape[1] * np.finfo(np.float64).eps
        floor = np.linalg.eigvalsh(self.covariances_)[:, 0] < 2 * self.reg_covar
        return floor | (left / variances < rounding).any(axis=1)

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """The most probable component of each training sample, (N,)."""
        return self.fit(X).predict(X)

    def _rows(self, X: Any) -> Tensor:
        check_is_fitted(self)
        return rows(self, X, reset=False, dtype=torch.float64)

    def predict_proba(self, X: Any) -> np.ndarray:
        """p(k | y), (N, K)."""
        y = self._rows(X)
        table = self.energy_.structure(("z",), None, y, None).table
        assert table is not None
        return torch.softmax(-table(), dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable component, (N,)."""
        return self.predict_proba(X).argmax(axis=1)

    def score_samples(self, X: Any) -> np.ndarray:
        """Log p(y) of each row, (N,)."""
        y = self._rows(X)
        return -scores(self.energy_, y, beta=1.0).numpy()

    def _free_numbers(self) -> int:
        count, size = self.means_.shape
        each = size * (size + 1) // 2 if self.covariance_type == "full" else size
        return count * (each + size) + count - 1

    def bic(self, X: Any) -> float:
        """Bayesian information criterion: −2 Σ log p(y) + m log N, with m free numbers; the lower, the better."""
        found = self.score_samples(X)
        return float(-2 * found.sum() + self._free_numbers() * np.log(len(found)))

    def aic(self, X: Any) -> float:
        """Akaike information criterion: −2 Σ log p(y) + 2 m, with m free numbers; the lower, the better."""
        return float(-2 * self.score_samples(X).sum() + 2 * self._free_numbers())

    def score(  # pyright: ignore[reportIncompatibleMethodOverride]  scikit-learn's own has no type
        self, X: Any, y: Any = None
    ) -> float:
        """The mean of log p(y)."""
        return float(self.score_samples(X).mean())
