"""Ways to train together, side by side: which cases there are, how they are compared, and how rates are chosen."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from lowland.data import digits
from lowland.evaluation.averaging_cases import HIDDEN, OWN, SLOW, SUM, Case, Comparison, Trial
from lowland.evaluation.virtual_cluster import Course, Link
from lowland.nn.layers import linear

COMPARED = Comparison((1, 10, 64), (1, 2, 4))


def network(seed: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), linear(64, 10, torch.Generator().manual_seed(seed)))


def test_cases_vary_one_thing_at_a_time() -> None:
    cases = COMPARED.cases
    assert len(set(cases)) == len({case.key for case in cases}) == len({case.stage for case in cases}) == len(cases)
    assert {(one.period, one.members) for one in cases if one.name == "EASGD"} == {
        (1, 4), (10, 4), (64, 4), (10, 1), (10, 2)
    }  # fmt: skip
    assert {one.period for one in cases if one.name == "Downpour" and HIDDEN in one.unusual} == {1, 10, 64}
    assert not [one for one in cases if one.method.barrier and HIDDEN in one.unusual]
    assert {one.name for one in cases if SLOW in one.unusual} == {SUM, "EASGD", "EAMSGD", "local SGD"}
    assert {one.unusual for one in cases if OWN in one.unusual} == {(OWN,), (OWN, HIDDEN), (OWN, HIDDEN, SLOW)}


def test_all_that_is_shown_and_tuned_is_trained() -> None:
    cases = set(COMPARED.cases)
    assert set(COMPARED.headline) <= cases
    assert all(set(shown) <= cases for shown in COMPARED.pictures.values())
    assert {COMPARED.tuned(case) for case in cases} <= cases
    assert {one.members for one in map(COMPARED.tuned, cases) if one.name == SUM} == {1, 2, 4}
    assert {one.members for one in map(COMPARED.tuned, cases) if one.name != SUM} == {4}
    assert COMPARED.headline[0] == Case(SUM, 1, 1)
    assert {(one.name, one.period) for one in COMPARED.headline[1:]} == {
        (SUM, 1), *((name, 10) for name in ("EASGD", "EAMSGD", "Downpour", "DiLoCo", "local SGD"))
    }  # fmt: skip


def test_times_are_compared_with_those_of_the_same_kind() -> None:
    seconds = {
        Case(SUM, 1, 1): 5.0, Case(SUM, 1, 2): 8.0, Case(SUM, 1, 2, (HIDDEN,)): 6.0, Case(SUM, 1, 2, (SLOW,)): 20.0,
        Case("EAMSGD", 10, 2): 2.0, Case("EAMSGD", 10, 2, (SLOW,)): 4.0, Case("EAMSGD", 10, 1): 2.5,
    }  # fmt: skip
    courses = {case: Course([0.0, at, 30.0], [0, 1, 10], [90.0, 15.0, 12.0], 3, True) for case, at in seconds.items()}
    never = Case("EASGD", 10, 2)
    courses[never] = Course([0.0, 30.0], [0, 10], [90.0, 16.0], 3, True)
    courses[Case("EAMSGD", 1, 2)] = courses[Case("EAMSGD", 10, 2)]
    found = Comparison((1, 10), (1, 2)).numbers(courses, 15.0)
    assert found["untrained"]["error"] == 90
    ours, slow = found["EAMSGD, τ = 10, p = 2"], found["EAMSGD, τ = 10, p = 2, one slow"]
    assert (ours["sooner"], ours["sooner than hidden"], ours["sooner than alone"]) == (4.0, 3.0, 2.5)
    assert (slow["sooner"], slow["sooner than alone"]) == (5.0, 1.25)
    assert "sooner than hidden" not in slow
    assert found["EAMSGD, τ = 10, p = 1"]["sooner"] == 2.0
    assert (ours["time"], ours["end"], ours["last"], ours["step"]) == (2.0, 30.0, 12.0, 3000.0)
    assert (ours["reached"], found[never.key]["reached"]) == (100, 0)
    assert found[never.key]["time"] is None
    assert found[never.key]["sooner"] is None
    assert {key for key, row in found.items() if "error" in row} == {
        "untrained", "all-reduce, p = 2", "EAMSGD, τ = 10, p = 2", never.key
    }  # fmt: skip


def test_clusters_are_what_their_cases_say() -> None:
    trial = Trial(digits(), network, seconds=0.5, link=Link(1e6, 0.1), slow=3.0)
    plain, hidden, slow, own = (trial.cluster(Case("EASGD", 1, 2, one)) for one in ((), (HIDDEN,), (SLOW,), (OWN,)))
    assert (plain.members, plain.seconds, plain.link, plain.hidden, plain.slow) == (2, 0.5, Link(1e6, 0.1), False, 1.0)
    assert hidden == dataclasses.replace(plain, hidden=True)
    assert slow == dataclasses.replace(plain, slow=3.0)
    assert own == dataclasses.replace(plain, link=Link(1e6, 0.1, shared=False))


def test_test_images_have_no_say_in_the_rates() -> None:
    """Between two rates that hardly differ, a different choice would show in one of six pairs."""
    data, case = digits(), Case("EAMSGD", 4, 2)
    other = dataclasses.replace(data, test=data.train[:300].roll(1, dims=0), test_labels=data.train_labels[:300])
    pairs = [(rate, 1.05 * rate) for rate in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)]
    made = [
        [Trial(images, network, 32, steps=60, until=2.0).choose(case, pair) for pair in pairs]
        for images in (data, other)
    ]
    assert made[0] == made[1]


def test_rates_without_momentum_are_ten_times_as_large() -> None:
    trial = Trial(digits(), network, 32, steps=20, until=1.0)
    assert trial.choose(Case("EASGD", 4, 2), (0.05,)) == 0.5
    assert trial.choose(Case("Downpour", 4, 2), (0.05,)) == 0.05
    assert trial.choose(Case(SUM, 1, 2), (0.0001, 0.05)) == 0.05
