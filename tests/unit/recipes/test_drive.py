"""The recipes of driving at the size of their smoke presets: every path, own logs, trained models, bad input."""

from __future__ import annotations

import ast
import dataclasses
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from lowland.cli import main
from lowland.data.logs import write_table
from lowland.data.traffic import traffic
from lowland.envs.drivers import sanity_drivers
from lowland.envs.episodes import read_logs
from lowland.envs.replay import REASONS
from lowland.errors import CheckpointError, OptionError
from lowland.evaluation.driving import percent
from lowland.planning.policy_files import SHIPPED
from lowland.planning.policy_methods import DETERMINISTIC, DROPPED, METHODS
from lowland.recipes.base import Recipe, execute, load, start
from lowland.recipes.driving.drive import figures
from lowland.recipes.driving.drive.recipe import DriveRecipe
from lowland.reports import template
from lowland.reports.head import read_page
from lowland.reports.run import Run
from lowland.systems import load_systems
from lowland.training.export import import_safetensors


def smoke(name: str, **options: Any) -> Recipe:
    return dataclasses.replace(load(name).preset("smoke"), **options)


def results(config: Recipe, runs: Path) -> tuple[Path, list[dict[str, Any]]]:
    run = execute(config, start(config, runs, "smoke"))
    return run.folder, json.loads((run.folder / "results.json").read_text())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `drive` with every method."""
    folder, rows = results(smoke("drive", methods=tuple(METHODS)), tmp_path_factory.mktemp("runs"))
    told = {row["method"]: row["measured"] for row in rows if row["claim"] == "success"}
    assert set(told) == {*METHODS, *titles()}
    assert all(0 <= rate <= 100 for rate in told.values())
    assert told["human (replay of the log)"] == 100
    return folder


def titles() -> list[str]:
    """How the page calls those that learn nothing."""
    page = load("drive").entry.page
    assert page is not None
    return [(read_page(page)[0].methods or {})[name] for name in sanity_drivers()]


def test_only_figures_that_were_read_in_their_source_are_printed(first: Path) -> None:
    known = [None, *(figure.figure for figure in load_systems()["W8"].published if figure.checked)]
    assert all(row["published"] in known for row in json.loads((first / "results.json").read_text()))


def test_no_published_figure_stands_beside_a_log_of_ones_own(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "published", lambda system, key: 74.8)
    page = load("drive").entry.page
    assert page is not None
    for tracks, known in (("", 74.8), ("own.csv", None)):
        run = Run.open(first)
        values = json.loads((first / "values.json").read_text())
        # Roll-outs of 3 s, as those that the figures were published for.
        cited = smoke("drive", tracks=tracks, horizon=15).cited(0.2)  # pyright: ignore[reportAttributeAccessIssue]
        run.filled(page)
        found = template.Filled(
            page, run.measured, run.config["options"], run.shown | {"cited": cited}, values["elements"]
        )
        told = {row["method"]: row["published"] for row in found.rows if row["claim"] == "success"}
        assert told["MPUR z-dropout"] == told["human (replay of the log)"] == known
        assert told["VG z-dropout"] is None


def test_figures_are_cited_for_their_own_roll_out() -> None:
    config = DriveRecipe()
    assert config.cited(0.2)["MPUR z-dropout"] == "mpur-stochastic-latent-dropout/pct-success"
    shorter = dataclasses.replace(config, horizon=5).cited(0.2)
    assert shorter["MPUR z-dropout"] == "mpur-stochastic-latent-dropout-roll-out-of-10"
    assert shorter["imitation"] == "one-step-imitation/pct-success"
    assert "MPUR z-dropout" not in dataclasses.replace(config, horizon=7).cited(0.2)


def test_the_film_plays(first: Path) -> None:
    import av

    with av.open(str(first / "figures" / "drive.mp4")) as film:
        assert len(list(film.decode(video=0))) >= 1


def test_trained_models_drive_as_they_did(first: Path, tmp_path: Path) -> None:
    """The policies come from their files; what is driven with them is the same to the last digit."""
    config = smoke("drive", models=str(first / "checkpoints"))
    _, again = results(config, tmp_path)
    before = {
        (row["claim"], row["method"]): row["measured"] for row in json.loads((first / "results.json").read_text())
    }
    for row in again:
        assert row["measured"] == before[row["claim"], row["method"]]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `lowland run drive --tracks own.csv --preset smoke` leaves, where columns have names of their own."""
    place = tmp_path_factory.mktemp("own")
    log = traffic("validation")[0]
    file = write_table(log.of(log.vehicles[200:260]), place / "own.csv")
    file.write_text(file.read_text().replace("vehicle", "car_no", 1))
    words = ["run", "drive", "--tracks", str(file), "--preset", "smoke", "--runs", str(place / "runs")]
    assert main([*words, "--columns", "vehicle=car_no", "--units", "m"]) == 0
    return (place / "runs" / "drive" / "latest").resolve()


def texts(folder: Path) -> list[str]:
    elements = json.loads((folder / "page.json").read_text())["elements"]
    return [element["markdown"] for element in elements if "markdown" in element]


def test_a_log_of_ones_own(own: Path) -> None:
    rows = json.loads((own / "results.json").read_text())
    assert {row["data"].split(",")[0] for row in rows} == {"own log"}
    assert json.loads((own / "page.json").read_text())["stand_ins"] == []
    assert sum(text.startswith("Read as a table in metres") for text in texts(own)) == 1


def test_the_code_on_the_page_drives_an_episode(own: Path, tmp_path: Path) -> None:
    """As it stands there, in a process of its own that knows nothing but the installed package."""
    (block,) = (text for text in texts(own) if "load_policy" in text)
    code = textwrap.dedent(block[block.index("    import gymnasium") : block.index("To use them elsewhere")])
    assert "own.csv', columns='vehicle=car_no', units='m'" in code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    info = ast.literal_eval(done.stdout)
    assert info["reason"] in REASONS[1:]


@pytest.mark.parametrize("option", ["seeds", "uncertainty", "film"])
def test_planning_has_no_option_that_it_ignores(option: str) -> None:
    with pytest.raises(OptionError, match=f"has no option '{option}'"):
        load("drive-plan").from_options({option: getattr(DriveRecipe, option)})


def test_shipped_models_fit_and_drive(tmp_path: Path) -> None:
    config = smoke("drive", models="shipped")
    _, rows = results(config, tmp_path)
    assert len(rows) > 8
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 5_000_000


@pytest.mark.parametrize("kind", [DETERMINISTIC, DROPPED])
def test_shipped_models_foresee_traffic(kind: str) -> None:
    """Other cars are 1.2 m from where they are expected after 3 s, 1.3 m with z-dropout; if they go on evenly, 1.7."""
    observation = DriveRecipe().observation
    segments = read_logs("", 10, "cpu", 1).segments(300, 15, torch.Generator().manual_seed(0), "held")
    world = observation.world(kind != DETERMINISTIC, torch.Generator().manual_seed(0))
    import_safetensors(world, SHIPPED / f"world-{kind}.safetensors", observation.note)
    errors = observation.errors(world.eval(), segments)
    assert float(errors["model"][-1]) < 0.9 * float(errors["constant velocity"][-1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"methods": ("MPUR",)}, "There is no method called 'MPUR'"),
        ({"models": "nowhere"}, "no folder nowhere"),
        ({"models": "shipped", "seeds": 2}, "one set of trained models"),
        ({"masks": 1}, "masks must be at least 2"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        smoke("drive", **options)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("drive-plan", {"models": "nowhere"}, "no folder nowhere"),
        ("drive-plan", {"teacher": "MPPI"}, "must be one of the solvers that drive"),
        ("drive-plan", {"solvers": ("Adm",)}, "no solver called 'Adm'"),
    ],
)
def test_options_of_the_others_that_cannot_be(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        smoke(name, **options)


@pytest.mark.parametrize(("damage", "words"), [("truncated", "is damaged"), ("of another module", "does not hold")])
def test_damaged_models_are_refused_in_a_sentence(first: Path, tmp_path: Path, damage: str, words: str) -> None:
    folder = shutil.copytree(first / "checkpoints", tmp_path / "models")
    file = folder / "world-z-dropout.safetensors"
    other = (folder / "world-deterministic.safetensors").read_bytes()
    file.write_bytes(file.read_bytes()[:-100] if damage == "truncated" else other)
    config = smoke("drive", models=str(folder))
    with pytest.raises(CheckpointError, match=rf"world-z-dropout\.safetensors {words}"):
        execute(config, start(config, tmp_path, "smoke"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": 32}, r"pairs\.weight has the shape 32 × 7, but should have 16 × 7"),
        ({"image": (64, 16)}, "made without images, but are used with images of 64 × 16"),
    ],
)
def test_models_of_another_size_are_refused(first: Path, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    config = smoke("drive", models=str(first / "checkpoints"), episodes=1, **options)
    with pytest.raises(CheckpointError, match=words):
        execute(config, start(config, tmp_path, "smoke"))


def test_seeds_give_deviations(tmp_path: Path) -> None:
    _, rows = results(smoke("drive", methods=("imitation",), seeds=2), tmp_path)
    (row,) = (row for row in rows if row["method"] == "imitation" and row["claim"] == "success")
    assert row["seeds"] == 2
    assert row["sd"] is not None


def outcomes(*arrived: bool) -> list[dict[str, Any]]:
    rows = [{"success": one, "reason": "reached" if one else "collision", "recording": 0} for one in arrived]
    return [{"test": rows}]


def told(first: Path, tmp_path: Path, **found: list[dict[str, Any]]) -> template.Filled:
    """What the page says of these outcomes, in a run that can draw verdicts."""
    page = load("drive").entry.page
    assert page is not None
    run, whole = Run.create(tmp_path, "drive", {}), Run.open(first)
    whole.filled(page)
    names = {name.replace("_", " "): rows for name, rows in found.items()} | {"MPUR z-dropout": found["MPUR"]}
    del names["MPUR"]
    run.measured.add({name: {"success": percent(rows).value} for name, rows in figures.driven(names).items()})
    figures.facts(run, names, "MPUR z-dropout")
    shown = whole.shown | run.shown | {"modelled": [], "steps": [], "trained": [], "pairs": [], "count": 2}
    whole.measured.values |= run.measured.values
    elements = json.loads((first / "values.json").read_text())["elements"]
    return template.Filled(page, whole.measured, whole.config["options"], shown, elements)


def test_the_caption_of_the_film_says_what_happens_in_it(first: Path, tmp_path: Path) -> None:
    never = told(first, tmp_path, human=outcomes(True, True), MPUR=outcomes(False, False)).elements[0]["caption"]
    assert "MPUR z-dropout arrives in none of 2 scenes; drivers that fail in this one: 1" in never
    assert "human: arrives; MPUR z-dropout: collides" in never
    once = told(first, tmp_path, human=outcomes(False, True), MPUR=outcomes(True, False)).elements[0]["caption"]
    assert "MPUR z-dropout arrives; drivers that fail here: 1, the most in any scene where it arrives" in once


def test_drivers_are_told_apart_by_enough_episodes_only(first: Path, tmp_path: Path) -> None:
    for count, word in ((5, "too close to call against"), (6, "less often than")):
        page = told(first, tmp_path, human=outcomes(*[True] * count), MPUR=outcomes(*[False] * count))
        assert page.finding == f"MPUR z-dropout arrives in 0 % of the test episodes: {word} human (100 %)."
