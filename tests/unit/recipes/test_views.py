"""The recipe `views` shows every setting, and its distances are what their definition says."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.views import COLOUR, GREY, NONE, SERIES, VECTORS, ViewsRecipe


def test_every_setting_has_a_distance_and_no_augmentation_has_none(tmp_path: Path) -> None:
    config = ViewsRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    assert len(run.results) == sum(map(len, (COLOUR, GREY, SERIES, VECTORS)))
    for row in run.results:
        if row["method"] == f"{NONE} (baseline)":
            assert row["measured"] == 0
        else:
            assert row["measured"] > 0
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results


@pytest.mark.parametrize("options", [{"shown": 3}, {"samples": 1}, {"side": 4}, {"shown": 8, "samples": 3}])
def test_options_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="shown must be"):
        ViewsRecipe.from_options(options)
