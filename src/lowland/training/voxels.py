"""Training of networks that label the voxels of scenes: the best weights by validation are kept.

Shape letters: N voxels, K classes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.voxels import VoxelScenes
from lowland.errors import TrainingError, check_number
from lowland.nn.layers import evaluating
from lowland.nn.sparse_volumes import SparseVolume
from lowland.training.schedules import warm_cosine

CHANNELS = 2
"""Features of a voxel: that it is there, and its height."""
_AT_ONCE = 8


def as_volume(scenes: VoxelScenes, device: str | torch.device = "cpu") -> SparseVolume:
    """Scenes as a sparse volume with two features: 1, and the height from −1 at the ground to 1."""
    height = 2 * scenes.coordinates[:, 3] / (scenes.side - 1) - 1
    features = torch.stack([torch.ones_like(height), height], dim=1).to(torch.get_default_dtype())
    sides = scenes.side, scenes.side, scenes.side
    return SparseVolume(scenes.coordinates.to(device), features.to(device), sides, scenes.number)


@torch.no_grad()
def voxel_scores(network: nn.Module, scenes: VoxelScenes, device: str | torch.device = "cpu") -> Tensor:
    """Scores (N, K) of the voxels of all scenes, eight scenes at a time."""
    groups = torch.arange(scenes.number).split(_AT_ONCE)
    with evaluating(network):
        return torch.cat([network(as_volume(scenes.some(some.tolist()), device)).cpu() for some in groups])


def train_voxel_network(
    network: nn.Module,
    train: VoxelScenes,
    validation: VoxelScenes,
    judge: Callable[[Tensor], float],
    steps: int,
    batch: int,
    rate: float,
    generator: torch.Generator,
    checks: Sequence[float] = (0.5, 0.75, 1.0),
    device: str | torch.device = "cpu",
) -> dict[str, list[float]]:
    """Lower −log p of the labels of voxels by Adam, with a rate that rises for a tenth of the steps and falls to 0.

    Args:
        network: a sparse volume to scores (N, K), trained in place; it ends in evaluation mode.
        train: scenes to learn from.
        validation: scenes that choose the weights.
        judge: how good scores (N, K) of the validation voxels are; the weights with the largest number are kept, of
            equal ones the first.
        steps: of so many scenes each.
        batch: scenes of a step.
        rate: highest learning rate.
        generator: order of the scenes.
        checks: shares of the steps after which the validation scenes are looked at.
        device: where to compute.

    Returns:
        "loss" in nats after each step, and "validation", what `judge` said at each check.

    Raises:
        OptionError: for fewer than one step or scene.
        TrainingError: if the loss is not finite.

    >>> from lowland.data.solids import solid_models
    >>> from lowland.data.voxels import point_models, voxel_scenes
    >>> from lowland.nn.volume_unets import SparseUNet
    >>> draw = torch.Generator().manual_seed(0)
    >>> scenes = voxel_scenes(point_models(solid_models(2), count=500), 4, 16, draw)
    >>> found = train_voxel_network(SparseUNet(2, 5, (4, 8)), scenes, scenes, lambda scores: 1.0, 6, 2, 0.01, draw)
    >>> len(found["loss"]), len(found["validation"])
    (6, 3)
    """
    for name, value in {"steps": steps, "batch": batch}.items():
        check_number(name, value, least=1, whole=True)
    network = network.to(device)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, partial(warm_cosine, steps))
    found: dict[str, list[float]] = {"loss": [], "validation": []}
    looks = {math.ceil(share * steps) for share in checks} | {steps}
    order: list[int] = []
    kept = copy.deepcopy(network.state_dict())
    for step in range(1, steps + 1):
        if len(order) < batch:
            order += torch.randperm(train.number, generator=generator).tolist()
        some, order = train.some(order[:batch]), order[batch:]
        network.train()
        loss = functional.cross_entropy(network(as_volume(some, device)), some.labels.to(device))
        found["loss"].append(loss.item())
        if not math.isfinite(found["loss"][-1]):
            raise TrainingError(f"The loss is not finite after {step} steps: lower the rate.")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step in looks:
            found["validation"].append(judge(voxel_scores(network, validation, device)))
            if found["validation"][-1] > max(found["validation"][:-1], default=-math.inf):
                kept = copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    network.eval()
    return found
