"""What users of scikit-learn expect: its names, weights, criteria, sparse input, errors that say what was passed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn import cluster, datasets, decomposition, mixture

import lowland as ll
from lowland.errors import OptionError
from lowland.estimators import (
    ICA,
    PCA,
    DictionaryLearning,
    Embedder,
    EnergyDetector,
    GaussianMixture,
    KMeans,
    SparseCoder,
)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return datasets.load_digits().data / 16


def test_greedy_starts_reach_the_inertia_of_scikit_learn(digits: np.ndarray) -> None:
    """Means over eight seeds; two standard errors of their difference are what chance allows."""
    ours = [KMeans(30, random_state=seed).fit(digits).inertia_ for seed in range(8)]
    theirs = [cluster.KMeans(30, n_init=1, random_state=seed).fit(digits).inertia_ for seed in range(8)]
    assert np.mean(ours) <= np.mean(theirs) + 2 * np.sqrt((np.var(ours) + np.var(theirs)) / 8)


def test_mixtures_reach_the_likelihood_of_scikit_learn() -> None:
    """Eight well-parted blobs have one good maximum: no start may end far below the worst of scikit-learn's."""
    X = datasets.make_blobs(1000, centers=8, n_features=2, random_state=3)[0]
    ours = [GaussianMixture(8, random_state=seed).fit(X).lower_bound_ for seed in range(8)]
    theirs = [mixture.GaussianMixture(8, random_state=seed).fit(X).score(X) for seed in range(8)]
    assert min(ours) >= min(theirs) - 0.01


def test_a_weight_counts_a_sample_so_many_times(digits: np.ndarray) -> None:
    few, first = digits[:200], digits[:5]
    weight = np.random.default_rng(0).integers(0, 4, size=200)
    ours = KMeans(5, init=first, tol=0.0).fit(few, sample_weight=weight)
    theirs = cluster.KMeans(5, init=first, n_init=1, tol=0.0).fit(few, sample_weight=weight)
    repeated = KMeans(5, init=first, tol=0.0).fit(np.repeat(few, weight, axis=0))
    assert np.allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-12)
    assert np.allclose(ours.cluster_centers_, repeated.cluster_centers_, atol=1e-12)
    assert ours.inertia_ == pytest.approx(theirs.inertia_)
    assert ours.score(few, sample_weight=weight) == pytest.approx(theirs.score(few, sample_weight=weight))
    with pytest.raises(ValueError, match="at least one non-zero"):
        KMeans(2).fit(few, sample_weight=np.zeros(200))


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_bic_and_aic_are_those_of_scikit_learn(kind: str) -> None:
    X = datasets.make_blobs(300, centers=3, n_features=3, random_state=0)[0]
    ours = GaussianMixture(3, covariance_type=kind, tol=1e-10, max_iter=500).fit(X)
    theirs = mixture.GaussianMixture(3, covariance_type=kind, tol=1e-10, max_iter=500, random_state=0).fit(X)
    assert ours.bic(X) == pytest.approx(theirs.bic(X), abs=1e-3)
    assert ours.aic(X) == pytest.approx(theirs.aic(X), abs=1e-3)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_pca_takes_a_share_of_the_variance(digits: np.ndarray, share: float) -> None:
    ours, theirs = PCA(share).fit(digits), decomposition.PCA(share, svd_solver="full").fit(digits)
    assert ours.components_.shape == theirs.components_.shape
    assert ours.n_components_ == theirs.n_components_
    assert np.allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_)
    assert np.allclose(np.abs(ours.transform(digits[:5])), np.abs(theirs.transform(digits[:5])), atol=1e-8)
    parts = PCA(share)
    for part in (digits[:900], digits[900:]):
        parts.partial_fit(part)
    assert len(parts.components_) == len(ours.components_)


@pytest.mark.parametrize("wanted", [0, -1, 65, 1.5, 0.0, -0.5, "mle", True])
def test_pca_refuses_other_numbers(digits: np.ndarray, wanted: object) -> None:
    with pytest.raises(OptionError, match=r"n_components must be a whole number from 1 to 64.* but it is"):
        PCA(wanted).fit(digits)


@pytest.mark.parametrize(
    "estimator",
    [
        KMeans(3),
        PCA(3),
        ICA(max_iter=3),
        SparseCoder(4, max_steps=2),
        DictionaryLearning(4, epochs=1),
        EnergyDetector(),
    ],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_sparse_input_gives_what_dense_input_gives(estimator: object, kind: type) -> None:
    X = np.random.default_rng(0).laplace(size=(60, 5))
    X[X < 0.2] = 0
    apply = "transform" if hasattr(estimator, "transform") else "predict"
    dense = getattr(estimator.fit(X), apply)(X)
    assert np.array_equal(getattr(estimator.fit(kind(X)), apply)(kind(X)), dense)


def test_sparse_input_that_is_too_large_is_refused_before_it_is_made_dense() -> None:
    X = sparse.csr_matrix((3, 2**28))
    with pytest.raises(OptionError, match=r"dense it would take 6\.0 GiB.*TruncatedSVD"):
        KMeans(2).fit(X)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        GaussianMixture(2).fit(sparse.eye(5).tocsr())


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (SparseCoder(n_atoms=-1), "n_atoms must be a whole number of at least 1, but it is -1"),
        (SparseCoder(sparsity=0), "sparsity must be a number above 0, but it is 0"),
        (SparseCoder(sparsity="a"), r"sparsity must be a number, but it is 'a'"),
        (DictionaryLearning(n_atoms=2.0), r"n_atoms must be a whole number, but it is 2\.0"),
        (DictionaryLearning(batch_size=True), "batch_size must be a whole number, but it is True"),
        (DictionaryLearning(tol=float("nan")), "tol must be a number above 0, but it is nan"),
        (KMeans(n_clusters=0), "n_clusters must be a whole number of at least 1, but it is 0"),
        (KMeans(n_clusters=99), "n_clusters must be at most the number of samples, but it is 99"),
        (KMeans(max_iter=None), "max_iter must be a whole number, but it is None"),
        (GaussianMixture(n_components=-3), "n_components must be a whole number of at least 1, but it is -3"),
        (GaussianMixture(reg_covar=-1.0), r"reg_covar must be a number of at least 0, but it is -1\.0"),
        (ICA(step_size=0), "step_size must be a number above 0, but it is 0"),
        (EnergyDetector(contamination="auto"), "contamination must be a number, but it is 'auto'"),
        (Embedder(epochs=0), "epochs must be a whole number of at least 1, but it is 0"),
        (KMeans(random_state=-1), "random_state must be a whole number of at least 0"),
        (KMeans(random_state="seed"), "random_state must be a whole number of at least 0"),
        (SparseCoder(n_jobs=0), "n_jobs must be a whole number of threads"),
        (SparseCoder(n_jobs=1.5), r"n_jobs must be a whole number, or None, but it is 1\.5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_errors_name_the_argument_and_its_value(estimator: object, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        estimator.fit(np.random.default_rng(0).normal(size=(12, 3)))


def test_random_state_takes_what_scikit_learn_takes(digits: np.ndarray) -> None:
    def centres(random_state: object) -> np.ndarray:
        return KMeans(10, random_state=random_state, max_iter=1).fit(digits).cluster_centers_

    assert np.array_equal(centres(3), centres(np.int64(3)))
    assert np.array_equal(centres(np.random.RandomState(5)), centres(np.random.RandomState(5)))
    assert np.array_equal(centres(np.random.default_rng(5)), centres(np.random.default_rng(5)))
    one = np.random.RandomState(5)
    assert not np.array_equal(centres(one), centres(one))
    assert not np.array_equal(centres(None), centres(None))


def test_jobs_are_threads_for_a_while(digits: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, infer = [], ll.estimators.coding.infer
    monkeypatch.setattr(
        ll.estimators.coding, "infer", lambda *a, **o: (seen.append(torch.get_num_threads()), infer(*a, **o))[1]
    )
    coder = SparseCoder(dictionary=digits[:20], n_jobs=2).fit(digits[:50])
    alone = coder.transform(digits[:50])
    assert np.allclose(coder.set_params(n_jobs=None).transform(digits[:50]), alone, atol=1e-9)
    assert seen == [2, 1]
    assert torch.get_num_threads() == 1


def test_scores_in_single_precision_warn_of_nothing() -> None:
    """Warnings are errors here; float32 has no number that the energy in double precision does not hold."""
    X = np.random.default_rng(0).normal(size=(100, 3))
    one, two = (EnergyDetector().fit(X.astype(kind)).predict(X.astype(kind)) for kind in (np.float32, np.float64))
    assert (one == two).mean() > 0.97
