"""A network on the virtual clock, and where rounds of averaging are stable."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from lowland.data import digits
from lowland.errors import OptionError, UnsupportedError
from lowland.evaluation.averaging_stability import (
    admm_radii,
    disagreements,
    easgd_radii,
    easgd_region,
    published_bound,
    stability_report,
)
from lowland.evaluation.averaging_trial import METHODS, NetworkProblem, choose_rate
from lowland.evaluation.virtual_cluster import Cluster
from lowland.evaluation.virtual_training import train_virtually
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.layers import linear
from lowland.systems import published


def network() -> nn.Sequential:
    """A ConvNet, whose weights do not lie in memory in the order of their axes."""
    encoder = ConvNet((1, 8, 8), (4, 8), norm=False, pooled=False)
    return nn.Sequential(encoder, linear(encoder.size, 10))


def test_the_gradient_is_that_of_the_network() -> None:
    own, data = network(), digits()
    given = network()
    problem = NetworkProblem(given, data, batch_size=16, members=2, seed=3)
    assert torch.equal(problem.start(), torch.cat([one.flatten() for one in own.parameters()]))
    x = problem.start() + 0.1
    slope, other = problem.gradient(x, 0), problem.gradient(x, 1)
    assert not torch.equal(slope, other)
    assert all(torch.equal(one, two) for one, two in zip(given.parameters(), own.parameters(), strict=True))
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.add_(0.1)
    rows = torch.randint(len(data.train), (16,), generator=torch.Generator().manual_seed(3_000_009))
    loss = functional.cross_entropy(own(data.train[rows]), data.train_labels[rows])
    theirs = torch.cat([one.flatten() for one in torch.autograd.grad(loss, list(own.parameters()))])
    # Single precision: sums of a few hundred terms in another order.
    torch.testing.assert_close(slope, theirs, rtol=1e-4, atol=1e-5)
    wrong = (own(data.test).argmax(dim=1) != data.test_labels).double().mean().item()
    assert problem.error(x) == pytest.approx(100 * wrong)


@pytest.mark.parametrize("name", METHODS)
def test_all_methods_learn(name: str) -> None:
    problem = NetworkProblem(network(), digits(), batch_size=32, members=2)
    rate = {"EASGD": 0.5, "Downpour": 0.1, "DiLoCo": 0.01}.get(name, 0.05)
    course = train_virtually(problem, METHODS[name](4), Cluster(2, 0.01), rate, 200, every=10.0)
    assert course.errors[0] > 80
    assert course.errors[-1] < 35


def test_rates_are_chosen_without_the_test_images() -> None:
    data = digits()
    made = []
    for images in (data, dataclasses.replace(data, test=torch.zeros_like(data.test))):
        make = partial(NetworkProblem, network(), images, batch_size=32, members=2, judged="validation")
        made.append(choose_rate(make, METHODS["EAMSGD"](4), Cluster(2, 0.01), (0.001, 0.05), 100, 1.5, 0.2))
    assert made[0] == made[1]
    assert made[0][0.05] < made[0][0.001]


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="buffers"):
        NetworkProblem(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), linear(64, 10)), digits())
    with pytest.raises(OptionError, match="judged"):
        NetworkProblem(network(), digits(), judged="train")
    with pytest.raises(OptionError, match="rates"):
        choose_rate(lambda: NetworkProblem(network(), digits()), METHODS["EASGD"](1), Cluster(), (), 1, 1.0)


@pytest.mark.parametrize(("members", "decimals"), [(3, 5), (8, 4)])
def test_admm_in_turns_is_unstable_as_published(members: int, decimals: int) -> None:
    figure = published("D4", f"admm-0.001-2.5-{members}-workers")
    assert round(float(admm_radii(members, [0.001], [2.5])), decimals) == figure
    assert float(easgd_radii(members, [0.0005, 0.001, 0.01], [0.1, 2.5, 10.0]).max()) < 1


@pytest.mark.parametrize("members", [1, 3, 8])
@pytest.mark.parametrize("turns", [True, False])
def test_the_published_regions_are_those_of_the_rule(members: int, turns: bool) -> None:
    assert disagreements(members, turns, count=15) == 0
    assert disagreements(members, turns, count=15, margin=-0.005) == 30
    rates, elastic = [0.3, 1.0, 1.7], [0.1, 0.35, 0.6]
    inside = torch.tensor([[alpha <= published_bound(rate, members, turns) for rate in rates] for alpha in elastic])
    assert torch.equal(easgd_region(members, rates, elastic, turns) <= 1, inside)


def test_a_wrong_region_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A border that is too low: EASGD is stable above it at each of 15 rates."""
    stated = "lowland.evaluation.averaging_stability.published_bound"
    monkeypatch.setattr(stated, lambda *given: 0.9 * published_bound(*given))
    assert disagreements(3, turns=True, count=15) == 15


def test_the_report_has_what_a_page_draws() -> None:
    report = stability_report(cells=8)
    assert report["axes"]["η"][-1] == 0.01
    assert set(report["borders"]) == set(report["regions"])
    for p in (3, 8):
        rows = {name: report["numbers"][f"{name}, p = {p}"] for name in ("ADMM", "EASGD")}
        above = (report["eigenvalues"][f"ADMM, p = {p}"] > 1 + 1e-9).double().mean()
        assert rows["ADMM"]["unstable"] == pytest.approx(100 * float(above))
        assert 0 == rows["EASGD"]["unstable"] < rows["ADMM"]["unstable"] < 50
        assert rows["EASGD"]["radius"] < 1 < rows["ADMM"]["radius"]
