"""The recipe `stacks` on short words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.sequences.stacks.recipe import StacksRecipe
from lowland.reports.run import Run


def test_every_network_is_measured_on_every_language(smoke: Callable[[str], Run]) -> None:
    run = smoke("stacks")
    kinds = {"stacks", "stacks, chosen", "LSTM", "LSTM, chosen", "most frequent"}
    for name in ("anbn", "anbncn", "anbmcnm"):
        assert set(run.measured.methods(f"right {name}")) == kinds
        for kind in ("stacks", "LSTM"):
            each = run.measured.each(kind, f"validation {name}")
            assert len(each) == 2
            assert run.measured.mean(f"{kind}, chosen", f"validation {name}") == min(each)
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"depths", "right"}


@pytest.mark.parametrize("options", [{"seeds": 0}, {"most": 2}, {"rate": 0.0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        StacksRecipe.from_options(options)
