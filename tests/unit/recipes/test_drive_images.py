"""The recipe `drive` on images: every path at a small size, and models of another size."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lowland.errors import CheckpointError, OptionError
from lowland.planning.policy_methods import METHODS
from lowland.recipes.base import Recipe, execute, load, start
from lowland.recipes.catalogue import find
from lowland.recipes.driving.drive.figures import known_car
from lowland.recipes.driving.drive.recipe import DriveRecipe
from lowland.reports import template
from lowland.reports.run import Run

TINY: dict[str, Any] = {"image": (16, 8), "frames": 2, "maps": (4, 6), "hidden": 8, "latents": 2, "episodes": 4}


def smoke(**options: Any) -> Recipe:
    return dataclasses.replace(load("drive").preset("smoke"), **TINY | options)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every method."""
    config = smoke(methods=tuple(METHODS))
    return execute(config, start(config, tmp_path_factory.mktemp("runs"), "smoke")).folder


def test_every_method_drives_in_the_same_test(first: Path) -> None:
    rows = json.loads((first / "results.json").read_text())
    told = {row["method"]: row for row in rows if row["claim"] == "success"}
    assert set(told) > set(METHODS)
    assert told["human (replay of the log)"]["measured"] == 100
    assert {row["data"] for row in told.values()} == {"simulated traffic, held-out simulations, 4 episodes"}
    judged = {row["method"] for row in rows if row["claim"].startswith("squared error of other cars")}
    assert judged == {f"model, {name}" for name in ("deterministic", "stochastic", "z-dropout")} | {
        "copy of the last frame (baseline)"
    }


def test_known_kinematics_and_a_learned_own_car_stand_side_by_side(first: Path) -> None:
    page = json.loads((first / "page.json").read_text())
    table = next(part for part in page["elements"] if part.get("name") == "beside")
    rows = {row[0]: row[1:] for row in table["rows"]}
    assert set(rows) == set(METHODS) - {"VG z-dropout"}, "a policy without a figure on record has no row"
    assert rows["VG"][0] == pytest.approx(96.6)
    assert table["columns"][1] == "known own car, record of cpu, %"
    said = " ".join(" ".join(part.get("markdown", "") for part in page["elements"]).split())
    assert "since the preset `pixels`, which has images and known kinematics, has no run on record" in said


def test_the_known_car_is_that_of_the_record_of_pixels_once_there_is_one(tmp_path: Path) -> None:
    entry = dataclasses.replace(find("drive"), page=tmp_path / "page.md")
    usual = json.loads(find("drive").record().read_text())
    for preset, success in (("cpu", 10.0), ("pixels", 20.0)):
        rows = [row | {"measured": success} for row in usual["rows"] if row["claim"] == "success"]
        entry.record(preset).write_text(json.dumps(usual | {"preset": preset, "rows": rows}))
        found, told = known_car(entry)
        assert (found["W8\tsuccess\tVG"], told) == (success, preset)


def test_promises_stand_on_the_page_by_method_and_by_step(first: Path) -> None:
    page = json.loads((first / "page.json").read_text())
    table = next(part for part in page["elements"] if part.get("name") == "promises" and part["kind"] == "table")
    assert {row[0] for row in table["rows"]} == {name for name, method in METHODS.items() if method.world}
    assert all(row[3] == pytest.approx(row[1] / row[2]) for row in table["rows"])
    assert any(part.get("name") == "promises" and part["kind"] == "figure" for part in page["elements"])
    command = "lowland run drive --preset smoke --sweep horizon="
    assert any(command in part.get("markdown", "") for part in page["elements"])


def test_a_run_from_before_promises_has_a_page(first: Path) -> None:
    page, run = find("drive").page, Run.open(first)
    run.filled(page)
    for measures in run.measured.values.values():
        for name in [name for name in measures if name.split("-")[0] in ("promised", "absorbing", "kept")]:
            del measures[name]
    for name in ("promising", "known_from", "preset"):
        del run.shown[name]
    elements = [one for one in run.elements if one.get("name") != "promises"]
    filled = template.Filled(page, run.measured, run.config["options"], run.shown, elements)
    claims = {row["claim"] for row in filled.rows}
    assert "realised cost of a step" in claims
    assert not any("absorbing" in claim for claim in claims)


@pytest.mark.parametrize("ego", [False, True])
def test_the_effect_of_an_action_goes_through_the_place_and_not_through_images(ego: bool) -> None:
    observation = smoke(ego=ego).observation
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 2, 3, 16, 8, generator=generator, requires_grad=True)
    own = torch.tensor([[5.0, 4.0, 1.0, 0.0, 8.0]]).repeat(3, 1).requires_grad_()
    state = {"image": image, "own": own, "size": torch.tensor([[4.5, 1.8]] * 3), "road": torch.rand(3, 4) + 1}
    (through,) = torch.autograd.grad(observation.cost(state).sum(), own, retain_graph=True)
    assert through[:, :2].abs().sum() > 0
    action = observation.policy(False, generator)(state).sum()
    seen = torch.autograd.grad(observation.cost(state).sum() + action, image, allow_unused=True)[0]
    assert seen is None


def test_a_model_with_known_kinematics_drives_as_well(tmp_path: Path) -> None:
    config = smoke(methods=("MPUR z-dropout",), ego=True)
    rows = json.loads((execute(config, start(config, tmp_path, "smoke")).folder / "results.json").read_text())
    assert any(row["claim"] == "success" and row["method"] == "MPUR z-dropout" for row in rows)


def test_a_run_resumes_to_the_same_numbers(first: Path) -> None:
    before = (first / "results.json").read_text()
    for name in ("model/z-dropout", "MPUR-z-dropout/policy", "imitation/policy"):
        (first / "stages" / "seed-0" / f"{name}.safetensors").unlink()
    config = load("drive").from_options(json.loads((first / "config.json").read_text())["options"])
    execute(config, start(config, first.parent.parent, "smoke", first))
    assert (first / "results.json").read_text() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": (24, 8)}, r"made with images of 16 × 8, 2 of them 0\.2 s apart, but are used with images of 24 × 8"),
        (
            {"image": (), "frames": 4, "maps": (16, 32, 48), "latents": 8},
            r"made with images of 16 × 8, .* but are used without images",
        ),
        ({"every": 1}, r"used with images of 16 × 8, 2 of them 0\.1 s apart"),
    ],
)
def test_models_of_other_images_are_refused_in_a_sentence(first: Path, options: dict[str, Any], words: str) -> None:
    config: Any = smoke(models=str(first / "checkpoints"), **options)
    with pytest.raises(CheckpointError, match=words):
        config.read("world-deterministic", config.observation.world(False, config.generator()))


@pytest.mark.parametrize("options", [{"image": (16,)}, {"image": (0, 8)}])
def test_images_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="at least 1 pixel each"):
        smoke(**options)


@pytest.mark.parametrize(
    "options", [{"frames": 3}, {"maps": (4, 8)}, {"latents": 2}, {"decoder": "additive"}, {"ego": True}]
)
def test_options_of_images_are_not_ignored_without_them(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="set image too"):
        DriveRecipe(**options)


def test_ego_has_one_decoder() -> None:
    with pytest.raises(OptionError, match="leave decoder out"):
        DriveRecipe(image=(16, 8), ego=True, decoder="additive")
