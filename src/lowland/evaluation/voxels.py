"""How well voxels of scenes are labelled, and labels that need no network: the commonest, or the commonest by height.

Shape letters: N voxels, K classes, O objects.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.data.voxels import VoxelScenes
from lowland.evaluation.segmentation import confusions, segmentation_row


def voxel_confusion(said: Tensor, scenes: VoxelScenes) -> Tensor:
    """How many voxels of each true class (rows) got each label (columns), (K, K), from labels (N,)."""
    return confusions(said[None, :, None], scenes.labels[None, :, None], len(scenes.classes))[0]


def object_answers(scores: Tensor, scenes: VoxelScenes) -> tuple[Tensor, Tensor]:
    """The class of each object by the sum of log p over its voxels, and its true class, both (O,)."""
    _, number = scenes.objects.unique(return_inverse=True)
    sums = scores.new_zeros(int(number.max()) + 1, scores.shape[1])
    sums = sums.index_add(0, number, scores.log_softmax(dim=1))
    truth = scenes.labels.new_zeros(len(sums)).index_put((number,), scenes.labels)
    return sums.argmax(dim=1), truth


def voxel_row(scores: Tensor, scenes: VoxelScenes) -> dict[str, float]:
    """Percentages from scores (N, K).

    "mIoU": mean over classes of the intersection over union of voxels. "voxels": right voxels. "objects": objects whose
    class is right by the sum of log p over their voxels; which voxels are one object is then given.

    >>> places, labels = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 3, 3, 0]]), torch.tensor([0, 0, 1])
    >>> scenes = VoxelScenes(places, labels, labels, 8, ("a", "b"))
    >>> {name: round(value, 1) for name, value in voxel_row(torch.tensor([[9.0, 0], [0, 1], [0, 1]]), scenes).items()}
    {'mIoU': 50.0, 'voxels': 66.7, 'objects': 100.0}
    """
    row = segmentation_row(voxel_confusion(scores.argmax(dim=1), scenes)[None])
    said, truth = object_answers(scores, scenes)
    return {"mIoU": row["mIoU"], "voxels": row["pixels"], "objects": 100 * (said == truth).double().mean().item()}


def height_scores(train: VoxelScenes, test: VoxelScenes) -> dict[str, Tensor]:
    """Scores (N, K) of test voxels that are log shares of the training voxels: of all, and of those at the same height.

    One voxel of each class is added at each height, so no share is zero.

    >>> places, labels = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 3, 3, 1]]), torch.tensor([0, 1, 1])
    >>> scenes = VoxelScenes(places, labels, labels, 8, ("a", "b"))
    >>> {name: scores.argmax(dim=1).tolist() for name, scores in height_scores(scenes, scenes).items()}
    {'majority': [1, 1, 1], 'height': [0, 1, 1]}
    """
    kinds = len(train.classes)
    counts = torch.bincount(train.coordinates[:, 3] * kinds + train.labels, minlength=train.side * kinds)
    counts = counts.reshape(train.side, kinds).float()
    shares = (counts + 1).log() - (counts + 1).sum(dim=1, keepdim=True).log()
    total = (counts.sum(dim=0) + 1).log() - (counts.sum() + kinds).log()
    return {"majority": total.expand(len(test.labels), -1), "height": shares[test.coordinates[:, 3]]}
