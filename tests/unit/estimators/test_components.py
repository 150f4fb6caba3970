"""PCA and ICA give what scikit-learn gives."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import decomposition

from lowland.errors import DomainError, OptionError
from lowland.estimators import ICA, PCA


@pytest.fixture
def X() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(200, 6)) @ generator.normal(size=(6, 6)) + 3


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_pca_is_that_of_scikit_learn(X: np.ndarray, offset: float) -> None:
    """Both are exact; a mean of 10⁶ leaves ten of sixteen digits, in each of the two ways to compute it."""
    ours = PCA(3).fit(X + offset)
    theirs = decomposition.PCA(3, svd_solver="full").fit(X + offset)
    digits = 1e-9 * max(1.0, offset)
    signs = np.sign((ours.components_ * theirs.components_).sum(axis=1, keepdims=True))
    assert np.allclose(ours.components_, signs * theirs.components_, atol=digits)
    assert np.allclose(ours.mean_, theirs.mean_)
    assert np.allclose(ours.explained_variance_, theirs.explained_variance_, rtol=digits)
    assert np.allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=digits)
    back = ours.inverse_transform(ours.transform(X + offset))
    assert np.allclose(back, theirs.inverse_transform(theirs.transform(X + offset)), atol=10 * digits)
    assert ours.score(X + offset) == pytest.approx(-((X + offset - back) ** 2).sum(axis=1).mean(), rel=10 * digits)


def test_pca_of_batches_is_that_of_the_whole(X: np.ndarray) -> None:
    whole, parts = PCA(3).fit(X), PCA(3)
    for batch in np.split(X, [7, 50, 51]):
        parts.partial_fit(batch)
    assert parts.n_samples_seen_ == whole.n_samples_seen_ == len(X)
    for name in ("components_", "mean_", "explained_variance_", "explained_variance_ratio_"):
        assert np.allclose(getattr(parts, name), getattr(whole, name), atol=1e-9)


def test_pca_of_equal_samples_explains_nothing() -> None:
    found = PCA(1).fit(np.ones((4, 2)))
    assert found.explained_variance_.tolist() == [0.0]
    assert np.allclose(found.inverse_transform(found.transform([[1.0, 1.0]])), 1)


def _mixed(product: np.ndarray) -> float:
    """0 where W A is a scaled permutation, 1 where it is as far from one as can be (Amari et al. 1996)."""
    size, p = np.abs(product), len(product)
    rows, columns = (size / size.max(axis=1, keepdims=True)).sum(), (size / size.max(axis=0, keepdims=True)).sum()
    return float((rows + columns - 2 * p) / (2 * p * (p - 1)))


def test_ica_finds_the_sources_as_well_as_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    sources, mixing = generator.laplace(size=(4000, 4)), generator.normal(size=(4, 4))
    X = sources @ mixing.T + 5
    ours, theirs = ICA().fit(X), decomposition.FastICA(whiten="unit-variance", random_state=0).fit(X)
    # The standard error of the estimate is the same for both, up to their choice of a density.
    assert _mixed(ours.components_ @ mixing) <= 1.2 * _mixed(theirs.components_ @ mixing)
    assert ours.n_iter_ < ours.max_iter
    assert np.allclose(ours.inverse_transform(ours.transform(X)), X)
    assert ours.score(X) > ICA(max_iter=1).fit(X).score(X)


def test_bad_input(X: np.ndarray) -> None:
    for size in (0, 7):
        with pytest.raises(OptionError, match="n_components"):
            PCA(size).fit(X)
    with pytest.raises(DomainError, match="constant"):
        ICA().fit(np.ones((10, 2)))
    for estimator in (PCA(), ICA()):
        with pytest.raises(ValueError, match="NaN"):
            estimator.fit(np.where(np.arange(200)[:, None] == 3, np.nan, X))
