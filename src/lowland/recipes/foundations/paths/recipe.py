"""A rectifier network is a sum over paths, exactly; while no unit switches, it is a polynomial in its weights."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.nn.layers import mlp
from lowland.nn.path_sum import linear_layers, path_sum, polynomial_excess
from lowland.plots.networks import active_paths
from lowland.recipes.base import Bound, Recipe, recipe
from lowland.reports.run import Run

SHOWN = 6


PLACES = 12
"""Decimals of distances: those behind them differ from one sum to the same one again."""


@recipe
@dataclass(frozen=True)
class PathsRecipe(Recipe):
    """Ŷ = Σ_P δ_P(W, X) (Π W_ij) X: all paths of random networks, added up and compared with the networks."""

    nets: Annotated[int, Bound(least=4)] = 50
    """Random networks, in equal shares with one, two, three and four linear layers."""
    widest: Annotated[int, Bound(least=2, most=8)] = 6
    """Units of a layer at most; at least two."""
    samples: Annotated[int, Bound(least=1, most=100)] = 20
    """Normal inputs of each network."""

    accelerated: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"nets": 8, "widest": 4, "samples": 4}}

    def run(self, run: Run) -> None:
        run.expect(1)
        found = run.stage("sum", self._sum)
        for name, rows in itertools.groupby(found, key=lambda row: row["layers"]):
            each = list(rows)
            paths = sum(row["paths"] for row in each)
            run.measured.add({
                f"{name}": {
                    "difference": round(max(row["difference"] for row in each), PLACES),
                    "size": max(row["size"] for row in each),
                    "paths": paths / len(each),
                    "active": 100 * sum(row["active"] for row in each) / paths,
                    "excess": round(max(row["excess"] for row in each), PLACES),
                    "below": round(min(row["below"] for row in each), PLACES),
                }
            })  # fmt: skip
        run.show(worst=max(row["difference"] for row in found), paths=sum(row["paths"] for row in found))
        run.part(self._draw)

    def _sum(self) -> list[dict[str, Any]]:
        draw, rows = self.generator(), []
        for number in range(self.nets):
            layers = 1 + 4 * number // self.nets
            network = self._network(layers, draw)
            x = self._normal((self.samples, linear_layers(network)[0].in_features), draw)
            direction = [self._normal(one.shape, draw) for one in network.parameters()]
            with torch.no_grad():
                found, output = path_sum(network, x), network(x)
            # One input, so that no unit switches over an interval that is not too short.
            excess = partial(polynomial_excess, network, x[:1], direction)
            rows.append({
                "layers": layers, "paths": found.paths, "active": found.active.double().mean().item(),
                "difference": (found.output - output).abs().max().item(), "size": output.abs().max().item(),
                "excess": excess(layers), "below": excess(layers - 1),
            })  # fmt: skip
        return rows

    def _network(self, layers: int, draw: torch.Generator) -> nn.Sequential:
        sizes = torch.randint(2, self.widest + 1, (layers + 1,), generator=draw).tolist()
        return mlp(*sizes, activation=nn.ReLU, generator=draw).double()

    def _normal(self, shape: tuple[int, ...] | torch.Size, draw: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    def _draw(self, run: Run) -> None:
        draw = self.generator(1)
        network = mlp(3, 5, 5, 2, activation=nn.ReLU, generator=draw).double()
        x = self._normal((SHOWN, 3), draw)
        with torch.no_grad():
            found = path_sum(network, x)
        switches = [[layer[i] for layer in found.switches] for i in range(len(x))]
        titles = [f"input {i + 1}: {found.active[i]} of {found.paths} paths" for i in range(len(x))]
        weights = [layer.weight for layer in linear_layers(network)]
        run.figure("active", partial(active_paths, weights, switches, titles))
