"""The recipe `views` shows every setting, and its distances are what their definition says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.data.views import ablations
from lowland.errors import OptionError
from lowland.recipes.joint.views.recipe import KINDS, ViewsRecipe
from lowland.reports.run import Run


def test_every_setting_has_a_distance_and_no_augmentation_has_none(smoke: Callable[[str], Run]) -> None:
    run = smoke("views")
    kinds = {kind: ablations(kind) for kind in KINDS}
    assert len(run.results) == sum(map(len, kinds.values()))
    for kind, settings in kinds.items():
        assert set(run.measured.methods(kind)) == set(settings)
        distances = {name: run.measured.each(name, kind)[0] for name in settings}
        assert distances.pop("no augmentation") == 0
        assert min(distances.values()) > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shown": 3}, "shown must be an even number"),
        ({"samples": 1}, "samples must be"),
        ({"side": 4}, "side must be"),
        ({"side": 300}, "side must be at most 256"),
        ({"shown": 8, "samples": 3}, "samples at least half of it"),
    ],
)
def test_options_that_cannot_be(options: dict[str, int], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ViewsRecipe.from_options(options)


def test_views_of_an_unknown_kind_are_refused() -> None:
    with pytest.raises(OptionError, match="Did you mean 'vectors'"):
        ablations("vector")
