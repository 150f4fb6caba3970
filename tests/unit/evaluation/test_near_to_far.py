"""Learning on the way: only from what was seen so far, from stereo alone, and errors that are counted by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from lowland.data.terrain import DRIVABLE, OBSTACLE, Course
from lowland.energies.classifier import Classifier
from lowland.errors import OptionError
from lowland.evaluation.near_to_far import Sight, colour_answers, drive, far_errors, learn_online, look, near_agreement
from lowland.nn.ground_bands import Places


def sight(distance: list[float], truth: list[int], share: list[float] | None = None) -> Sight:
    places = Places(torch.zeros(len(truth)), torch.zeros(len(truth)), torch.tensor(distance))
    return Sight(places, torch.tensor(share or [torch.nan] * len(truth)), torch.tensor(truth), {})


def test_a_frame_is_labelled_nearby_alone_and_mostly_right() -> None:
    sights = list(drive(Course("train", 3), (0.0, 20.0), 12.0, 40.0, seed=0))
    for one in sights:
        assert set(one.truth.unique().tolist()) <= {DRIVABLE, OBSTACLE}
        assert one.inputs["scaled"].shape == one.inputs["fixed"].shape == (len(one.truth), 900)
        assert one.share[one.places.distance >= 12.0].isnan().all()
        assert (~one.share[one.places.distance < 12.0].isnan()).double().mean() > 0.9
    assert near_agreement(sights) > 85
    found = sights[0].through({"net": ("scaled", lambda x: x[:, :3])})
    assert torch.equal(found.inputs["net"], sights[0].inputs["scaled"][:, :3])
    assert set(found.inputs) == {"net", "colour"}


def test_a_reach_beyond_the_farthest_place_is_refused() -> None:
    with pytest.raises(OptionError, match="4 < reach < farthest"):
        look(Course("train", 3).frame(0.0), 60.0, 30.0, torch.Generator())


def problem(frames: int, generator: torch.Generator) -> tuple[list[Tensor], list[Tensor]]:
    """Features of which the first tells the label; only the first half of each frame has one."""
    features = [torch.randn(80, 4, generator=generator) for _ in range(frames)]
    shares = [torch.where(torch.arange(80) < 40, (x[:, 0] > 0).float(), torch.nan) for x in features]
    return features, shares


def test_places_without_a_label_are_told_by_those_with_one() -> None:
    features, shares = problem(6, torch.Generator().manual_seed(0))
    tables = learn_online(Classifier(4, 2, ()), features, shares, 10, 0.1)
    last, x = tables[-1].argmin(dim=1), features[-1]
    assert (last[40:] == (x[40:, 0] > 0)).double().mean() > 0.95


def test_what_comes_later_changes_nothing_before() -> None:
    features, shares = problem(4, torch.Generator().manual_seed(0))
    start = Classifier(4, 2, ())
    whole = learn_online(copy.deepcopy(start), features, shares, 5, 0.1)
    part = learn_online(copy.deepcopy(start), features[:2], shares[:2], 5, 0.1)
    assert all(torch.equal(one, other) for one, other in zip(whole[:2], part, strict=True))


def test_with_one_label_alone_nothing_is_learned() -> None:
    features, shares = problem(3, torch.Generator().manual_seed(0))
    nothing = [torch.where(share.isnan(), share, 0.0) for share in shares]
    start = Classifier(4, 2, ())
    tables = learn_online(copy.deepcopy(start), features, [nothing[0], shares[1], shares[2]], 5, 0.1)
    assert torch.equal(tables[0], -start.network(features[0]).detach())
    assert not torch.equal(tables[1], -start.network(features[1]).detach())
    tables = learn_online(copy.deepcopy(start), features, nothing, 5, 0.1)
    assert all(torch.equal(t, -start.network(x).detach()) for t, x in zip(tables, features, strict=True))


def test_a_soft_label_ends_at_its_probability() -> None:
    # One kind of place, of which stereo says 0.25; both labels weigh the same, so that p = 1/2 whatever the share,
    # but of two kinds with 0.25 and 0.75 the posterior at equal weights is 0.25 and 0.75.
    x = torch.eye(2).repeat(50, 1)
    tables = learn_online(Classifier(2, 2, ()), [x] * 60, [torch.tensor([0.25, 0.75]).repeat(50)] * 60, 10, 0.02)
    p = torch.softmax(-tables[-1][:2], dim=1)[:, 1]
    assert torch.allclose(p, torch.tensor([0.25, 0.75]), atol=0.08)


def test_errors_are_of_far_places_and_of_both_labels() -> None:
    sights = [sight([5.0, 20.0, 20.0, 50.0], [0, 0, 1, 1]), sight([20.0, 20.0], [0, 0])]
    answers = [torch.tensor([1, 0, 0, 1]), torch.tensor([1, 0])]
    wrong, mean = far_errors(answers, sights, 12.0)
    assert wrong == pytest.approx(100 * 2 / 5)
    assert mean == pytest.approx(100 * (1 / 3 + 1 / 2) / 2)
    assert far_errors(answers, sights, 30.0, 60.0)[0] == 0.0


def test_colours_tell_what_near_labels_told() -> None:
    generator = torch.Generator().manual_seed(0)
    colour = torch.rand(60, 6, generator=generator)
    truth = (colour[:, 1] > 0.5).long()
    share = torch.where(torch.arange(60) < 40, truth.float(), torch.nan)
    one = sight([20.0] * 60, truth.tolist(), share.tolist())._replace(inputs={"colour": colour})
    answers = colour_answers([one, one], seed=0)
    assert (answers[1] == truth)[40:].double().mean() > 0.8
    assert near_agreement([one]) == 100.0
