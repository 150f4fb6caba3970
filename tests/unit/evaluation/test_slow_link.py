"""Links that are slowed, and the model of what they cost."""

from __future__ import annotations

import subprocess

import pytest

from lowland.errors import OptionError, TrainingError
from lowland.evaluation import slow_link
from lowland.evaluation.slow_link import not_here, predicted, time_steps


def test_the_model_by_hand() -> None:
    """1 MB at 8 Mbit/s takes a second, half of it half a second, and so on."""
    assert predicted(0.5, 1_000_000, 2, 8e6, 0, latency=0.1) == pytest.approx(0.5 + 2 * (0.1 + 0.5))
    assert predicted(0.5, 1_000_000, 4, 8e6, 0) == pytest.approx(0.5 + 6 * 0.25)
    assert predicted(0.5, 1_000_000, 4, 8e6, 20, latency=0.1) == pytest.approx(0.5 + 2.2 / 20)


def test_processes_behind_slowed_links_take_what_the_model_says() -> None:
    """A meeting of 8,000 numbers at 1 Mbit/s takes half a second: far more than anything else of these steps."""
    if reason := not_here():
        pytest.skip(reason)
    (found,) = time_steps(8_000, (4,), members=1, bits=1e6, compute=0.001, steps=8)
    assert found.predicted == pytest.approx(found.compute + 2 * 0.256 / 4, rel=1e-6)
    assert found.seconds == pytest.approx(found.predicted, rel=0.25)
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert "lowland" not in left


def test_where_it_cannot_be_done_a_sentence_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_link.shutil, "which", lambda tool: None)
    assert "install iproute2" in not_here()
    with pytest.raises(TrainingError, match="install iproute2"):
        time_steps(10, (0,))
    monkeypatch.setattr(slow_link.sys, "platform", "darwin")
    assert "Linux only" in not_here()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"periods": (-1,)}, "at least 1, or 0"), ({"numbers": 0}, "numbers must be"), ({"bits": 0.0}, "bits must be")],
)
def test_bad_values_are_refused(options: dict, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        time_steps(**({"numbers": 10, "periods": (1,)} | options))
