"""The recipe `glo`: inference from the encoder's prediction, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.sparse.glo.recipe import GloRecipe
from lowland.reports.run import Run


def test_no_latent_has_a_lower_energy_than_exact_inference(smoke: Callable[[str], Run]) -> None:
    run = smoke("glo")
    ways = run.measured.methods("gap")
    assert {"encoder", "linear encoder", "untrained encoder", "mean latent"} < set(ways)
    for seed in range(2):
        gaps = {name: run.measured.each(name, "gap")[seed] for name in ways}
        assert gaps.pop("exact inference") == 0
        assert min(gaps.values()) > 0
        assert gaps["encoder, then a few steps"] < gaps["encoder"] < gaps["untrained encoder"]


def test_exact_inference_has_no_gap_of_its_own_in_the_claims(smoke: Callable[[str], Run]) -> None:
    rows = [row for row in smoke("glo").results if row["claim"].startswith("objective gap")]
    assert "exact inference" not in {row["method"] for row in rows}
    assert len(rows) == 6


@pytest.mark.parametrize(
    "options", [{"data": "mnist11k"}, {"seeds": 0}, {"images": 5}, {"rate": 0.0}, {"hidden": (32, 0)}]
)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        GloRecipe.from_options(options)
