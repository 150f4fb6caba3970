"""Who gives an empty centre its numbers, who starts from it, and what it keeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from lowland.errors import CheckpointError, OptionError
from lowland.training.averaging import attendant, checks, wire
from lowland.training.averaging.attendant import Attendant, Member, Roll
from lowland.training.averaging.centre import Centre
from lowland.training.averaging.holding import Holding
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Downpour, Elastic, Outer
from lowland.training.averaging.wire import Header

Links, Models, Meet = Callable[..., Link], Callable[..., nn.Module], Callable[[Link], None]
RULE = Elastic(period=1, rate=0.5)


def knock(port: int) -> None:
    """What a worker does that dies before its group stands."""
    wire.knocks(wire.find_store("127.0.0.1", port, 5.0), 1)


def greeting(steps: int, port: int) -> wire.Wire:
    """A worker that has greeted and says no more."""
    link, _ = wire.reach("127.0.0.1", port, 5.0)
    link.put(Header(kind=wire.GREET, numbers=200, rule=checks.rule_code(RULE), steps=steps))
    return link


def test_the_most_advanced_worker_gives_an_empty_centre_its_numbers(
    filled: Models, linked: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendant, "_SEEDING", 1.0)
    with Centre(RULE) as centre:
        found: dict[int, Link] = {}
        models = {steps: filled(float(steps)) for steps in (5, 50, 20)}

        def join(steps: int) -> None:
            found[steps] = linked(models[steps], RULE, centre.address, steps=steps)

        threads = [threading.Thread(target=join, args=(steps,)) for steps in models]
        for thread in threads:
            thread.start()
            time.sleep(0.15)
        for thread in threads:
            thread.join()
        assert centre.numbers().eq(50.0).all()
        assert all(model.weight.eq(50.0).all() for model in models.values())
        assert {link.steps for link in found.values()} == {50} == {centre.steps}


def test_where_the_most_advanced_worker_dies_the_next_gives_its_numbers(filled: Models, linked: Links) -> None:
    with Centre(RULE) as centre:
        dying = [greeting(50, centre.port)]
        threading.Timer(0.3, dying.clear).start()
        model = filled(5.0)
        linked(model, RULE, centre.address, steps=5)
        assert centre.numbers().eq(5.0).all()


def test_a_worker_that_stops_while_it_joins_holds_nobody_up(filled: Models, linked: Links, meet: Meet) -> None:
    with Centre(RULE) as centre:
        knock(centre.port)
        began = time.monotonic()
        meet(linked(filled(1.0), RULE, centre.address))
        assert time.monotonic() - began < 10, "a centre waits 20 s for a group"
        knock(centre.port)
        meet(linked(filled(1.0), RULE, centre.address))


@pytest.mark.parametrize("kind", [wire.MEET, wire.READ])
@pytest.mark.parametrize("body", [True, False])
def test_a_worker_that_stops_in_an_exchange_holds_nobody_up(
    kind: int, body: bool, filled: Models, linked: Links, meet: Meet
) -> None:
    """It has sent its message, or only a part of it, and takes no answer."""
    with Centre(RULE) as centre:
        other = linked(filled(1.0), RULE, centre.address)
        stopped = greeting(0, centre.port)
        assert stopped.get(5.0).kind == wire.START
        numbers = stopped.get_numbers(torch.empty(200))
        stopped.put(Header(kind=kind), numbers if body and kind == wire.MEET else None)
        time.sleep(0.3)
        began = time.monotonic()
        meet(other)
        assert time.monotonic() - began < 10, "an exchange is given up after 20 s"
        del stopped


def test_a_centre_closes_while_workers_wait_for_it_to_have_numbers() -> None:
    centre = Centre(RULE)
    kept = greeting(1, centre.port)
    centre.close()
    assert centre.empty
    del kept


@pytest.mark.parametrize(("steps", "value"), [(0, 1.0), (3, 1.0), (4, 9.0), (90, 9.0)])
def test_a_resumed_worker_that_is_older_starts_from_the_centre(
    steps: int, value: float, filled: Models, linked: Links, meet: Meet, caplog: pytest.LogCaptureFixture
) -> None:
    with Centre(RULE) as centre:
        link = linked(filled(1.0), RULE, centre.address)
        while centre.steps < 4:
            meet(link)
        model = filled(9.0)
        resumed = linked(model, RULE, centre.address, steps=steps)
        assert model.weight.eq(value).all()
        assert resumed.steps == max(steps, 4) == centre.steps
        assert (f"after {steps} steps, starts from the centre at {centre.address}" in caplog.text) is (steps == 3)


@pytest.mark.parametrize(
    ("most", "since", "older"), [(100, 0, False), (120, 0, False), (121, 0, True), (300, 90, False), (301, 90, True)]
)
def test_a_worker_is_older_if_others_went_on_by_twice_as_much(most: int, since: int, older: bool) -> None:
    """Their last meeting was when the centre had heard of 100 steps; τ = 10."""
    holding = Holding(Elastic(period=10), (0, 1), None)
    holding.steps = most
    link: wire.Wire = object.__new__(wire.Wire)
    assert Attendant(holding, Roll(3.0), link, 0).older(Header(steps=40, base=100, since=since, clock=7)) is older


def test_a_silent_member_is_away_until_its_next_meeting(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("lowland.training.averaging.attendant.time.monotonic", lambda: now[0])
    roll = Roll(3.0)
    roll.members = {0: Member(3.0), 1: Member(3.0)}
    now[0] = 2.0
    roll.members[0].hear()
    now[0] = 4.0
    assert roll.count() == 1
    roll.members[1].hear()
    assert roll.count() == 2
    assert [member.away for member in roll.members.values()] == [False, True]


def test_a_survivor_keeps_its_numbers_when_the_centre_comes_back(
    filled: Models, linked: Links, meet: Meet, tmp_path: Path
) -> None:
    model = filled(1.0)
    with Centre(RULE, run=tmp_path) as centre:
        link = linked(model, RULE, centre.address)
        meet(link)
        port, clock = centre.port, centre.clock
    with torch.no_grad():
        model.weight.fill_(5.0)
    for _ in range(40):
        link.step()
    with Centre(RULE, port, tmp_path) as centre:
        assert centre.clock == clock
        meet(link)
        assert model.weight.eq(3.0).all(), "pulled, not replaced"
        assert centre.steps == link.steps


@pytest.mark.parametrize("rule", [Downpour(1, 0.5), Outer(1)], ids=str)
def test_progress_made_alone_is_sent_when_the_centre_comes_back(
    rule: Downpour | Outer, filled: Models, linked: Links, meet: Meet, tmp_path: Path
) -> None:
    """As if the period had been longer."""
    model, twin = filled(1.0), torch.ones(200)
    held, memory, state = twin.clone(), {}, {}
    rule.join(held, memory)
    centre = Centre(rule, run=tmp_path)
    link = linked(model, rule, centre.address)
    for life in range(2):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(2.0)
        at = twin.add_(2.0).clone()
        rule.take(twin, at, rule.meet(held, rule.message(at, memory), state, 1), memory, 1)
        meet(link)
        assert torch.equal(model.weight.flatten(), twin[1:])
        assert torch.equal(centre.numbers(), held)
        centre.close()
        link.step()
        if life == 0:
            centre = Centre(rule, centre.port, tmp_path)


def test_a_message_to_a_centre_that_ends_does_not_count(
    filled: Models, linked: Links, meet: Meet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would have changed could not be saved any more. The worker keeps what it did, and sends it later."""
    rule, model = Downpour(1), filled(1.0)
    centre = Centre(rule, run=tmp_path)
    link = linked(model, rule, centre.address)
    meet(link)
    monkeypatch.setattr(wire, "BEAT", 2.0)
    meet(link)
    ending = threading.Thread(target=centre.close)
    ending.start()
    while not centre._roll.closing.is_set():
        time.sleep(0.01)
    with torch.no_grad():
        model.weight.fill_(4.0)
    assert not link.step()
    assert not link._parts[0].unsure
    ending.join()
    assert (centre.clock, link.meetings) == (2, 2)
    with Centre(rule, centre.port, tmp_path) as again:
        meet(link)
        assert again.clock == 3
        assert model.weight.eq(4.0).all()


def test_a_centre_goes_on_from_its_snapshot(filled: Models, linked: Links, meet: Meet, tmp_path: Path) -> None:
    rule = Outer(period=1)
    with Centre(rule, run=tmp_path, every=0.05) as centre:
        model = filled(1.0)
        link = linked(model, rule, centre.address)
        for value in (2.0, 4.0, 3.0):
            with torch.no_grad():
                model.weight.fill_(value)
            meet(link)
            time.sleep(0.2)
        state = {name: part.clone() for name, part in centre._holding.state.items()}
        kept = centre.numbers()
        assert len(list(tmp_path.rglob("*.safetensors"))) == 2, "the newest two"
    with Centre(rule, run=tmp_path) as centre:
        assert torch.equal(centre.numbers(), kept)
        assert (centre.clock, centre.steps, centre.empty) == (link.clock, link.steps, False)
        assert set(state) == set(centre._holding.state) == {"speed"}
        assert torch.equal(centre._holding.state["speed"], state["speed"])
    for given in ({"rule": Outer(2)}, {"rule": rule, "shard": (0, 2), "run": tmp_path}):
        if "shard" in given:
            (tmp_path / "centre").rename(tmp_path / "centre-0-of-2")
        with pytest.raises(OptionError, match="start it with the same, or choose another run"):
            Centre(**({"run": tmp_path} | given))


def test_a_damaged_snapshot_leaves_the_one_before(
    filled: Models, linked: Links, meet: Meet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Centre(RULE, run=tmp_path) as centre:
        link = linked(filled(1.0), RULE, centre.address)
        meet(link)
        centre.save()
        meet(link)
    old, new = sorted(tmp_path.rglob("*.safetensors"))
    new.write_bytes(new.read_bytes()[:-1] + b"x")
    with Centre(RULE, run=tmp_path) as centre:
        assert centre.clock == 1
        assert "is damaged" in caplog.text
    old.write_bytes(b"no")
    with pytest.raises(CheckpointError, match="can be read"):
        Centre(RULE, run=tmp_path)


def test_an_empty_centre_has_no_numbers() -> None:
    with Centre(RULE) as centre, pytest.raises(OptionError, match="The centre is empty"):
        centre.numbers()


def test_a_snapshot_that_cannot_be_written(
    filled: Models, linked: Links, meet: Meet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    centre = Centre(RULE, every=0.05)
    centre._holding = Holding(RULE, (0, 1), tmp_path / "file")
    meet(linked(filled(1.0), RULE, centre.address))
    time.sleep(0.3)
    assert "The centre goes on without." in caplog.text
    with pytest.raises(CheckpointError, match="could not be written"):
        centre.close()
