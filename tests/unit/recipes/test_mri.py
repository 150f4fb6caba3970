"""The recipe `mri`: its rows, its gap, and what it says of its data."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.errors import OptionError
from lowland.recipes.vision.mri.recipe import NETWORK, PRIOR, VARIATION, ZERO, MriRecipe
from lowland.reports.run import Run


def test_every_method_is_measured_at_both_accelerations(smoke: Callable[[str], Run]) -> None:
    run = smoke("mri")
    for fold in (4, 8):
        for measure in ("psnr", "ssim", "nmse"):
            assert set(run.measured.methods(f"{measure} {fold}")) == {ZERO, VARIATION, NETWORK, PRIOR}
        assert run.measured.mean(VARIATION, f"psnr {fold}") > run.measured.mean(ZERO, f"psnr {fold}")
        assert 0 <= run.measured.mean(VARIATION, f"gap {fold}") < 5
        assert (run.folder / "figures" / f"{fold}-fold.png").is_file()
    page = (run.folder / "report.html").read_text()
    assert "Heads of ellipses stand in" in page
    assert f"at most {max(run.measured.each(VARIATION, 'gap 4')):.2f} % of E at 4-fold" in " ".join(page.split())
    assert (run.folder / "checkpoints" / "network" / "config.json").is_file()


@pytest.mark.parametrize("options", [{"noise": -1.0}, {"data": "knee"}, {"steps": 0}, {"gap": 0.0}, {"maps": (0,)}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        MriRecipe.from_options(options)
