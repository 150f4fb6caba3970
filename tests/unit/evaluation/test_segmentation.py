"""Measures of pixel labels against scikit-learn, and what baselines and folds do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, jaccard_score

from lowland.data.scenes import Scenes
from lowland.energies.grid_crf import GridCRF
from lowland.errors import ShapeError
from lowland.evaluation.segmentation import (
    baseline_labels,
    best_setting,
    confusions,
    folds_of,
    forest_labels,
    overlap,
    overlap_gain,
    piece_labels,
    position_labels,
    scores_of,
    segmentation_row,
    smoothed_labels,
)
from lowland.nn.parsing import PointwiseScores


def drawn(generator: torch.Generator, classes: int = 4, images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels and truths (N, 6, 8); a fifth of the pixels have no truth, and class 3 is never true."""
    truth = torch.randint(classes - 1, (images, 6, 8), generator=generator)
    labels = torch.where(torch.rand(truth.shape, generator=generator) < 0.5, truth, torch.randint(classes, truth.shape))
    return labels, truth.masked_fill(torch.rand(truth.shape, generator=generator) < 0.2, -1)


def test_measures_are_those_of_scikit_learn(generator: torch.Generator) -> None:
    labels, truth = drawn(generator)
    labels[0, 0, 0], truth[0, 0, 0] = 3, 0
    found, known = confusions(labels, truth, 4), truth >= 0
    right, said = truth[known].numpy(), labels[known].numpy()
    assert np.array_equal(found.sum(dim=0).numpy(), confusion_matrix(right, said, labels=range(4)))
    row = segmentation_row(found)
    assert row["pixels"] == pytest.approx(100 * accuracy_score(right, said))
    assert row["mIoU"] == pytest.approx(100 * jaccard_score(right, said, average="macro"), rel=1e-5)
    seen = np.isin(said, right)
    recalls = [(said[right == k] == k).mean() for k in np.unique(right)]
    assert row["classes"] == pytest.approx(100 * np.mean(recalls))
    if seen.all():
        assert row["classes"] == pytest.approx(100 * balanced_accuracy_score(right, said))
    each = [
        jaccard_score(truth[i][known[i]].numpy(), labels[i][known[i]].numpy(), average="macro")
        for i in range(len(truth))
    ]
    torch.testing.assert_close(overlap(found), torch.tensor(each, dtype=torch.float32))
    assert row["mIoU of an image"] == pytest.approx(100 * np.mean(each), rel=1e-5)


def test_an_image_without_labels_does_not_break_the_measures() -> None:
    found = confusions(torch.zeros(2, 2, 2).long(), torch.tensor([[[0, 0], [0, 0]], [[-1, -1], [-1, -1]]]), 2)
    row = segmentation_row(found)
    assert row["pixels"] == row["mIoU of an image"] == 100.0
    with pytest.raises(ShapeError, match="from 0 to 1"):
        confusions(torch.full((1, 2, 2), 2), torch.zeros(1, 2, 2).long(), 2)
    with pytest.raises(ShapeError, match="from 0 to 1"):
        confusions(torch.zeros(1, 2, 3).long(), torch.zeros(1, 2, 2).long(), 2)


def test_gains_are_of_the_same_images_in_pairs() -> None:
    better = torch.tensor([[[4, 0], [0, 4]]] * 6)
    worse = torch.tensor([[[4, 0], [k % 2 + 1, 3 - k % 2]] for k in range(6)])
    gain = overlap_gain(better, worse)
    assert gain.word == "more"
    assert gain.difference.low <= gain.difference.value <= gain.difference.high
    assert gain.difference.value == pytest.approx(float(100 * (1 - overlap(worse)).mean()))
    assert overlap_gain(worse, better).word == "less"
    empty = torch.zeros(6, 2, 2, dtype=torch.int64)
    assert overlap_gain(torch.cat([better, empty]), torch.cat([worse, empty])) == gain


def halves(count: int = 4, noise: bool = False) -> Scenes:
    """Red above, blue below, with the border at row 8 of 16."""
    images = torch.zeros(count, 3, 16, 16, dtype=torch.uint8)
    images[:, 0, :8], images[:, 2, 8:] = 200, 200
    labels = torch.zeros(count, 16, 16).long()
    labels[:, 8:] = 1
    if noise:
        images[:, :, 4, 4] = torch.tensor([90, 0, 110], dtype=torch.uint8)
    return Scenes(images, labels, ("red", "blue"))


def test_baselines_know_place_and_colour() -> None:
    train = halves()
    upside = train.images.flip(2)
    assert torch.equal(position_labels(train, 4), train.labels)
    assert (
        float((forest_labels(train._replace(labels=train.labels), train.images) == train.labels).float().mean()) > 0.9
    )
    assert set(baseline_labels(train, train._replace(images=upside))) == {"position", "forest"}
    unknown = train._replace(labels=train.labels.clone())
    unknown.labels[:, 0] = -1
    assert int(forest_labels(unknown, train.images).min()) == 0
    assert torch.equal(position_labels(unknown, 4), train.labels)


def field(scenes: Scenes) -> GridCRF:
    """Scores 2 for the own colour."""
    network = PointwiseScores(scenes.shape, 2)
    network.weight.data.copy_(torch.tensor([[2.0, 0, 0], [0, 0, 2.0]])[:, :, None, None])
    return GridCRF(network)


def test_a_field_and_superpixels_remove_a_single_pixel() -> None:
    scenes = halves(2, noise=True)
    energy = field(scenes)
    raw = smoothed_labels(energy, scenes.images, 0.0)
    assert torch.equal(raw, scores_of(energy, scenes.images).argmax(dim=1))
    assert int((raw != scenes.labels).sum()) == 2
    assert torch.equal(smoothed_labels(energy, scenes.images, 2.0), scenes.labels)
    assert energy.smoothness == 0.0
    pieces = torch.arange(4).reshape(2, 2).repeat_interleave(8, 0).repeat_interleave(8, 1).expand(2, -1, -1)
    assert torch.equal(piece_labels(scores_of(energy, scenes.images), pieces), scenes.labels)
    choose = best_setting(lambda some, value: smoothed_labels(energy, some.images, value), scenes, (0.0, 2.0))
    assert choose == 2.0


def test_each_image_of_a_few_is_tested_once() -> None:
    for count in (3, 5, 20, 40):
        folds = folds_of(count, seed=1)
        assert sorted(row for _, test in folds for row in test) == list(range(count))
        assert all(sorted(train + test) == list(range(count)) for train, test in folds)
    ((train, test),) = folds_of(100, seed=1)
    assert (len(train), len(test)) == (75, 25)
    assert not set(train) & set(test)
