"""Answers that do not depend on where the data lie, in which units they are, or whether they fill all directions.

The right values come from numpy in double precision by differences, from scikit-learn on data that are moved back, and
from closed forms. float64 keeps 1.1e-16 of a number and float32 6e-8: of data at an offset r times their spread, the
spread is known to r times that, and no better answer is asked for.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from sklearn import decomposition, mixture

import lowland as ll
from lowland.energies.kmeans import nearest
from lowland.errors import DomainError
from lowland.estimators import ICA, PCA, EnergyDetector, GaussianMixture, KMeans, SparseCoder
from lowland.evaluation import frechet_distance
from lowland.evaluation.neighbours import nearest_neighbours
from lowland.evaluation.probe import probe
from lowland.nn.encoders import Perceptron
from lowland.nn.standardised import Standardised
from lowland.shaping import Batch
from lowland.shaping.collapse import effective_rank
from lowland.shaping.contrastive.known_noise import Gaussians
from lowland.worlds.base import standardise


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def apart(y: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """All distances, by differences in double precision."""
    return np.linalg.norm(y[:, None].astype(np.float64) - centres.astype(np.float64), axis=2)


# Far from zero.


@pytest.mark.parametrize("offset", [(4.5e5, 5.4e6), (1.1e9, -1.1e9)])
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_a_gaussian_of_map_coordinates(generator: np.random.Generator, kind: str, offset: tuple[float, float]) -> None:
    """Centimetres about a point of a map; the moments are those of the data less their mean."""
    X = 0.01 * generator.normal(size=(500, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]]) + np.array(offset)
    found = GaussianMixture(1, covariance_type=kind, reg_covar=1e-12).fit(X)
    exact = np.cov((X - X[0]).T, ddof=0)
    rounding = 1e-7 + 4 * 1.2e-7 * np.abs(offset).max() * 1e-9 / 0.01
    assert np.allclose(found.covariances_[0], exact if kind == "full" else exact.diagonal(), rtol=rounding)
    assert np.allclose(found.means_[0], X[0] + (X - X[0]).mean(axis=0), rtol=4e-16)


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_components_far_from_each_other_and_from_zero(generator: np.random.Generator, kind: str) -> None:
    """Four clusters of unit size, two about each of two far places: as scikit-learn finds each pair, moved back."""
    places = np.array([[1e7, 0.0], [0.0, 1e7]])[[0, 0, 1, 1]]
    shifts = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 0.0], [0.0, 9.0]])
    near = generator.normal(size=(4, 100, 2)) + shifts[:, None]
    X = (near + places[:, None]).reshape(-1, 2)
    found = GaussianMixture(4, covariance_type=kind, tol=1e-10, n_init=5).fit(X)
    for pair in (0, 2):
        theirs = mixture.GaussianMixture(2, covariance_type=kind, tol=1e-10, random_state=0, n_init=5)
        theirs.fit(near[pair : pair + 2].reshape(-1, 2))
        mine = np.argsort(np.linalg.norm(found.means_ - places[pair], axis=1))[:2]
        ours, other = (m[np.argsort(m.sum(axis=1))] for m in (found.means_[mine] - places[pair], theirs.means_))
        assert np.allclose(ours, other, atol=1e-4)  # both end by tol
        order, known = (np.argsort(m.sum(axis=1)) for m in (found.means_[mine], theirs.means_))
        assert np.allclose(found.covariances_[mine][order], theirs.covariances_[known], atol=1e-3)


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_batches_of_a_mixture_add_up_far_from_zero(generator: np.random.Generator, kind: str) -> None:
    """One component: the moments of all batches together, whatever the means were while they were added."""
    X = generator.normal(size=(300, 3)) + 1e8
    energy = ll.energies.GaussianMixture(3, 1, kind, floor=0.0).double()
    shaping = ll.shaping.ExpectationMaximisation(beta=1.0, memory=1.0)
    shaping.prepare(energy, Batch(torch.from_numpy(X[:40])))
    for part in np.split(X, [40, 41, 250]):
        shaping.update(energy, Batch(torch.from_numpy(part)))
        shaping.advance()
    scale, exact = energy.scale.detach(), np.cov((X - X[0]).T, ddof=0)
    found = scale.tril() @ scale.tril().mT if kind == "full" else scale.square()
    assert np.allclose(found[0], exact if kind == "full" else exact.diagonal(), rtol=1e-6, atol=1e-8)


def test_distances_to_centres_far_from_zero(generator: np.random.Generator) -> None:
    X = generator.normal(size=(800, 20)).astype(np.float32) + np.float32(1e4)
    found = KMeans(30, max_iter=5).fit(X)
    exact = apart(X, found.cluster_centers_)
    assert np.allclose(found.transform(X), exact, rtol=1e-5)
    assert np.array_equal(found.transform(X).argmin(axis=1), found.predict(X))
    assert np.array_equal(exact.argmin(axis=1), found.predict(X))


@pytest.mark.parametrize("compiled", [True, False])
def test_centres_in_groups(generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    """Two groups of centres 10⁴ apart: their squares are 10⁸, in which float32 does not see the distances within."""
    if not compiled:
        monkeypatch.setattr("lowland.energies.kmeans.usable", lambda *tensors: False)
    groups = 1e4 * generator.normal(size=(2, 20))
    centres = (groups[generator.integers(2, size=40)] + generator.normal(size=(40, 20))).astype(np.float32)
    y = (centres[generator.integers(40, size=900)] + 0.3 * generator.normal(size=(900, 20))).astype(np.float32)
    index, square = nearest(torch.from_numpy(y), torch.from_numpy(centres))
    exact = apart(y, centres)
    assert np.array_equal(index, exact.argmin(axis=1))
    assert np.allclose(square, exact.min(axis=1) ** 2, rtol=1e-5)
    energy = ll.energies.KMeans(20, 40)
    energy.centres.data = torch.from_numpy(centres)
    free = [ll.free_energy(energy, torch.from_numpy(y), beta=beta).value.detach().numpy() for beta in (torch.inf, 50.0)]
    assert np.allclose(free[0], exact.min(axis=1) ** 2, rtol=1e-5)
    soft = -np.log(np.exp(-50.0 * (exact**2 - exact.min(axis=1, keepdims=True) ** 2)).mean(axis=1)) / 50.0
    assert np.allclose(free[1], exact.min(axis=1) ** 2 + soft, rtol=1e-4)


def test_codes_far_from_zero(generator: np.random.Generator) -> None:
    """With encoder and decoder the identity, VQ-VAE and a discrete code choose among 32 points about (10⁴, …, 10⁴)."""
    corners = np.indices((2,) * 5).reshape(5, -1).T.astype(np.float32)
    y = torch.from_numpy((corners[generator.integers(32, size=200)] + 1e4 + 0.2).astype(np.float32))
    vq = ll.energies.VQVAE(5, groups=1, entries=32, entry_size=5, hidden=())
    eye = {"weight": torch.eye(5), "bias": torch.zeros(5)}
    state = {f"{part}.0.{name}": value for part in ("encoder", "decoder") for name, value in eye.items()}
    vq.load_state_dict(vq.state_dict() | state | {"codebook": torch.from_numpy(corners[None] + 1e4)})
    exact = apart(y.numpy(), corners + np.float32(1e4))
    assert np.array_equal(vq.quantise(y)[:, 0].argmax(dim=1), exact.argmin(axis=1))
    code = ll.energies.DiscreteAutoencoder(5, groups=5, hidden=())
    bias = {"decoder.0.weight": torch.eye(5), "decoder.0.bias": torch.full((5,), 1e4)}
    code.load_state_dict(code.state_dict() | bias)
    with torch.no_grad():
        assert np.allclose(ll.free_energy(code, y).value, exact.min(axis=1) ** 2, rtol=1e-3)


def test_the_noise_of_points_far_from_zero(generator: np.random.Generator) -> None:
    """A component for each of 30 samples, each nearest to its own seed: the cells are single points."""
    y = torch.from_numpy(generator.normal(size=(30, 2)) + 1e4).float()
    noise = Gaussians.fit(y, 30, widen=1.0, floor=0.1, generator=torch.Generator().manual_seed(0))
    assert torch.equal(noise.means.sort(dim=0).values, y.sort(dim=0).values)
    expected = 0.1 * y.double().var(dim=0).mean().sqrt()
    assert noise.factor.diagonal().tolist() == pytest.approx([float(expected)] * 2, rel=1e-5)


def test_components_of_batches_far_from_zero(generator: np.random.Generator) -> None:
    """As scikit-learn's, which decomposes the centred data; the energy's moments are added up batch by batch."""
    X = generator.normal(size=(300, 3)) * np.array([3.0, 2.0, 1.0]) + 1e8
    energy, shaping = ll.energies.PCA(3, 2).double(), ll.shaping.ExpectationMaximisation(memory=1.0)
    shaping.prepare(energy, Batch(torch.from_numpy(X[:40])))
    for part in np.split(X, [40, 41, 250]):
        shaping.update(energy, Batch(torch.from_numpy(part)))
        shaping.advance()
    theirs = decomposition.PCA(2, svd_solver="full").fit(X)
    for components in (energy.components.detach().numpy(), PCA(2).fit(X).components_):
        assert np.allclose(np.abs((components * theirs.components_).sum(axis=1)), 1, atol=1e-9)


def test_a_probe_does_not_see_where_representations_lie(generator: np.random.Generator) -> None:
    """At 2¹⁸ the steps between numbers of float32 are 2⁻⁵: representations on that grid are moved exactly."""
    labels = torch.from_numpy(generator.integers(3, size=300))
    codes = torch.from_numpy((32 * (generator.normal(size=(300, 40)) + 0.4 * np.eye(40)[labels])).round() / 32).float()
    near, moved = ((codes + shift, labels) for shift in (0.0, 2.0**18))
    here, there = probe(near, near, near), probe(moved, moved, moved)
    assert here.weight_decay == there.weight_decay
    assert torch.allclose(there.logits(moved[0]), here.logits(near[0]), atol=0.02)  # both end by a tolerance
    assert abs(here.accuracy - there.accuracy) <= 2 / 300


def test_neighbours_of_codes_of_nearly_one_direction(generator: np.random.Generator) -> None:
    """Directions 10⁻⁴ apart have cosines that differ by 10⁻⁸, less than float32 sees near 1."""
    codes = torch.from_numpy(generator.normal(size=(60, 8)) * 1e-4 + np.eye(8)[0]).float()
    unit = codes.double() / codes.double().norm(dim=1, keepdim=True)
    exact = (unit[:, None] - unit).norm(dim=2).topk(5, dim=1, largest=False).indices
    assert torch.equal(nearest_neighbours(codes, codes, k=5)[1], exact)


def test_energies_of_good_fits_keep_their_digits() -> None:
    """Differences of ½‖y‖² would be off by 6e-8 of it: more than all of the energy here."""
    energy = ll.energies.Gabor(9)
    z = torch.tensor([[4.0, 3.5, 0.8, 1.0, 0.1, 0.2]])
    y = 1e3 * energy.wave(z)[0][:, :, 0] + 0.05
    exact = copy_of(energy)(y=y.double(), z=z.double())
    assert energy(y=y, z=z).item() == pytest.approx(exact.item(), rel=1e-3)
    coding = ll.energies.SparseCoding(8, 8, sparsity=2.0**-10)
    coding.dictionary.data = torch.eye(8)
    y = torch.full((1, 8), 1024.0)
    assert coding.duality_gap(y, y - 2.0**-10).item() == 0


def copy_of(energy: ll.energies.Gabor) -> ll.energies.Gabor:
    """The same in double precision."""
    other = ll.energies.Gabor(energy.size).double()
    other.load_state_dict(energy.state_dict())
    return other.double()


# Directions without variance, and small units.


def mixed(product: np.ndarray) -> float:
    """0 where a matrix is a scaled permutation, 1 where it is as far from one as can be (Amari et al. 1996)."""
    size, p = np.abs(product), len(product)
    by_rows, by_columns = size / size.max(axis=1, keepdims=True), size / size.max(axis=0, keepdims=True)
    return float((by_rows.sum() + by_columns.sum() - 2 * p) / (2 * p * (p - 1)))


SINGULAR = {
    "average reference": lambda X: X - X.mean(axis=1, keepdims=True),
    "in volts": lambda X: 1e-6 * (X - X.mean(axis=1, keepdims=True)),
    "far away": lambda X: X - X.mean(axis=1, keepdims=True) + 1e5,
    "a constant column": lambda X: np.c_[X[:, :5], np.full(len(X), 0.1)],
    "single precision": lambda X: (X - X.mean(axis=1, keepdims=True)).astype(np.float32),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_ica_of_singular_data(generator: np.random.Generator, name: str) -> None:
    """It finds what FastICA finds in the coordinates that scikit-learn's PCA leaves; and the way back is exact."""
    X = SINGULAR[name](generator.laplace(size=(2000, 6)) @ generator.normal(size=(6, 6)))
    with pytest.warns(UserWarning, match="only 5 of 6"):
        found = ICA().fit(X)
    sources = found.transform(X)
    assert sources.shape == (2000, 5)
    assert found.components_.shape == found.mixing_.T.shape == (5, 6)
    spread = np.abs(X - X.mean(axis=0)).max()
    digits = 100 * np.finfo(X.dtype).eps * np.abs(X).max()
    assert np.allclose(found.inverse_transform(sources), X, rtol=0, atol=digits)
    assert np.abs(found.mixing_).max() < spread
    flat = decomposition.PCA(5).fit_transform(X.astype(np.float64))
    theirs = decomposition.FastICA(whiten="unit-variance", random_state=0, max_iter=1000).fit_transform(flat)
    assert mixed(np.corrcoef(sources.T, theirs.T)[:5, 5:]) < 0.05  # both estimate, from other densities of a source
    assert np.isfinite(found.score(X))


def test_ica_does_not_see_units(generator: np.random.Generator) -> None:
    """Columns of units 10⁻⁹ to 10³ are not singular, and have the sources that they have in one unit."""
    X, units = generator.laplace(size=(1000, 4)) @ generator.normal(size=(4, 4)), np.array([1e-9, 1.0, 1e-4, 1e3])
    one, other = ICA().fit(X).transform(X), ICA().fit(X * units).transform(X * units)
    assert np.allclose(one, other, atol=1e-6 * np.abs(one).max())
    with pytest.warns(UserWarning, match="only 3 of 4"):
        assert ICA().fit(X[:4]).transform(X).shape == (1000, 3)


def test_an_ica_energy_says_that_data_are_singular(caplog: pytest.LogCaptureFixture) -> None:
    y = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.WARNING):
        ll.shaping.NaturalGradient().prepare(ll.energies.SquareICA(3), Batch(y))
        assert not caplog.records
        ll.shaping.NaturalGradient().prepare(ll.energies.SquareICA(3), Batch(y * torch.tensor([1.0, 1.0, 0.0])))
    assert "do not vary in all 3 directions" in caplog.text


def test_a_mixture_of_singular_data(generator: np.random.Generator) -> None:
    """A column is a sum of others, and the rounding of its variance, 10⁻⁴, is above the floor of 10⁻⁶."""
    base = 1e6 * generator.normal(size=(300, 2))
    X = np.c_[base, base.sum(axis=1)]
    energy = ll.energies.GaussianMixture(3, 1).double()
    factor = energy._factor(torch.from_numpy(np.cov(X.T, ddof=0))[None])[0]
    exact = np.cov(X.T, ddof=0) + 1e-6 * np.eye(3)
    assert (factor.diagonal() > 0).all()
    assert np.allclose(factor @ factor.T, exact, rtol=1e-9)
    with pytest.warns(UserWarning, match="reg_covar"):
        assert np.isfinite(GaussianMixture(2).fit(X).score(X))
    with pytest.raises(DomainError, match="constant"):
        GaussianMixture(1, reg_covar=0.0).fit(np.c_[base, np.ones(300)])
    with pytest.raises(DomainError, match="constant"):
        GaussianMixture(1, reg_covar=0.0, covariance_type="diag").fit(np.c_[base, np.ones(300)])


def test_a_floor_above_the_data_is_said(generator: np.random.Generator) -> None:
    X = 1e-4 * generator.normal(size=(100, 2))
    with pytest.warns(UserWarning, match="reg_covar"):
        GaussianMixture(1).fit(X)
    assert GaussianMixture(1, reg_covar=1e-12).fit(X).covariances_[0] == pytest.approx(np.cov(X.T, ddof=0), rel=1e-3)


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_frechet_distance_in_any_unit(generator: np.random.Generator, unit: float) -> None:
    """Rank 3 in 60 dimensions. For commuting covariances it is Σ (σ₁ − σ₂)², here on shared axes."""
    axes = np.linalg.qr(generator.normal(size=(60, 3)))[0].T
    white = generator.normal(size=(40, 3))
    white = np.linalg.qr(white - white.mean(axis=0))[0] * 39**0.5
    a, b = (torch.from_numpy(unit * (white * np.array(size)) @ axes) for size in ((3.0, 2.0, 1.0), (1.0, 2.0, 4.0)))
    assert frechet_distance(a, b) == pytest.approx(13 * unit**2, rel=1e-12, abs=0)
    assert frechet_distance(a, a) == 0
    assert frechet_distance(a, a + 2 * unit) == pytest.approx(240 * unit**2, rel=1e-12, abs=0)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e9])
def test_standardising_in_any_unit(unit: float) -> None:
    sample = unit * torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 1e-3, 0.0])
    encoder = Standardised(Perceptron((3,), size=4))
    encoder.measure(sample)
    assert torch.allclose(encoder.deviation[:2], sample.std(dim=0, correction=0)[:2])
    assert encoder.deviation[2] == 1
    mean, deviation = torch.zeros(3), torch.zeros(3)
    standardise(sample, mean, deviation)
    assert torch.allclose(deviation[:2], sample.std(dim=0)[:2])
    assert deviation[2] == 1
    still = torch.full((50, 20, 1), unit) * (1 + 1e-7 * (torch.arange(20.0) % 2)[:, None])
    standardise(still.diff(dim=1), mean[:1], deviation[:1], still)
    assert deviation[0] == 1, "changes by the rounding of what changes"


def test_a_probe_uses_features_of_small_units() -> None:
    labels = torch.arange(100) % 2
    told = torch.stack([1e-9 * (labels - 0.5), torch.randn(100, generator=torch.Generator().manual_seed(0))], dim=1)
    assert probe((told, labels), (told, labels)).validation == 1


def test_codes_that_differ_by_rounding_have_rank_0() -> None:
    one = torch.linspace(0.1, 0.9, 16)
    codes = one * (1 + torch.finfo(torch.float32).eps * (torch.arange(32)[:, None] % 2))
    assert effective_rank(codes) == 0
    assert effective_rank(codes.double() + 1e-3 * torch.eye(32)[:, :16].double()) > 10


def test_data_that_are_all_the_same_are_refused() -> None:
    same = torch.full((20, 3), 0.1)
    with pytest.raises(DomainError, match="the same"):
        ll.shaping.MinimumEnergy().prepare(ll.energies.NormalisingFlow(3), Batch(same))
    with pytest.raises(DomainError, match="the same"):
        Gaussians.fit(torch.ones(20, 3), 1, 1.0, 0.1, torch.Generator())


def test_seeds_of_noise_that_are_the_same_sample() -> None:
    """An empty cell has no mean: log p_n was NaN."""
    y = torch.tensor([[0.0, 0.0], [1.0, 3.0]]).repeat_interleave(20, dim=0)
    noise = Gaussians.fit(y, 8, 1.0, 0.1, torch.Generator().manual_seed(0))
    assert noise.means.tolist() == [[0.0, 0.0], [1.0, 3.0]]
    assert noise.log_density(y).isfinite().all()


@pytest.mark.parametrize("value", [0.1, -0.3, 123456.7])
def test_a_detector_of_equal_rows(value: float) -> None:
    """The mean of equal numbers is not quite theirs, so that their variance is not quite 0."""
    found = EnergyDetector().fit(np.full((57, 3), value))
    assert (found.predict(np.full((2, 3), value)) == 1).all()
    assert found.predict(np.full((1, 3), value + 1)) == -1
    assert found.energy_.floor == 1e-3


def test_a_constant_column_does_not_set_the_floor(generator: np.random.Generator) -> None:
    X = np.c_[generator.normal(size=(57, 2)), np.full(57, 0.1)]
    assert EnergyDetector().fit(X).energy_.floor == pytest.approx(1e-3 * X[:, :2].var(axis=0).min())


# Numbers that a precision does not hold.


OWN, DOUBLE = [PCA(1), KMeans(2), ICA(), EnergyDetector()], [SparseCoder(2), GaussianMixture()]


@pytest.mark.parametrize(
    ("size", "dtype", "estimators"),
    [(1e38, np.float32, OWN), (1e300, np.float64, OWN + DOUBLE), (1e-200, np.float64, OWN + DOUBLE)],
)
def test_numbers_whose_squares_are_infinite_or_zero(
    generator: np.random.Generator, size: float, dtype: type, estimators: list[PCA]
) -> None:
    """Those that compute in double precision take what float32 holds."""
    X = (size * generator.uniform(1, 3, size=(20, 2))).astype(dtype)
    for estimator in estimators:
        with pytest.raises(DomainError, match="scale X"):
            estimator.fit(X)


def test_what_a_fitted_estimator_cannot_hold(generator: np.random.Generator) -> None:
    """float64 rows for what was fitted in float32: finite as they are given, not when they are cast."""
    X = generator.normal(size=(40, 3)).astype(np.float32)
    far = np.full((1, 3), 1e100)
    for fitted in (KMeans(2).fit(X), PCA(1).fit(X)):
        for method in ("predict", "transform"):
            if hasattr(fitted, method):
                with pytest.raises(DomainError, match="float32"):
                    getattr(fitted, method)(far)
    energy = ll.energies.KMeans(3, 2)
    detector = EnergyDetector(energy, ll.shaping.ExpectationMaximisation()).fit(X)
    assert detector.predict(far) == -1
    with pytest.raises(DomainError, match="float32"):
        EnergyDetector(energy).fit(np.concatenate([X, far]))


def test_a_detector_whose_energy_cannot_tell_the_rows_apart(generator: np.random.Generator) -> None:
    """Map coordinates in float32 are half a metre apart. In double precision the scores are those of the moved data."""
    X = 0.02 * generator.normal(size=(200, 2))
    far = X + np.array([4.5e5, 5.4e6])

    def detector(energy: ll.energies.Energy) -> EnergyDetector:
        return EnergyDetector(energy, ll.shaping.ExpectationMaximisation(), max_steps=20)

    with pytest.raises(DomainError, match=r"Column 0 .* float32 does not resolve: subtract the means, or .*double"):
        detector(ll.energies.KMeans(2, 3)).fit(far)
    near = detector(ll.energies.KMeans(2, 3).double()).fit(X).score_samples(X)
    found = detector(ll.energies.KMeans(2, 3).double()).fit(far).score_samples(far)
    # Rounding of 5.4e6 is 1e-9, 5e-8 of the deviation, twice of it in a square.
    assert np.allclose(found, near, rtol=0, atol=2 * 5e-8 * 0.02**2 * 100)
    constant = np.hstack([X, np.full((200, 1), 5.4e6)])
    assert np.isfinite(detector(ll.energies.KMeans(3, 3)).fit(constant).score_samples(constant)).all()
