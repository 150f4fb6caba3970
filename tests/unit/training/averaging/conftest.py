"""Small models, links that end with the test, and meetings on a machine that may be busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import torch
from torch import nn

from lowland.training.averaging import attendant, wire
from lowland.training.averaging.link import Link


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A centre that ends waits until all workers have said something, and an empty one for further workers."""
    monkeypatch.setattr(wire, "BEAT", 0.1)
    monkeypatch.setattr(attendant, "_SEEDING", 0.05)


@pytest.fixture
def filled() -> Callable[..., nn.Module]:
    """A model whose numbers are all equal."""

    def make(value: float, size: int = 200) -> nn.Module:
        model = nn.Linear(size - 1, 1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        return model

    return make


@pytest.fixture
def linked() -> Iterator[Callable[..., Link]]:
    """Makes links that are closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda *given, **options: stack.enter_context(Link(*given, **options))


@pytest.fixture
def meet() -> Callable[[Link], None]:
    """Steps until the centre has answered."""

    def until_met(link: Link) -> None:
        until = time.monotonic() + 20
        while not link.step():
            assert time.monotonic() < until, "no meeting"
            time.sleep(0.01)

    return until_met
