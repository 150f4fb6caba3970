"""One thread and the same random numbers for the conformance tests, wherever they are run from."""

from __future__ import annotations

import os

# Read when torch and matplotlib are imported, so they come first.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch

from lowland.conformance.check import CHOSEN

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Seeds the global generator, which initial weights of torch layers are drawn from."""
    torch.manual_seed(0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under `lowland check` only the tests of the user's own classes stay."""
    chosen = os.environ.get(CHOSEN)
    if chosen is None:
        return
    called = {item: getattr(getattr(item, "callspec", None), "params", {}).get("name") for item in items}
    wanted = [item for item in items if called[item] in chosen.split(",")]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted
