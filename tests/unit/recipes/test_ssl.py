"""The recipe `ssl`: every method trains, a run that was killed goes on, a method that collapses has its sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lowland.data import digits
from lowland.data.views import ImageViews
from lowland.errors import CollapseError, OptionError
from lowland.nn.encoders import ConvNet
from lowland.recipes.base import execute, load, start
from lowland.recipes.ssl_methods import METHODS, Method
from lowland.reports.run import Run
from lowland.shaping.base import Batch

SMALL = {"data": "digits", "methods": ("vicreg",), "maps": (4,), "epochs": 0.4, "looks": 2, "neighbours": 5}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_the_energy_that_it_makes(name: str) -> None:
    method, images = METHODS[name], digits().train[:256]
    energy = method.energy(ConvNet((1, 8, 8), (4, 8)), torch.Generator().manual_seed(0))
    shaping, batch = method.shaping(ImageViews.mild(), 0), Batch(images, index=torch.arange(256))
    shaping.prepare(energy, batch)
    loss = shaping(energy, batch).losses["energy"]
    assert bool(torch.isfinite(loss))
    grads = torch.autograd.grad(loss, list(energy.branch.encoder.parameters()))
    assert all(bool(torch.isfinite(grad).all()) for grad in grads)
    assert any(bool((grad != 0).any()) for grad in grads)


def test_widened_heads() -> None:
    energy = METHODS["byol"].energy(ConvNet((1, 8, 8), (4, 8)), torch.Generator(), widen=2)
    assert energy.size == 2 * METHODS["byol"].projector[-1]


def _results(run: Run) -> list[dict[str, Any]]:
    return json.loads((run.folder / "results.json").read_text())


def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    recipe = load("ssl").from_options(SMALL)
    run = execute(recipe, start(recipe, tmp_path, "smoke"))
    first = _results(run)
    assert {row["method"] for row in first} >= {"VICReg", "raw pixels (baseline)", "random encoder (baseline)"}
    # As if it had been killed in the second half of VICReg: the second look and the measures are not there yet.
    for name in ("vicreg-2", "vicreg"):
        (run.folder / "stages" / "seed-0" / f"{name}.safetensors").unlink()
    assert _results(execute(recipe, start(recipe, tmp_path, "smoke", run.folder))) == first


def test_a_method_that_collapses_is_a_row_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def collapse(*args: Any, **options: Any) -> None:
        raise CollapseError("The embeddings collapsed: all are one point.")

    monkeypatch.setattr("lowland.recipes.ssl_training.fit", collapse)
    recipe = load("ssl").from_options(SMALL)
    run = execute(recipe, start(recipe, tmp_path, "smoke"))
    assert [row["measured"] for row in _results(run) if row["method"] == "VICReg"] == [None, None, None]
    assert "all are one point" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "words"}, "data cannot be"),
        ({"methods": ("simcl",)}, "Did you mean 'simclr'"),
        ({"encoder": "vgg"}, "encoder cannot be"),
        ({"batch": 1}, "batch at least 2"),
        ({"epochs": 0.0}, "must be positive"),
    ],
)
def test_bad_options_are_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        load("ssl").from_options(options)


def test_methods_are_named_once() -> None:
    assert all(isinstance(method, Method) and name == method.name for name, method in METHODS.items())
