"""The recipe `topographic` compares its maps with a shuffled and an untrained one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import load
from lowland.reports.run import Run


def test_maps_are_compared_with_baselines(smoke: Callable[[str], Run]) -> None:
    run = smoke("topographic")
    agreement = [row["method"] for row in run.results if row["claim"].startswith("agreement")]
    assert {"overlapping pools", "random atoms, untrained (baseline)"} <= set(agreement)


def test_the_largest_p_is_of_all_seeds(smoke: Callable[[str], Run]) -> None:
    measured = smoke("topographic").measured
    for name in measured.methods("p"):
        assert measured.mean(name, "largest p") == max(measured.each(name, "p")) >= 1 / 100
        assert measured.seeds(name, "largest p") == 2


@pytest.mark.parametrize("options", [{"side": 5}, {"pool": 1}, {"pool": 16}, {"components": 144}, {"patches": 5}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        load("topographic").from_options(options)
