"""Whatever does not fit is one clear sentence, and the centre goes on."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from lowland.errors import OptionError, ShapeError, TrainingError, UnsupportedError
from lowland.training.averaging import checks, wire
from lowland.training.averaging.centre import Centre
from lowland.training.averaging.link import Link
from lowland.training.averaging.part import Part
from lowland.training.averaging.rules import ADMM, Downpour, Elastic, Rule

Links, Models, Meet = Callable[..., Link], Callable[..., nn.Module], Callable[[Link], None]
RULE = Elastic(period=1, rate=0.5)


@pytest.mark.parametrize("address", ["29600", "host:", ":80", "host:port", "host:0", "host:65536", "", 29600])
def test_an_address_is_host_and_port(address: str, filled: Models) -> None:
    with pytest.raises(OptionError, match=r"HOST:PORT, such as 127\.0\.0\.1:29600, but it is"):
        Link(filled(0.0), RULE, address)


def test_there_must_be_an_address(filled: Models) -> None:
    with pytest.raises(OptionError, match="at least one"):
        Link(filled(0.0), RULE, [])


def test_no_centre(filled: Models) -> None:
    with pytest.raises(TrainingError, match=r"No centre answers at 127\.0\.0\.1:9 within 0\.4 s: start one with"):
        Link(filled(0.0), RULE, "127.0.0.1:9", timeout=0.4)


def test_another_program_is_no_centre(filled: Models) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(TrainingError, match="No centre answers"):
        Link(filled(0.0), RULE, f"127.0.0.1:{server.getsockname()[1]}", timeout=0.4)


@pytest.mark.parametrize(
    ("size", "dtype", "rule", "said"),
    [
        (201, torch.float32, RULE, r"holds a model of 200 numbers, but this one has 201"),
        (200, torch.float64, RULE, r"holds numbers of float32, but this model has float64"),
        (
            200,
            torch.float32,
            Elastic(2, 0.5),
            r"has the rule Elastic\(period=1, rate=0.5\), but this worker Elastic\(peri",
        ),
        (200, torch.float32, Downpour(1), r"has the rule Elastic\(.*\), but this worker Downpour\(period=1"),
    ],
)
def test_a_worker_that_does_not_fit(
    size: int, dtype: torch.dtype, rule: Rule, said: str, filled: Models, linked: Links, meet: Meet
) -> None:
    with Centre(RULE) as centre:
        link = linked(filled(1.0), RULE, centre.address)
        with pytest.raises(TrainingError, match=said):
            Link(filled(0.0, size).to(dtype), rule, centre.address)
        meet(link)


def test_whole_and_fractional_parameters_are_the_same_rule(filled: Models, linked: Links) -> None:
    with Centre(Elastic(period=1, rate=1.0)) as centre:
        assert linked(filled(1.0), Elastic(period=1, rate=1), centre.address).step()


def test_another_version_of_the_protocol(filled: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    header = Part._header
    monkeypatch.setattr(Part, "_header", lambda *given: dataclasses.replace(header(*given), version=2))
    with (
        Centre(RULE) as centre,
        pytest.raises(TrainingError, match=r"speaks version 1 of the protocol, but this worker ve"),
    ):
        Link(filled(0.0), RULE, centre.address)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_numbers_that_are_not_finite(bad: float, filled: Models, linked: Links, meet: Meet) -> None:
    broken = filled(1.0)
    with Centre(RULE) as centre:
        link = linked(broken, RULE, centre.address)
        other = linked(filled(1.0), RULE, centre.address)
        with torch.no_grad():
            broken.bias.fill_(bad)
        with pytest.raises(
            TrainingError, match=r"refused the numbers of this worker after .* steps, since some are NaN"
        ):
            meet(link)
        meet(other)
        assert centre.numbers().eq(1.0).all()
        assert centre.clock == 1


def test_a_model_that_is_not_finite_seeds_no_centre(filled: Models, linked: Links, meet: Meet) -> None:
    with Centre(RULE) as centre:
        with pytest.raises(TrainingError, match="since some are NaN"):
            Link(filled(float("nan")), RULE, centre.address)
        assert centre.empty
        meet(linked(filled(2.0), RULE, centre.address))


def test_a_centre_of_another_run(filled: Models, linked: Links, meet: Meet) -> None:
    with Centre(RULE) as centre:
        link = linked(filled(1.0), RULE, centre.address)
        meet(link)
        port = centre.port
    with Centre(RULE, port=port) as other:
        linked(filled(2.0), RULE, other.address)
        with pytest.raises(TrainingError, match="belongs to another run"):
            meet(link)


def test_shards_in_another_order(filled: Models) -> None:
    with Centre(RULE, shard=(0, 2)) as one, Centre(RULE, shard=(1, 2)) as two:
        with pytest.raises(
            TrainingError, match=r"is shard 1 of 2, but was given as shard 0 of 2|is shard 0 of 2, but was"
        ):
            Link(filled(0.0), RULE, [two.address, one.address])
        with pytest.raises(TrainingError, match=r"is shard 0 of 2, but was given as shard 0 of 1"):
            Link(filled(0.0), RULE, one.address)
        with pytest.raises(ShapeError, match="too small for 2 shards"):
            Link(filled(0.0, 60), RULE, [one.address, two.address])


def test_a_port_in_use() -> None:
    with (
        Centre(RULE) as centre,
        pytest.raises(OptionError, match=rf"cannot listen at 127\.0\.0\.1:{centre.port}: address"),
    ):
        Centre(RULE, port=centre.port)


@pytest.mark.parametrize("options", [{"port": -1}, {"port": 70000}, {"every": 0}, {"silence": 0.1}, {"shard": (2, 2)}])
def test_options_of_a_centre(options: dict) -> None:
    with pytest.raises(OptionError, match="must be a"):
        Centre(RULE, **options)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "198.51.100.1"])
def test_hosts_at_which_a_centre_cannot_listen(host: str) -> None:
    with pytest.raises(OptionError, match=r"listens at one address|cannot listen at"):
        Centre(RULE, host=host)


@pytest.mark.parametrize("period", [0, -1, 0.5, None])
def test_a_period_is_one_step_at_least(period: int) -> None:
    with pytest.raises(OptionError, match="period must be"):
        Elastic(period=period)


def test_admm_is_for_analysis_only(filled: Models) -> None:
    for make in (lambda: Link(filled(0.0), ADMM()), lambda: Centre(ADMM())):
        with pytest.raises(UnsupportedError, match="ADMM is for analysis only"):
            make()


def test_a_rule_is_an_instance(filled: Models) -> None:
    with pytest.raises(OptionError, match="it is the class Elastic: call it to make one"):
        Link(filled(0.0), Elastic)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"steps": -1}, {"steps": 0.5}])
def test_options_of_a_link(options: dict, filled: Models) -> None:
    with pytest.raises(OptionError, match="must be a"):
        Link(filled(0.0), RULE, **options)


def test_one_dtype_for_all_numbers(filled: Models) -> None:
    mixed = nn.Sequential(filled(0.0), filled(0.0).double())
    with pytest.raises(ShapeError, match=r"must have one dtype of .*, but they have: float32, float64"):
        Link(mixed, RULE)
    with pytest.raises(ShapeError, match="but they have: none"):
        Link(nn.ReLU(), RULE)


def test_the_centre_fits_only_a_model_like_the_linked_one(filled: Models, linked: Links) -> None:
    with Centre(RULE) as centre:
        link = linked(filled(0.0), RULE, centre.address)
        with pytest.raises(ShapeError, match=r"has 201 numbers of torch\.float32, but the centre 200"):
            link.load_centre(filled(0.0, 201))


def test_a_centre_that_does_not_answer(filled: Models, linked: Links) -> None:
    with Centre(RULE) as centre:
        link = linked(filled(0.0), RULE, centre.address, timeout=0.5)
    with pytest.raises(TrainingError, match="does not answer"):
        link.load_centre(filled(0.0))


def test_what_is_no_protocol_ends_the_link_and_not_the_centre(filled: Models, linked: Links, meet: Meet) -> None:
    with Centre(RULE) as centre:
        meet(linked(filled(1.0), RULE, centre.address))
        for header in (wire.Header(magic=1), wire.Header(kind=99), wire.Header(kind=wire.MEET)):
            stranger, _ = wire.reach("127.0.0.1", centre.port, 5.0)
            stranger.put(header)
            with pytest.raises(RuntimeError):
                stranger.get(5.0)
        huge, _ = wire.reach("127.0.0.1", centre.port, 5.0)
        huge.put(wire.Header(kind=wire.GREET, numbers=2**60, rule=checks.rule_code(RULE)))
        assert huge.get(5.0).flag == wire.ODD_SIZE
        until = time.monotonic() + 5
        while centre.lost < 4 and time.monotonic() < until:
            time.sleep(0.01)
        assert centre.lost == 4
        meet(linked(filled(1.0), RULE, centre.address))
