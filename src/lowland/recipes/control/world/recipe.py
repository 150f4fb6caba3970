"""A forward model learned from a log alone, and how good it is; nothing is controlled."""

from __future__ import annotations

from dataclasses import dataclass

from lowland.recipes.base import recipe
from lowland.recipes.control.world.options import WorldOptions
from lowland.recipes.control.world.plant import learn_plant
from lowland.recipes.control.world.traffic import learn_traffic
from lowland.reports.run import Run


@recipe
@dataclass(frozen=True)
class WorldRecipe(WorldOptions):
    """s[t+1] = g(s[t], a[t], z[t]): a small network for a plant, a convolutional one for images of traffic."""

    def run(self, run: Run) -> None:
        if self.data == "traffic":
            learn_traffic(self, run)
        else:
            learn_plant(self, run)
