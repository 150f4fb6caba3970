"""KMeans and GaussianMixture give what scikit-learn gives, and survive what is hard for them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn import cluster, mixture
from sklearn.exceptions import ConvergenceWarning

import lowland as ll
from lowland.energies.kmeans import lloyd
from lowland.errors import OptionError
from lowland.estimators import GaussianMixture, KMeans


@pytest.fixture
def blobs() -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.concatenate([generator.normal(size=(60, 5)) + 8 * generator.normal(size=5) for _ in range(4)])


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lloyd_goes_where_scikit_learns_goes(dtype: type, threads: int) -> None:
    """The same start, and no ties in random data: the same labels, and centres up to the rounding of their sums."""
    X = np.random.default_rng(1).normal(size=(5000, 7)).astype(dtype)
    ours = KMeans(13, init=X[:13], max_iter=10, tol=0.0).fit(X)
    theirs = cluster.KMeans(13, init=X[:13], n_init=1, max_iter=10, tol=0.0, algorithm="lloyd").fit(X)
    assert torch.get_num_threads() == threads
    assert ours.cluster_centers_.dtype == dtype
    assert (ours.labels_ == theirs.labels_).mean() > 0.999
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-5)
    assert np.allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-3)
    assert np.array_equal(ours.predict(X), ours.labels_)
    assert ours.score(X) == pytest.approx(-ours.inertia_)
    assert np.allclose(ours.transform(X).min(axis=1) ** 2, ((X - ours.cluster_centers_[ours.labels_]) ** 2).sum(axis=1),
                       atol=1e-4)  # fmt: skip


def test_a_mean_far_from_zero_costs_no_digits(blobs: np.ndarray) -> None:
    near, far = KMeans(4, random_state=1).fit(blobs), KMeans(4, random_state=1).fit((blobs + 1000).astype(np.float32))
    assert np.array_equal(near.labels_, far.labels_)


def test_a_centre_without_samples_moves_to_the_farthest_sample() -> None:
    X = np.array([[0.0], [0.1], [10.0], [10.1], [50.0]])
    found = KMeans(3, init=[[0.0], [5.0], [1000.0]], tol=0.0).fit(X)
    assert sorted(found.cluster_centers_[:, 0].round(2)) == [0.05, 10.05, 50.0]


def test_more_starts_are_never_worse(blobs: np.ndarray) -> None:
    one, ten = KMeans(4).fit(blobs), KMeans(4, n_init=10).fit(blobs)
    assert ten.inertia_ <= one.inertia_
    assert ten.inertia_ <= cluster.KMeans(4, n_init=10, random_state=0).fit(blobs).inertia_ * (1 + 1e-6)


def test_batches_find_the_blobs(blobs: np.ndarray) -> None:
    found, order = KMeans(4, random_state=1), np.random.default_rng(0).permutation(len(blobs))
    for batch in blobs[order].reshape(6, 40, 5):
        found.partial_fit(batch)
    assert found.n_iter_ == 6
    whole = KMeans(4, n_init=10).fit(blobs)
    assert -found.score(blobs) <= 1.1 * whole.inertia_
    assert found.fit(blobs[:50]).partial_fit(blobs).n_iter_ == 1


def test_equal_samples_are_one_cluster_with_a_warning() -> None:
    with pytest.warns(ConvergenceWarning, match=r"1 distinct clusters, fewer than n_clusters = 3"):
        found = KMeans(3).fit(np.ones((10, 2)))
    assert found.inertia_ == 0
    assert np.array_equal(found.predict([[1.0, 1.0]]), found.labels_[:1])


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_em_ends_where_scikit_learns_ends(blobs: np.ndarray, covariance: str) -> None:
    """Well-parted blobs have one maximum, which both approach until the likelihood moves by less than 1e-9."""
    ours = GaussianMixture(4, covariance_type=covariance, tol=1e-9, n_init=3).fit(blobs)
    theirs = mixture.GaussianMixture(4, covariance_type=covariance, tol=1e-9, n_init=3, random_state=0).fit(blobs)
    mine, other = (np.argsort(found.means_[:, 0]) for found in (ours, theirs))
    assert ours.converged_
    assert np.allclose(ours.means_[mine], theirs.means_[other], atol=1e-4)
    assert np.allclose(ours.covariances_[mine], theirs.covariances_[other], atol=1e-3)
    assert np.allclose(ours.weights_[mine], theirs.weights_[other], atol=1e-5)
    assert ours.score(blobs) == pytest.approx(theirs.score(blobs), abs=1e-6)
    assert ours.score(blobs) == pytest.approx(ours.lower_bound_)
    assert np.allclose(ours.predict_proba(blobs).sum(axis=1), 1)
    assert np.array_equal(ours.fit_predict(blobs), ours.predict(blobs))


def test_bad_input(blobs: np.ndarray) -> None:
    for wrong in (KMeans(0), KMeans(241), KMeans(n_init=0), KMeans(max_iter=0), KMeans(tol=-1.0),
                  KMeans(3, init=blobs[:2]), KMeans(1, init=np.full((1, 5), np.nan)),
                  GaussianMixture(0), GaussianMixture(241), GaussianMixture(n_init=0)):  # fmt: skip
        with pytest.raises(OptionError):
            wrong.fit(blobs)
    broken = np.where(np.arange(240)[:, None] == 3, np.nan, blobs)
    for estimator in (KMeans(2), GaussianMixture(2)):
        with pytest.raises(ValueError, match="NaN"):
            estimator.fit(broken)


def test_lloyd_takes_the_steps_of_expectation_maximisation() -> None:
    """To the last bit, also where a centre has no sample; weights count by their ratios, however small they are."""
    y = torch.randn(200, 3, generator=torch.Generator().manual_seed(2))
    start = torch.cat([y[:5], torch.full((1, 3), 50.0)])
    energy, updates = ll.energies.KMeans(3, 6), ll.shaping.ExpectationMaximisation(replace_after=1, initialise=False)
    energy.centres.data = start.clone()
    for _ in range(6):
        updates.update(energy, ll.shaping.Batch(y))
        updates.advance()
    for weight in (None, torch.ones(200), torch.full((200,), 1e-14)):
        assert torch.equal(lloyd(y, start, 6, -math.inf, weight)[0], energy.centres)
