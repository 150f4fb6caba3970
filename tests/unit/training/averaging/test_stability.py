"""Rules of averaging on a quadratic: published eigenvalues, published regions, and the joint energy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.errors import OptionError, UnsupportedError
from lowland.training.averaging.rules import ADMM, Downpour, Elastic, Outer, Rule
from lowland.training.averaging.stability import largest_rate, radii


@pytest.mark.parametrize(("members", "published"), [(3, 1.000974), (8, 1.002258)])
def test_admm_in_turns_has_the_published_eigenvalue(members: int, published: float) -> None:
    assert float(radii(ADMM(rate=0.001, pull=2.5), members, [0.001])) == pytest.approx(published, abs=1e-6)


@pytest.mark.parametrize("members", [1, 3, 8])
@pytest.mark.parametrize("turns", [True, False])
def test_the_published_regions_of_elastic_averaging_are_tight(members: int, turns: bool) -> None:
    for eta in np.linspace(0.02, 1.98, 25):
        border = (4 - 2 * eta) / ((4 - eta) if turns or members == 1 else (2 + members * (2 - eta)))
        inside, outside = (
            float(radii(Elastic(1, members * border * share), members, [eta], turns=turns)) for share in (0.995, 1.005)
        )
        assert inside <= 1 + 1e-9
        assert outside > 1


def test_the_map_is_that_of_the_equations() -> None:
    """Against matrices written down from the paper: workers in turns, and all at once."""
    members, eta, alpha = 4, 0.3, 0.2
    turns = np.eye(members + 1)
    for worker in range(members):
        visit = np.eye(members + 1)
        visit[worker, worker], visit[worker, -1] = 1 - eta - alpha, alpha
        visit[-1, -1], visit[-1, worker] = 1 - alpha, alpha
        turns = visit @ turns
    once = np.eye(members + 1) * (1 - eta - alpha)
    once[:, -1] = once[-1, :] = alpha
    once[-1, -1] = 1 - members * alpha
    for matrix, kind in ((turns, True), (once, False)):
        found = float(radii(Elastic(1, members * alpha), members, [eta], turns=kind))
        assert found == pytest.approx(abs(np.linalg.eigvals(matrix)).max(), abs=1e-12)


@pytest.mark.parametrize("period", [1, 4])
def test_one_worker_without_a_pull_is_sgd(period: int) -> None:
    """With momentum 0.9 Nesterov's SGD is stable up to 2 (1 + 0.9) / (1 + 2 · 0.9) on ½ x²."""
    rule = Outer(period, lr=1.0, momentum=0.0)
    assert largest_rate(rule, 1) == pytest.approx(2.0, abs=1e-6)
    assert largest_rate(rule, 1, momentum=0.9) == pytest.approx(3.8 / 2.8, abs=1e-6)


def test_downpour_of_many_workers_and_long_periods_diverges_sooner() -> None:
    found = [largest_rate(Downpour(period), members) for period, members in ((1, 2), (1, 8), (10, 8))]
    assert found[0] > found[1] > found[2] > 0


def test_all_at_once_is_descent_on_the_joint_energy() -> None:
    """Σ f(xⁱ) + ρ/2 ‖xⁱ − x̃‖², with α = ηρ, on random least squares."""
    noise = torch.Generator().manual_seed(0)
    members, size, eta, pull = 4, 5, 0.01, 3.0
    a = torch.randn(members, size, size, generator=noise, dtype=torch.float64)
    b = torch.randn(members, size, generator=noise, dtype=torch.float64)
    rule = Elastic(1, rate=members * eta * pull)
    x, centre = torch.zeros(members, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    mine, middle = x.clone(), centre.clone()
    for _ in range(200):
        joint, at = x.clone().requires_grad_(), centre.clone().requires_grad_()
        energy = (
            0.5 * (torch.einsum("nij,nj->ni", a, joint) - b).square().sum() + pull / 2 * (joint - at).square().sum()
        )
        slopes = torch.autograd.grad(energy, (joint, at))
        x, centre = x - eta * slopes[0], centre - eta * slopes[1]
        own = torch.einsum("nji,nj->ni", a, torch.einsum("nij,nj->ni", a, mine) - b)
        answer = rule.meet(middle, mine.mean(dim=0), {}, members, members)
        for worker in range(members):
            rule.take(mine[worker], mine[worker].clone(), answer, {}, members)
        mine -= eta * own
        assert torch.allclose(mine, x, rtol=0, atol=1e-12)
        assert torch.allclose(middle, centre, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", [Elastic(3, 0.7), Downpour(2), Downpour(1, 0.5), Outer(4), Outer(4, 1.0, 0.0)])
def test_a_shard_is_a_slice_of_the_whole(rule: Rule) -> None:
    noise = torch.Generator().manual_seed(1)

    def played(where: slice) -> torch.Tensor:
        drawn = torch.randn(40, 10, generator=noise.manual_seed(1))[:, where]
        centre, x, state, memory = drawn[0].clone(), drawn[1].clone(), {}, {}
        rule.join(centre, memory)
        for change in drawn[2:]:
            at = x.clone()
            answer = rule.meet(centre, rule.message(at, memory), state, 3)
            x += change
            rule.take(x, at, answer, memory, 3)
        return torch.cat([x, centre])

    parts = [played(slice(0, 4)), played(slice(4, 10))]
    whole = played(slice(0, 10))
    assert torch.equal(whole[:10], torch.cat([parts[0][:4], parts[1][:6]]))
    assert torch.equal(whole[10:], torch.cat([parts[0][4:], parts[1][6:]]))


def test_a_leader_keeps_what_a_worker_did_while_its_message_travelled() -> None:
    rule, memory = Outer(1, lr=1.0, momentum=0.0), {}
    centre, x = torch.zeros(1), torch.ones(1)
    rule.join(centre, memory)
    at = x.clone()
    answer = rule.meet(centre, rule.message(at, memory), {}, members=2)
    x += 0.25
    rule.take(x, at, answer, memory, 2)
    assert float(x) == 0.75
    assert float(rule.message(x, memory)) == 0.25


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Elastic(0), "period must be a whole number of at least 1"),
        (lambda: Elastic(rate=0.0), "rate must be a number above 0"),
        (lambda: Outer(momentum=1.0), "momentum must be"),
        (lambda: radii(Elastic(), 0, [0.1]), "members must be"),
    ],
)
def test_bad_rules_are_refused(make, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        make()


def test_admm_does_not_train() -> None:
    with pytest.raises(UnsupportedError, match="train with Elastic"):
        ADMM().message(torch.zeros(1), {})
