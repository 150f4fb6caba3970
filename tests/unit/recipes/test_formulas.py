"""The recipe `formulas` on few problems."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import LowlandError
from lowland.recipes.sequences.formulas.recipe import FormulasRecipe
from lowland.reports.run import Run


def test_every_method_is_measured_on_every_kind(smoke: Callable[[str], Run]) -> None:
    run = smoke("formulas")
    methods = {"zero", "copy", "nearest", "beam 1", "beam 10", "checked 1", "checked 10"}
    for kind in ("integral", "first", "second"):
        assert set(run.measured.methods(kind)) == methods
        assert run.measured.mean("zero", kind) == 0
        assert run.measured.mean("checked 10", kind) >= run.measured.mean("beam 10", kind)
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"candidates", "width", "length"}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"integrate": "x*koala(x)"}, "unknown name 'koala'"), ({"integrate": "x +"}, "its end"),
        ({"integrate": " + ".join(f"sin({place}*x)" for place in range(1, 12))}, "at most 32"),
        ({"kinds": ("third",)}, "kinds must be one of"), ({"rival": -1}, "rival must be"),
        ({"width": 6}, "multiple of 4"), ({"gammas": (0.0,)}, "gammas"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(options: dict[str, object], wrong: str) -> None:
    with pytest.raises(LowlandError, match=wrong):
        FormulasRecipe.from_options(options)
