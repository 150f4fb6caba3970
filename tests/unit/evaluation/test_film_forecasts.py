"""Forecasts of images are scored in the cells that a car may cover."""

from __future__ import annotations

import torch

from lowland.evaluation.film_forecasts import cell_coverage


def test_the_truth_is_covered_as_often_as_it_should_be() -> None:
    """The truth is a draw like the others: at each step 80 % of about 2,900 cells lie inside, give or take 0.75 %."""
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.rand(50, 10, 3, 60, generator=generator) - 0.7).clamp_min(0)
    level, shares = cell_coverage(drawn[:, :9], drawn[:, 9], generator)
    assert level == 0.8
    assert float((shares - 0.8).abs().max()) < 0.03


def test_cells_that_no_future_has_a_car_in_do_not_count() -> None:
    """One cell has a car in the truth alone, which no interval of empty futures holds; all others stay empty."""
    samples, truth = torch.zeros(1, 9, 2, 40), torch.zeros(1, 2, 40)
    truth[0, 0, 7] = 0.5
    _, shares = cell_coverage(samples, truth, torch.Generator().manual_seed(0))
    assert float(shares[0]) == 0
    assert bool(shares[1].isnan())
