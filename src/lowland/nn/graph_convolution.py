"""Convolutions on graphs: in the spectrum of the Laplacian, by its Chebyshev polynomials, and over neighbours (P1).

The graph is an argument of `forward`, so that it may differ from call to call. Features may be a `SparseMatrix`.

Shape letters: N nodes, M edges, I and O features before and after, K eigenvectors or polynomials, Q knots.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lowland.errors import OptionError, ShapeError, check_number
from lowland.nn.sparse_matrix import SparseMatrix

Features = Tensor | SparseMatrix
"""(N, I) of all nodes."""


class Modes(NamedTuple):
    """Eigenvalues (K,), rising, and eigenvectors (N, K) of the normalised Laplacian."""

    values: Tensor
    vectors: Tensor


def adjacency(edges: Tensor, nodes: int, weights: Tensor | None = None) -> SparseMatrix:
    """A, symmetric, from each edge of an undirected graph once.

    Args:
        edges: (2, M).
        nodes: N.
        weights: (M,); all 1 by default.

    >>> adjacency(torch.tensor([[0], [1]]), 2).dense()
    tensor([[0., 1.],
            [1., 0.]])
    """
    weights = torch.ones(edges.shape[1], device=edges.device) if weights is None else weights
    both = torch.cat([edges, edges.flip(0)], dim=1)
    return SparseMatrix(both[0], both[1], torch.cat([weights, weights]), (nodes, nodes))


def normalised_adjacency(edges: Tensor, nodes: int, weights: Tensor | None = None, loops: float = 1.0) -> SparseMatrix:
    """Â = D^−½ (A + l I) D^−½ with D the sums of the rows of A + l I; a node without any has a row of zeros.

    Source: Kipf & Welling, "Semi-supervised classification with graph convolutional networks" (2017), equation 2, with
    l = 1. It is differentiable in the weights.

    Args:
        edges, nodes, weights: as in `adjacency`.
        loops: l, the weight of each node's edge to itself.

    >>> normalised_adjacency(torch.tensor([[0], [1]]), 2).dense()
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    found = adjacency(edges, nodes, weights)
    if loops:
        found = _with_diagonal(found, found.values, loops)
    degree = found.values.new_zeros(nodes).index_add(0, found.rows, found.values)
    scale = torch.where(degree > 0, degree, 1).rsqrt()
    return found.with_values(scale[found.rows] * found.values * scale[found.columns])


def scaled_laplacian(edges: Tensor, nodes: int, weights: Tensor | None = None, largest: float = 2.0) -> SparseMatrix:
    """L̃ = (2 / λ) L − I with L = I − D^−½ A D^−½, whose eigenvalues lie in [−1, 1] if λ bounds those of L.

    Source: Defferrard, Bresson & Vandergheynst, "Convolutional neural networks on graphs with fast localized spectral
    filtering" (2016), section 2.1.

    Args:
        edges, nodes, weights: as in `adjacency`.
        largest: λ; no eigenvalue of L is above 2.

    >>> scaled_laplacian(torch.tensor([[0], [1]]), 2).dense()
    tensor([[ 0., -1.],
            [-1.,  0.]])
    """
    check_number("largest", largest, above=0)
    found = normalised_adjacency(edges, nodes, weights, loops=0.0)
    values = -2 / largest * found.values
    return found.with_values(values) if largest == 2 else _with_diagonal(found, values, 2 / largest - 1)


def _with_diagonal(matrix: SparseMatrix, values: Tensor, diagonal: float) -> SparseMatrix:
    own = torch.arange(matrix.shape[0], device=values.device)
    values = torch.cat([values, values.new_full((len(own),), diagonal)])
    return SparseMatrix(torch.cat([matrix.rows, own]), torch.cat([matrix.columns, own]), values, matrix.shape)


def laplacian_modes(edges: Tensor, nodes: int, count: int, weights: Tensor | None = None) -> Modes:
    """The first eigenvectors of L = I − D^−½ A D^−½ on the largest connected component; elsewhere they are 0.

    On another component L has an eigenvalue 0 of its own, so that the first eigenvectors of a graph in many parts would
    only say which part a node is in. Up to 2,000 nodes the dense problem is solved, in N³ operations; above, the first
    vectors alone are found by Lanczos iteration (SciPy's `eigsh`).

    Args:
        edges, nodes, weights: as in `adjacency`.
        count: K.

    Raises:
        OptionError: if the largest component has no more than K nodes.

    >>> modes = laplacian_modes(torch.tensor([[0, 1], [1, 2]]), 4, 2)
    >>> [round(abs(value), 4) for value in modes.values.tolist()], modes.vectors.shape
    ([0.0, 1.0], torch.Size([4, 2]))
    """
    import numpy as np
    from scipy import sparse

    found = normalised_adjacency(edges, nodes, weights, loops=0.0)
    places = found.rows.cpu().numpy(), found.columns.cpu().numpy()
    table = sparse.csr_array((found.values.detach().double().cpu().numpy(), places), shape=(nodes, nodes))
    part = sparse.csgraph.connected_components(table, directed=False)[1]
    inside = np.flatnonzero(part == np.bincount(part).argmax())
    if not 0 < count < len(inside):
        raise OptionError(
            f"The largest component has {len(inside)} nodes, so that 1 to {len(inside) - 1} "
            f"eigenvectors can be had, not {count}."
        )
    own = table[inside][:, inside]
    if len(inside) <= 2000:
        values, vectors = np.linalg.eigh(np.eye(len(inside)) - own.toarray())
        values, vectors = values[:count], vectors[:, :count]
    else:
        start = np.random.default_rng(0).normal(size=len(inside))
        values, vectors = sparse.linalg.eigsh(own, count, which="LA", v0=start)
        order = np.argsort(-values)
        values, vectors = 1 - values[order], vectors[:, order]
    whole = np.zeros((nodes, count))
    whole[inside] = vectors
    dtype, device = found.values.dtype, found.values.device
    return Modes(*(torch.from_numpy(part).to(device, dtype) for part in (values, whole)))


def glorot(inputs: int, outputs: int, generator: torch.Generator, count: int = 1) -> nn.Parameter:
    """First weights (count, I, O), drawn evenly from ±√(6 / (I + O)) (Glorot & Bengio 2010, equation 16)."""
    bound = math.sqrt(6 / (inputs + outputs))
    return nn.Parameter(torch.empty(count, inputs, outputs).uniform_(-bound, bound, generator=generator))


class _Block(nn.Module):
    """Weights (count, I, O) and a bias (O,) that starts at 0."""

    def __init__(self, inputs: int, outputs: int, count: int, generator: torch.Generator | None) -> None:
        super().__init__()
        for name, value in (("inputs", inputs), ("outputs", outputs)):
            check_number(name, value, least=1, whole=True)
        self.weight = glorot(inputs, outputs, generator or torch.Generator().manual_seed(0), count)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def mixed(self, x: Features) -> list[Tensor]:
        """X W_k for each k, (N, O) each, by one product."""
        count, inputs, outputs = self.weight.shape
        if x.shape[-1] != inputs:
            raise ShapeError(f"{type(self).__name__} takes {inputs} features of each node, but x is {tuple(x.shape)}.")
        return list((x @ self.weight.transpose(0, 1).reshape(inputs, count * outputs)).split(outputs, dim=1))


class GraphConvolution(_Block):
    """Y = Â X W + b; without a graph, Y = X W + b, a plain layer.

    Source: Kipf & Welling (2017), equation 2, with the bias of their text.

    Args:
        inputs, outputs: I and O.
        generator: draws the first weights; by default one with seed 0.

    >>> graph = normalised_adjacency(torch.tensor([[0, 1], [1, 2]]), 3)
    >>> GraphConvolution(4, 2)(torch.zeros(3, 4), graph).shape
    torch.Size([3, 2])
    """

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator | None = None) -> None:
        super().__init__(inputs, outputs, 1, generator)

    def forward(self, x: Features, graph: SparseMatrix | None = None) -> Tensor:
        """(N, I) and Â (N, N), of `normalised_adjacency`, → (N, O)."""
        (mixed,) = self.mixed(x)
        return (mixed if graph is None else graph @ mixed) + self.bias


class ChebyshevConvolution(_Block):
    """Y = Σ_k T_k(L̃) X W_k + b for k from 0 to K, T_k being the Chebyshev polynomials.

    Source: Defferrard, Bresson & Vandergheynst (2016), equation 4. It is summed by the recurrence of Clenshaw (1955),
    which multiplies L̃ with O columns in place of I.

    Args:
        inputs, outputs: I and O.
        order: K; a node sees its neighbours up to K steps away.
        generator: draws the first weights; by default one with seed 0.

    Raises:
        OptionError: for an order below 1.

    >>> graph = scaled_laplacian(torch.tensor([[0, 1], [1, 2]]), 3)
    >>> ChebyshevConvolution(4, 2, order=3)(torch.zeros(3, 4), graph).shape
    torch.Size([3, 2])
    """

    def __init__(self, inputs: int, outputs: int, order: int = 2, generator: torch.Generator | None = None) -> None:
        check_number("order", order, least=1, whole=True)
        super().__init__(inputs, outputs, order + 1, generator)

    def forward(self, x: Features, graph: SparseMatrix) -> Tensor:
        """(N, I) and L̃ (N, N), of `scaled_laplacian`, → (N, O)."""
        first, *mixed = self.mixed(x)
        after, last = torch.zeros_like(first), mixed[-1]
        for one in mixed[-2::-1]:
            last, after = one + 2 * (graph @ last) - after, last
        return first + graph @ last - after + self.bias


class SpectralConvolution(_Block):
    """Y = U g(Λ) Uᵀ X + X W_0 + b with a smooth g(λ) = Σ_q h_q(λ) W_q on the first K eigenvectors U.

    Source: Bruna et al., "Spectral networks and locally connected networks on graphs" (2014), equations 3 and 4. The
    h_q are hats between Q knots, spaced evenly up to the last eigenvalue, so that the number of weights does not depend
    on K. W_0 is the filter on all other eigenvectors, which nobody computes.

    Args:
        inputs, outputs: I and O.
        knots: Q.
        generator: draws the first weights; by default one with seed 0.

    Raises:
        OptionError: for fewer than two knots.

    >>> modes = laplacian_modes(torch.tensor([[0, 1], [1, 2]]), 3, 2)
    >>> SpectralConvolution(4, 2)(torch.zeros(3, 4), modes).shape
    torch.Size([3, 2])
    """

    def __init__(self, inputs: int, outputs: int, knots: int = 4, generator: torch.Generator | None = None) -> None:
        check_number("knots", knots, least=2, whole=True)
        super().__init__(inputs, outputs, knots + 1, generator)
        self.knots = knots

    def forward(self, x: Features, graph: Modes) -> Tensor:
        """(N, I) and eigenvectors, of `laplacian_modes`, → (N, O)."""
        first, *mixed = self.mixed(x)
        place = graph.values / graph.values[-1].clamp_min(torch.finfo(first.dtype).eps) * (self.knots - 1)
        hats_KQ = (1 - (place[:, None] - torch.arange(self.knots, device=place.device)).abs()).clamp_min(0)
        spectrum = [hat[:, None] * (graph.vectors.T @ one) for hat, one in zip(hats_KQ.T, mixed, strict=True)]
        return first + graph.vectors @ torch.stack(spectrum).sum(dim=0) + self.bias


class GraphNetwork(nn.Module):
    """Convolutions with max(0, ·) between them; the last one's outputs are logits, (N, C).

    Args:
        layers: blocks that take features and a graph.
        dropout: share of the numbers before each block that are set to 0 in training, the others growing to match.
        generator: draws what is dropped; by default one with seed 0.

    Raises:
        OptionError: without layers, or for a share outside [0, 1).

    >>> network = graph_network(GraphConvolution, (4, 16, 3))
    >>> network(torch.zeros(5, 4), normalised_adjacency(torch.tensor([[0], [1]]), 5)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self, layers: Sequence[nn.Module], dropout: float = 0.5, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if not layers or not 0 <= dropout < 1:
            raise OptionError(f"A network needs a layer and a share of dropout in [0, 1), not {dropout}.")
        self.layers, self.dropout = nn.ModuleList(layers), dropout
        self.generator = generator or torch.Generator().manual_seed(0)

    def forward(self, x: Features, graph: Any) -> Tensor:
        """(N, I) and the graph in the form that the blocks take → (N, C)."""
        return self.hidden(x, graph)[-1]

    def hidden(self, x: Features, graph: Any) -> list[Tensor]:
        """What each block gives, before max(0, ·)."""
        found: list[Tensor] = []
        for layer in self.layers:
            before = found[-1].relu() if found else x
            found.append(layer(self._dropped(before), graph))
        return found

    def _dropped(self, x: Any) -> Any:
        if not self.training or not self.dropout:
            return x
        # A zero stays zero, so that only the entries of a sparse matrix are drawn.
        values = x.values if isinstance(x, SparseMatrix) else x
        kept = (torch.rand(values.shape, generator=self.generator) >= self.dropout).to(values.device)
        values = values * kept / (1 - self.dropout)
        return x.with_values(values) if isinstance(x, SparseMatrix) else values


def graph_network(
    block: Callable[..., nn.Module], sizes: Sequence[int], dropout: float = 0.5,
    generator: torch.Generator | None = None,
) -> GraphNetwork:  # fmt: skip
    """A network of one kind of block.

    Args:
        block: such as `GraphConvolution`, or `partial(ChebyshevConvolution, order=3)`.
        sizes: of the features, the hidden layers and the classes.
        dropout: as in `GraphNetwork`.
        generator: draws the first weights, and then what is dropped.

    >>> len(graph_network(ChebyshevConvolution, (4, 16, 3)).layers)
    2
    """
    generator = generator or torch.Generator().manual_seed(0)
    layers = [block(one, other, generator=generator) for one, other in itertools.pairwise(sizes)]
    return GraphNetwork(layers, dropout, generator)
