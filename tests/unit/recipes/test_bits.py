"""The recipe `bits`: every setting has its errors and bytes, and fewer bits take fewer bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.nn.quantised import settings_of
from lowland.recipes.hardware.bits.recipe import BitsRecipe
from lowland.reports.run import Run
from lowland.training import load_energy


def test_errors_bytes_and_pictures_are_on_the_page(smoke: Callable[[str], Run]) -> None:
    run = smoke("bits")
    for method in (
        "most frequent class",
        "float",
        "float trained",
        "6/3 after",
        "6/3 trained",
        "1/1 after",
        "1/1 trained",
    ):
        assert 0 <= run.measured.mean(method, "error digits") <= 100
    sizes = [run.measured.mean(f"{name} trained", "kilobytes") for name in ("float", "6/3", "1/1")]
    assert sizes[0] > 4 * sizes[1] > 12 * sizes[2]
    rows = {(row["method"], row["claim"]): row for row in run.results}
    row = rows["6/3 (ANNA), trained on", "bits of a weight"]
    assert row["measured"] == row["published"] == 6
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"bits-digits"}
    kept = settings_of(load_energy(run.folder / "checkpoints" / "anna"))
    assert kept is not None
    assert {one["weights"] for one in kept.values()} == {6}


@pytest.mark.parametrize("options", [{"further": (3, 1)}, {"settings": ("6/9",)}, {"settings": ()}, {"data": ()}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        BitsRecipe.from_options(options)
