"""Problems have the answers that they claim, and harder ones are harder."""

from __future__ import annotations

import pytest
import torch

from lowland.data.problems import additions, columns_of, inverse_columns
from lowland.data.scopes import addition, linear_system, scope_of
from lowland.errors import OptionError


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_columns_are_those_of_the_inverse() -> None:
    x, y = inverse_columns(50, 6, 0.5, _generator())
    unit, matrix = x[:, :6], x[:, 6:].reshape(-1, 6, 6)
    assert torch.equal(unit.sum(dim=1), torch.ones(50))
    exact = torch.linalg.inv(matrix.double()) @ unit.double()[:, :, None]
    # The matrix was rounded to float32, 6e-8, and its condition is below 100.
    torch.testing.assert_close(y, exact[:, :, 0].float(), rtol=2e-5, atol=2e-5)


def test_all_columns_make_the_inverse() -> None:
    matrix = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    _, y = columns_of(matrix.expand(2, 2, 2), torch.arange(2))
    torch.testing.assert_close(y.T.double() @ matrix, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-6)


def test_a_smaller_ridge_has_a_worse_condition() -> None:
    conditions = []
    for ridge in (0.5, 0.1):
        x, _ = inverse_columns(50, 6, ridge, _generator())
        conditions.append(torch.linalg.cond(x[:, 6:].reshape(-1, 6, 6)))
    assert bool((conditions[1] > conditions[0]).all())


def test_sums_are_sums_and_fill_their_range() -> None:
    x, y = additions(500, 4, 2.5, _generator())
    assert torch.equal(x[:, :4] + x[:, 4:], y)
    assert 2.4 < x.abs().max().item() <= 2.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: inverse_columns(0, 4, 0.5, _generator()), "count"),
        (lambda: inverse_columns(1, 1, 0.5, _generator()), "size"),
        (lambda: inverse_columns(1, 4, 0.0, _generator()), "ridge"),
        (lambda: inverse_columns(1, 4, float("nan"), _generator()), "ridge"),
        (lambda: additions(1, 4, -1.0, _generator()), "largest"),
        (lambda: scope_of("linear_systems", 4), "linear_system"),
        (lambda: scope_of("linear_system", 1), "at least 2"),
        (lambda: scope_of("linear_system", True), "at least 2"),
    ],
)
def test_bad_options_are_named(call, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        call()


def test_scopes_name_the_entries_that_meet() -> None:
    x = torch.arange(12)  # b = 0 … 2, A = 3 … 11
    scope = linear_system(3)
    assert x[scope.given[1, :, 0]].tolist() == [6, 7, 8]
    assert scope.free[1, :, 0].tolist() == [0, 1, 2]
    assert scope.context[:, 0].tolist() == scope.own[:, 0].tolist() == [0, 1, 2]
    sums = addition(3)
    assert sums.given[2].tolist() == [[2, 5]]
    assert sums.free[2].tolist() == [[2]]
