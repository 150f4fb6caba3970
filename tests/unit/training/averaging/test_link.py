"""What links and centres compute, in one process. What goes wrong is in `test_refusals.py` and `test_faults.py`."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lowland.training.averaging.centre import Centre
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Downpour, Elastic, Outer, Rule

Links, Models, Meet = Callable[..., Link], Callable[..., nn.Module], Callable[[Link], None]
RULES = [Elastic(1, 0.7), Downpour(1), Downpour(1, 0.9), Outer(1, 0.7, 0.9), Outer(1, 1.0, 0.0)]


def numbers(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def draw(model: nn.Module, generator: torch.Generator, scale: float = 1.0) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)


def test_two_workers_and_their_centre_pull_at_one_another(filled: Models, linked: Links, meet: Meet) -> None:
    """With α = rate/p = 1/4: 3 − (3 − 1)/4 = 2.5, and 1 + (3 − 1)/4 = 1.5."""
    rule = Elastic(period=1, rate=0.5)
    first, second, copy = filled(1.0), filled(9.0), filled(0.0)
    with Centre(rule) as centre:
        one, two = linked(first, rule, centre.address), linked(second, rule, centre.address)
        assert numbers(second).eq(1.0).all(), "a late joiner starts at the centre"
        with torch.no_grad():
            second.weight.fill_(3.0)
            second.bias.fill_(3.0)
        meet(two)
        assert numbers(second).eq(2.5).all()
        assert centre.numbers().eq(1.5).all()
        one.load_centre(copy)
        assert numbers(copy).eq(1.5).all()
        assert numbers(first).eq(1.0).all()
        assert (two.meetings, two.members, two.clock, one.meetings) == (1, 2, 1, 0)
        assert two.bytes >= 3 * 4 * 200
        two.close()
        until = time.monotonic() + 5
        while centre.members > 1 and time.monotonic() < until:
            time.sleep(0.01)
        meet(one)
        assert numbers(first).eq(1.25).all(), "α is 1/2 for one member"
        assert one.members == 1


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_training_loop_makes_the_steps_of_the_rule(
    rule: Rule, filled: Models, linked: Links, generator: torch.Generator
) -> None:
    """The gradient is taken at x, the pull follows, then that gradient is applied: as `Rule.visit`, bit by bit."""
    model = filled(0.0)
    draw(model, generator)
    x, slope = numbers(model), torch.rand(200, generator=generator)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    with Centre(rule) as centre:
        link = linked(model, rule, centre.address)
        c, memory, state = x.clone(), {}, {}
        rule.join(c, memory)
        for _ in range(5):
            optimiser.zero_grad()
            all_of_it = torch.cat([p.flatten() for p in model.parameters()])
            (0.5 * slope * all_of_it.square()).sum().backward()
            assert link.step()
            optimiser.step()
            rule.visit(x, c, memory, state, 1, lambda x, g: x.sub_(g, alpha=0.1), lambda x: slope * x)
        assert torch.equal(numbers(model), x)
        assert torch.equal(centre.numbers(), c)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_shards_are_the_whole_bit_by_bit(rule: Rule, filled: Models, linked: Links, meet: Meet) -> None:
    found = []
    for shards in (1, 3):
        generator = torch.Generator().manual_seed(0)
        centres = [Centre(rule, shard=(number, shards)) for number in range(shards)]
        models = [filled(0.0, 1001) for _ in range(2)]
        draw(models[0], generator)
        links = [linked(model, rule, [centre.address for centre in centres]) for model in models]
        for turn in range(8):
            draw(models[turn % 2], generator)
            before = links[turn % 2].meetings
            meet(links[turn % 2])
            assert links[turn % 2].meetings == before + 1
        copy = filled(0.0, 1001)
        links[0].load_centre(copy)
        found.append([numbers(copy), *map(numbers, models), torch.cat([centre.numbers() for centre in centres])])
        for link in links:
            link.close()
        for centre in centres:
            centre.close()
    for whole, parts in zip(*found, strict=True):
        assert torch.equal(whole, parts)


def test_it_meets_every_period(filled: Models, linked: Links) -> None:
    rule = Elastic(period=3)
    with Centre(rule) as centre:
        link = linked(filled(0.0), rule, centre.address)
        assert [link.step() for _ in range(7)] == [False, False, True] * 2 + [False]
        assert (link.meetings, link.steps, centre.clock, centre.steps) == (2, 7, 2, 6)


def test_a_hidden_answer_is_applied_to_what_x_has_become(filled: Models, linked: Links) -> None:
    """x was 3 when the message went, and α (3 − 1) = 1 is taken from what it is when the answer comes."""
    rule = Elastic(period=4, rate=0.5)
    model = filled(1.0)
    with Centre(rule) as centre:
        link = linked(model, rule, centre.address, hidden=True)
        with torch.no_grad():
            model.weight.fill_(3.0)
        assert [link.step() for _ in range(4)] == [False] * 4
        assert model.weight.eq(3.0).all()
        until = time.monotonic() + 20
        while centre.clock == 0 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)
        with torch.no_grad():
            model.weight.fill_(7.0)
        assert link.step()
        assert model.weight.eq(6.0).all()
        assert link.waited == 0
        assert link.meetings == 1


def test_an_answer_that_is_late_is_applied_at_a_later_step(
    filled: Models, linked: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Elastic):
        def meet(self, *given: object, **options: object) -> Tensor:
            time.sleep(1.5)
            return super().meet(*given, **options)

    rule = Slow(period=2, rate=0.5)
    model = filled(1.0)
    with Centre(rule) as centre:
        link = linked(model, rule, centre.address)
        with torch.no_grad():
            model.weight.fill_(3.0)
        began = time.monotonic()
        assert not link.step()
        assert not link.step()
        assert time.monotonic() - began < 1.4
        with torch.no_grad():
            model.weight.fill_(7.0)
        time.sleep(2)
        assert link.step()
        assert model.weight.eq(6.0).all()


def test_buffers_of_batch_norm_travel(linked: Links) -> None:
    rule = Elastic(period=1)
    first, second = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    first.running_mean.fill_(2.0)
    first.num_batches_tracked.fill_(7)
    with Centre(rule) as centre:
        linked(first, rule, centre.address)
        linked(second, rule, centre.address)
    assert second.running_mean.eq(2.0).all()
    assert second.num_batches_tracked == 0


def test_alone_a_link_makes_its_own_centre(filled: Models) -> None:
    with Link(filled(1.0), Elastic(period=1), centre=None) as link:
        assert link.step()
        assert link.members == 1
