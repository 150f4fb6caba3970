"""Estimators keep scikit-learn's contract, and give the numbers of the energies below them."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import sparse_encode
from sklearn.exceptions import ConvergenceWarning, NotFittedError, SkipTestWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import lowland as ll
from lowland.errors import OptionError
from lowland.estimators import EnergyDetector, SparseCoder

ALL = [getattr(ll.estimators, name) for name in ll.estimators.__all__]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_scikit_learns_own_checks(kind: type[BaseEstimator]) -> None:
    estimator = kind()
    with warnings.catch_warnings():
        # Checks for array libraries and data frames that are not installed skip themselves with this warning.
        warnings.simplefilter("ignore", SkipTestWarning)
        # Some have fewer distinct rows than clusters, or allow one iteration only.
        warnings.simplefilter("ignore", ConvergenceWarning)
        check_estimator(estimator)


@pytest.fixture
def X() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(90, 3)) @ generator.normal(size=(3, 3)) + 1


def test_one_gaussian_scores_like_mahalanobis(X: np.ndarray) -> None:
    """Below 80 samples in three dimensions the default is one Gaussian.

    Its floor moves each variance by 0.1 % of the least variance of a feature.
    """
    few = X[:79]
    score = EnergyDetector().fit(few).score_samples(X)
    variances, least = np.linalg.eigvalsh(np.cov(few.T, bias=True)), few.var(axis=0).min()
    distance = EmpiricalCovariance().fit(few).mahalanobis(X)
    fall = -2 * (score - score[0]) - (distance - distance[0])
    assert np.abs(fall).max() <= 1e-3 * least / variances.min() * distance.max()


def test_contamination_is_the_share_of_outliers(X: np.ndarray) -> None:
    found = EnergyDetector(contamination=0.2).fit(X)
    assert (found.predict(X) == -1).mean() == pytest.approx(0.2, abs=1 / len(X))
    assert np.allclose(found.decision_function(X), found.score_samples(X) - found.offset_)


def test_a_trained_energy_is_taken_as_it_is_and_not_changed() -> None:
    energy = ll.energies.Ellipse()
    before = copy.deepcopy(energy.state_dict())
    points = ll.data.toy("ellipse", 100).numpy()
    found = EnergyDetector(energy, contamination=0.05).fit(points)
    assert torch.equal(found.energy_.radii, energy.radii)
    assert found.predict([[2.0, 0.0], [0.0, 0.0]]).tolist() == [1, -1]
    assert all(torch.equal(before[name], value) for name, value in energy.state_dict().items())


def test_an_energy_is_trained_by_its_shaping_the_same_each_time(X: np.ndarray) -> None:
    energy = ll.energies.PCA(3, 2)
    detector = EnergyDetector(energy, ll.shaping.ExpectationMaximisation(), max_steps=1)
    score = detector.fit(X).score_samples(X)
    centred = X - X.mean(axis=0)
    last = np.linalg.svd(centred)[2][2]
    # The energy is in single precision: squares of values of order 10, rounded to 1e-6 of themselves.
    assert np.allclose(-score, (centred @ last) ** 2, atol=1e-3)
    assert np.array_equal(detector.fit(X).score_samples(X), score)
    assert np.array_equal(clone(detector).fit(X).score_samples(X), score)


def test_images_come_flat(generator: torch.Generator) -> None:
    class Ink(ll.energies.Energy):
        def __init__(self) -> None:
            super().__init__(y=ll.domains.Reals((1, 2, 2)))

        def energy(self, x, y, z):
            return y.sum(dim=(1, 2, 3))

    X = torch.rand(10, 4, generator=generator, dtype=torch.float64).numpy()
    assert np.allclose(EnergyDetector(Ink()).fit(X).score_samples(X), -X.sum(axis=1))


def test_it_works_in_a_pipeline(X: np.ndarray) -> None:
    line = make_pipeline(StandardScaler(), EnergyDetector())
    assert set(line.fit(X).predict(X)) == {-1, 1}
    assert line[-1].get_params()["contamination"] == 0.1
    assert EnergyDetector().set_params(contamination=0.3).contamination == 0.3


def test_nothing_global_changes(X: np.ndarray) -> None:
    state = torch.random.get_rng_state()
    EnergyDetector().fit(X)
    SparseCoder(4, max_steps=2).fit_transform(X)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_bad_input(X: np.ndarray) -> None:
    with pytest.raises(OptionError, match="contamination"):
        EnergyDetector(contamination=0.7).fit(X)
    with pytest.raises(OptionError, match="without an energy"):
        EnergyDetector(shaping=ll.shaping.MinimumEnergy()).fit(X)
    with pytest.raises(NotFittedError):
        EnergyDetector().predict(X)
    with pytest.raises(ll.LowlandError):
        EnergyDetector(ll.energies.Ellipse()).fit(X)


@pytest.mark.parametrize("positive", [False, True])
def test_codes_are_those_of_scikit_learn(X: np.ndarray, positive: bool) -> None:
    coder = SparseCoder(5, sparsity=0.3, positive=positive).fit(X)
    assert np.allclose(np.linalg.norm(coder.components_, axis=1), 1, atol=1e-6)
    codes = coder.transform(X)
    expected = sparse_encode(X, coder.components_, algorithm="lasso_cd", alpha=0.3, positive=positive, max_iter=20_000)

    def objective(z: np.ndarray) -> np.ndarray:
        return 0.5 * ((X - coder.inverse_transform(z)) ** 2).sum(axis=1) + 0.3 * np.abs(z).sum(axis=1)

    # scikit-learn stops at a duality gap of 1e-4 of ‖y‖² by default, so ours may only be lower or equal to that.
    assert (objective(codes) <= objective(expected) + 1e-6).all()
    assert (objective(codes) >= objective(expected) - 1e-4 * (X**2).sum(axis=1)).all()
    assert not positive or (codes >= 0).all()


def test_learning_lowers_the_objective(X: np.ndarray) -> None:
    def objective(coder: SparseCoder) -> float:
        codes = coder.transform(X)
        return float(0.5 * ((X - coder.inverse_transform(codes)) ** 2).sum() + 0.3 * np.abs(codes).sum())

    first, last = (objective(SparseCoder(5, 0.3, max_steps=steps).fit(X)) for steps in (1, 15))
    assert last < first
