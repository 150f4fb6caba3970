"""Labels of nodes from a few of them: by graph networks, by the least energy, and without the graph."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from lowland.data.catalogue import find
from lowland.data.graph_files import read_graph, write_predictions
from lowland.data.graphs import Graph, block_graph
from lowland.errors import OptionError
from lowland.evaluation.classification import confusion_counts
from lowland.evaluation.graphs import (
    CONVOLUTION,
    MAJORITY,
    MASS,
    NETWORKS,
    PROPAGATION,
    Setting,
    class_mass,
    class_shares,
    graph_answer,
    plane,
    propagated_labels,
    right_share,
)
from lowland.plots.confusion import confusion
from lowland.plots.curves import curves
from lowland.plots.scatter import scatter_panels
from lowland.recipes.base import Bound, Count, NotNegative, Positive, SeededRecipe, recipe
from lowland.reports.run import Run

TITLES = {"plain": "no graph", "convolution": "graph convolution", "chebyshev": "Chebyshev", "spectral": "spectral"}
OWN, BLOCKS = "own", "blocks"


class Left(NamedTuple):
    """What the pictures need of the first seed: its first graph, and what each network left of it."""

    graph: Graph
    found: dict[str, dict[str, Any]]


@recipe
@dataclass(frozen=True)
class GraphRecipe(SeededRecipe):
    """Y = Â max(0, Â X W) V, and E(y) = ½ Σ w_ij ‖y_i − y_j‖² with known labels held fixed."""

    sets: tuple[Literal["citeseer", "pubmed", "cora", "blocks"], ...] = ("citeseer", "pubmed", "cora")
    """Graphs of papers; blocks is a random graph that needs no download."""
    edges: str = ""
    """Your own graph instead: a CSV file of two columns of ids and maybe a weight."""
    nodes: str = ""
    """Its nodes: a CSV file of id, label (may be empty) and further columns of numbers."""
    held: Annotated[float, Bound(above=0, below=0.5)] = 0.2
    """Share of the labelled nodes of your graph for the test, and as many for validation."""
    hidden: Count = 16
    """Hidden units."""
    epochs: Count = 200
    """Steps, each with all nodes; the best one on the validation nodes is kept."""
    rate: Positive = 0.01
    """Learning rate of Adam."""
    decay: NotNegative = 5e-4
    """Weight decay of the first layer."""
    dropout: Annotated[float, Bound(least=0, below=1)] = 0.5
    """Share of features and hidden units that are dropped in training."""
    order: Count = 2
    """Highest Chebyshev polynomial."""
    modes: Annotated[int, Bound(least=2)] = 100
    """Eigenvectors of the spectral network."""
    seeds: Count = 10
    """First weights; for Cora and a graph of yours a split each as well."""

    files: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    stages: ClassVar[int] = 15
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"sets": ("blocks",), "seeds": 2, "epochs": 30, "modes": 10}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.edges) != bool(self.nodes):
            raise OptionError("A graph of yours needs both edges and nodes: name two CSV files.")
        if not self.sets:
            raise OptionError("sets must name at least one graph, such as citeseer.")
        for name in self.files:  # a run is resumed from any place
            if getattr(self, name):
                object.__setattr__(self, name, os.path.realpath(getattr(self, name)))

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        numbers: dict[str, dict[str, Any]] = {}
        all_left: list[Left] = []
        for name in (OWN,) if self.edges else self.sets:
            graph = self._graph(run, name, seed)
            found = {MAJORITY: {"answer": class_shares(graph)}}
            found[PROPAGATION] = run.stage(f"{name}-{PROPAGATION}", partial(_propagate, graph))
            found[MASS] = {"answer": class_mass(found[PROPAGATION]["answer"], graph)}
            for kind in NETWORKS:
                found[kind] = run.stage(f"{name}-{kind}", partial(self._train, kind, graph, seed))
            scores = {kind: right_share(one["answer"], graph) for kind, one in found.items()}
            numbers = {kind: numbers.get(kind, {}) | {name: 100 * one.value} for kind, one in scores.items()}
            all_left.append(Left(graph, found))
            if seed == 0 and len(all_left) == 1:
                run.show(name=name, summary=graph.summary, notes=graph.notes, tests=int(graph.test.sum()))
                run.show(intervals=[(key, *(100 * value for value in one)) for key, one in scores.items()])
            if seed == 0 and self.edges:
                answer = found[CONVOLUTION]["answer"]
                run.made.append(write_predictions(run.folder / "predictions.csv", graph, answer))
        return numbers, all_left[0]

    def _graph(self, run: Run, name: str, seed: int) -> Graph:
        """A graph with its split: the published one, or one that the seed draws."""
        draw = self.generator(1000 + seed)
        if name == OWN:
            return _own(self.edges, self.nodes).split_labelled(self.held, draw)
        if name == BLOCKS:
            run.stand_in("A random graph of three blocks stands in for graphs of papers.")
            return block_graph(240, 3, draw).draw_split(draw, 5, 60, 120)
        graph = _public(name)
        return graph if len(graph.train) else graph.draw_split(draw)

    def _train(self, kind: str, graph: Graph, seed: int) -> dict[str, Any]:
        setting = Setting(self.hidden, self.epochs, self.rate, self.decay, self.dropout, self.order, self.modes)
        one = graph_answer(kind, graph, setting, self.generator(seed), self.device)
        return {"answer": one.probabilities, "plane": plane(one.hidden[graph.test]), "validation": one.validation}

    def figures(self, run: Run, first: Left) -> None:
        graph, labels = first.graph, first.graph.labels[first.graph.test]
        lines = {title: [100 * share for share in first.found[kind]["validation"]] for kind, title in TITLES.items()}
        run.figure("epochs", partial(curves, lines, title="Validation nodes", xlabel="epoch", ylabel="right, %"))
        panels: dict[str, Tensor] = {title: first.found[kind]["plane"] for kind, title in TITLES.items()}
        run.figure("hidden", partial(scatter_panels, panels, labels, graph.classes, columns=4))
        said = first.found[CONVOLUTION]["answer"].argmax(dim=1)[graph.test]
        counts = confusion_counts(labels, said, len(graph.classes))
        run.figure("confusion", partial(confusion, counts, graph.classes))


def _propagate(graph: Graph) -> dict[str, Tensor]:
    return {"answer": propagated_labels(graph)}


@cache
def _public(name: str) -> Graph:
    graph = find(name).load(None)
    assert isinstance(graph, Graph)
    return graph


@cache
def _own(edges: str, nodes: str) -> Graph:
    return read_graph(edges, nodes)
