"""Any energy as an anomaly score."""

from __future__ import annotations

import copy
import math
from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from lowland.energies.base import Energy
from lowland.energies.mixture import GaussianMixture
from lowland.errors import OptionError
from lowland.estimators.arrays import (
    DenseMixin,
    check_arguments,
    check_options,
    check_range,
    check_resolution,
    dense,
    doubt,
    points,
    rows,
    seed_of,
    train,
)
from lowland.evaluation.energy_gap import scores
from lowland.shaping.base import Shaping
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.base import Solver


class EnergyDetector(DenseMixin, OutlierMixin, BaseEstimator):
    """Points of high free energy are outliers: score = −F_β(y), in scikit-learn's sense, where inliers score high.

    Args:
        energy: over y; rows of X are reshaped to what it takes. It is copied, never changed. None makes a mixture of up
            to eight Gaussians of full covariance, in double precision, fitted by EM: one for each ten samples that a
            covariance has dimensions, and a floor of a thousandth of the least variance of what varies.
        shaping: how to train the copy. None takes an energy that is given as it is, already trained, so that `fit` only
            sets the threshold.
        solver: for the latent variable; see `lowland.free_energy`.
        beta: inverse temperature of the score; None means 1 for the default energy (then the score is the
            log-likelihood) and ∞ for others.
        contamination: share of the training data to be called outliers, in (0, 0.5].
        max_steps, batch_size, lr: of training; see `lowland.fit`. Without a batch size, shapings without gradient steps
            see all data at each step, others 128 samples.
        random_state: seed of training, a generator of NumPy, or None.

    Attributes:
        energy_: the trained energy.
        offset_: score below which a point is an outlier.
        n_features_in_: number of columns of X.

    Raises:
        OptionError: in `fit`, for a contamination outside (0, 0.5], or a shaping without an energy.
        DomainError: in `fit`, for numbers whose squares the precision of the energy does not hold, or whose variation
            it does not resolve. Later they are outliers, of score −∞.

    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> EnergyDetector(contamination=0.05).fit(X).predict([[0.0, 0.0], [9.0, 9.0]])
    array([ 1, -1])
    """

    def __init__(
        self,
        energy: Energy | None = None,
        shaping: Shaping | None = None,
        solver: Solver | None = None,
        *,
        beta: float | None = None,
        contamination: float = 0.1,
        max_steps: int = 50,
        batch_size: int | None = None,
        lr: float = 1e-3,
        random_state: Any = 0,
    ) -> None:
        self.energy = energy
        self.shaping = shaping
        self.solver = solver
        self.beta = beta
        self.contamination = contamination
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.lr = lr
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> EnergyDetector:
        """Train the energy where there is a shaping, then set the threshold.

        Args:
            X: (N, D).
            y: ignored.
        """
        check_arguments(self)
        check_options(self, counts=["max_steps"], positive=["contamination", "lr"])
        if self.contamination > 0.5:
            raise OptionError(f"contamination must be in (0, 0.5], but it is {self.contamination}.")
        seed = seed_of(self.random_state)
        if self.energy is None and self.shaping is not None:
            raise OptionError("A shaping was given without an energy to train: give both, or neither for the default.")
        array = rows(self, X, least=2).numpy()
        shaping = self.shaping
        if self.energy is None:
            self.energy_: Energy = _default(array, seed)
            shaping = ExpectationMaximisation(beta=1.0, seed=seed)
        else:
            self.energy_ = copy.deepcopy(self.energy)
        y_ = points(self.energy_, array)
        check_range(torch.from_numpy(array), y_.dtype)
        check_resolution(torch.from_numpy(array), y_.dtype)
        if shaping is not None:
            train(self.energy_, y_, shaping, self.max_steps, self.batch_size, self.lr, seed)
        self.offset_ = float(np.quantile(self._scores(array), self.contamination))
        return self

    def _scores(self, array: np.ndarray) -> np.ndarray:
        beta = self.beta if self.beta is not None else (1.0 if self.energy is None else math.inf)
        value = -scores(self.energy_, points(self.energy_, array), beta=beta, solver=self.solver)
        # A point without a finite energy is as far from the data as can be.
        return np.nan_to_num(value.double().cpu().numpy(), nan=-np.inf, posinf=np.inf, neginf=-np.inf)

    def score_samples(self, X: Any) -> np.ndarray:
        """−F of each row, (N,): the higher, the more like the data."""
        check_is_fitted(self)
        return self._scores(
            cast(np.ndarray, validate_data(self, dense(X), dtype=[np.float64, np.float32], reset=False))
        )

    def decision_function(self, X: Any) -> np.ndarray:
        """Score less the threshold, (N,): negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for inliers, −1 for outliers, (N,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)


def _default(array: np.ndarray, seed: int) -> Energy:
    count, size = array.shape
    variances = array.astype(np.float64).var(axis=0)
    # The mean of equal numbers differs from them by rounding, which is no variance.
    varied = variances[variances > doubt(torch.from_numpy(array)).double().numpy() ** 2]
    floor = 1e-3 * float(min(varied, default=1.0))
    components = int(np.clip(count // (10 * (size + 1)), 1, 8))
    return GaussianMixture(size, components, floor=floor, generator=torch.Generator().manual_seed(seed)).double()
