"""Lesions of four kinds of tissue, planted in half a brain, and the four contrasts in which a scanner would show them.

There is no patient in these images. The rule is below, and every number of it is ours.

Legend: N scans, D slices, H and W rows and columns, C = 4 contrasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowland.errors import DataError, OptionError, ShapeError, nearest

TISSUES = ("healthy", "necrosis", "oedema", "core", "enhancing")
"""The five classes of BRATS 2013 by label; "core" is the part of the core that is neither necrotic nor enhancing."""
CONTRASTS = ("T1", "T1 with contrast agent", "T2", "FLAIR")
HEALTHY, NECROSIS, OEDEMA, CORE, ENHANCING = range(len(TISSUES))

_KNOTS = (0.0, 0.36, 0.77, 1.0, 1.3)
_CURVES = (_KNOTS, _KNOTS, (0.0, 1.0, 0.6, 0.42, 0.4), (0.0, 0.2, 0.62, 0.48, 0.46))
"""Brightness of air, fluid, grey and white matter in each contrast, by that in T1."""
_LOOKS = {
    NECROSIS: (0.42, 0.44, 0.92, 0.52),
    OEDEMA: (0.70, 0.70, 0.80, 0.86),
    CORE: (0.62, 0.66, 0.74, 0.74),
    ENHANCING: (0.64, 1.12, 0.68, 0.76),
}
"""Mean brightness of each tissue in each contrast."""
_VARIES, _TEXTURE, _GAIN, _NOISE = 0.07, 0.06, 0.08, 0.05
"""Standard deviations: of a look between lesions, within one, of brightness over the head, and of a voxel."""
_RADII = (0.14, 0.3)
"""Of the core, as shares of the width of half a brain: 10 to 22 mm."""
_ROUGH = 0.3
_TRIES, _FILLED = 1000, 0.9
_GREY = 0.55
"""Oedema spares what is darker in T1: fluid."""


class LesionScans(NamedTuple):
    """N scans: `images` float32 (N, C, D, H, W), `labels` int64 (N, D, H, W), −1 outside the brain."""

    images: Tensor
    labels: Tensor


def lesion_scan(brain: Tensor, seed: int, slices: Sequence[int] | str = "all") -> LesionScans:
    """Half a brain with one lesion that nobody has seen before, in four contrasts; one scan, N = 1.

    The rule. The core is an ellipsoid around a place within the brain, its border moved by a smooth random field ε of
    three dimensions: at a distance r from the centre, in radii, ρ = r + 0.3 ε. Where ρ < a, a from 0.35 to 0.6, is
    necrosis. From there to ρ = 1 it enhances where a second field is above a random level, and is "core" elsewhere. Up
    to a ρ of s, from 1.4 to 2.2, is oedema, with a field of its own in its border, but not in fluid. Brightness of each
    tissue varies between lesions and within one; lesions are mixed with what was there before by a share from 0.65 to
    1. Then images are blurred by a voxel, brightness drifts over the head, and noise is added. Healthy half brains
    also have up to four small spots that look like oedema, and up to four vessels that are bright with the contrast
    agent: what they are can only be seen from what is around them.

    Args:
        brain: (D, H, W), see `Hemispheres`.
        seed: of all of it.
        slices: numbers of the slices to compute; "all"; "lesion" for one through the core, or "any" for one with
            brain, drawn from the seed.

    Raises:
        ShapeError: if the brain has not three dimensions.
        OptionError: for slices that are not there.
        DataError: if there is no place for a lesion, which takes 5 voxels of tissue in each direction.

    >>> from lowland.data.brain import phantom_hemispheres
    >>> scan = lesion_scan(phantom_hemispheres().left, seed=0)
    >>> scan.images.shape, sorted(scan.labels.unique().tolist())
    (torch.Size([1, 4, 20, 32, 16]), [-1, 0, 1, 2, 3, 4])
    """
    if brain.ndim != 3:
        raise ShapeError(f"Half a brain must be (D, H, W), not {tuple(brain.shape)}.")
    draw = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=draw))

    centre = _deep_inside(brain, draw)
    radius = uniform(*_RADII) * brain.shape[2]
    rows = _rows(brain, centre, radius, slices, draw)
    tissue = brain[rows]
    place = torch.meshgrid(rows, *(torch.arange(side) for side in brain.shape[1:]), indexing="ij")
    field = _Fields(brain.shape, rows, 0.7 * radius, draw)

    stretch = [uniform(0.8, 1.25) for _ in range(3)]
    away = [(axis - at) / (radius * each) for axis, at, each in zip(place, centre.tolist(), stretch, strict=True)]
    distance = torch.stack(away).square().sum(dim=0).sqrt()
    core = distance + _ROUGH * field()
    swollen = distance + _ROUGH * field() < uniform(1.4, 2.2)
    within, rim = uniform(0.35, 0.6), field() > uniform(-0.8, 0.1)
    labels = torch.full(tissue.shape, HEALTHY)
    labels[(swollen | (core < 1)) & (tissue > _GREY)] = OEDEMA
    labels[(core < 1) & ~rim] = CORE
    labels[(core < 1) & rim] = ENHANCING
    labels[core < within] = NECROSIS
    labels[tissue <= 0] = -1

    looks = torch.tensor([(0.0,) * len(CONTRASTS), *_LOOKS.values()])
    looks = looks + _VARIES * torch.randn(looks.shape, generator=draw)
    share, images = uniform(0.65, 1.0), _contrasts(tissue)
    spots = _spots(brain, place, draw)
    images[2:, spots[0]] += 0.3
    images[1, spots[1]] += 0.4
    for label in _LOOKS:
        there = labels == label
        look = looks[label][:, None] + _TEXTURE * field()[there]
        images[:, there] += share * (look - images[:, there])
    images = nn.functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False) / 2 + images / 2
    for image in images:
        image *= 1 + _GAIN * float(torch.randn((), generator=draw)) + _GAIN * field(0.4 * brain.shape[1])
    images += _NOISE * torch.randn(images.shape, generator=draw)
    return LesionScans((images * (tissue > 0))[None], labels[None])


def lesion_scans(brain: Tensor, count: int, seed: int, slices: Sequence[int] | str = "all") -> LesionScans:
    """So many scans of `lesion_scan`, with seeds that follow each other from seed · 1,000,003 on.

    >>> from lowland.data.brain import phantom_hemispheres
    >>> lesion_scans(phantom_hemispheres().left, 3, seed=0, slices="lesion").labels.shape
    torch.Size([3, 1, 32, 16])
    """
    made = [lesion_scan(brain, seed * 1_000_003 + number, slices) for number in range(count)]
    return LesionScans(torch.cat([one.images for one in made]), torch.cat([one.labels for one in made]))


def _rows(brain: Tensor, centre: Tensor, radius: float, slices: Sequence[int] | str, draw: torch.Generator) -> Tensor:
    chance = float(torch.rand((), generator=draw))
    if slices == "all":
        return torch.arange(len(brain))
    full = (brain > 0).flatten(1).any(dim=1).nonzero()[:, 0]
    if slices == "lesion":
        wanted = int(centre[0]) + round(0.9 * radius * (2 * chance - 1))
        return full[(full - wanted).abs().argmin()][None]
    if slices == "any":
        return full[int(chance * len(full))][None]
    if isinstance(slices, str):
        raise OptionError(f"There are no slices called {slices!r}. {nearest(slices, ('all', 'lesion', 'any'))}")
    numbers = list(map(int, slices))
    if not numbers or not 0 <= min(numbers) <= max(numbers) < len(brain):
        raise OptionError(f"Slices must be numbers from 0 to {len(brain) - 1}, at least one, not {numbers}.")
    return torch.tensor(numbers)


def _deep_inside(brain: Tensor, draw: torch.Generator) -> Tensor:
    """A place that has tissue around it, by trying: a map of all such places would take longer."""
    places = (brain > _GREY).nonzero()
    if len(places):
        for number in torch.randint(len(places), (_TRIES,), generator=draw).tolist():
            around = brain[tuple(slice(max(0, at - 2), at + 3) for at in places[number].tolist())]
            if float((around > _GREY).float().mean()) > _FILLED:
                return places[number]
    raise DataError(f"There is no place for a lesion: no cube of 5 voxels is to {_FILLED:.0%} tissue of a brain.")


def _one_of(mask: Tensor, draw: torch.Generator) -> Tensor:
    places = mask.nonzero()
    return places[int(torch.randint(len(places), (), generator=draw))]


class _Fields:
    """Smooth random fields of about unit variance on some slices: values on a coarse grid, linearly interpolated."""

    def __init__(self, shape: Sequence[int], rows: Tensor, reach: float, draw: torch.Generator) -> None:
        self.shape, self.rows, self.reach, self.draw = tuple(shape), rows, reach, draw

    def __call__(self, reach: float | None = None) -> Tensor:
        step = max(2.0, reach or self.reach)
        sides = [int(side / step) + 2 for side in self.shape]
        coarse = torch.randn(sides, generator=self.draw)
        where = (self.rows.float(), *(torch.arange(side).float() for side in self.shape[1:]))
        weights = [_hats(at / step, count) for at, count in zip(where, sides, strict=True)]
        # A linear mix of independent values has a variance of (2/3)³ in the mean over places.
        return 1.5**1.5 * torch.einsum("abc,da,hb,wc->dhw", coarse, *weights)


def _hats(at: Tensor, count: int) -> Tensor:
    """Weights of linear interpolation, (places, count)."""
    return (1 - (at[:, None] - torch.arange(count)).abs()).clamp_min(0)


def _contrasts(tissue: Tensor) -> Tensor:
    """The brightness of healthy tissue in each contrast, (C, D, H, W), linear between the knots."""
    knots = torch.tensor(_KNOTS)
    right = torch.bucketize(tissue, knots).clamp(1, len(knots) - 1)
    share = (tissue - knots[right - 1]) / (knots[right] - knots[right - 1])
    curves = torch.tensor(_CURVES)
    return curves[:, right - 1] + share * (curves[:, right] - curves[:, right - 1])


def _spots(brain: Tensor, place: Sequence[Tensor], draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Masks of bright spots in white matter and of vessels; both are healthy."""
    found = []
    for tissue, largest in ((brain > 0.9, 0.09), (brain > 0, 0.05)):
        mask = torch.zeros_like(place[0], dtype=torch.bool)
        for _ in range(int(torch.randint(5, (), generator=draw))):
            if bool(tissue.any()):
                centre = _one_of(tissue, draw)
                radius = 0.7 + largest * brain.shape[2] * float(torch.rand((), generator=draw))
                away = sum((axis - at) ** 2 for axis, at in zip(place, centre.tolist(), strict=True))
                mask |= away < radius**2
        found.append(mask)
    return found[0], found[1]
