"""A graph of one's own from two tables, and a table of what was predicted for its nodes."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from pathlib import Path

import torch
from torch import Tensor

from lowland.bounded import read_bytes
from lowland.data.graphs import SPLITS, Graph
from lowland.errors import DataError
from lowland.files import write_atomically
from lowland.words import escaped

_MOST_PLAIN = 5000
"""Nodes without features get one that is theirs alone, up to this number of nodes."""


def read_graph(edges: str | Path, nodes: str | Path) -> Graph:
    r"""The graph in two CSV files, in UTF-8, separated by commas, semicolons or tabs.

    Features are standardised, each column by its mean and standard deviation.

    Args:
        edges: two columns of ids, and a third of weights if there is one. A first line whose ids are no nodes is
            a heading.
        nodes: columns id, label (may be empty) and features, which are numbers. A first line is a heading if its first
            column is "id", "node" or "name", or its features are no numbers.

    Raises:
        DataError: for tables that cannot be read, an edge to a node that is not there, an id twice, a feature or weight
            that is no finite number, no label at all, or no edge.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one, two = Path(folder, "edges.csv"), Path(folder, "nodes.csv")
    ...     _ = one.write_text("a,b\nb,c\n"), two.write_text("id,label,size\na,new,1\nb,,2\nc,old,3\n")
    ...     read_graph(one, two).summary
    'a graph of 3 nodes and 2 edges in 2 classes'
    """
    names, labels, features = _nodes(Path(nodes))
    number = {name: row for row, name in enumerate(names)}
    rows = _table(Path(edges), "edges")
    if rows and not {cell.strip() for cell in rows[0][1][:2]} & set(number):
        rows = rows[1:]
    if not rows:
        raise DataError(f"{edges} names no edge: a graph needs two columns of ids of nodes.")
    ends, weights = list[list[int]](), list[float]()
    for line, row in rows:
        if len(row) not in (2, 3):
            raise DataError(f"{edges}, line {line}: an edge has two ids, a weight maybe, not {len(row)} columns.")
        for cell in row[:2]:
            if cell.strip() not in number:
                raise DataError(
                    f"{edges}, line {line}: there is no node {escaped(cell.strip())} in {nodes}: add it there, or "
                    "leave out the edge."
                )
        weight = _number(row[2]) if len(row) == 3 else 1.0
        if not 0 < weight < math.inf:
            raise DataError(f"{edges}, line {line}: a weight must be a finite number above 0, not {escaped(row[2])}.")
        ends.append([number[cell.strip()] for cell in row[:2]])
        weights.append(weight)
    known = {label for label in labels if label}
    if not known:
        raise DataError(
            f"{nodes}: no node has a label, so that there is nothing to learn from: fill in the second column."
        )
    classes = sorted(known)
    answers = torch.tensor([classes.index(label) if label else -1 for label in labels])
    graph = Graph.of(torch.tensor(ends).T, features, answers, classes, torch.tensor(weights), names)
    parts = graph.components
    notes = list(graph.notes)
    if (count := len(parts.unique())) > 1:
        empty = int((~torch.isin(parts, parts[answers >= 0])).sum())
        notes.append(
            f"The graph has {count:,} components. "
            + (f"{empty:,} nodes are in components without any label, where nothing can be propagated: label "
               "propagation answers there by the shares of the classes." if empty else "Each has labelled nodes.")
        )  # fmt: skip
    return dataclasses.replace(graph, notes=tuple(notes))


def write_predictions(path: Path, graph: Graph, probabilities: Tensor) -> Path:
    """A table of id, label, part, predicted class and its probability, and that of each class, CSV in UTF-8.

    Part is "train", "validation" or "test" for a labelled node, and "new" for one without a label.

    Args:
        path: of the file.
        graph: N nodes, with names.
        probabilities: (N, C).

    Raises:
        CheckpointError: if it cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "label", "part", "predicted", "probability", *(f"p({name})" for name in graph.classes)])
    masks = {name: getattr(graph, name).tolist() for name in SPLITS}
    for row, (name, label, shares) in enumerate(
        zip(graph.names, graph.labels.tolist(), probabilities.tolist(), strict=True)
    ):
        best = max(range(len(shares)), key=shares.__getitem__)
        part = next((split for split, mask in masks.items() if mask and mask[row]), "new")
        known = graph.classes[label] if label >= 0 else ""
        table.writerow([name, known, part, graph.classes[best], f"{shares[best]:.4f}", *(f"{p:.4f}" for p in shares)])
    write_atomically(path, text.getvalue().encode())
    return path


def _table(path: Path, what: str) -> list[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers from 1."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
        first = text.split("\n", 1)[0]
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
        return [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The {what} in {path} cannot be read ({error}): they must be CSV, in UTF-8.") from None


def _nodes(path: Path) -> tuple[list[str], list[str], Tensor]:
    """Ids, labels ("" for none) and standardised features (N, D) of the nodes."""
    rows = _table(path, "nodes")
    if rows and _heading(rows[0][1]):
        rows = rows[1:]
    if not rows or len(rows[0][1]) < 2:
        raise DataError(f"{path} names no nodes: it needs columns id, label and features, which are numbers.")
    width, names = len(rows[0][1]), dict[str, int]()
    for line, row in rows:
        if len(row) != width:
            raise DataError(f"{path}, line {line}: there are {len(row)} columns, but {width} in the lines before.")
        name = row[0].strip()
        if name in names:
            raise DataError(f"{path}, line {line}: node {escaped(name)} stands in line {names[name]} already.")
        names[name] = line
    table = torch.tensor([[_number(cell) for cell in row[2:]] for _, row in rows], dtype=torch.float64)
    wrong = (~table.isfinite()).nonzero()
    if len(wrong):
        (line, row), column = rows[int(wrong[0, 0])], int(wrong[0, 1]) + 2
        raise DataError(
            f"{path}, line {line}, column {column + 1}: {escaped(row[column]) or 'an empty cell'} is no finite number, "
            "as a feature must be: fill it in, or leave the column out."
        )
    if width == 2 and len(rows) > _MOST_PLAIN:
        raise DataError(f"{path}: more than {_MOST_PLAIN:,} nodes need features: add columns of numbers.")
    if width == 2:
        table = torch.eye(len(rows), dtype=torch.float64)
    else:
        scale = table.std(dim=0, correction=0)
        table = (table - table.mean(dim=0)) / torch.where(scale > 0, scale, 1)
    return list(names), [row[1].strip() for _, row in rows], table.float()


def _heading(row: list[str]) -> bool:
    return row[0].strip().lower() in ("id", "node", "name") or (
        len(row) > 2 and all(math.isnan(_number(cell)) for cell in row[2:])
    )


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
