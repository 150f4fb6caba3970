"""Training of a latent world from images and actions: prediction of codes, and what keeps them from collapsing.

Shape letters: B samples, T steps, D size of a code, A of an action.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lowland.energies.base import Energy
from lowland.energies.protocols import offered
from lowland.errors import OptionError, UnsupportedError
from lowland.nn.layers import mlp
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.shaping.collapse import check_collapse
from lowland.shaping.regularised.vicreg import variance_covariance
from lowland.tensors import tree_map
from lowland.worlds.base import World
from lowland.worlds.forward import ForwardModel
from lowland.worlds.latent import LatentWorld
from lowland.worlds.rollout import rollout


@register("shaping")
class LatentTraining(Shaping):
    """L = mean ‖ĥ − h‖² / D + μ v + ν c + δ mean ‖h[t+1] − h[t]‖² / D + ω mean ‖a[t] − I(h[t], h[t+1])‖² / A.

    ĥ[1], …, ĥ[T] are predicted from the first code alone, h are the codes of the images. v and c are the variance and
    covariance terms of VICReg (Bardes, Ponce & LeCun 2022) of the codes less the mean of their own episode: otherwise
    what never changes in an episode, such as the layout of its walls, would be variance enough. But then nothing asks
    places to differ that no episode has both of, such as two rooms far apart: the first `between` numbers of a code
    have the terms of the codes less the mean of all, and v and c are means of both kinds. The change over time
    and the inverse dynamics I, a small network, are those of Sobal et al. 2025, "Learning from reward-free offline
    data" (PLDM, equations 2 to 6): without I nothing asks a code to hold what an action does.

    Energies: `ForwardModel` of a `LatentWorld`.

    Args:
        size, actions: D and A.
        between: numbers of a code that must vary over all episodes, not within each; at most D.
        variance, covariance, change, inverse: μ, ν, δ and ω.
        hidden: units of I.
        seed: of dropout masks.
        alarm: steps between checks for collapse; 0 for none.
        generator: draws the weights of I.

    Raises:
        OptionError: for a negative weight, or a `between` that is not from 0 to D.
        CollapseError: in training, if the codes have collapsed.
        UnsupportedError: for a world that is not a `LatentWorld`.

    >>> case = LatentTraining.reference_case()
    >>> sorted(case.shaping(case.energy, case.batch).metrics)
    ['change', 'covariance', 'deviation', 'error', 'inverse', 'variance']
    """

    start: Tensor
    step: Tensor

    def __init__(
        self,
        size: int,
        actions: int,
        between: int = 0,
        variance: float = 1.0,
        covariance: float = 0.1,
        change: float = 0.1,
        inverse: float = 1.0,
        hidden: int = 128,
        seed: int = 0,
        alarm: int = 200,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(seed)
        if not min(variance, covariance, change, inverse) >= 0:
            raise OptionError("The weights variance, covariance, change and inverse must be at least 0.")
        if not 0 <= between <= size:
            raise OptionError(f"between must be from 0 to the size of a code, {size}, but it is {between}.")
        self.variance, self.covariance, self.change, self.inverse = variance, covariance, change, inverse
        self.alarm, self.between = alarm, between
        self.guess = mlp(2 * size, hidden, hidden, actions, generator=generator)
        self.register_buffer("start", torch.zeros(()))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        return {"energy": [*energy.parameters(), *self.guess.parameters()]}

    def after_step(self, energy: Energy, batch: Batch) -> None:
        self.step += 1

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        weight, core = offered(energy, ForwardModel, type(self).__name__)
        world = self._world(core.world)
        first, actions = batch.x["state"], batch.x["actions"]
        steps = actions.shape[1]
        later = tree_map(lambda tensor: tensor.flatten(0, 1), batch.y)
        together = {name: torch.cat([first[name], later[name]]) for name in first}
        codes = world.features(together)
        h = torch.cat([codes[: len(actions), None], codes[len(actions) :].unflatten(0, (-1, steps))], dim=1)
        mask = world.draw_mask(self.noise(actions), steps) if world.masked else None
        start = world.context(first) | {"code": h[:, 0]}
        predicted = rollout(world, start, actions, None, steps, mask).states["code"]
        error = (predicted - h[:, 1:]).square().mean()
        over, within = h[..., : self.between], h[..., self.between :]
        parts = over - over.mean(dim=(0, 1)), within - within.mean(dim=1, keepdim=True)
        terms = [variance_covariance(part.flatten(0, 1)) for part in parts if part.shape[-1]]
        narrow, tied = (torch.stack(values).mean() for values in zip(*terms, strict=True))
        moved = (h - h.mean(dim=1, keepdim=True)).flatten(0, 1)
        change = (h[:, 1:] - h[:, :-1]).square().mean()
        guess = self.guess(torch.cat([h[:, :-1], h[:, 1:]], dim=-1))
        inverse = (guess - actions).square().mean()
        loss = weight * error + self.variance * narrow + self.covariance * tied
        loss = loss + self.change * change + self.inverse * inverse
        metrics = {"error": error, "variance": narrow, "covariance": tied, "change": change, "inverse": inverse}
        metrics = {name: value.detach() for name, value in metrics.items()}
        return Losses({"energy": loss}, metrics | self._watch(moved.detach()))

    def _watch(self, moved: Tensor) -> dict[str, Tensor]:
        """The deviation of codes within their episodes; with an alarm every so many steps."""
        deviation, step = moved.std(dim=0).mean(), int(self.step)
        if self.training and step == 0:
            self.start.copy_(deviation)
        if self.training and self.alarm and step and step % self.alarm == 0:
            check_collapse(moved, float(deviation), float(self.start), type(self).__name__, step)
        return {"deviation": deviation}

    def _world(self, world: World) -> LatentWorld:
        if not isinstance(world, LatentWorld):
            raise UnsupportedError(f"LatentTraining trains a LatentWorld, not a {type(world).__name__}.")
        return world

    @classmethod
    def reference_case(cls) -> ShapingCase:
        drawn = torch.Generator().manual_seed(0)
        images: Any = torch.rand(32, 4, 2, 8, 8, generator=drawn)
        actions = torch.rand(32, 3, 2, generator=drawn) * 2 - 1
        world = LatentWorld((2, 8, 8), 4, (4,), hidden=8)
        x, y = {"state": {"image": images[:, 0]}, "actions": actions}, {"image": images[:, 1:]}
        energy = ForwardModel(world, x["state"], horizon=3)
        return ShapingCase(cls(4, 2, hidden=8), energy, Batch(y, x, torch.arange(32)))
