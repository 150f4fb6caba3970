"""The recipe `graph` on a random graph, and on tables of a user's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lowland.data.graphs import Graph, block_graph
from lowland.errors import OptionError
from lowland.evaluation.graphs import (
    MAJORITY,
    MASS,
    NETWORKS,
    PROPAGATION,
    Setting,
    class_mass,
    graph_answer,
    propagated_labels,
)
from lowland.recipes.base import execute, start
from lowland.recipes.foundations.graph.recipe import GraphRecipe
from lowland.reports.run import Run


def test_all_ways_are_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("graph")
    assert run.measured.methods("blocks") == [MAJORITY, PROPAGATION, MASS, *NETWORKS]
    assert run.measured.mean("convolution", "blocks") > run.measured.mean("majority", "blocks")
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"epochs", "hidden", "confusion"}


def tables(folder: Path, graph: Graph) -> dict[str, Any]:
    """A graph as two tables, with a third of the labels left out, and a node that stands alone."""
    lines = [
        f"n{node},{'' if node % 3 == 0 else graph.classes[label]},{x[0]:.3f},{x[1]:.3f}"
        for node, (label, x) in enumerate(zip(graph.labels.tolist(), graph.features.tolist(), strict=True))
    ]
    (folder / "nodes.csv").write_text("\n".join(["id,label,one,other", *lines, "alone,,0,0"]))
    (folder / "edges.csv").write_text(
        "\n".join(f"n{one},n{other}" for one, other in graph.edges.T.tolist()) + "\nn1,n1\n"
    )
    return {"edges": str(folder / "edges.csv"), "nodes": str(folder / "nodes.csv")}


def test_a_graph_of_ones_own(tmp_path: Path) -> None:
    graph = block_graph(120, 2, torch.Generator().manual_seed(0), inside=0.12)
    options = tables(tmp_path, graph) | {"seeds": 1, "epochs": 40, "modes": 5}
    run = execute(config := GraphRecipe.from_options(options), start(config, tmp_path / "runs"))
    assert run.made == [run.folder / "predictions.csv"]
    rows = list(csv.DictReader(io.StringIO(run.made[0].read_text())))
    assert len(rows) == 121
    parts = [row["part"] for row in rows]
    assert (parts.count("new"), parts.count("test"), parts.count("validation")) == (41, 16, 16)
    right = [row["predicted"] == row["label"] for row in rows if row["part"] == "test"]
    assert 100 * sum(right) / 16 == run.measured.mean("convolution", "own")
    new = [row for row in rows if row["part"] == "new" and row["id"] != "alone"]
    hidden = [row["predicted"] == graph.classes[graph.labels[int(row["id"][1:])]] for row in new]
    assert sum(hidden) / len(hidden) > 0.7
    page = (run.folder / "report.html").read_text()
    assert "1 edge from a node to itself is left out." in page
    assert "label propagation answers there by the shares of the classes" in page


@pytest.mark.parametrize(
    "options", [{"edges": "a.csv"}, {"sets": ()}, {"sets": ("others",)}, {"dropout": 1.0}, {"held": 0.5}]
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        GraphRecipe.from_options(options)


def test_propagation_leaves_a_component_without_labels_at_the_shares() -> None:
    edges = torch.tensor([[0, 1, 3], [1, 2, 4]])
    graph = Graph.of(edges, torch.ones(5, 1), torch.tensor([0, 1, 1, 0, 1]), ["a", "b"])
    train = torch.tensor([True, False, True, False, False])
    graph = graph.with_split(train, torch.tensor([False, True, False, False, False]), ~train)
    found = propagated_labels(graph)
    torch.testing.assert_close(found[1], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(found[3:], torch.tensor([[1 / 3, 2 / 3]] * 2))


def test_training_keeps_the_best_validation_epoch_and_repeats() -> None:
    draw = torch.Generator().manual_seed(0)
    graph = block_graph(90, 3, draw).draw_split(draw, 5, 30, 30)
    one, other = (
        graph_answer("convolution", graph, Setting(epochs=30), torch.Generator().manual_seed(1)) for _ in "ab"
    )
    assert torch.equal(one.probabilities, other.probabilities)
    said = one.probabilities.argmax(dim=1)[graph.validation]
    assert (said == graph.labels[graph.validation]).double().mean() == max(one.validation)


def test_classes_have_the_mass_of_their_shares() -> None:
    draw = torch.Generator().manual_seed(0)
    graph = block_graph(60, 3, draw).draw_split(draw, 4, 20, 20)
    answer = torch.rand(60, 3, generator=draw)
    answer /= answer.sum(dim=1, keepdim=True)
    found = class_mass(answer, graph)
    assert torch.allclose(found.sum(dim=1), torch.ones(60))
    # Before rows are divided by their sum, the masses of the classes of equal shares are equal.
    ratio = found / answer
    mass = answer[~graph.train].sum(dim=0)
    assert torch.allclose(ratio[:, 0] / ratio[:, 1], (mass[1] / mass[0]).expand(60))
