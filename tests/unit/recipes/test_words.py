"""The recipe `words` on digits that count upwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.vision.words.recipe import METHODS, NOTHING, WordsRecipe
from lowland.reports.run import Run


def test_every_reader_is_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("words")
    assert set(run.measured.methods("labels")) == {NOTHING, *METHODS}
    for name in METHODS:
        assert run.measured.mean(name, "labels") <= run.measured.mean(name, "whole") <= 100
        assert 0 <= run.measured.mean(name, "validation") <= 100
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"neighbours", "read"}


@pytest.mark.parametrize("options", [{"seeds": 11}, {"held": 1.0}, {"data": "letters"}, {"steps": 0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        WordsRecipe.from_options(options)
