"""The catalogue read from decorators agrees with the classes; the recipes measure what they claim."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import PRESETS, execute, load, start
from lowland.recipes.catalogue import catalogue
from lowland.recipes.overview import overview, systems_markdown
from lowland.systems import load_systems

PLUGIN = """
from dataclasses import dataclass
from lowland.recipes.base import Recipe, recipe

@recipe({arguments})
@dataclass(frozen=True)
class Plugged(Recipe):
    {body}

    def run(self, run):
        run.text("hello")
"""


@pytest.mark.parametrize("name", list(catalogue()))
def test_decorators_classes_and_presets_agree(name: str) -> None:
    cls = load(name)
    assert dataclasses.replace(cls.entry, cls="") == dataclasses.replace(catalogue()[name], cls="")
    assert set(cls.entry.rows) <= set(load_systems())
    for preset in PRESETS:
        config = cls.preset(preset)
        # What a run stores as JSON comes back as the same configuration.
        assert cls.from_options(json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize("name", ["ellipse", "one-one-one"])
def test_two_runs_give_the_same_results(name: str, tmp_path: Path) -> None:
    config = load(name).preset("smoke")
    first, second = (execute(config, start(config, tmp_path, "smoke")).folder for _ in range(2))
    assert (first / "results.json").read_bytes() == (second / "results.json").read_bytes()


def test_a_run_from_before_an_option_was_there_goes_on(tmp_path: Path) -> None:
    """Its `config.json` lacks the option and has no checksum; a value other than the default is another run."""
    config = load("ellipse").preset("smoke")
    whole = execute(config, start(config, tmp_path, "smoke")).folder
    stored = json.loads((whole / "config.json").read_text())
    value = stored["options"].pop("threads")
    (whole / "config.json").write_text(json.dumps({name: stored[name] for name in ("recipe", "preset", "options")}))
    again = load("ellipse").from_options(stored["options"])
    assert execute(again, start(again, tmp_path, resume=whole)).folder == whole
    other = dataclasses.replace(again, threads=value + 1)
    with pytest.raises(OptionError, match=f"threads was {value} and is now {value + 1}"):
        start(other, tmp_path, resume=whole)


def test_the_ellipse_agrees_with_scipy(tmp_path: Path) -> None:
    """F is compared in single precision: the squared distances are below 20, so 1e-4 is 5e-6 of them, 40 roundings."""
    config = load("ellipse").preset("smoke")
    error, idle, cosine = (row["measured"] for row in execute(config, start(config, tmp_path)).results)
    assert error <= 1e-4
    assert cosine > 0.999
    assert idle > 1


def test_the_saddle_is_what_the_formula_says(tmp_path: Path) -> None:
    config = load("one-one-one").preset("smoke")
    measured = {row["claim"]: row["measured"] for row in execute(config, start(config, tmp_path)).results}
    assert measured["loss at the saddle (exact: 1)"] == 1
    assert measured["smaller eigenvalue of the Hessian at the saddle (exact: −2)"] == pytest.approx(-2)
    assert measured["larger eigenvalue of the Hessian at the saddle (exact: 2)"] == pytest.approx(2)
    assert measured["median loss at the end of the flow (exact: 0)"] < 1e-3


def _plug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, arguments: str, body: str = "n: int = 1"
) -> None:
    (tmp_path / f"{module}.py").write_text(PLUGIN.format(arguments=arguments, body=body))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LOWLAND_PLUGINS", module)


def test_a_recipe_in_a_file_elsewhere_is_picked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _plug(tmp_path, monkeypatch, "plugged_fine", '"plugged", shows="A plugin.", rows=("E1",)')
    assert catalogue()["plugged"].shows == "A plugin."
    config = load("plugged").preset("cpu")
    assert "hello" in (execute(config, start(config, tmp_path)).folder / "report.html").read_text()
    assert any("plugged" in line.recipes for line in overview() if line.system.id == "E1")


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        ("plugged_twice", '"ellipse", shows="Another."', "Two recipes are called 'ellipse'"),
        ("plugged_computed", '"plug" + str(1), shows="No literal."', "must be one name and literal options"),
        ("plugged_unknown", '"plugged", shows="x", minute=3', "must be one name and literal options"),
    ],
)
def test_a_decorator_that_cannot_be_read_is_an_error(
    module: str, arguments: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plug(tmp_path, monkeypatch, module, arguments)
    with pytest.raises(OptionError, match=words):
        catalogue()


@pytest.mark.parametrize(
    ("module", "body", "words"),
    [
        ("plugged_reserved", "resume: int = 1", "may not have an option 'resume'"),
        ("plugged_option", "presets = {'smoke': {'m': 1}}", "no option 'm'"),
    ],
)
def test_a_recipe_that_cannot_be_is_an_error(
    module: str, body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plug(tmp_path, monkeypatch, module, f'"{module}", shows="x"', body)
    with pytest.raises(OptionError, match=words):
        load(module)


def test_every_system_has_a_line_and_a_place_in_the_docs() -> None:
    lines = overview()
    assert [line.system.id for line in lines] == list(load_systems())
    page = systems_markdown()
    assert all(f"| {line.system.id} |" in page for line in lines)


def test_a_damaged_run_does_not_hide_the_list(tmp_path: Path) -> None:
    (tmp_path / "x" / "latest").mkdir(parents=True)
    (tmp_path / "x" / "latest" / "results.json").write_text("[{")
    assert all(line.measured == "not yet" for line in overview(tmp_path))
