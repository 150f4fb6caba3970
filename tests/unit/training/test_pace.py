"""How long a step takes does not depend on what is done once, before the first steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lowland.training.pace import STEPS, pace


@pytest.mark.parametrize("once", [0.0, 100.0])
def test_set_up_and_a_hiccup_do_not_count(once: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def learn(max_steps: int, log_every: int, callback: Callable[..., Any]) -> None:
        nonlocal now
        assert (max_steps, log_every) == (STEPS, 1)
        now += once
        for step in range(max_steps):
            now += {0: once, 5: 50.0}.get(step, 0.0) + 0.25
            callback(step + 1, {})

    assert pace(learn) == 0.25
