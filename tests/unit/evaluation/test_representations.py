"""Representations, neighbours and fine-tuning: modes, choices, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from lowland.data.views import ImageViews
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import DomainError, OptionError, ShapeError
from lowland.evaluation.fine_tune import Supervised, fine_tune
from lowland.evaluation.joint import alignment, pair_gap, spectrum, uniformity, view_distance
from lowland.evaluation.neighbours import knn, nearest_neighbours
from lowland.evaluation.probe import probe
from lowland.evaluation.representations import principal_reconstruction, represent
from lowland.nn.encoders import ConvNet, Perceptron
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihood

NOISE = torch.Generator().manual_seed(0)
LABELS = torch.tensor([0, 1, 2]).repeat(16)
POINTS = torch.eye(3)[LABELS] + 0.3 * torch.randn(48, 3, generator=NOISE)


def test_a_representation_depends_on_its_own_sample_alone() -> None:
    encoder, images = ConvNet((1, 8, 8), (4, 8)), torch.rand(10, 1, 8, 8, generator=NOISE)
    encoder(images)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    found = represent(encoder, images, batch_size=3)
    assert encoder.training
    assert not found.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    # Convolutions of other batch sizes sum in another order: a few units of the last place of numbers near 1.
    assert torch.allclose(found[4:5], represent(encoder, images[4:5]), rtol=0, atol=1e-6)
    with pytest.raises(OptionError, match="at least 1"):
        represent(encoder, images, batch_size=0)


def test_supervised_is_maximum_likelihood_without_views() -> None:
    from lowland.energies.classifier import Classifier

    energy, batch = Classifier(3, 3, (8,)), Batch(torch.eye(3)[LABELS], POINTS)
    ours, theirs = (shaping(energy, batch).losses["energy"] for shaping in (Supervised(), MaximumLikelihood()))
    assert torch.allclose(ours, theirs, rtol=1e-6)


def test_fine_tuning_chooses_a_rate_and_leaves_the_encoder() -> None:
    encoder = Perceptron((3,), (16,), 8)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    labelled = (POINTS, LABELS)
    found = fine_tune(encoder, labelled, labelled, labelled, rates=(1e-6, 1e-2), steps=40, batch_size=16)
    assert found.rate == 1e-2
    assert found.tried[1e-2] > found.tried[1e-6]
    assert found.accuracy == found.validation
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    again = fine_tune(encoder, labelled, labelled, rates=(1e-2,), steps=40, batch_size=16)
    assert again.accuracy is None
    assert torch.equal(again.network(POINTS), found.network(POINTS))


def test_fine_tuning_begins_at_the_probe() -> None:
    encoder = Perceptron((3,), (16,), 8)
    frozen = represent(encoder, POINTS)
    head = probe((frozen, LABELS), (frozen, LABELS))
    found = fine_tune(encoder, (POINTS, LABELS), (POINTS, LABELS), head=head, rates=(1e-9,), steps=1)
    assert found.validation == head.validation


def test_a_head_still_fits_behind_batch_normalisation() -> None:
    """Averages that are far from those of a batch stay, so that training at no rate to speak of changes no answer."""
    images = torch.rand(48, 1, 8, 8, generator=NOISE) + LABELS[:, None, None, None]
    encoder = ConvNet((1, 8, 8), (4, 8))
    for _ in range(20):
        encoder(3 * images)
    labelled = represent(encoder, images), LABELS
    head = probe(labelled, labelled)
    found = fine_tune(encoder, (images, LABELS), (images, LABELS), head=head, rates=(1e-9,), steps=30)
    assert found.validation == head.validation
    assert torch.equal(found.network[0].layers[1].running_mean, encoder.layers[1].running_mean)


def test_fine_tuning_takes_views() -> None:
    images, labels = torch.rand(12, 1, 8, 8, generator=NOISE), torch.tensor([0, 1]).repeat(6)
    encoder = ConvNet((1, 8, 8), (4, 8))
    plain, seen = (
        fine_tune(encoder, (images, labels), (images, labels), views=views, rates=(1e-2,), steps=3)
        for views in (None, ImageViews.crop_only())
    )
    assert not torch.equal(represent(plain.network, images), represent(seen.network, images))


def test_bad_input_is_one_sentence() -> None:
    good = (POINTS, LABELS)
    with pytest.raises(OptionError, match="k must be from 1 to 48"):
        nearest_neighbours(POINTS, POINTS, k=49)
    with pytest.raises(OptionError, match="temperature"):
        knn(good, good, temperature=0)
    with pytest.raises(DomainError, match="NaN"):
        knn((POINTS * torch.nan, LABELS), good)
    with pytest.raises(ShapeError, match="two views"):
        alignment(POINTS, POINTS[:5])
    with pytest.raises(ShapeError, match="at least two"):
        uniformity(POINTS[:1])
    with pytest.raises(ShapeError, match="at least two"):
        spectrum(POINTS[:1])
    with pytest.raises(ShapeError, match="at least two samples"):
        pair_gap(JointEmbedding(Perceptron((3,)), ()), POINTS[:1], POINTS[:1])
    with pytest.raises(OptionError, match="at least one rate"):
        fine_tune(Perceptron((3,)), good, good, rates=())
    with pytest.raises(OptionError, match="does not fit"):
        fine_tune(Perceptron((3,)), good, good, head=probe(good, good), steps=1)


def test_knn_with_few_samples_asks_all() -> None:
    assert knn((POINTS[:3], LABELS[:3]), (POINTS[:3], LABELS[:3]), k=200) == 1.0


def test_pca_keeps_what_lies_along_the_first_axes() -> None:
    """Of samples in a plane through (1, 1, 1): everything in it is kept, and what stands out of it is lost."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    known = 1 + torch.randn(50, 2, generator=generator) @ plane[:2]
    inside, out = torch.tensor([[0.3, -2.0]]) @ plane[:2], 5 * plane[2:]
    found = principal_reconstruction(known, 1 + inside + out, 2, torch.float64)
    torch.testing.assert_close(found, 1 + inside, rtol=0, atol=1e-5)


def test_two_samples_are_as_far_apart_as_unrelated_views() -> None:
    """Over 20,000 pairs of numbers; the standard deviation of the ratio is 1.3 %, a third of the bound."""
    a, b = torch.randn(2, 20_000, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 5.0, 0.1])
    assert view_distance(a, b, a) == pytest.approx(1.0, abs=0.04)
    with pytest.raises(ShapeError, match="at least two samples"):
        view_distance(a[:1], b[:1], a[:1])
