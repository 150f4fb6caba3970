"""Dice by hand, thresholds that are known, and labels of slices as of volumes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowland.energies.grid_crf import GridCRF
from lowland.errors import ShapeError
from lowland.evaluation.lesions import (
    best_thresholds,
    dice,
    label_scans,
    lesion_frequency,
    lesion_row,
    region,
    threshold_labels,
)
from lowland.nn.parsing import PointwiseScores


def test_dice_of_scans() -> None:
    found = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]).bool()
    truth = torch.tensor([[0, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]]).bool()
    assert dice(found, truth).tolist() == pytest.approx([2 / 5, 1.0, 0.0])
    with pytest.raises(ShapeError, match="shapes"):
        dice(found, truth[:2])


def test_regions_are_nested_and_voxels_outside_do_not_count() -> None:
    labels = torch.tensor([[0, 1, 2, 3, 4, -1]])
    inside = [region(labels, name)[0].tolist() for name in ("complete", "core", "enhancing")]
    assert inside == [
        [False, True, True, True, True, False],
        [False, True, False, True, True, False],
        [False, False, False, False, True, False],
    ]
    assert lesion_row(torch.tensor([[0, 1, 2, 3, 4, 4]]), labels) == dict.fromkeys(("complete", "core", "enhancing"), 1)
    assert lesion_row(torch.tensor([[0, 2, 2, 2, 2, 0]]), labels) == {"complete": 1.0, "core": 0.0, "enhancing": 0.0}


def test_thresholds_are_found() -> None:
    """The lesion is bright in the second value, and its core dark in the first."""
    draw = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 2, (3, 4, 10, 10), generator=draw) * 2
    truth[:, :, :5][truth[:, :, :5] > 0] = 4
    truth[:, :, :, 9] = -1
    noise = 0.1 * torch.rand(3, 2, 4, 10, 10, generator=draw)
    values = noise + torch.stack([-1.0 * (truth == 4), 1.0 * (truth > 0)], dim=1)
    chosen = best_thresholds(values, truth)
    assert (chosen["complete"].number, chosen["complete"].sign) == (1, 1)
    assert (chosen["core"].number, chosen["core"].sign) == (0, -1)
    labels = threshold_labels(values, chosen)
    assert lesion_row(labels, truth)["complete"] > 0.95
    assert lesion_row(labels, truth)["enhancing"] > 0.95


def test_frequency_is_that_of_the_labels() -> None:
    labels = torch.zeros(4, 9, 9, 9, dtype=torch.int64)
    labels[:2] = 2
    often = lesion_frequency(labels)
    torch.testing.assert_close(often[0], torch.full((9, 9, 9), 0.5))
    assert float(often[1:].abs().max()) == 0


class _Brightest(nn.Module):
    """A network for volumes that says 1 where a voxel is above the mean of the whole volume."""

    shape, classes, slices = (1, 12, 3), 2, 4

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        above = image - image.mean(dim=(1, 2, 3), keepdim=True)
        return torch.cat([-above, above], dim=1)


def test_slices_and_volumes_are_labelled_alike() -> None:
    images = torch.randn(2, 1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    wanted = images[:, 0, ::2] > images.mean(dim=(1, 2, 3, 4))[:, None, None, None]
    assert torch.equal(label_scans(GridCRF(_Brightest()), images, 2).bool(), wanted)
    slices = GridCRF(PointwiseScores((1, 3, 3), 2))
    slices.network.weight.data[:] = torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1)
    assert torch.equal(label_scans(slices, images, 2).bool(), images[:, 0, ::2] > 0)
