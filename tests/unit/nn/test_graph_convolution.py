"""Products with sparse matrices and convolutions on graphs, beside dense formulas and PyTorch Geometric."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError
from lowland.nn.graph_convolution import (
    ChebyshevConvolution,
    GraphConvolution,
    SpectralConvolution,
    adjacency,
    graph_network,
    laplacian_modes,
    normalised_adjacency,
    scaled_laplacian,
)
from lowland.nn.sparse_matrix import SparseMatrix

EDGES = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]])
NODES = 7  # node 5 and node 6 have no edge


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ring() -> SparseMatrix:
    """With an entry twice, an empty row and an empty column."""
    rows, columns = torch.tensor([3, 0, 1, 0, 0]), torch.tensor([1, 2, 0, 2, 0])
    return SparseMatrix(rows, columns, draw(5), (4, 3))


def test_products_are_those_of_the_dense_matrix() -> None:
    matrix, x = ring(), draw(3, 2, seed=1)
    torch.testing.assert_close(matrix @ x, matrix.dense() @ x)
    torch.testing.assert_close(matrix.T @ draw(4, 2, seed=2), matrix.dense().T @ draw(4, 2, seed=2))
    torch.testing.assert_close(SparseMatrix.of(matrix.dense()).dense(), matrix.dense())


def test_derivatives_of_first_and_second_order() -> None:
    matrix, x = ring(), draw(3, 2, seed=1).requires_grad_()
    values = matrix.values.clone().requires_grad_()

    def product(values: Tensor, x: Tensor) -> Tensor:
        return matrix.with_values(values) @ x

    assert torch.autograd.gradcheck(product, (values, x))
    assert torch.autograd.gradgradcheck(product, (values, x))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SparseMatrix(torch.tensor([0]), torch.tensor([0, 1]), torch.ones(1), (1, 2)), "as many rows, columns"),
        (lambda: SparseMatrix(torch.tensor([2]), torch.tensor([0]), torch.ones(1), (2, 2)), "entry at 2 of 2 places"),
        (lambda: ring() @ torch.ones(4, 1).double(), "a dense one of 3 rows"),
        (lambda: ring() @ torch.ones(3, 1), "and the same type"),
        (lambda: ring().with_values(torch.ones(2)), "There are 5 entries"),
    ],
)
def test_what_does_not_fit_is_refused(make: object, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        make()  # type: ignore[operator]


def dense_adjacency(weights: Tensor) -> Tensor:
    table = torch.zeros(NODES, NODES, dtype=torch.float64)
    for (one, other), weight in zip(EDGES.T.tolist(), weights, strict=True):
        table[one, other] = table[other, one] = weight
    return table


def test_normalised_matrices_follow_their_equations() -> None:
    weights = draw(5, seed=3).abs() + 0.1
    table = dense_adjacency(weights)
    torch.testing.assert_close(adjacency(EDGES, NODES, weights).dense(), table)
    looped = table + torch.eye(NODES)
    scale = looped.sum(dim=1).rsqrt().diag()
    torch.testing.assert_close(normalised_adjacency(EDGES, NODES, weights).dense(), scale @ looped @ scale)
    degree = table.sum(dim=1)
    scale = torch.where(degree > 0, degree.rsqrt(), 0).diag()
    laplacian = torch.eye(NODES) - scale @ table @ scale
    for largest in (2.0, 1.5):
        wanted = 2 / largest * laplacian - torch.eye(NODES)
        torch.testing.assert_close(scaled_laplacian(EDGES, NODES, weights, largest).dense(), wanted)


def test_chebyshev_polynomials_are_cosines() -> None:
    """T_k(L̃) by the eigenvectors of L̃: T_k(cos θ) = cos kθ, which the recurrence does not use."""
    graph = scaled_laplacian(EDGES, NODES, torch.ones(5).double())
    for order in (1, 2, 4):
        block = ChebyshevConvolution(3, 2, order, torch.Generator().manual_seed(order)).double()
        x = draw(NODES, 3, seed=order)
        values, vectors = torch.linalg.eigh(graph.dense())
        angles = values.clamp(-1, 1).acos()
        wanted = sum(
            vectors @ (k * angles).cos().diag() @ vectors.T @ x @ block.weight[k] for k in range(order + 1)
        ) + block.bias  # fmt: skip
        torch.testing.assert_close(block(x, graph), wanted)


def test_modes_are_those_of_the_largest_component() -> None:
    modes = laplacian_modes(EDGES, NODES, 4)
    assert not modes.vectors[5:].any()
    # A ring of five nodes: eigenvalues 1 − cos(2πk/5).
    wanted = sorted(1 - math.cos(2 * math.pi * k / 5) for k in range(5))[:4]
    torch.testing.assert_close(modes.values, torch.tensor(wanted), atol=1e-6, rtol=0)
    inside = modes.vectors[:5]
    torch.testing.assert_close(inside.T @ inside, torch.eye(4), atol=1e-5, rtol=0)
    with pytest.raises(OptionError, match="has 5 nodes, so that 1 to 4 eigenvectors can be had, not 5"):
        laplacian_modes(EDGES, NODES, 5)


def test_iterated_modes_are_those_of_a_hypercube() -> None:
    """Above 2,000 nodes they are found by iteration; in 11 dimensions the eigenvalues are 2k / 11."""
    nodes = torch.arange(2**11)
    pairs = [torch.stack([nodes, nodes ^ 2**bit])[:, (nodes & 2**bit) == 0] for bit in range(11)]
    modes = laplacian_modes(torch.cat(pairs, dim=1), 2**11, 3)
    torch.testing.assert_close(modes.values, torch.tensor([0.0, 2 / 11, 2 / 11]), atol=1e-6, rtol=0)
    torch.testing.assert_close(modes.vectors.T @ modes.vectors, torch.eye(3), atol=1e-5, rtol=0)


def test_a_spectral_filter_on_all_modes_is_a_function_of_the_laplacian() -> None:
    """With hats that add up to λ it is L X: knots at 0 and λ_K, weights 0 and λ_K."""
    ring_edges = EDGES
    modes = laplacian_modes(ring_edges, 5, 4, torch.ones(5).double())
    block = SpectralConvolution(2, 2, knots=2).double()
    with torch.no_grad():
        block.weight.zero_()
        block.weight[2] = modes.values[-1] * torch.eye(2)
    x = modes.vectors @ draw(4, 2)  # in the space of the first eigenvectors
    graph = scaled_laplacian(ring_edges, 5, torch.ones(5).double())
    torch.testing.assert_close(block(x, modes), x + graph @ x)


def test_sparse_features_give_what_dense_ones_give() -> None:
    x = torch.where(draw(NODES, 6, seed=5) > 0.8, 1.0, 0.0).double()
    forms = {
        GraphConvolution: normalised_adjacency(EDGES, NODES, torch.ones(5).double()),
        ChebyshevConvolution: scaled_laplacian(EDGES, NODES, torch.ones(5).double()),
        SpectralConvolution: laplacian_modes(EDGES, NODES, 3, torch.ones(5).double()),
    }
    for block, form in forms.items():
        network = graph_network(block, (6, 4, 3)).double().eval()
        torch.testing.assert_close(network(SparseMatrix.of(x), form), network(x, form))


def test_the_graph_may_change_from_call_to_call() -> None:
    """Without edges a node has only itself; an edge more changes the nodes within two steps of it, and no others."""
    network = graph_network(GraphConvolution, (3, 4, 2)).double().eval()
    x = draw(NODES, 3)
    none = normalised_adjacency(EDGES[:, :0], NODES, torch.ones(0).double())
    torch.testing.assert_close(network(x, none), network(x, None))
    path = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    more = torch.cat([path, torch.tensor([[5], [6]])], dim=1)
    before, after = (network(x, normalised_adjacency(e, NODES, torch.ones(e.shape[1]).double())) for e in (path, more))
    changed = (before != after).any(dim=1)
    assert changed.tolist() == [False, False, False, True, True, True, True]


def test_gradients_reach_the_weights_of_edges() -> None:
    block, x = GraphConvolution(2, 1).double(), draw(NODES, 2)
    weights = torch.ones(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: block(x, normalised_adjacency(EDGES, NODES, w)), (weights,))


def test_dropout_comes_from_the_generator_and_ends_with_training() -> None:
    def network() -> torch.nn.Module:
        return graph_network(GraphConvolution, (50, 8, 2), 0.5, torch.Generator().manual_seed(1))

    x, form = torch.ones(NODES, 50), normalised_adjacency(EDGES, NODES)
    state = torch.get_rng_state()
    one, other = network(), network()
    assert torch.equal(one(x, form), other(x, form))
    assert not torch.equal(one(x, form), one(x, form))
    assert torch.equal(torch.get_rng_state(), state)
    one.eval()
    assert torch.equal(one(x, form), one(x, form))
    sparse = one.train()._dropped(SparseMatrix.of(torch.ones(100, 100)))  # type: ignore[operator]
    assert set(sparse.values.tolist()) == {0.0, 2.0}
    assert 0.45 < (sparse.values > 0).double().mean() < 0.55


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: graph_network(GraphConvolution, (3, 0)), "outputs"),
        (lambda: graph_network(GraphConvolution, (3, 2), dropout=1.0), "dropout in"),
        (lambda: ChebyshevConvolution(2, 2, order=0), "order"),
        (lambda: SpectralConvolution(2, 2, knots=1), "knots"),
        (lambda: scaled_laplacian(EDGES, NODES, largest=0.0), "largest"),
    ],
)
def test_options_that_cannot_be(make: object, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make()  # type: ignore[operator]
    with pytest.raises(ShapeError, match="takes 3 features"):
        GraphConvolution(3, 2)(torch.ones(2, 4))


@pytest.mark.parametrize("order", [0, 2, 3])
def test_the_same_weights_give_what_pytorch_geometric_gives(order: int) -> None:
    layers = pytest.importorskip("torch_geometric.nn", exc_type=ImportError)
    both, x = torch.cat([EDGES, EDGES.flip(0)], dim=1), draw(NODES, 3).float()
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    if not order:
        theirs, ours, form = layers.GCNConv(3, 2), GraphConvolution(3, 2), normalised_adjacency(EDGES, NODES, weights)
        own = [theirs.lin.weight]
    else:
        theirs = layers.ChebConv(3, 2, order + 1)
        ours, form = ChebyshevConvolution(3, 2, order), scaled_laplacian(EDGES, NODES, weights)
        own = [lin.weight for lin in theirs.lins]
    with torch.no_grad():
        for mine, weight in zip(ours.weight, own, strict=True):
            mine.copy_(weight.T)
        theirs.bias.copy_(ours.bias.uniform_(generator=torch.Generator().manual_seed(2)))
    torch.testing.assert_close(ours(x, form), theirs(x, both, weights.repeat(2)), atol=1e-5, rtol=1e-5)


def test_partial_blocks_make_a_network() -> None:
    network = graph_network(partial(ChebyshevConvolution, order=3), (3, 4, 2))
    assert [layer.weight.shape[0] for layer in network.layers] == [4, 4]
