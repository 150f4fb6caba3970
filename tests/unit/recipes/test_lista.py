"""The recipe `lista`: what it measures is what its words say, also after a resume."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import lowland as ll
from lowland.errors import OptionError
from lowland.recipes import lista as recipe
from lowland.recipes.base import execute, start
from lowland.recipes.lista_results import PERFECT, worth
from lowland.recipes.lista_setting import DROPS, Setting

CONFIG = recipe.ListaRecipe(seeds=1, samples=1000, tests=60, atoms=24, updates=2, steps=30, iterations=40)


@pytest.fixture(scope="module")
def setting() -> Setting:
    made = Setting(CONFIG, 0)
    made.learn()
    made.energy.requires_grad_(False)
    return made


def test_the_page_compares_with_solvers_also_after_a_resume(tmp_path: Path) -> None:
    config = recipe.ListaRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    rows = {(row["claim"][:10], row["method"]): row["measured"] for row in run.results if row["id"] == "S3"}
    assert rows["code error", "zero code (baseline)"] == pytest.approx(1)
    assert rows["code error", "LISTA, 2 shrinkages"] < rows["code error", "FISTA, 2 iterations (baseline)"]
    assert all(row["seeds"] == 2 for row in run.results)
    assert {"S4", "S5"} <= {row["id"] for row in run.results}
    for stage in ("seed-0/LISTA-2", "seed-1/LCoD-8", "seed-1/iterations"):
        (run.folder / "stages" / f"{stage}.safetensors").unlink()
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results


def test_iterations_are_those_of_the_solver(setting: Setting) -> None:
    """The first entry is z = 0, and each later one what the solver gives when it is stopped there."""
    found = setting.iterate()
    assert found["FISTA"]["error"][0] == found["ISTA"]["error"][0] == 1
    exact = setting.exact(setting.test)
    for count in (1, 7):
        code = setting._fista(count)(setting.test)
        error = float((code - exact).square().sum() / exact.square().sum())
        assert found["FISTA"]["error"][count] == pytest.approx(error, rel=1e-4)
    assert found["coordinate descent"]["gap"] == sorted(found["coordinate descent"]["gap"], reverse=True)


def test_polishing_starts_where_it_is_told_to(setting: Setting) -> None:
    """One look at the correlations certifies the exact code, and its support is the right one by definition."""
    found = setting.polish({"LISTA 2": ll.nn.LISTA(setting.energy.dictionary, CONFIG.sparsity)})
    assert set(found) == {"zero", "LISTA 2", PERFECT}
    assert found[PERFECT]["checks"] == 1 < found["zero"]["checks"]
    # A certificate of 1e-4 and one of 1e-6 may differ by units whose coefficients are almost zero.
    assert min(found[PERFECT]["recall"], found[PERFECT]["precision"]) > 0.9
    assert found["zero"]["recall"] == found["zero"]["encoder"] == 0
    assert found["LISTA 2"]["drop"] in DROPS


def test_parts_are_of_other_patches(setting: Setting) -> None:
    distances = torch.cdist(setting.test, torch.cat([setting.train_patches, setting.validation]))
    assert float(distances.min()) > 1e-3


def test_worth_of_an_encoder_that_fista_never_matches() -> None:
    one = {"FISTA": {"error": [1.0, 0.5]}, "report": {"LISTA 2": {"code_error": 0.1}}}
    assert worth(one, "LISTA 2", "error") == math.inf


WRONG = (
    {"seeds": 0},
    {"samples": 10},
    {"shrinkages": (1, 4)},
    {"shrinkages": (2, 3)},
    {"inhibited": 5},
    {"untied": (2,)},
    {"descents": (8, 4)},
)


@pytest.mark.parametrize("options", WRONG)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        recipe.ListaRecipe.from_options(options)
