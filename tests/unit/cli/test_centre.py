"""`lowland centre`: it says where it listens, saves when it is told to end, and goes on."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from torch import nn

from lowland import cli
from lowland.cli.commands.centre import Centre
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Downpour, Elastic, Outer, Rule

RULE = Outer(period=2, lr=0.5)


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_it_saves_when_it_is_ended_and_goes_on(tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    def work(meetings: int, number: int) -> None:
        with Link(nn.Linear(4, 1), RULE, f"127.0.0.1:{port}", steps=meetings) as link:
            while link.clock < meetings:
                link.step()
        time.sleep(0.3)
        os.kill(os.getpid(), number)

    given = ["--run", str(tmp_path), "--port", f"{port}", "--rule", "Outer", "--period", "2", "--lr", "0.5"]
    for number, said, after in ((signal.SIGTERM, "Ctrl-C saves", 2), (signal.SIGINT, "goes on after 2 meetings", 4)):
        worker = threading.Thread(target=work, args=(after, number))
        worker.start()
        assert cli.main(["centre", *given]) == 0
        worker.join()
        shown = capsys.readouterr().out
        assert f"listens at 127.0.0.1:{port} and keeps its state in {tmp_path}" in shown
        assert said in shown
        assert re.search(r"^\d workers, \d meetings, \d+ steps, 0 lost$", shown, re.MULTILINE), shown
        assert f"Saved after {after} meetings." in shown


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("", Elastic()),
        ("--period 3 --rate 0.5", Elastic(3, 0.5)),
        ("--rule Downpour --momentum 0.2", Downpour(10, 0.2)),
        ("--rule Outer --period 64 --lr 1 --momentum 0", Outer(64, 1.0, 0.0)),
    ],
)
def test_the_rule_and_its_options(words: str, rule: Rule) -> None:
    command = Centre.parse(["--run", "somewhere", *words.split()], "lowland centre")
    assert isinstance(command, Centre)
    assert command.chosen() == rule


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "needs --run DIR"),
        ("--run x --rum y", r"has no option '--rum'\. Did you mean '--run'\?"),
        ("--run x --rule ADMM", "--rule cannot be 'ADMM'"),
        ("--run x --lr 1", "Elastic has no --lr: it takes --period and --rate"),
        ("--run x --rule Outer --rate 1", "Outer has no --rate: it takes --period and --lr and --momentum"),
        ("--run x --period 0", "period must be a whole number of at least 1"),
        ("--run x --port 70000", "port must be a whole number"),
        ("--run x --shard 2 2", "The shard must be a whole number of at least 0 and below 2"),
        ("--run x --shard 1", "--shard needs 2 values"),
        ("--run x --host 0.0.0.0", "listens at one address that workers reach"),
        ("--run x --host 198.51.100.1", r"cannot listen at 198\.51\.100\.1:29600"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["centre", *words.split()]) == 2
    told = capsys.readouterr()
    assert re.search(said, told.err), told.err
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert signal.getsignal(signal.SIGTERM) is before
    assert not list(tmp_path.iterdir())


def test_help_says_when_to_use_it_and_what_is_not_safe(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["centre", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "link.step()",
        "neither authentication nor encryption",
        "loopback",
        "tunnel",
        "save the state and end",
    ):
        assert part in shown


def test_a_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lowland.training.averaging.centre import Centre as Holder

    with Holder(Elastic()) as centre:
        assert cli.main(["centre", "--run", str(tmp_path), "--port", str(centre.port)]) == 2
    assert "already in use. Choose another port" in capsys.readouterr().err
