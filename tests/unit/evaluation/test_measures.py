"""Volume on a disc, the Fréchet distance against SciPy, ranks on known spectra."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

import lowland as ll
from lowland.errors import DomainError, OptionError, ShapeError
from lowland.evaluation import (
    codebook_perplexity,
    densest_share,
    effective_rank,
    energy_spread,
    frechet_distance,
    low_energy_volume,
    rankme,
    reconstruction_error,
)

BOX = ((-2.0, 2.0), (-2.0, 2.0))


def _disc(count: int, generator: torch.Generator) -> torch.Tensor:
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    radius = torch.rand(count, generator=generator).sqrt()
    return radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)


def test_volume_of_a_disc(generator: torch.Generator) -> None:
    """95 % of a uniform unit disc lie within radius √0.95: an area of 0.95 π out of 16."""
    count, resolution = 4000, 200
    found = low_energy_volume(lambda y: y.square().sum(1), BOX, _disc(count, generator), resolution=resolution)
    # The share within the threshold is uniform: its 95 % quantile has standard error √(0.95 · 0.05 / N), in units of π.
    # Cells on the level set, at most perimeter / cell · √2 of them, are each wrong by less than one cell.
    cell = 4 / resolution
    room = 5 * math.pi * (0.95 * 0.05 / count) ** 0.5 + 2 * math.pi * cell * 2**0.5
    assert found.area == pytest.approx(0.95 * math.pi, abs=room)
    assert found.share == pytest.approx(found.area / 16)
    assert densest_share(_disc(200_000, generator), BOX, resolution=40) * 16 == pytest.approx(0.95 * math.pi, rel=0.1)


def test_a_flat_energy_takes_the_whole_box(generator: torch.Generator) -> None:
    data = _disc(50, generator)
    assert low_energy_volume(lambda y: torch.zeros(len(y)), BOX, data).share == 1
    assert low_energy_volume(lambda y: torch.full((len(y),), math.nan), BOX, data).share == 1


def test_volume_refuses_bad_input(generator: torch.Generator) -> None:
    with pytest.raises(ShapeError, match=r"\(N, 2\)"):
        low_energy_volume(lambda y: y, BOX, torch.zeros(3, 3))
    with pytest.raises(OptionError, match="quantile"):
        low_energy_volume(lambda y: y, BOX, torch.zeros(3, 2), quantile=0)
    with pytest.raises(OptionError, match="Bounds"):
        low_energy_volume(lambda y: y.sum(1), ((1.0, 1.0), (0.0, 1.0)), torch.zeros(3, 2))
    with pytest.raises(OptionError, match="widen"):
        densest_share(_disc(100, generator), ((5.0, 6.0), (5.0, 6.0)))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_frechet_distance_equals_the_formula_by_scipy(size: int, generator: torch.Generator) -> None:
    mix = torch.randn(2, size, size, generator=generator, dtype=torch.float64)
    a = torch.randn(200, size, generator=generator, dtype=torch.float64) @ mix[0]
    b = torch.randn(300, size, generator=generator, dtype=torch.float64) @ mix[1] + 1
    first, second = (np.cov(sample.numpy().T).reshape(size, size) for sample in (a, b))
    gap = (a.mean(0) - b.mean(0)).square().sum().item()
    expected = gap + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    # SciPy's root of a matrix product is good to about the square root of the machine's precision.
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-7)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_a_line_and_bad_shapes() -> None:
    line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    # Means (1, 0) and (0, 1) are √2 apart; variances 1 along different axes share nothing: 2 + 1 + 1 − 0.
    assert frechet_distance(line, line.flip(1)) == pytest.approx(4.0, abs=1e-9)
    with pytest.raises(ShapeError, match="two samples"):
        frechet_distance(line, line[:1])


def test_ranks_of_known_spectra(generator: torch.Generator) -> None:
    """σ ∝ p gives rank exp(entropy of p)."""
    left = torch.linalg.qr(torch.randn(64, 5, generator=generator, dtype=torch.float64)).Q
    left = torch.linalg.qr(left - left.mean(0)).Q
    right = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q[:5]
    share = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05], dtype=torch.float64)
    codes = left @ torch.diag(7 * share) @ right
    expected = math.exp(-(share * share.log()).sum().item())
    assert effective_rank(codes) == pytest.approx(expected, rel=1e-9)
    # RankMe adds 1e-7 to each of 8 shares, each of which changes −p log p by at most 1e-7 · 16.
    assert rankme(codes) == pytest.approx(expected, rel=2e-5)
    assert effective_rank(torch.ones(10, 3)) == 0
    assert rankme(torch.zeros(10, 3)) == 0
    with pytest.raises(DomainError, match="NaN"):
        effective_rank(torch.tensor([[math.nan, 0.0]]))
    with pytest.raises(ShapeError, match="Codes"):
        rankme(torch.zeros(3))


def test_perplexity_of_a_codebook() -> None:
    words = torch.tensor([[0, 1], [2, 3]])
    assert codebook_perplexity(words, size=8) == 4
    assert codebook_perplexity(torch.nn.functional.one_hot(words, 8).float()) == 4
    assert codebook_perplexity(torch.zeros(5, dtype=torch.int64)) == 1
    with pytest.raises(DomainError, match="below 3"):
        codebook_perplexity(words, size=3)


def test_spread_of_energies() -> None:
    assert energy_spread(torch.linspace(-1, 1, 101)) == pytest.approx(1)
    assert energy_spread(1000 + torch.linspace(0, 1, 101)) == pytest.approx(0.9 / 1001.4, rel=1e-3)
    with pytest.raises(DomainError, match="finite"):
        energy_spread(torch.tensor([math.nan]))


def test_reconstruction_of_pca_is_its_energy(generator: torch.Generator) -> None:
    energy = ll.energies.PCA(6, 2, generator=generator)
    y = torch.randn(20, 6, generator=generator)
    expected = ll.free_energy(energy, y).value.mean().item() / 6
    assert reconstruction_error(energy, y) == pytest.approx(expected, rel=1e-5)


def test_an_energy_that_does_not_reconstruct() -> None:
    assert reconstruction_error(ll.energies.Gaussian(2), torch.zeros(3, 2)) is None
