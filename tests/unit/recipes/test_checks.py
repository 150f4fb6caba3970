"""The recipe `checks` on a few lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.vision.checks.recipe import ChecksRecipe
from lowland.reports.run import Run

READERS = {"untrained", "characters", "rubbish", "Viterbi", "forward", "frames", "frames and grammar"}


def test_every_reader_is_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("checks")
    assert set(run.measured.methods("read")) == READERS
    for name in READERS:
        parts = [run.measured.mean(name, measure) for measure in ("correct", "rejected", "wrong")]
        assert sum(parts) == pytest.approx(100)
        assert parts[0] <= run.measured.mean(name, "read") <= 100
    published = {row["published"] for row in run.results if row["id"] == "V5"}
    assert published >= {50, 49, 1}
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"read", "lattices", "rejection"}


@pytest.mark.parametrize("options", [{"wrong": 101.0}, {"lines": 2}, {"data": "letters"}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        ChecksRecipe.from_options(options)
