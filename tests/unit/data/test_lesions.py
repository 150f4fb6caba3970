"""Planted lesions: where their tissues lie, what they look like, and that each seed has its own."""

from __future__ import annotations

import pytest
import torch
from scipy import ndimage

from lowland.data.brain import phantom_hemispheres
from lowland.data.lesions import ENHANCING, HEALTHY, NECROSIS, OEDEMA, TISSUES, lesion_scan, lesion_scans
from lowland.errors import DataError, OptionError, ShapeError


def brain() -> torch.Tensor:
    return phantom_hemispheres((24, 32, 20)).left


def test_labels_lie_in_the_brain_alone() -> None:
    scans = lesion_scans(brain(), 6, seed=0)
    assert torch.equal(scans.labels >= 0, (brain() > 0).expand(6, -1, -1, -1))
    assert set(scans.labels.unique().tolist()) == {-1, *range(len(TISSUES))}
    assert bool((scans.images.abs().sum(dim=1)[scans.labels < 0] == 0).all())


def test_tissues_look_as_the_rule_says() -> None:
    """Means over lesions: differences between tissues are several times the standard error of about 0.03."""
    scans = lesion_scans(brain(), 12, seed=1)
    mean = [[float(scans.images[:, row][scans.labels == label].mean()) for row in range(4)] for label in range(5)]
    contrast, t2, flair = 1, 2, 3
    assert mean[ENHANCING][contrast] > mean[NECROSIS][contrast] + 0.2
    assert mean[NECROSIS][t2] > mean[HEALTHY][t2] + 0.1
    assert mean[OEDEMA][flair] > mean[HEALTHY][flair] + 0.1


def test_oedema_spares_fluid_and_necrosis_lies_inside() -> None:
    half = brain()
    for seed in range(6):
        labels = lesion_scan(half, seed).labels[0]
        assert not bool((labels[half < 0.5] == OEDEMA).any())
        core = torch.from_numpy(
            ndimage.binary_dilation((labels > 0).numpy() & (labels != OEDEMA).numpy(), iterations=1)
        )
        assert bool(core[labels == NECROSIS].all())


def test_every_seed_has_its_own_lesion_and_the_same_one_again() -> None:
    one, again, other = (lesion_scan(brain(), seed) for seed in (3, 3, 4))
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.labels, other.labels)
    many = lesion_scans(brain(), 2, seed=5)
    assert torch.equal(many.labels[1:], lesion_scan(brain(), 5 * 1_000_003 + 1).labels)


def test_a_slice_has_the_labels_of_the_whole_scan() -> None:
    whole = lesion_scan(brain(), 7)
    middle = int((whole.labels[0] > 0).flatten(1).sum(dim=1).argmax())
    part = lesion_scan(brain(), 7, [middle])
    assert torch.equal(part.labels[0, 0], whole.labels[0, middle])


def test_slices_through_the_lesion_and_any() -> None:
    through = lesion_scans(brain(), 20, seed=0, slices="lesion").labels
    others = lesion_scans(brain(), 20, seed=0, slices="any").labels
    assert through.shape == others.shape == (20, 1, 32, 20)
    assert bool((through >= 0).flatten(1).any(dim=1).all())
    assert int((through > 0).sum()) > 2 * int((others > 0).sum()) > 0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ShapeError, match="D, H, W"):
        lesion_scan(torch.ones(8, 8), 0)
    with pytest.raises(OptionError, match=r"'leson'.*Did you mean 'lesion'"):
        lesion_scan(brain(), 0, "leson")
    for slices in ([], [24], [-1]):
        with pytest.raises(OptionError, match="from 0 to 23"):
            lesion_scan(brain(), 0, slices)
    with pytest.raises(DataError, match="no place"):
        lesion_scan(torch.zeros(8, 8, 8), 0)
