"""An epoch of graph networks beside PyTorch Geometric's: the same weights, the same outputs, and seconds.

    python benchmarks/graphs.py [--quick] [--json FILE] [--rounds R]

Two layers of 16 units as in Kipf & Welling (2017), without dropout, which draws differently. An epoch is a step of
Adam and a pass for validation. Both run in one process on one thread, in alternation, and processor time counts.
Features are sparse here and dense there, as each library stores them; a second row has dense features in both.
`torch_geometric` is not a dependency of Lowland; normalised graphs are cached in both, if it can.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from core import contest, device, race, versions
from report import write
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.citations import citeseer, cora, pubmed
from lowland.data.graphs import Graph, block_graph
from lowland.evaluation.graphs import stored
from lowland.nn.graph_convolution import (
    ChebyshevConvolution,
    GraphConvolution,
    graph_network,
    normalised_adjacency,
    scaled_laplacian,
)

HIDDEN, ORDER = 16, 2


class Theirs(nn.Module):
    def __init__(self, kind: str, sizes: tuple[int, int, int]) -> None:
        super().__init__()
        from torch_geometric.nn import ChebConv, GCNConv

        make = partial(GCNConv, cached=True) if kind == "convolution" else partial(ChebConv, K=ORDER + 1)
        self.layers = nn.ModuleList([make(sizes[0], sizes[1]), make(sizes[1], sizes[2])])

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return self.layers[1](self.layers[0](x, edges).relu(), edges)

    def take(self, ours: nn.Module) -> None:
        """The weights of our network."""
        with torch.no_grad():
            for mine, own in zip(self.layers, ours.layers, strict=True):  # type: ignore[arg-type]
                parts = [mine.lin] if hasattr(mine, "lin") else mine.lins
                for part, weight in zip(parts, own.weight, strict=True):  # type: ignore[arg-type]
                    part.weight.copy_(weight.T)


def epoch(network: nn.Module, optimiser: torch.optim.Optimizer, x: Any, form: Any, graph: Graph) -> None:
    optimiser.zero_grad()
    functional.cross_entropy(network(x, form)[graph.train], graph.labels[graph.train]).backward()
    optimiser.step()
    with torch.no_grad():
        network(x, form)


def epochs(count: int, run: Callable[[], None]) -> None:
    for _ in range(count):
        run()


def compared(name: str, graph: Graph, kind: str, rounds: int, dense: bool) -> dict[str, Any]:
    sizes = graph.features.shape[1], HIDDEN, len(graph.classes)
    make, form = (
        (GraphConvolution, normalised_adjacency) if kind == "convolution"
        else (partial(ChebyshevConvolution, order=ORDER), scaled_laplacian)
    )  # fmt: skip
    ours, theirs = graph_network(make, sizes, 0.0), Theirs(kind, sizes)
    theirs.take(ours)
    table, both = form(graph.edges, len(graph.labels)), torch.cat([graph.edges, graph.edges.flip(0)], dim=1)
    x = graph.features if dense else stored(graph.features)
    with torch.no_grad():
        apart = float((ours(x, table) - theirs(graph.features, both)).abs().max())
    runs = {}
    for side, network, given, edges in (("ours", ours, x, table), ("theirs", theirs, graph.features, both)):
        optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
        runs[side] = partial(epochs, 5, partial(epoch, network, optimiser, given, edges, graph))
    seconds = race(runs, rounds, threads=1, warm=1)
    case = f"{name}, {kind}, {'dense' if dense else 'sparse'} features: 5 epochs"
    return contest(case, seconds["ours"], "PyTorch Geometric", seconds["theirs"], 1, error_ours=apart)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a random graph of 300 nodes, to see that it runs")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    draw = torch.Generator().manual_seed(0)
    if options.quick:
        graphs = {"blocks": block_graph(300, 3, draw).draw_split(draw, 5, 60, 60)}
    else:
        graphs = {"Cora": cora().draw_split(draw), "Citeseer": citeseer(), "Pubmed": pubmed()}
    rows: list[dict[str, Any]] = []
    for name, graph in graphs.items():
        for kind in ("convolution", "chebyshev"):
            for dense in (False, True):
                try:
                    rows.append(compared(name, graph, kind, options.rounds, dense))
                except ImportError as error:
                    rows.append({"case": f"{name}, {kind}", "why": str(error)})
                print(rows[-1], flush=True)
    if options.json:
        write(options.json, "Graph networks", device(), versions("torch_geometric"), rows)


if __name__ == "__main__":
    main()
