"""The catalogue agrees with the classes, plugins are found, and the recipes measure what they claim."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import PRESETS, execute, load, start
from lowland.recipes.catalogue import catalogue
from lowland.recipes.overview import overview, systems_markdown
from lowland.recipes.record import recorded, write_record
from lowland.recipes.verify import verify
from lowland.systems import load_systems

RECIPE = """
from dataclasses import dataclass
from lowland.recipes.base import Recipe, recipe

@recipe
@dataclass(frozen=True)
class Plugged(Recipe):
    {body}

    def run(self, run):
        run.measured.add({{"ours": {{"error": 1.5}}}})
"""
PAGE = """+++
title = "A plugin"
shows = "A plugin is found."
systems = ["E1"]

[[claims]]
system = "E1"
claim = "error"
measure = "error"
+++
The error is {{ mean("ours", "error") | fixed(1) }}, hello.
"""


@pytest.mark.parametrize("name", list(catalogue()))
def test_catalogue_classes_and_presets_agree(name: str) -> None:
    cls = load(name)
    assert cls.entry == catalogue()[name]
    assert set(cls.entry.head.systems) <= set(load_systems())
    for preset in PRESETS:
        config = cls.preset(preset)
        # What a run stores as JSON comes back as the same configuration.
        assert cls.from_options(json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize("name", list(catalogue()))
def test_a_recipe_that_does_not_look_at_its_device_says_so(name: str) -> None:
    cls = load(name)
    own = {base.__module__ for base in cls.__mro__ if base.__module__.startswith("lowland.recipes.")}
    own -= {"lowland.recipes.base"}
    assert cls.accelerated is any("self.device" in inspect.getsource(sys.modules[module]) for module in own)


def test_a_device_that_would_not_be_used_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowland.recipes.base.check_device", lambda device: None)
    config = load("pendulum").from_options({"device": "cuda"})
    with pytest.raises(OptionError, match="pendulum computes on the processor only: leave out --device cuda"):
        start(config, tmp_path)


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


def _folder(place: Path, name: str, body: str = "n: int = 1", page: str | None = PAGE) -> Path:
    """The folder of a recipe, without `__init__.py`; each test has its own names, since modules are imported once."""
    folder = place / name
    folder.mkdir(parents=True)
    (folder / "recipe.py").write_text(RECIPE.format(body=body))
    if page is not None:
        (folder / "page.md").write_text(page)
    return folder


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Name plugins as a user does."""
    monkeypatch.setattr("sys.path", [*sys.path])
    return lambda *plugins: monkeypatch.setenv("LOWLAND_PLUGINS", ",".join(map(str, plugins)))


@pytest.mark.parametrize("inside", [False, True])
def test_the_folder_of_a_recipe_elsewhere_is_picked_up(inside: bool, plug: Callable[..., None], tmp_path: Path) -> None:
    """Named itself, or by the folder that it lies in."""
    name = f"plugged_inside_{inside}".lower()
    folder = _folder(tmp_path / "my_recipes", name)
    plug(folder.parent if inside else folder)
    known = name.replace("_", "-")
    assert catalogue()[known].head.shows == "A plugin is found."
    config = load(known).preset("cpu")
    run = execute(config, start(config, tmp_path / "runs"))
    assert [row["measured"] for row in run.results] == [1.5]
    assert "The error is 1.5, hello." in (run.folder / "report.html").read_text()
    assert any(known in line.recipes for line in overview() if line.system.id == "E1")
    write_record(run.folder)
    assert (folder / "record.json").is_file()
    assert all(row.agrees for row in verify(known, tmp_path / "again")[1])
    kept = (folder / "record.json").read_text()
    write_record(execute(config, start(config, tmp_path / "large", "gpu")).folder)
    assert catalogue()[known].recorded == ["cpu", "gpu"]
    assert json.loads((folder / "record-gpu.json").read_text())["preset"] == "gpu"
    assert (folder / "record.json").read_text() == kept, "each preset has a record of its own"
    assert all(row.agrees for row in verify(known, tmp_path / "large-again", "gpu")[1])
    with pytest.raises(OptionError, match=r"The preset paper of the recipe .* has no figures on record"):
        recorded(known, "paper")


def test_a_package_with_an_entry_point_is_picked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plug: Callable[..., None]
) -> None:
    """As pip leaves it: the package and, beside it, the folder of its metadata. Named twice, it is found once."""
    _folder(tmp_path / "plugged_package" / "recipes", "plugged_installed")
    info = tmp_path / "plugged_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lowland.plugins]\nmine = plugged_package.recipes\n")
    plug("plugged_package.recipes")
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    assert catalogue()["plugged-installed"].module == "plugged_package.recipes.plugged_installed.recipe"
    assert load("plugged-installed").entry.head.shows == "A plugin is found."
    (info / "entry_points.txt").write_text("[lowland.plugins]\nmine = plugged_nothing\n")
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path / "elsewhere")])
    with pytest.raises(OptionError, match=r"plugged-package has an entry point .* 'plugged_nothing', which cannot be"):
        catalogue()


def test_a_claim_needs_no_system(plug: Callable[..., None], tmp_path: Path) -> None:
    page = PAGE.replace('systems = ["E1"]\n', "").replace('system = "E1"\n', "")
    plug(_folder(tmp_path, "plugged_free", page=page))
    config = load("plugged-free").preset("cpu")
    assert execute(config, start(config, tmp_path / "runs")).results[0]["id"] == ""


@pytest.mark.parametrize(
    ("name", "page", "words"),
    [
        ("ellipse", PAGE, r"Two recipes are called 'ellipse': .*lowland.* and .*ellipse\. Rename one folder\."),
        ("plugged_bare", None, r"page\.md is missing: a recipe is a folder with recipe\.py and page\.md\."),
        ("plugged_headless", "hello", r"page\.md needs a head: TOML between two lines of \+\+\+, above the text\."),
        ("plugged_toml", "+++\ntitle = x\n+++\n", r"The head of .*page\.md is not TOML that can be read"),
        ("plugged_entry", PAGE.replace("shows", "show"), r"has no entry 'show'\. Did you mean 'shows'\?"),
        ("plugged_system", PAGE.replace("E1", "E0"), r"page\.md names the system 'E0'"),
    ],
)
def test_a_folder_that_is_no_recipe_is_an_error(
    name: str, page: str | None, words: str, plug: Callable[..., None], tmp_path: Path
) -> None:
    plug(_folder(tmp_path / "my_recipes", name, page=page).parent)
    with pytest.raises(OptionError, match=words):
        catalogue()


def test_a_page_without_a_recipe_is_an_error(plug: Callable[..., None], tmp_path: Path) -> None:
    folder = _folder(tmp_path, "plugged_page_alone")
    (folder / "recipe.py").rename(folder / "recipes.py")
    plug(folder)
    with pytest.raises(OptionError, match=r"recipe\.py is missing: a recipe is a folder with"):
        catalogue()


def test_two_folders_of_one_name_are_an_error(plug: Callable[..., None], tmp_path: Path) -> None:
    plug(_folder(tmp_path / "one", "plugged_twice"), _folder(tmp_path / "two", "plugged_twice"))
    with pytest.raises(OptionError, match=r"'plugged-twice': .*one.plugged_twice and .*two.plugged_twice\. Rename one"):
        catalogue()


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("plugged_reserved", "resume: int = 1", "may not have an option 'resume'"),
        ("plugged_option", "presets = {'smoke': {'m': 1}}", "no option 'm'"),
        ("plugged_broken", "n: int = 1 / 0", r"cannot be imported: ZeroDivisionError in recipe\.py, line 8: "),
        ("plugged_import", "import no_such_module", r"ModuleNotFoundError in recipe\.py, line 8: No module named"),
        ("plugged_syntax", "n: int = = 1", r"cannot be imported: SyntaxError in recipe\.py, line 8: invalid syntax"),
    ],
)
def test_a_recipe_that_cannot_be_is_an_error(
    name: str, body: str, words: str, plug: Callable[..., None], tmp_path: Path
) -> None:
    plug(_folder(tmp_path, name, body))
    with pytest.raises(OptionError, match=words):
        load(name.replace("_", "-"))


def test_every_system_has_a_line_and_a_place_in_the_docs() -> None:
    lines = overview()
    assert [line.system.id for line in lines] == list(load_systems())
    page = systems_markdown()
    assert all(f"| {line.system.id} |" in page for line in lines)


def test_a_damaged_run_does_not_hide_the_list(tmp_path: Path) -> None:
    (tmp_path / "x" / "latest").mkdir(parents=True)
    (tmp_path / "x" / "latest" / "results.json").write_text("[{")
    assert all(line.measured == "not yet" for line in overview(tmp_path))
