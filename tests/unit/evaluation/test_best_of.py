"""The best of several predictions, against sums written out."""

from __future__ import annotations

import torch

from lowland.evaluation.best_of import (
    best_of,
    best_of_nearest,
    best_of_noise,
    nearest_rows,
    residual_root,
    squared_errors,
)


def test_the_best_is_the_least_squared_error() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn, y = torch.randn(4, 6, 3, generator=generator), torch.randn(4, 3, generator=generator)
    each = torch.stack([((drawn[:, n] - y) ** 2).sum(dim=1) for n in range(6)], dim=1)
    torch.testing.assert_close(squared_errors(drawn, y), each)
    torch.testing.assert_close(best_of(drawn, y), each.min(dim=1).values)


def test_nearest_rows_do_not_depend_on_the_chunk() -> None:
    generator = torch.Generator().manual_seed(0)
    x, known = torch.randn(7, 3, generator=generator), torch.randn(20, 3, generator=generator)
    found = nearest_rows(x, known, 5)
    assert torch.equal(found, nearest_rows(x, known, 5, chunk=2))
    away = (x[:, None] - known).square().sum(dim=2)
    assert torch.equal(found, away.argsort(dim=1)[:, :5])


def test_noise_has_the_covariance_of_the_residuals() -> None:
    """Of 20,000 draws; a covariance has the relative standard error √(2 / 20,000) = 0.01 at most for its diagonal."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.tensor([[2.0, 0.0], [1.0, 0.5]])
    residuals = torch.randn(500, 2, generator=generator) @ mixing
    noise = torch.randn(20_000, 2, generator=generator) @ residual_root(residuals)
    torch.testing.assert_close(torch.cov(noise.T), torch.cov(residuals.T), rtol=0.05, atol=0.05)


def test_the_noise_is_as_large_as_is_best_on_validation_pairs() -> None:
    """Answers are 0.1 away: noise of that size comes closer than none, and much larger noise would not."""
    y = 0.1 * torch.ones(300, 1)
    pairs = (torch.zeros(300, 1), y)
    found = best_of_noise(pairs, pairs, count=10)
    assert found < 0.2 * best_of_noise(pairs, pairs, count=10, scales=(0.0,))
    assert found == best_of_noise(pairs, pairs, count=10, scales=(0.1,))
    assert found != best_of_noise(pairs, pairs, count=10, root=torch.full((1, 1), 2.0), scales=(0.1,))


def test_answers_of_neighbours_do_not_depend_on_the_chunk() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y, known, answers = (torch.randn(n, 3, generator=generator) for n in (7, 7, 20, 20))
    found = best_of_nearest(x, y, known, answers, 4)
    torch.testing.assert_close(found, best_of(answers[nearest_rows(x, known, 4)], y).mean().item())
    torch.testing.assert_close(found, best_of_nearest(x, y, known, answers, 4, chunk=2))
