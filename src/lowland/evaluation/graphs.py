"""Ways to label the nodes of a graph, side by side: networks, label propagation, and the most frequent class.

Shape letters: N nodes, C classes, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.graphs import Graph
from lowland.energies.compose import Clamped, Transformed
from lowland.energies.graph_smoothness import LaplacianSmoothness
from lowland.errors import DataError
from lowland.evaluation.success import Interval, wilson
from lowland.inference import infer
from lowland.nn.graph_convolution import (
    ChebyshevConvolution,
    Features,
    GraphConvolution,
    SpectralConvolution,
    graph_network,
    laplacian_modes,
    normalised_adjacency,
    scaled_laplacian,
)
from lowland.nn.layers import evaluating
from lowland.nn.sparse_matrix import SparseMatrix
from lowland.solvers.lbfgs import LBFGS
from lowland.training.graphs import probabilities, train_graph_network

MAJORITY, PROPAGATION, MASS, PLAIN = "majority", "propagation", "mass", "plain"
CONVOLUTION, CHEBYSHEV, SPECTRAL = "convolution", "chebyshev", "spectral"
NETWORKS = (PLAIN, CONVOLUTION, CHEBYSHEV, SPECTRAL)
_DENSE = 0.25
"""Features with a smaller share of numbers that are not 0 are stored as a sparse matrix."""


class Setting(NamedTuple):
    """How graph networks are made and trained; the defaults are those of Kipf & Welling (2017).

    `hidden` units, `epochs`, the `rate` of Adam, the weight `decay` of the first layer, the share of `dropout`, the
    `order` of Chebyshev polynomials, and the number of `modes`, eigenvectors.
    """

    hidden: int = 16
    epochs: int = 200
    rate: float = 0.01
    decay: float = 5e-4
    dropout: float = 0.5
    order: int = 2
    modes: int = 100


class Answer(NamedTuple):
    """What a network says: p (N, C), its hidden units (N, H), and the share of right validation nodes in each epoch."""

    probabilities: Tensor
    hidden: Tensor
    validation: list[float]


def class_shares(graph: Graph) -> Tensor:
    """The share of each class among the nodes to train on and those for validation, (C,).

    >>> from lowland.data.graphs import block_graph
    >>> draw = torch.Generator().manual_seed(0)
    >>> class_shares(block_graph(90, 2, draw).draw_split(draw, 5, 30, 30)).sum()
    tensor(1.)
    """
    counts = graph.labels[graph.train | graph.validation].bincount(minlength=len(graph.classes)).float()
    return counts / counts.sum()


@lru_cache(maxsize=4)
def propagated_labels(graph: Graph, tol: float = 1e-5, max_steps: int = 5000) -> Tensor:
    """Label propagation, (N, C): the y of least ½ Σ w_ij ‖y_i − y_j‖² with the labels of training nodes held fixed.

    Source: Zhu, Ghahramani & Lafferty (2003), equation 5; `Clamped(LaplacianSmoothness)` solved by L-BFGS, over y times
    the root of the degree, in which nodes of many and of few neighbours are curved alike. In a component without
    labelled nodes the minimum is not unique; it stays at `class_shares`, where the solver starts.

    Args:
        graph: with a split.
        tol: largest entry of the gradient at the end.
        max_steps: of the solver.

    Raises:
        InferenceError: if the solver does not get there.

    >>> graph = Graph.of(torch.tensor([[0, 1], [1, 2]]), torch.zeros(3, 1), torch.tensor([0, 1, 1]), ["a", "b"])
    >>> train = torch.tensor([True, False, True])
    >>> propagated_labels(graph.with_split(train, ~train, ~train)).round(decimals=3).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    nodes, classes = len(graph.labels), len(graph.classes)
    smooth = LaplacianSmoothness(graph.edges, nodes, classes, graph.weights)
    degree = torch.zeros(nodes).index_add(0, graph.edges.flatten(), graph.weights.repeat(2)).double()
    scale = _Scaled(torch.where(degree > 0, degree, 1).rsqrt()[:, None])
    energy = Clamped(Transformed(smooth, scale, y=smooth.domain("y"))).double()
    known = functional.one_hot(graph.labels.clamp_min(0), classes).double()
    start = torch.where(graph.train[:, None], known, class_shares(graph).double())[None] / scale.scale
    x = {"known": start, "mask": graph.train[:, None].double().expand(nodes, classes)[None]}
    with torch.no_grad():
        found = infer(
            energy, x=x, over="y", solver=LBFGS(max_steps=max_steps, tol=tol), init=start, raise_on_failure=True
        )  # fmt: skip
    return scale(energy.complete(x, found.value))[0].float()


def class_mass(answer: Tensor, graph: Graph) -> Tensor:
    """Label propagation whose classes have the mass that they should, (N, C): y_ic q_c / Σ_j y_jc, for rows of sum 1.

    Source: Zhu, Ghahramani & Lafferty (2003), equation 9: with few labels in a large graph all y are near constants,
    and which constant is the largest says little. q are the shares of the classes among the training nodes, and j are
    all other nodes.

    Args:
        answer: (N, C), from `propagated_labels`.
        graph: with the same split.

    >>> graph = Graph.of(torch.tensor([[0, 1], [1, 2]]), torch.zeros(3, 1), torch.tensor([0, 1, 1]), ["a", "b"])
    >>> train = torch.tensor([True, False, True])
    >>> class_mass(torch.tensor([[1, 0], [0.6, 0.4], [0, 1]]), graph.with_split(train, ~train, ~train))[1]
    tensor([0.5000, 0.5000])
    """
    shares = graph.labels[graph.train].bincount(minlength=answer.shape[1]).to(answer)
    mass = answer[~graph.train].sum(dim=0).clamp_min(torch.finfo(answer.dtype).tiny)
    weighed = answer * (shares / mass)
    return weighed / weighed.sum(dim=1, keepdim=True)


class _Scaled(nn.Module):
    """Each node's numbers times a number of its own, (N, 1)."""

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, y: Tensor) -> Tensor:
        return y * self.scale


@lru_cache(maxsize=4)
def _forms(graph: Graph, modes: int) -> dict[str, Callable[[], Any]]:
    """The graph as the blocks of each network take it, computed when it is first asked for."""
    given = graph.edges, len(graph.labels)
    largest = int(graph.components.bincount().max())

    @lru_cache(maxsize=1)
    def spectrum() -> Any:
        return laplacian_modes(*given, min(modes, largest - 1), weights=graph.weights)

    return {
        PLAIN: lambda: None,
        CONVOLUTION: lambda: normalised_adjacency(*given, graph.weights),
        CHEBYSHEV: lambda: scaled_laplacian(*given, graph.weights),
        SPECTRAL: spectrum,
    }


def graph_answer(kind: str, graph: Graph, setting: Setting, generator: torch.Generator, device: str = "cpu") -> Answer:
    """Train one of `NETWORKS` on a graph with a split, and let it answer for all nodes.

    Args:
        kind: "plain", which has no graph, "convolution", "chebyshev" or "spectral".
        graph: with edges and a split.
        setting: of the network and its training.
        generator: draws first weights and dropout.
        device: where to compute.

    Raises:
        DataError: for a graph without edges or without a split.

    >>> from lowland.data.graphs import block_graph
    >>> draw = torch.Generator().manual_seed(0)
    >>> graph = block_graph(90, 3, draw).draw_split(draw, 5, 30, 30)
    >>> graph_answer("convolution", graph, Setting(epochs=2), draw).probabilities.shape
    torch.Size([90, 3])
    """
    if not graph.edges.shape[1]:
        raise DataError("The graph has no edges between different nodes: a graph network has nothing to learn from.")
    blocks: dict[str, Callable[..., nn.Module]] = {
        PLAIN: GraphConvolution,
        CONVOLUTION: GraphConvolution,
        CHEBYSHEV: partial(ChebyshevConvolution, order=setting.order),
        SPECTRAL: SpectralConvolution,
    }
    sizes = graph.features.shape[1], setting.hidden, len(graph.classes)
    network = graph_network(blocks[kind], sizes, setting.dropout, generator).to(device)
    form, x = _moved(_forms(graph, setting.modes)[kind](), device), stored(graph.features).to(device)
    history = train_graph_network(network, graph, form, x, setting.epochs, setting.rate, setting.decay)
    with torch.no_grad(), evaluating(network):
        hidden = network.hidden(x, form)[0]
    return Answer(probabilities(network, form, x).cpu(), hidden.cpu(), history["validation"])


def stored(features: Tensor) -> Features:
    """The features as a sparse matrix if most of them are 0.

    >>> type(stored(torch.eye(9))).__name__, type(stored(torch.ones(2, 2))).__name__
    ('SparseMatrix', 'Tensor')
    """
    share = features.count_nonzero().item() / max(1, features.numel())
    return SparseMatrix.of(features) if share < _DENSE else features


def _moved(form: Any, device: str) -> Any:
    if form is None or isinstance(form, SparseMatrix):
        return form if form is None else form.to(device)
    return type(form)(*(part.to(device) for part in form))


def right_share(answer: Tensor, graph: Graph) -> Interval:
    """The share of test nodes whose most probable class is right, with its 95 % interval (Wilson 1927).

    Args:
        answer: p (N, C), or (C,) for all nodes alike.

    >>> from lowland.data.graphs import block_graph
    >>> draw = torch.Generator().manual_seed(0)
    >>> graph = block_graph(90, 3, draw).draw_split(draw, 5, 30, 30)
    >>> right_share(functional.one_hot(graph.labels).float(), graph).value
    1.0
    """
    said = answer.argmax(dim=-1).expand(len(graph.labels))[graph.test]
    return wilson(int((said == graph.labels[graph.test]).sum()), int(graph.test.sum()))


def plane(hidden: Tensor) -> Tensor:
    """The first two principal components of (N, H), (N, 2); their signs are such that the largest entry is positive.

    >>> plane(torch.tensor([[0.0, 2.0], [0.0, -1.0], [0.0, -1.0]]))[:, 0].tolist()
    [2.0, -1.0, -1.0]
    """
    centred = hidden - hidden.mean(dim=0)
    found = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
    return found * found.gather(0, found.abs().argmax(dim=0, keepdim=True)).sign()
