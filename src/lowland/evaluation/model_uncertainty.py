"""Whether the uncertainty of a forward model grows away from its data, and ranks its errors.

Shape letters: B samples, T steps, A size of an action.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from scipy.stats import spearmanr
from torch import Tensor

from lowland.evaluation.forward_models import path_features
from lowland.tensors import PerSampleRNG, tree_map
from lowland.worlds.base import State, World
from lowland.worlds.uncertainty import variance


class UncertaintyReport(NamedTuple):
    """Variance of the next state over dropout masks.

    Attributes:
        near: (B,), at states of the data.
        far: (B,), at the same states moved away from the data.
        rank: Spearman's rank correlation of `near` and the squared errors of single steps.
    """

    near: Tensor
    far: Tensor
    rank: float


@torch.no_grad()
def uncertainty_report(
    world: World, x: Mapping[str, Any], y: State, moved: float = 3.0, masks: int = 20, seed: int = 0
) -> UncertaintyReport:
    """Uncertainty of single steps on held-out states and away from them, and its rank correlation with the errors.

    Args:
        world: a model with dropout, of states {"observation": (B, D)}.
        x: {"state": s[0], "actions": (B, T, A)}; only the first action is used.
        y: s[1], …, s[T].
        moved: standard deviation of the random shift, in standard deviations of each number over the samples.
        masks: number of dropout masks.
        seed: of masks and shifts.

    >>> from lowland.worlds import VectorWorld
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = {"state": {"observation": torch.randn(50, 3, generator=generator)}, "actions": torch.zeros(50, 1, 1)}
    >>> found = uncertainty_report(VectorWorld(3, 1, dropout=0.1), x, {"observation": torch.zeros(50, 1, 3)})
    >>> found.near.shape, -1 <= found.rank <= 1
    (torch.Size([50]), True)
    """
    truth, action = path_features(world, y)[:, 0], x["actions"][:, 0]
    noise = PerSampleRNG(seed, torch.arange(len(truth), device=truth.device))
    drawn = world.draw_mask(noise, masks)
    near = variance(world, x["state"], action, None, drawn)
    spread = x["state"]["observation"].std(dim=0)
    away = {**x["state"], "observation": x["state"]["observation"] + moved * spread * noise.normal(len(spread))}
    far = variance(world, away, action, None, drawn)
    first = path_features(world, tree_map(lambda tensor: tensor[:, None], world.step(x["state"], action)))[:, 0]
    rank: Any = spearmanr(near.cpu().numpy(), (first - truth).square().sum(dim=1).cpu().numpy())[0]
    return UncertaintyReport(near, far, float(rank))
