"""How well lesions are labelled: Dice of three regions; and labels by place or by brightness alone.

Legend: N scans, M values of a voxel, D slices, H and W rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowland.data.lesions import CORE, ENHANCING, HEALTHY, NECROSIS, OEDEMA
from lowland.energies.grid_crf import GridCRF
from lowland.errors import ShapeError
from lowland.nn.layers import evaluating

REGIONS = {
    "complete": (NECROSIS, OEDEMA, CORE, ENHANCING),
    "core": (NECROSIS, CORE, ENHANCING),
    "enhancing": (ENHANCING,),
}
"""What BRATS measures (Menze et al. 2015), from the largest region to the smallest, each within the one before."""
_PAINTED = {"complete": OEDEMA, "core": CORE, "enhancing": ENHANCING}
_LEVELS, _FEW = 40, 1_000_000
_AT_ONCE = 4


def region(labels: Tensor, name: str) -> Tensor:
    """Which voxels are in a region of `REGIONS`, bool, of the shape of the labels."""
    return torch.isin(labels, torch.tensor(REGIONS[name]))


def dice(found: Tensor, truth: Tensor) -> Tensor:
    """2 |A ∩ B| / (|A| + |B|) of each scan, (N,), for masks (N, ...); 1 if both are empty.

    Raises:
        ShapeError: for masks of different shapes.

    >>> dice(torch.tensor([[True, True, False]]), torch.tensor([[True, False, False]]))
    tensor([0.6667])
    """
    if found.shape != truth.shape:
        raise ShapeError(f"The masks have the shapes {tuple(found.shape)} and {tuple(truth.shape)}.")
    both, sizes = (found & truth).flatten(1).sum(dim=1), (found.flatten(1).sum(dim=1) + truth.flatten(1).sum(dim=1))
    return torch.where(sizes > 0, 2 * both / sizes.clamp_min(1), torch.ones(()))


def lesion_row(labels: Tensor, truth: Tensor) -> dict[str, float]:
    """The mean Dice of each region over the scans; voxels with a truth of −1, outside the brain, do not count.

    >>> lesion_row(torch.tensor([[2, 4, 3]]), torch.tensor([[2, 4, -1]]))
    {'complete': 1.0, 'core': 1.0, 'enhancing': 1.0}
    """
    known = torch.where(truth < 0, HEALTHY, labels)
    return {name: float(dice(region(known, name), region(truth, name)).mean()) for name in REGIONS}


@torch.no_grad()
def label_scans(energy: GridCRF, images: Tensor, every: int = 1) -> Tensor:
    """The labels of least energy of some slices of scans, (N, D / every, H, W), at smoothness 0.

    Args:
        energy: of a network for slices or for volumes.
        images: (N, C, D, H, W).
        every: which slices: the first and each so-manieth behind it. A network for volumes sees all of them.
    """
    volume = getattr(energy.network, "slices", 1) > 1
    x = images.flatten(2, 3) if volume else images[:, :, ::every].transpose(1, 2).flatten(0, 1)
    with evaluating(energy):
        found = torch.cat([energy.network(part).argmax(dim=1) for part in x.split(1 if volume else _AT_ONCE)])
    height = images.shape[3]
    return found.unflatten(1, (-1, height))[:, ::every] if volume else found.unflatten(0, (len(images), -1))


class Threshold(NamedTuple):
    """A mask: where value `number` is above a level, or below it if `sign` is −1."""

    number: int
    sign: int
    level: float

    def mask(self, values: Tensor) -> Tensor:
        """Which voxels of values (N, M, ...) are in."""
        return self.sign * values[:, self.number] > self.level


def best_thresholds(values: Tensor, truth: Tensor) -> dict[str, Threshold]:
    """For each region the value, direction and level, of 40 quantiles, of the largest mean Dice.

    Args:
        values: (N, M, ...) of the voxels of scans.
        truth: labels (N, ...), −1 outside the brain, which does not count.
    """
    inside = truth >= 0
    wanted = {name: region(truth, name) for name in REGIONS}
    best = dict.fromkeys(REGIONS, (-1.0, Threshold(0, 1, math.inf)))
    shares = torch.linspace(0, 1, _LEVELS + 2)[1:-1]
    for number in range(values.shape[1]):
        known = values[:, number][inside]
        levels = known[:: max(1, len(known) // _FEW)].quantile(shares).tolist()
        for option in (Threshold(number, sign, sign * level) for level in levels for sign in (1, -1)):
            mask = option.mask(values) & inside
            for name, true in wanted.items():
                best[name] = max(best[name], (float(dice(mask, true).mean()), option), key=lambda each: each[0])
    return {name: option for name, (_, option) in best.items()}


def threshold_labels(values: Tensor, thresholds: Mapping[str, Threshold]) -> Tensor:
    """Labels (N, ...): each region within the larger ones, the complete lesion as oedema, its core as "core"."""
    labels = torch.full_like(values[:, 0], HEALTHY, dtype=torch.int64)
    inside = torch.ones_like(labels, dtype=torch.bool)
    for name, label in _PAINTED.items():
        inside &= thresholds[name].mask(values)
        labels[inside] = label
    return labels


def lesion_frequency(labels: Tensor) -> Tensor:
    """How often each voxel is in each region, (3, D, H, W), blurred over 7 voxels: what place alone says of a lesion.

    Args:
        labels: (N, D, H, W).
    """
    often = torch.stack([region(labels, name).float().mean(dim=0) for name in REGIONS])
    return nn.functional.avg_pool3d(often, 7, 1, 3, count_include_pad=False)
