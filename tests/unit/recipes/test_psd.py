"""The recipe `psd`: the encoder is judged by the energy without the prediction, against its baselines."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowland.errors import OptionError
from lowland.recipes import psd as recipe
from lowland.recipes.base import execute, start

CONFIG = recipe.PsdRecipe(seeds=1, samples=1000, tests=100, atoms=24, steps=40)


def test_every_encoder_stands_in_the_table_also_after_a_resume(tmp_path: Path) -> None:
    config = recipe.PsdRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    rows = {(row["claim"].split("²")[0], row["method"]): row for row in run.results}
    assert rows["Σ‖y − Wẑ‖", "zero code (baseline)"]["measured"] == pytest.approx(1)
    assert rows["Σ‖y − Wẑ‖", "encoder of PSD"]["measured"] < 1
    assert all(row["seeds"] == 2 and row["measured"] >= 0 for row in run.results)
    for stage in ("seed-0/linear", "seed-1/further"):
        (run.folder / "stages" / f"{stage}.safetensors").unlink()
    assert execute(config, start(config, tmp_path, "smoke", resume=run.folder)).results == run.results


def test_training_lowers_the_free_energy_and_the_linear_encoder_is_least_squares() -> None:
    setting = recipe.Setting(CONFIG, 0)
    _, losses = setting.learn()
    assert losses[-1] < losses[0]
    linear = setting.regress()
    assert linear["threshold"] in recipe.THRESHOLDS
    # At the least squares of matrix M no direction of M has a slope but for the ridge, 1e-6 of the mean square of y.
    slope = setting.train.T @ (setting.train @ linear["matrix"] - setting.codes)
    assert float(slope.norm()) < 1e-3 * float((setting.train.T @ setting.codes).norm())


def test_exact_inference_is_that_of_the_learned_dictionary_without_the_prediction() -> None:
    setting = recipe.Setting(CONFIG, 0)
    setting.learn()
    assert torch.equal(setting.coding.dictionary, setting.energy.dictionary)
    y = setting.test
    with torch.no_grad():
        pulled = setting.energy(y=y, z=setting.energy.code(y))
        assert torch.allclose(pulled, setting.coding(y=y, z=setting.energy.code(y)), atol=1e-6)


@pytest.mark.parametrize("options", [{"seeds": 0}, {"samples": 10}, {"shrinkages": 0}, {"steps": 0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        recipe.PsdRecipe.from_options(options)
