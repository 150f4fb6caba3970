"""Scenes to learn from, to choose on and to test on, which share no series of stamps, no person and no photograph."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lowland.data.backgrounds import backgrounds
from lowland.data.groups import group_folds
from lowland.data.optical_digits import digits
from lowland.data.orl import faces
from lowland.data.pasted import PastedScenes, portraits
from lowland.data.photos import photo_crops
from lowland.data.stamps import stamps

Kind = Literal["stamps", "faces", "digits"]
PARTS = ("train", "validation", "test")
_FOLDS = 5
_GREY = (0.299, 0.587, 0.114)


def scene_sets(kind: Kind, seed: int = 0) -> dict[str, PastedScenes]:
    """Scenes of 128 × 128 pixels for each part: "train", "validation" and "test".

    "stamps" are in colour, turned by up to 20°, and mirrored or not; those to learn from are `varied`, since there are
    few photographs. Stamps and photographs of a part are the same for
    all seeds, which draw other scenes of them. "faces" are grey, in an ellipse, turned by up to 45°; five seeds in a
    row, from a multiple of five on, test on other people each. "digits", in scenes of 64 × 64, are a stand-in for both
    that needs nothing to be downloaded: their photographs are crops of the same two in all parts.

    Raises:
        DataError: if a data set is missing or damaged.

    >>> sets = scene_sets("digits")
    >>> list(sets), sets["test"].draw(0).image.shape
    (['train', 'validation', 'test'], torch.Size([1, 64, 64]))
    """
    seeds = {part: 10 * seed + number for number, part in enumerate(PARTS)}
    if kind == "digits":
        images, draw = digits(), torch.Generator().manual_seed(seed)
        crops = {part: _grey(photo_crops(12, 96, draw)) for part in PARTS}
        things = {part: _inked(getattr(images, part)) for part in PARTS}
        return {part: PastedScenes(things[part], crops[part], 64, (12.0, 36.0), 3, seed=seeds[part]) for part in PARTS}
    photographs = backgrounds()
    behind: dict[str, Tensor] = {part: getattr(photographs, part) for part in PARTS}
    labels = {part: getattr(photographs, f"{part}_labels") for part in PARTS}
    if kind == "stamps":
        cutouts = stamps()
        return {
            part: PastedScenes(
                getattr(cutouts, part), behind[part], varied=part == "train", seed=seeds[part], labels=labels[part]
            )
            for part in PARTS
        }
    images_N1HW, people_N = faces().together
    fold = group_folds(people_N, _FOLDS, torch.Generator().manual_seed(seed // _FOLDS), "people")[seed % _FOLDS]
    return {
        part: PastedScenes(
            portraits(images_N1HW[fold[part]]), _grey(behind[part]), turn=45.0, seed=seeds[part], labels=labels[part]
        )
        for part in PARTS
    }


def _grey(photographs_N3HW: Tensor) -> Tensor:
    return (photographs_N3HW * torch.tensor(_GREY)[:, None, None]).sum(dim=1, keepdim=True)


def _inked(images_N1HW: Tensor) -> Tensor:
    """Digits as dark cut-outs: opaque where there is ink."""
    return torch.cat([1 - images_N1HW, (2 * images_N1HW).clamp(0, 1)], dim=1)
