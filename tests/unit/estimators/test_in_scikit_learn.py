"""Estimators work where scikit-learn's do: pipelines, searches, clones, joblib, and outputs as data frames."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lowland as ll
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

ALL = [
    ICA(max_iter=50),
    PCA(3),
    DictionaryLearning(5, 0.3, batch_size=30, epochs=2),
    Embedder(epochs=5, encoder_options={"hidden": (16,), "size": 8}),
    EnergyDetector(contamination=0.2),
    GaussianMixture(2),
    KMeans(3, init=np.eye(3, 4)),
    SparseCoder(sparsity=0.3, dictionary=np.eye(6, 4) + 0.1),
]
TRANSFORMERS = [one for one in ALL if hasattr(one, "transform")]


def name_of(estimator: BaseEstimator) -> str:
    return type(estimator).__name__


def fitted(estimator: BaseEstimator, X: np.ndarray) -> np.ndarray:
    found = clone(estimator).fit(X)
    return found.transform(X) if hasattr(found, "transform") else found.score_samples(X)


@pytest.fixture
def labelled() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    y = np.arange(120) % 2
    return generator.normal(size=(120, 4)) @ generator.normal(size=(4, 4)) + 3 * y[:, None], y


@pytest.mark.parametrize("estimator", ALL, ids=name_of)
def test_a_clone_has_the_same_parameters_and_gives_the_same_numbers(estimator, labelled) -> None:
    copied = clone(estimator)
    for name, value in estimator.get_params().items():
        assert np.array_equal(copied.get_params()[name], value)
    assert np.array_equal(fitted(estimator, labelled[0]), fitted(copied, labelled[0]))
    assert not hasattr(estimator, "energy_")


@pytest.mark.parametrize("estimator", TRANSFORMERS, ids=name_of)
def test_a_classifier_on_top_in_a_pipeline(estimator, labelled) -> None:
    line = make_pipeline(StandardScaler(), clone(estimator), LogisticRegression(max_iter=1000))
    assert cross_val_score(line, *labelled, cv=3).mean() > 0.6


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (KMeans(random_state=1), {"n_clusters": [2, 4]}),
        (PCA(), {"n_components": [1, 3]}),
        (GaussianMixture(), {"n_components": [1, 2], "covariance_type": ["full", "diag"]}),
        (ICA(max_iter=20), {"source": ["logistic", "laplace"]}),
        (DictionaryLearning(5, epochs=2, batch_size=40), {"sparsity": [0.1, 0.5]}),
        (SparseCoder(4, max_steps=2), {"sparsity": [0.1, 0.5]}),
    ],
    ids=lambda value: name_of(value) if isinstance(value, BaseEstimator) else "",
)
def test_a_grid_is_searched_by_the_estimators_own_score(estimator, grid, labelled) -> None:
    search = GridSearchCV(estimator, grid, cv=2, error_score="raise").fit(labelled[0])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert set(search.best_params_) == set(grid)


def test_a_parameter_of_a_step_is_searched(labelled) -> None:
    line = make_pipeline(DictionaryLearning(5, epochs=2, batch_size=40), LogisticRegression(max_iter=1000))
    search = GridSearchCV(line, {"dictionarylearning__sparsity": [0.1, 0.5]}, cv=2, error_score="raise")
    assert search.fit(*labelled).best_score_ > 0.6


def test_joblib_fits_in_threads_and_in_processes(labelled) -> None:
    """Processes get the estimator as bytes, and large arrays read-only from disk; both give the numbers of a loop."""
    alone = [fitted(one, labelled[0]) for one in ALL]
    threads = Parallel(n_jobs=2, backend="threading")(delayed(fitted)(one, labelled[0]) for one in ALL)
    together = Parallel(n_jobs=2, max_nbytes=100)(delayed(fitted)(one, labelled[0]) for one in ALL[:3])
    for one, other in zip([*alone, *alone[:3]], [*threads, *together], strict=True):
        assert np.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("estimator", TRANSFORMERS, ids=name_of)
def test_outputs_as_data_frames(estimator, labelled) -> None:
    frame = pandas.DataFrame(labelled[0], columns=list("abcd"))
    found = clone(estimator).set_output(transform="pandas").fit(frame)
    out = found.transform(frame)
    assert list(out.columns) == [f"{name_of(estimator).lower()}{k}" for k in range(out.shape[1])]
    assert list(found.feature_names_in_) == list("abcd")
    found.set_output(transform="default")
    assert np.allclose(out, found.transform(frame))


def test_every_estimator_is_here() -> None:
    assert {name_of(one) for one in ALL} == set(ll.estimators.__all__)
