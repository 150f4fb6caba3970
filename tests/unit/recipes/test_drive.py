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
from lowland.envs.episodes import read_logs
from lowland.envs.replay import REASONS
from lowland.errors import CheckpointError, OptionError
from lowland.recipes import drive
from lowland.recipes.base import Recipe, execute, load, start
from lowland.recipes.drive import SHIPPED, DriveRecipe
from lowland.recipes.drive_methods import DETERMINISTIC, DRIVERS, DROPPED, METHODS
from lowland.recipes.drive_options import DriveOptions
from lowland.recipes.drive_remedies import APART, NAMES, PAIRS, DriveRemediesRecipe
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
    every = tuple(method.name for method in METHODS)
    folder, rows = results(smoke("drive", methods=every), tmp_path_factory.mktemp("runs"))
    told = {row["method"]: row["measured"] for row in rows if row["claim"] == "success"}
    assert set(told) == {*every, *(label for label, *_ in DRIVERS.values())}
    assert all(0 <= rate <= 100 for rate in told.values())
    assert told[DRIVERS["human"][0]] == 100
    return folder


def test_only_figures_that_were_read_in_their_source_are_printed(first: Path) -> None:
    known = [None, *(figure.figure for figure in load_systems()["W8"].published if figure.checked)]
    assert all(row["published"] in known for row in json.loads((first / "results.json").read_text()))


@pytest.mark.parametrize("name", ["drive", "drive-horizon", "drive-plan", "drive-remedies"])
def test_no_published_figure_stands_beside_a_log_of_ones_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowland.recipes.drive_options.published", lambda row, claim, unit: 74.8)
    usual = smoke(name)
    assert isinstance(usual, DriveOptions)
    assert usual.published("human", "% success") == 74.8
    assert dataclasses.replace(usual, tracks="own.csv").published("human", "% success") is None


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
    code = textwrap.dedent(block)
    assert "own.csv', columns='vehicle=car_no', units='m'" in code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    info = ast.literal_eval(done.stdout)
    assert info["reason"] in REASONS[1:]


@pytest.mark.parametrize("name", ["drive-horizon", "drive-plan", "drive-remedies"])
def test_the_others_run(name: str, tmp_path: Path) -> None:
    _, rows = results(smoke(name), tmp_path)
    assert sum(row["claim"].startswith("success") for row in rows) >= 4


def test_each_remedy_changes_one_thing() -> None:
    config = load("drive-remedies")()
    assert isinstance(config, DriveRemediesRecipe)
    every = {name: variant for name, (variant, _) in config.every().items()}
    assert tuple(every) == NAMES
    assert {name for pair in (*PAIRS, *APART) for name in pair} <= set(NAMES)
    assert len({(one.method, one.recipe, one.members) for one in every.values()}) == len(every)
    # The difference of a pair is that of the uncertainty cost, and of nothing else.
    assert all(every[one].models[0] == every[other].models[0] for one, other in PAIRS)
    assert all(every[one].models[0] != every[other].models[0] for one, other in APART)
    # The ensemble has the model of MPUR as its first member, and each other member a model of its own.
    assert every["MPUR, ensemble"].models[0] == every["MPUR"].models[0]
    assert len(set(every["MPUR, ensemble"].models)) == config.members


def test_settings_are_compared_outside_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is usual is measured where the model learned, which with little data are few segments."""
    segments, real = set(), drive.usual_spread
    monkeypatch.setattr(drive, "usual_spread", lambda *given: (segments.add(len(given[2])), real(*given))[1])
    config = smoke("drive-remedies", variants=("MPUR", "MPUR, little data"))
    _, rows = results(config, tmp_path)
    assert segments == {120, 16}
    assert {row["data"] for row in rows} == {"simulated traffic, validation simulation, 4 episodes"}


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("drive-horizon", "models"), ("drive-horizon", "horizon"), ("drive-horizon", "real"), ("drive-horizon", "film"),
        ("drive-plan", "seeds"), ("drive-plan", "uncertainty"), ("drive-plan", "film"), ("drive-remedies", "models"),
        ("drive-remedies", "imitation_steps"),
    ],
)  # fmt: skip
def test_no_recipe_has_an_option_that_it_ignores(name: str, option: str) -> None:
    with pytest.raises(OptionError, match=f"has no option '{option}'"):
        load(name).from_options({option: getattr(DriveRecipe, option)})


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
        ({"methods": ("MPUR",)}, "no method called 'MPUR'"),
        ({"models": "nowhere"}, "no folder nowhere"),
        ({"models": "shipped", "seeds": 2}, "one set of trained models"),
        ({"masks": 1}, "masks at least 2"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        smoke("drive", **options)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("drive-horizon", {"method": "imitation"}, "No method through a model is called 'imitation'"),
        ("drive-horizon", {"horizons": (5, 5)}, "each of them once"),
        ("drive-plan", {"models": "nowhere"}, "no folder nowhere"),
        ("drive-remedies", {"variants": ("MPURR",)}, "no variant called 'MPURR'"),
        ("drive-remedies", {"uncertainty": 0.0}, "uncertainty positive"),
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


def test_a_run_resumes_to_the_same_numbers(first: Path) -> None:
    before = (first / "results.json").read_text()
    (first / "stages" / "seed-0" / "VG" / "policy.safetensors").unlink()
    options = json.loads((first / "config.json").read_text())["options"]
    config = load("drive").from_options(options)
    execute(config, start(config, first.parent.parent, "smoke", first))
    assert (first / "results.json").read_text() == before


def test_seeds_give_deviations(tmp_path: Path) -> None:
    _, rows = results(smoke("drive", methods=("imitation",), seeds=2), tmp_path)
    (row,) = (row for row in rows if row["method"] == "imitation" and row["claim"] == "success")
    assert row["seeds"] == 2
    assert row["sd"] is not None
