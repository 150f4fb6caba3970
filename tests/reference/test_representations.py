"""Measures of representations against their definitions and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import KNeighborsClassifier

from lowland.data import digits
from lowland.energies.joint_embedding import JointEmbedding
from lowland.evaluation.joint import alignment, pair_gap, spectrum, uniformity
from lowland.evaluation.neighbours import knn, nearest_neighbours
from lowland.nn.encoders import Perceptron

NOISE = torch.Generator().manual_seed(0)
A, B = torch.randn(2, 40, 6, generator=NOISE, dtype=torch.float64)
IMAGES = digits()


def test_alignment_is_its_definition() -> None:
    gaps = [a / np.linalg.norm(a) - b / np.linalg.norm(b) for a, b in zip(A.numpy(), B.numpy(), strict=True)]
    assert alignment(A, B) == pytest.approx(np.mean([gap @ gap for gap in gaps]), rel=1e-10)
    assert alignment(A, B, power=1) == pytest.approx(np.mean([math.sqrt(gap @ gap) for gap in gaps]), rel=1e-10)


def test_uniformity_is_its_definition() -> None:
    unit = A.numpy() / np.linalg.norm(A.numpy(), axis=1, keepdims=True)
    kernel = [math.exp(-2 * np.sum((unit[i] - unit[j]) ** 2)) for i in range(40) for j in range(i)]
    assert uniformity(A) == pytest.approx(math.log(np.mean(kernel)), rel=1e-10)


def test_the_spectrum_is_that_of_scikit_learn() -> None:
    values = PCA().fit(A.numpy()).singular_values_
    np.testing.assert_allclose(spectrum(A).numpy(), values / values[0], rtol=1e-6)  # the result is float32
    assert torch.equal(spectrum(torch.ones(5, 3)), torch.zeros(3))


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_knn_votes_as_scikit_learn_does(temperature: float) -> None:
    train = IMAGES.train.flatten(1).double(), IMAGES.train_labels
    test = IMAGES.test.flatten(1).double(), IMAGES.test_labels
    theirs = KNeighborsClassifier(
        n_neighbors=25, metric="cosine", algorithm="brute", weights=lambda far: np.exp((1 - far) / temperature)
    ).fit(*(part.numpy() for part in train))
    assert knn(train, test, k=25, temperature=temperature) == theirs.score(*(part.numpy() for part in test))


def test_chunks_do_not_change_neighbours_and_they_are_the_nearest() -> None:
    cosine, place = nearest_neighbours(A, B, k=7)
    in_parts = nearest_neighbours(A, B, k=7, chunk=9)
    # A product of a part of the rows may be rounded otherwise, so values agree to a few units of the last place.
    assert torch.equal(place, in_parts[1])
    assert torch.allclose(cosine, in_parts[0], rtol=0, atol=1e-14)
    expected = cosine_similarity(A.numpy(), B.numpy())
    np.testing.assert_array_equal(place.numpy(), np.argsort(-expected, axis=1)[:, :7])
    np.testing.assert_allclose(cosine.numpy(), np.sort(expected, axis=1)[:, ::-1][:, :7], atol=1e-14)


def test_the_gap_of_pairs_is_the_area_under_the_curve() -> None:
    energy = JointEmbedding(Perceptron((6,)), (16, 8)).double()
    energy.train()
    found, near, far = pair_gap(energy, A, A + 0.5 * B)
    assert energy.training
    energy.eval()
    with torch.no_grad():
        assert torch.allclose(near, energy(x=A, y=A + 0.5 * B))
        assert torch.allclose(far[3], energy(x=A[3:4], y=(A + 0.5 * B)[4:5]).squeeze())
    truth = np.concatenate([np.zeros(40), np.ones(40)])
    assert found == pytest.approx(roc_auc_score(truth, torch.cat([near, far]).numpy()))
