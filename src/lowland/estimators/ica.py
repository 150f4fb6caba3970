"""Independent components as a transformer."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from lowland.energies.ica import SquareICA
from lowland.errors import DomainError
from lowland.estimators.arrays import DenseMixin, check_options, doubt, rows, seed_of, settle
from lowland.evaluation.energy_gap import scores
from lowland.shaping.regularised.natural_gradient import NaturalGradient


class ICA(DenseMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """s = W (y − μ) with sources s that are as independent as can be, as many as X has independent columns.

    The energy is `lowland.energies.SquareICA`, minus the log-density of y for sources of a given kind (Bell & Sejnowski
    1995), lowered by the natural gradient (Amari, Cichocki & Yang 1996) from whitened data. Right for sources with
    heavier tails than a Gaussian, such as speech or filtered images. For fewer sources than columns, put `PCA` before
    it in a pipeline. Computed in double precision.

    Data of rank r below D, such as recordings less the average of all electrodes, or with a constant column, have r
    sources: `fit` warns, and looks only where the data vary. A direction counts as empty if, with all columns at unit
    deviation, the data deviate along it by less than ten times what the rounding of X can cause there.

    Args:
        source: density of a source: "logistic" or "laplace".
        max_iter: steps.
        tol: it ends when a step raises the mean log-likelihood by at most this.
        step_size: of the natural gradient; twice the default no longer converges.
        random_state: seed of the first rotation, a generator of NumPy, or None.

    Attributes:
        energy_: the trained energy, of B y.
        basis_: (r, D) B, orthonormal rows that span what the data fill; the identity where that is everything.
        components_: (r, D) W.
        mixing_: (D, r) the inverse of W where the data lie: column i is what source i adds to y.
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
        random_state: Any = 0,
    ) -> None:
        self.source: Literal["logistic", "laplace"] = source
        self.max_iter = max_iter
        self.tol = tol
        self.step_size = step_size
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> ICA:
        """Find W.

        Args:
            X: (N, D).
            y: ignored.
        """
        given = rows(self, X, least=2)
        check_options(self, counts=["max_iter"], positive=["step_size"], others=["tol"])
        y_ = given.double()
        self.mean_ = y_.mean(dim=0).numpy()
        whitening, back = _whiten(y_, doubt(given).double())
        count, size = whitening.shape
        if count < size:
            warnings.warn(
                f"X varies in only {count} of {size} directions (fewer samples than columns, constant columns, or some "
                f"that are sums of others): {count} sources are sought there.",
                stacklevel=2,
            )
        white = SquareICA(count, self.source, torch.Generator().manual_seed(seed_of(self.random_state))).double()
        sample = (y_ - y_.mean(dim=0)) @ whitening.T
        self.n_iter_, _ = settle(white, sample, NaturalGradient(self.step_size), self.max_iter, self.tol)
        rotation = white.unmixing.detach()
        basis = torch.eye(size).double() if count == size else torch.linalg.qr(back).Q.T
        unmixing = rotation @ whitening
        self.energy_ = SquareICA(count, self.source).double().requires_grad_(False)
        self.energy_.unmixing.copy_(unmixing @ basis.T)
        self.energy_.mean.copy_(basis @ torch.from_numpy(self.mean_))
        self.components_, self.basis_ = unmixing.numpy(), basis.numpy()
        self.mixing_ = torch.linalg.solve(rotation.T, back.T).T.numpy()
        self._n_features_out = count
        return self

    def _rows(self, X: Any) -> Tensor:
        check_is_fitted(self)
        return rows(self, X, reset=False, dtype=torch.float64)

    def transform(self, X: Any) -> np.ndarray:
        """Sources of each row, (N, r)."""
        return (self._rows(X).numpy() - self.mean_) @ self.components_.T

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows y, (N, D), of sources (N, r)."""
        check_is_fitted(self)
        return np.asarray(X) @ self.mixing_.T + self.mean_

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-likelihood, of the rows as they are seen in the directions that the training data fill."""
        y = self._rows(X)
        return -float(scores(self.energy_, y @ torch.from_numpy(self.basis_).T).mean())


def _whiten(y: Tensor, unsure: Tensor) -> tuple[Tensor, Tensor]:
    """K (r, D), for which K (y − mean y) has unit covariance in the r directions that y (N, D) fills; and its inverse.

    The inverse is (D, r). `unsure` (D,) is as much as rounding may be of a column, see `doubt`.
    """
    rest = y - y.mean(dim=0)
    deviation = rest.square().mean(dim=0).sqrt()
    varies = deviation > unsure
    if not bool(varies.any()):
        raise DomainError("All columns of X are constant: there are no sources to be found.")
    scale = torch.where(varies, deviation, 1.0)
    standard = torch.where(varies, rest / scale, 0.0) / len(y) ** 0.5
    # Singular values, not eigenvalues of their squares, which know only half of the digits.
    _, values, axes = torch.linalg.svd(torch.linalg.qr(standard, mode="r").R, full_matrices=False)
    least = (unsure / scale)[varies].norm() + len(axes) * torch.finfo(y.dtype).eps * values[0]
    kept = values > least
    values, axes = values[kept, None], torch.where(varies, axes[kept], 0.0)
    return axes / values / scale, (values * axes * scale).T
