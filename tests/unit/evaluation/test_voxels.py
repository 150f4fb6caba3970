"""Measures of labelled voxels, by hand."""

from __future__ import annotations

import torch

from lowland.data.voxels import VoxelScenes
from lowland.evaluation.voxels import height_scores, object_answers, voxel_row


def scenes() -> VoxelScenes:
    places = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 2], [1, 5, 5, 0], [1, 5, 5, 1]])
    return VoxelScenes(places, torch.tensor([0, 0, 0, 1, 1]), torch.tensor([4, 4, 4, 9, 9]), 8, ("a", "b"))


def test_objects_are_judged_by_the_sum_of_log_p() -> None:
    # Two voxels of the first object lean to b, the third is sure of a; the second object's sum is for a.
    scores = torch.tensor([[0.0, 0.1], [0.0, 0.1], [9.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    said, truth = object_answers(scores, scenes())
    assert said.tolist() == [0, 0]
    assert truth.tolist() == [0, 1]
    row = voxel_row(scores, scenes())
    # a: 1 right of 3 + 1 said wrongly; b: 1 right of 2 + 2.
    assert row == {"mIoU": 25.0, "voxels": 40.0, "objects": 50.0}


def test_height_knows_what_is_usual_there() -> None:
    found = height_scores(scenes(), scenes())
    assert found["majority"].exp().sum(dim=1).sub(1).abs().max() < 1e-6
    assert found["height"].exp().sum(dim=1).sub(1).abs().max() < 1e-6
    assert torch.allclose(found["majority"][0].exp(), torch.tensor([4 / 7, 3 / 7]))
    # At height 2 there was one voxel, of a; one of each class is added.
    assert torch.allclose(found["height"][2].exp(), torch.tensor([2 / 3, 1 / 3]))
