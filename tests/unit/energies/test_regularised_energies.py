"""Options, starts and constraints of the architectural and regularised energies and their shapings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import lowland as ll
from lowland.errors import OptionError, UnsupportedError
from lowland.shaping import Batch
from lowland.tensors import PerSampleRNG

E, S = ll.energies, ll.shaping

BAD_OPTIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: E.PCA(3, 4), "n_components"),
    (lambda: E.GaussianMixture(2, 2, covariance="round"), "'round'"),
    (lambda: E.GaussianMixture(2, 2, floor=-1.0), "floor"),
    (lambda: E.SquareICA(2, source="uniform"), "'uniform'"),
    (lambda: E.NormalisingFlow(1), "n_features is 1"),
    (lambda: E.Autoencoder(4, 2, code="step"), "'step'"),
    (lambda: E.Autoencoder(4, 2, tied=True), "one layer"),
    (lambda: E.DiscreteAutoencoder(4, groups=0), "groups"),
    (lambda: E.DiscreteAutoencoder(4, categories=1), "categories"),
    (lambda: E.SparseAutoencoder(4, 4, prediction=0.0), "prediction"),
    (lambda: E.SparseCoding(4, 4, sparsity=0.0), "sparsity"),
    (lambda: E.VariationalAutoencoder(4, 2, noise=0.0), "noise"),
    (lambda: E.VQVAE(4, commitment=-1.0), "commitment"),
    (lambda: S.MinimumEnergy(noise=-1.0), "noise"),
    (lambda: S.Contraction(-1.0), "weight"),
    (lambda: S.Contraction(probes=0), "probes"),
    (lambda: S.Saturation(-1.0), "weight"),
    (lambda: S.VariationalFreeEnergy(samples=0), "samples"),
    (lambda: S.VectorQuantisation(memory=1.0), "memory"),
    (lambda: S.ExpectationMaximisation(memory=2.0), "memory"),
    (lambda: S.NaturalGradient(0.0), "step_size"),
]


@pytest.mark.parametrize(("make", "culprit"), BAD_OPTIONS)
def test_a_bad_option_names_the_culprit(make: Callable[[], Any], culprit: str) -> None:
    with pytest.raises(OptionError, match=culprit):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: S.ExpectationMaximisation(),
        lambda: S.NaturalGradient(),
        lambda: S.StraightThrough(),
        lambda: S.VectorQuantisation(),
        lambda: S.VariationalFreeEnergy(),
        lambda: S.Contraction(),
        lambda: S.Saturation(),
    ],
)
def test_a_shaping_refuses_an_energy_that_lacks_what_it_needs(make: Callable[[], Any]) -> None:
    shaping, batch = make(), Batch(torch.ones(2, 4))
    train = shaping if shaping.trains_by_gradient else shaping.update
    with pytest.raises(UnsupportedError, match="Smoothness"):
        train(E.Smoothness(2, 2), batch)


def test_saturation_refuses_a_code_that_is_nowhere_flat() -> None:
    with pytest.raises(OptionError, match="flat"):
        S.Saturation()(E.Autoencoder(4, 2), Batch(torch.ones(2, 4)))


@pytest.mark.parametrize(("code", "flat"), [("relu", [0.0, 0.0, 0.5]), ("hardtanh", [0.0, 1.0, 0.5])])
def test_distance_to_the_flat_region(code: str, flat: list[float]) -> None:
    a = torch.tensor([[-2.0, 0.0, 0.5]])
    torch.testing.assert_close(E.Autoencoder(4, 3, code=code).distance_to_flat(a), torch.tensor([flat]))


def test_gradient_steps_keep_the_constraints() -> None:
    y = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    pca, coding = E.PCA(6, 3), E.SparseCoding(6, 8)
    for energy in (pca, coding):
        shaping, optimiser = S.MinimumEnergy(), torch.optim.SGD(energy.parameters(), lr=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            shaping(energy, Batch(y)).losses["energy"].backward()
            optimiser.step()
            shaping.after_step(energy, Batch(y))
            shaping.advance()
    torch.testing.assert_close(pca.components @ pca.components.T, torch.eye(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(coding.dictionary.norm(dim=0), torch.ones(8))


def test_an_empty_cluster_and_an_unused_atom_stay() -> None:
    y = torch.zeros(5, 2)
    kmeans = E.KMeans(2, 2)
    kmeans.centres.data = torch.tensor([[1.0, 0.0], [9.0, 9.0]])
    S.ExpectationMaximisation().update(kmeans, Batch(y))
    torch.testing.assert_close(kmeans.centres.detach(), torch.tensor([[0.0, 0.0], [9.0, 9.0]]))
    coding = E.SparseCoding(2, 3, sparsity=0.1)
    before = coding.dictionary.detach().clone()
    S.ExpectationMaximisation().update(coding, Batch(y))
    torch.testing.assert_close(coding.dictionary.detach(), before)


def test_a_component_without_samples_stays() -> None:
    energy = E.GaussianMixture(2, 2)
    energy.means.data = torch.tensor([[0.0, 0.0], [1e4, 0.0]])
    S.ExpectationMaximisation(beta=1.0, initialise=False).update(energy, Batch(torch.randn(50, 2)))
    assert energy.means[1].tolist() == [1e4, 0.0]
    assert bool(torch.isfinite(ll.free_energy(energy, torch.randn(5, 2), beta=1.0).value).all())


def test_dead_entries_move_onto_encoder_outputs() -> None:
    energy, y = E.VQVAE(4, groups=1, entries=3, entry_size=2), torch.randn(10, 4)
    with torch.no_grad():
        energy.replace(torch.tensor([[False, True, False]]), y, PerSampleRNG(0, torch.arange(10)))
    assert float(torch.cdist(energy.codebook[0, 1:2], energy.embed(y)[:, 0]).detach().min()) < 1e-6


@pytest.mark.parametrize("categories", [2, 5])
def test_straight_through_value_is_the_energy_of_the_guess(categories: int) -> None:
    energy, y = E.DiscreteAutoencoder(4, groups=3, categories=categories), torch.randn(6, 4)
    value, z = energy.straight_through(y)
    torch.testing.assert_close(value, energy(y=y, z=z))
    (slope,) = torch.autograd.grad(value.sum(), [energy.encoder[0].weight])
    assert bool((slope != 0).any())


def test_vq_value_is_the_energy_of_the_guess() -> None:
    energy, y = E.VQVAE(4, groups=2), torch.randn(6, 4)
    value, z = energy.straight_through(y)
    torch.testing.assert_close(value, energy(y=y, z=z))


def test_mixture_marginal_agrees_with_enumeration() -> None:
    """The closed form at β = 1 and the log-sum-exp over the table at β = 1 + 1e-6 are the same function."""
    energy, y = E.GaussianMixture(2, 3).double(), torch.randn(4, 2).double()
    torch.testing.assert_close(
        ll.free_energy(energy, y, beta=1.0).value, ll.free_energy(energy, y, beta=1 + 1e-6).value, rtol=1e-5, atol=1e-5
    )


def test_ica_step_survives_outliers() -> None:
    y = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    y[0] = 1e4
    energy, shaping = E.SquareICA(4), S.NaturalGradient(step_size=1.0)
    for _ in range(50):
        shaping.update(energy, Batch(y))
    assert bool(torch.isfinite(energy.unmixing).all())
