"""K-means as a clusterer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _check_sample_weight, check_is_fitted
from torch import Tensor

from lowland.energies.kmeans import KMeans as KMeansEnergy
from lowland.energies.kmeans import lloyd, nearest, spread_out
from lowland.errors import OptionError
from lowland.estimators.arrays import DenseMixin, check_options, numeric, rows, seed_of, settle
from lowland.shaping.base import Batch
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.tensors import PerSampleRNG


class KMeans(DenseMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """K centres w_k that minimise Σ_n min_k ‖y_n − w_k‖², by Lloyd's method (1982).

    The energy is `lowland.energies.KMeans`. Computed in the precision of X. A centre without samples moves onto the
    sample that is farthest from its own centre, as in scikit-learn.

    Args:
        n_clusters: K.
        init: (K, D) first centres; None draws them by greedy k-means++ (Arthur & Vassilvitskii 2007), of at most
            4,096 samples or 20 for each centre.
        max_iter: of Lloyd's method.
        tol: it ends when an iteration lowers the mean squared distance by at most this share of the variance of X.
        n_init: starts of k-means++, of which the best is kept.
        random_state: seed of k-means++, a generator of NumPy, or None.

    Attributes:
        energy_: the trained energy.
        cluster_centers_: (K, D).
        labels_: (N,) the number of the nearest centre of each training sample.
        inertia_: Σ_n min_k ‖y_n − w_k‖².
        n_iter_: iterations of the best start.
        n_features_in_: D.

    Raises:
        OptionError: in `fit`, for an n_clusters that is not from 1 to the number of samples, first centres of another
            shape, or an n_init below 1.

    >>> KMeans(n_clusters=2).fit([[0.0], [1.0], [9.0]]).cluster_centers_
    array([[9. ],
           [0.5]])
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = None,
        max_iter: int = 300,
        tol: float = 1e-4,
        n_init: int = 1,
        random_state: Any = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> KMeans:
        """Find the centres.

        Args:
            X: (N, D).
            y: ignored.
            sample_weight: (N,) how much each sample counts, at least 0; None counts all alike.
        """
        vars(self).pop("_shaping", None)
        y_ = rows(self, X)
        check_options(self, counts=["n_clusters", "n_init", "max_iter"], others=["tol"])
        seed = seed_of(self.random_state)
        weight = torch.ones(len(y_), dtype=torch.float64) if sample_weight is None else _weights(sample_weight, X)
        spread = _variance(y_, None if sample_weight is None else weight) if self.tol else 0.0
        self.inertia_ = np.inf
        for start in range(self.n_init if self.init is None else 1):
            energy = self._begin(y_, seed + start, weight)
            if sample_weight is None:
                steps, _ = settle(energy, y_, self._updates(seed), self.max_iter, self.tol * spread)
            else:
                found, _, steps = lloyd(y_, energy.centres.detach(), self.max_iter, self.tol * spread, weight)
                energy.centres.copy_(found)
            labels, distances = nearest(y_, energy.centres.detach())
            inertia = float(weight @ distances.double())
            if inertia < self.inertia_:
                self.energy_, self.inertia_, self.n_iter_ = energy, inertia, steps
                self.labels_ = labels.int().numpy()
        return self._publish()._warned()

    def _warned(self) -> KMeans:
        if (found := len(np.unique(self.labels_))) < self.n_clusters:
            warnings.warn(
                f"KMeans found {found} distinct clusters, fewer than n_clusters = {self.n_clusters}: X has too few "
                "distinct rows.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _begin(self, y: Tensor, seed: int, weight: Tensor) -> KMeansEnergy:
        if self.n_clusters > len(y):
            raise OptionError(
                f"n_clusters must be at most the number of samples, but it is {self.n_clusters}, with n_samples = "
                f"{len(y)}."
            )
        energy = KMeansEnergy(y.shape[1], self.n_clusters).to(y.dtype).requires_grad_(False)
        if self.init is None:
            few = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
            few = few[: max(4096, 20 * self.n_clusters)]
            noise = PerSampleRNG(seed, torch.arange(1), y.dtype)
            energy.centres.copy_(spread_out(y[few], self.n_clusters, noise, weight[few]))
            return energy
        first = torch.from_numpy(numeric(self.init, "init"))
        if first.shape != energy.centres.shape or not bool(first.isfinite().all()):
            raise OptionError(
                f"init must be finite, of shape {tuple(energy.centres.shape)}, but it is {tuple(first.shape)}."
            )
        energy.centres.copy_(first)
        return energy

    def _updates(self, seed: int, memory: float = 0.0) -> ExpectationMaximisation:
        return ExpectationMaximisation(
            memory=memory, replace_after=1 if memory == 0 else 20, initialise=False, seed=seed
        )

    def partial_fit(self, X: Any, y: Any = None) -> KMeans:
        """Take in one more batch: each centre becomes the mean of all samples that ever were nearest to it.

        Source: MacQueen (1967), batch by batch. The first batch must have at least K samples. `labels_` and `inertia_`
        are those of this batch. The first call after `fit` starts anew.
        """
        first = not hasattr(self, "_shaping")
        y_ = rows(self, X, reset=first, dtype=None if first else self.energy_.centres.dtype)
        if first:
            check_options(self, counts=["n_clusters"])
            seed = seed_of(self.random_state)
            self.energy_ = self._begin(y_, seed, torch.ones(len(y_), dtype=torch.float64))
            self._shaping = self._updates(seed, memory=1.0)
            self._shaping.prepare(self.energy_, Batch(y_))
            self.n_iter_ = 0
        self._shaping.update(self.energy_, Batch(y_))
        self._shaping.advance()
        self.n_iter_ += 1
        self._publish()
        labels, distances = self._nearest(X)
        self.labels_, self.inertia_ = labels.int().numpy(), float(distances.sum(dtype=torch.float64))
        return self

    def _publish(self) -> KMeans:
        self.cluster_centers_ = self.energy_.centres.detach().numpy().copy()
        self._n_features_out = len(self.cluster_centers_)
        return self

    def _nearest(self, X: Any) -> tuple[Tensor, Tensor]:
        check_is_fitted(self)
        centres = self.energy_.centres.detach()
        return nearest(rows(self, X, reset=False, dtype=centres.dtype), centres)

    def predict(self, X: Any) -> np.ndarray:
        """The number of the nearest centre, (N,)."""
        return self._nearest(X)[0].int().numpy()

    def transform(self, X: Any) -> np.ndarray:
        """Distances to all centres, (N, K)."""
        check_is_fitted(self)
        centres = self.energy_.centres.detach()
        y = rows(self, X, reset=False, dtype=centres.dtype)
        return torch.cdist(y, centres, compute_mode="donot_use_mm_for_euclid_dist").numpy()

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """−Σ_n min_k ‖y_n − w_k‖², each sample times its weight where `sample_weight` (N,) gives one."""
        distances = self._nearest(X)[1].double()
        return -float((distances if sample_weight is None else distances * _weights(sample_weight, X)).sum())


def _variance(y: Tensor, weight: Tensor | None) -> float:
    """The sum of the variances of the columns."""
    if weight is None:
        return float(y.var(dim=0, correction=0).sum())
    share = weight / weight.sum()
    return float((share @ (y.double() - share @ y.double()).square()).sum())


def _weights(sample_weight: Any, X: Any) -> Tensor:
    checked = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True, copy=True)
    return torch.from_numpy(checked)
