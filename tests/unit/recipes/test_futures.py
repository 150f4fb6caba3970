"""The recipe `futures`: the best of several samples beside baselines that have as many tries."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.sparse.futures.recipe import COUNTS, LATENT, FuturesRecipe
from lowland.reports.run import Run


def test_more_tries_are_never_worse_and_inference_bounds_them(smoke: Callable[[str], Run]) -> None:
    found = smoke("futures").measured
    for seed in range(2):
        curve = [found.each(LATENT, f"best of {count}")[seed] for count in COUNTS]
        assert curve == sorted(curve, reverse=True)
        assert found.each(LATENT, "error")[seed] <= found.each("one sample", "error")[seed]


def test_baselines_stand_beside_the_claim(smoke: Callable[[str], Run]) -> None:
    assert {row["method"] for row in smoke("futures").results} >= {
        "deterministic, same budget (baseline)",
        "last frame again (baseline)",
        "deterministic + white noise, best of 10 (baseline)",
        "futures of the 10 nearest training inputs, best of 10 (baseline)",
    }


@pytest.mark.parametrize("options", [{"data": "bal"}, {"seeds": 0}, {"samples": 1}, {"films": 10}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        FuturesRecipe.from_options(options)
