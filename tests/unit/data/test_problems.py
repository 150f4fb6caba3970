"""Problems have the answers that they claim, and harder ones are harder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import dijkstra

from lowland.data.problems import all_distances, columns_of, inverse_columns, shortest_paths
from lowland.data.scopes import FIRST, ONE, linear_system, scope_of, shortest_path
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


def test_distances_agree_with_dijkstra() -> None:
    x, y = shortest_paths(5, 12, _generator())
    assert torch.equal(x[:, :12], torch.eye(12)[:1].expand(5, 12))
    for row, distance in zip(x, y, strict=True):
        edge, length = row[12:].reshape(2, 12, 12)
        assert torch.equal(edge, edge.T)
        assert bool((length[edge == 0] == 0).all())
        np.testing.assert_allclose(distance, dijkstra(length.numpy(), indices=0), rtol=1e-5)


def test_larger_graphs_have_longer_paths_but_edges_as_long() -> None:
    (small, near), (large, far) = (shortest_paths(40, size, _generator()) for size in (10, 30))

    def edge(x: torch.Tensor, size: int) -> float:
        lengths = x[:, size + size**2 :]
        return lengths[lengths > 0].mean().item()

    assert far.amax(dim=1).mean() > 1.3 * near.amax(dim=1).mean()
    assert 0.7 < edge(large, 30) / edge(small, 10) < 1.3


def test_a_node_that_cannot_be_reached_is_infinitely_far() -> None:
    assert all_distances(torch.full((1, 2, 2), torch.inf))[0, 0, 1] == torch.inf


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: inverse_columns(0, 4, 0.5, _generator()), "count"),
        (lambda: inverse_columns(1, 1, 0.5, _generator()), "size"),
        (lambda: inverse_columns(1, 4, 0.0, _generator()), "ridge"),
        (lambda: inverse_columns(1, 4, float("nan"), _generator()), "ridge"),
        (lambda: shortest_paths(1, 4, _generator(), neighbours=4), "neighbours"),
        (lambda: shortest_paths(3, 200, _generator(), neighbours=1), "hardly ever connected"),
        (lambda: scope_of("shortest_paths", 4), "shortest_path"),
        (lambda: scope_of("linear_system", 1), "at least 2"),
        (lambda: scope_of("linear_system", True), "at least 2"),
    ],
)
def test_bad_options_are_named(call, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        call()


def test_scopes_name_the_entries_that_meet() -> None:
    x = torch.cat([torch.zeros(1), torch.ones(1), torch.arange(12.0)])  # [0, 1, b, A] with b = 0 … 2, A = 3 … 11
    scope = linear_system(3)
    assert x[scope.given[1, :, 0]].tolist() == [6.0, 7.0, 8.0]
    assert scope.free[1, :, 0].tolist() == [0, 1, 2]
    assert bool((scope.gate == ONE).all())
    assert scope.context[:, 0].tolist() == [FIRST, FIRST + 1, FIRST + 2]
    graph = shortest_path(3)
    assert graph.free[1, :, 0].tolist() == [0, 1, 2]
    assert graph.origin[1, :, 0].tolist() == [2, 2, 2]
    assert bool((graph.given[:, :, 0] - graph.gate == 9).all())
