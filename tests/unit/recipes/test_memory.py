"""The recipe `memory` with few patterns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.sequences.memory.recipe import CLASSICAL, READ, SETTINGS, WAYS, MemoryRecipe
from lowland.reports.run import Run


def test_all_is_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("memory")
    assert set(run.measured.methods("theory")) == {*SETTINGS, CLASSICAL}
    assert set(run.measured.methods("right")) == set(WAYS)
    assert run.measured.mean("nothing", "error") == pytest.approx(1)
    assert run.measured.mean("descent", "error") < 1
    for name in run.measured.methods("top 1"):
        mass = [run.measured.mean(name, f"top {count}") for count in READ]
        assert mass == sorted(mass)
        assert 0 < mass[0] < mass[-1] <= 1
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"capacity", "digits"}


@pytest.mark.parametrize("options", [{"units": 3}, {"keys": 10}, {"betas": (0.0,)}, {"covered": 0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        MemoryRecipe.from_options(options)
