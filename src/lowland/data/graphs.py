"""Graphs whose nodes have features and, some of them, a label: what is checked of them, and how labels are split.

Shape letters: N nodes, M edges, D features, C classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from scipy import sparse
from torch import Tensor

from lowland.errors import DataError, OptionError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Graph:
    """An undirected graph, each edge once; `Graph.of` makes one from edges of any order.

    Args:
        edges: (2, M) int64, the smaller number first; no self loops, none twice.
        weights: (M,) float32, above 0.
        features: (N, D) float32.
        labels: (N,) int64, −1 where a node has none.
        classes: names of the C classes.
        names: of the nodes, where they have any.
        notes: what was changed or is unusual, one sentence each.
        train, validation, test: (N,) of booleans, which nodes serve for what.
    """

    edges: Tensor = field(repr=False)
    weights: Tensor = field(repr=False)
    features: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    classes: tuple[str, ...]
    names: tuple[str, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    train: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool), repr=False)
    validation: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool), repr=False)
    test: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool), repr=False)

    @classmethod
    def of(
        cls, edges: Tensor, features: Tensor, labels: Tensor, classes: Sequence[str], weights: Tensor | None = None,
        names: Sequence[str] = (),
    ) -> Graph:  # fmt: skip
        """The graph of edges in any order and direction.

        Self loops are left out, since each block adds what it needs of them. An edge that is given again, in either
        direction, is one edge with its first weight. Both are said in `notes`.

        Args:
            edges: (2, M) of whole numbers.
            features: (N, D).
            labels: (N,), −1 where a node has none.
            classes: names of the classes.
            weights: (M,) above 0; all 1 by default.
            names: of the nodes.

        Raises:
            DataError: for an edge to a node that is not there, a feature that is no finite number, a weight that is not
                above 0, or sizes that do not fit.

        >>> two = Graph.of(torch.tensor([[0, 1, 1], [1, 0, 1]]), torch.eye(2), torch.tensor([0, -1]), ["a", "b"])
        >>> two.edges.tolist(), two.notes
        ([[0], [1]], ('1 edge from a node to itself is left out.', '1 edge that is given again counts once.'))
        """
        nodes = len(features)
        weights = torch.ones(edges.shape[-1]) if weights is None else weights.float()
        if features.ndim != 2 or labels.shape != (nodes,) or edges.ndim != 2 or len(edges) != 2:
            raise DataError(
                f"A graph needs edges (2, M), features (N, D) and labels (N,), not {tuple(edges.shape)}, "
                f"{tuple(features.shape)} and {tuple(labels.shape)}."
            )
        if weights.shape != (edges.shape[1],) or not bool(((weights > 0) & weights.isfinite()).all()):
            raise DataError("Each edge needs one weight, a finite number above 0: leave out edges without weight.")
        named = names or [str(number) for number in range(nodes)]
        outside = ((edges < 0) | (edges >= nodes)).any(dim=0).nonzero()[:, 0]
        if len(outside):
            raise DataError(
                f"Edge {int(outside[0]) + 1} leads to node {edges[:, outside[0]].max().item()}, but there are "
                f"{nodes} nodes, counted from 0: add the node, or leave the edge out."
            )
        wrong = (~features.isfinite()).any(dim=1).nonzero()[:, 0]
        if len(wrong):
            raise DataError(
                f"Node {named[int(wrong[0])]} and {len(wrong) - 1} others have features that are no finite numbers: "
                "fill them in, or leave the column out."
            )
        if int(labels.max()) >= len(classes) or int(labels.min()) < -1:
            raise DataError(f"Labels must be from 0 to {len(classes) - 1}, or −1 for none.")
        low, high = edges.long().sort(dim=0).values
        loops = low == high
        low, high, weights = low[~loops], high[~loops], weights[~loops]
        flat, first = torch.unique(low * nodes + high, return_inverse=True)
        place = torch.full((len(flat),), len(first)).scatter_reduce(0, first, torch.arange(len(first)), "amin")
        notes = (
            _said(int(loops.sum()), "from a node to itself", "is left out", "are left out"),
            _said(len(low) - len(flat), "that is given again", "counts once", "count once", "that are given again"),
        )
        kept = torch.stack([flat // nodes, flat % nodes])
        return cls(
            kept, weights[place], features.float(), labels.long(), tuple(classes), tuple(names),
            tuple(note for note in notes if note),
        )  # fmt: skip

    @property
    def summary(self) -> str:
        """How many nodes, edges and classes."""
        return f"a graph of {len(self.labels):,} nodes and {self.edges.shape[1]:,} edges in {len(self.classes)} classes"

    @property
    def components(self) -> Tensor:
        """(N,) int64, the number of each node's connected component."""
        nodes = len(self.labels)
        table = sparse.coo_array((self.weights.numpy(), tuple(self.edges.numpy())), (nodes, nodes))
        return torch.from_numpy(sparse.csgraph.connected_components(table, directed=False)[1]).long()

    def with_split(self, train: Tensor, validation: Tensor, test: Tensor) -> Graph:
        """The same graph with another split: three of booleans (N,).

        Raises:
            DataError: if a node of a part has no label.
        """
        unknown = ((train | validation | test) & (self.labels < 0)).nonzero()[:, 0]
        if len(unknown):
            raise DataError(f"Node {int(unknown[0])} is in the split, but has no label: leave it out of the masks.")
        return dataclasses.replace(self, train=train, validation=validation, test=test)

    def draw_split(
        self, generator: torch.Generator, per_class: int = 20, validation: int = 500, test: int = 1000
    ) -> Graph:
        """So many labelled nodes of each class to train on, and of the others so many for validation and for the test.

        Args:
            generator: of the draw.
            per_class: nodes of each class.
            validation, test: nodes of all classes.

        Raises:
            DataError: if there are too few labelled nodes.

        >>> graph = block_graph(90, 3, torch.Generator().manual_seed(0))
        >>> split = graph.draw_split(torch.Generator().manual_seed(0), 4, 20, 30)
        >>> int(split.train.sum()), int(split.validation.sum()), int(split.test.sum())
        (12, 20, 30)
        """
        order = torch.randperm(len(self.labels), generator=generator)
        own = [order[self.labels[order] == c][:per_class] for c in range(len(self.classes))]
        train = _mask(len(order), torch.cat(own))
        rest = order[(self.labels[order] >= 0) & ~train[order]]
        if min(map(len, own)) < per_class or len(rest) < validation + test:
            raise DataError(
                f"{per_class} nodes of each class, {validation} for validation and {test} for the test are more than "
                f"the {int((self.labels >= 0).sum())} labelled nodes allow: ask for fewer."
            )
        parts = rest[:validation], rest[validation : validation + test]
        return self.with_split(train, *(_mask(len(order), part) for part in parts))

    def split_labelled(self, held: float, generator: torch.Generator) -> Graph:
        """The share `held` of the labelled nodes for the test, as many for validation, the rest to train on.

        Raises:
            DataError: if no node or only one class has a label, or a part would be empty.
            OptionError: for a share outside (0, 0.5).
        """
        if not 0 < held < 0.5:
            raise OptionError(f"The share of held-out nodes must be between 0 and 0.5, but it is {held}.")
        known = (self.labels >= 0).nonzero()[:, 0]
        if not len(known):
            raise DataError("No node has a label: there is nothing to learn from.")
        if len(self.labels[known].unique()) < 2:
            raise DataError(
                f"All labelled nodes are of the class {self.classes[int(self.labels[known[0]])]}: nothing can be "
                "learned from one class. Label nodes of another one."
            )
        known = known[torch.randperm(len(known), generator=generator)]
        count = round(held * len(known))
        parts = known[2 * count :], known[count : 2 * count], known[:count]
        if not count or len(self.labels[parts[0]].unique()) < 2:
            raise DataError(
                f"{len(known)} labelled nodes are too few to split into training, validation and test nodes, with two "
                "classes to train on: label more."
            )
        return self.with_split(*(_mask(len(self.labels), part) for part in parts))


def graph_of(data: Any) -> Graph:
    """The graph in a `torch_geometric.data.Data`, or any object with its attributes.

    Args:
        data: `x` (N, D), `edge_index` (2, M), `y` (N,), −1 where a node has no label, and, if it has them,
            `edge_weight`, `train_mask`, `val_mask` and `test_mask`.

    Raises:
        DataError: if an attribute is missing or does not fit; see `Graph.of`.

    >>> from types import SimpleNamespace
    >>> data = SimpleNamespace(x=torch.eye(2), edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([0, 1]))
    >>> graph_of(data).summary
    'a graph of 2 nodes and 1 edges in 2 classes'
    """
    missing = [name for name in ("x", "edge_index", "y") if not isinstance(getattr(data, name, None), Tensor)]
    if missing:
        raise DataError(f"This {type(data).__name__} has no tensor {missing[0]}: a graph needs x, edge_index and y.")
    labels = data.y.long()
    if labels.ndim != 1 or not len(labels):
        raise DataError(f"y must have one class for each node, (N,), but it is {tuple(labels.shape)}.")
    classes = [str(number) for number in range(int(labels.max()) + 1)]
    # Both directions of an edge are its usual form there, so that nothing is said about it.
    found = Graph.of(data.edge_index, data.x, labels, classes, getattr(data, "edge_weight", None))
    masks: list[Any] = [getattr(data, name, None) for name in ("train_mask", "val_mask", "test_mask")]
    found = dataclasses.replace(found, notes=())
    if any(mask is None for mask in masks):
        return found
    for mask in masks:
        if mask.dtype != torch.bool or mask.shape != labels.shape:
            raise DataError(
                f"Masks must be booleans (N,), but one is {mask.dtype} {tuple(mask.shape)}: take one split."
            )
    return found.with_split(*masks)


def block_graph(
    nodes: int, classes: int, generator: torch.Generator, inside: float = 0.08, across: float = 0.01, noise: float = 2.0
) -> Graph:
    """A random graph whose classes are blocks: nodes of one class are joined more often than nodes of two.

    Source: Holland, Laskey & Leinhardt, "Stochastic blockmodels" (1983). The features of a node are its one-hot class
    and Gaussian noise. A stand-in for tests, which needs no download.

    Args:
        nodes: N, with classes in turn.
        classes: C.
        generator: of the draws.
        inside, across: chance of an edge between two nodes of one class, and of two.
        noise: standard deviation of the features.

    >>> block_graph(60, 3, torch.Generator().manual_seed(0)).summary
    'a graph of 60 nodes and 59 edges in 3 classes'
    """
    labels = torch.arange(nodes) % classes
    pairs = torch.combinations(torch.arange(nodes)).T
    chance = torch.where(labels[pairs[0]] == labels[pairs[1]], inside, across)
    edges = pairs[:, torch.rand(pairs.shape[1], generator=generator) < chance]
    features = torch.eye(classes)[labels] + noise * torch.randn(nodes, classes, generator=generator)
    return Graph.of(edges, features, labels, [f"block {c + 1}" for c in range(classes)])


def _mask(nodes: int, rows: Tensor) -> Tensor:
    mask = torch.zeros(nodes, dtype=torch.bool)
    mask[rows] = True
    return mask


def _said(count: int, which: str, one: str, many: str, whiches: str = "") -> str:
    if not count:
        return ""
    return f"1 edge {which} {one}." if count == 1 else f"{count:,} edges {whiches or which} {many}."
