"""What the documentation tells a reader to write works, and prints what the page says that it prints."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from lowland.data import DATASETS
from lowland.recipes.base import execute, load, start
from lowland.recipes.sweep import rewrite
from lowland.training.vector_methods import FAMILIES

FOUND = """
import torch
from lowland import registry
from lowland.inference import infer

entry = registry.find({kind!r}, {name!r})
assert entry.__module__ == "my_package.{name}", entry.__module__
case = entry.reference_case()
"""
SOLVED = {
    "add_energy": """
found = infer(case.energy, over=case.over, **case.given)
torch.testing.assert_close(found.energy.detach(), case.minimum)
torch.testing.assert_close(found.value, case.minimiser)
""",
    "add_solver": """
problem = case.case
found = infer(problem.energy, over=problem.over, solver=case.solver, **problem.given)
assert found.status.eq(0).all(), found.status
torch.testing.assert_close(found.energy.detach(), problem.minimum, atol=case.tolerance, rtol=0)
""",
    "add_shaping": """
from lowland.training.fit import fit
batch = case.batch
before = case.shaping(case.energy, batch).losses["energy"].item()
fit(case.energy, batch.y, case.shaping, max_steps=50, lr=case.learning_rate, validation=0.0, progress=False)
assert case.shaping(case.energy, batch).losses["energy"].item() < before
""",
}


@pytest.mark.parametrize(
    ("page", "kind", "name"),
    [
        ("add_energy", "energy", "Lines"),
        ("add_solver", "solver", "BarzilaiBorwein"),
        ("add_shaping", "shaping", "ShuffledFeatures"),
    ],
)
def test_page_holds_a_working_file(repository: Path, tmp_path: Path, page: str, kind: str, name: str) -> None:
    text = (repository / "docs" / f"{page}.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / f"{name}.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(repository / "src"), str(tmp_path)])}

    def python(*arguments: str) -> None:
        result = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=tmp_path,
            env={**environment, "LOWLAND_PLUGINS": "my_package"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert result.returncode == 0, result.stdout + result.stderr

    python("-c", FOUND.format(kind=kind, name=name) + SOLVED[page])
    python("-m", "doctest", str(package / f"{name}.py"))
    python("-m", "ruff", "check", "--config", str(repository / "pyproject.toml"), str(package / f"{name}.py"))


def test_page_holds_a_working_recipe(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder outside of the package, as the page says: it runs, and its page says what was measured."""
    text = (repository / "docs" / "add_recipe.md").read_text()
    folder = tmp_path / "momentum"
    folder.mkdir()
    for language, name in (("python", "recipe.py"), ("md", "page.md")):
        (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
        (folder / name).write_text(block)
    monkeypatch.setenv("LOWLAND_PLUGINS", str(folder))
    monkeypatch.setattr("sys.path", [*sys.path])
    config = load("momentum").from_options({"seeds": 2, "samples": 20})
    run = execute(config, start(config, tmp_path / "runs"))
    assert [row["method"] for row in run.results] == ["ISTA (baseline)", "FISTA"]
    assert run.results[0]["measured"] > run.results[1]["measured"]
    assert "times as many steps as FISTA" in (run.folder / "report.html").read_text()
    page = folder / "page.md"
    page.write_text(page.read_text().replace("What momentum saves", "Momentum pays"))
    assert "Momentum pays" in rewrite(run.folder).read_text()
    subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(repository / "pyproject.toml"), str(folder)], check=True
    )


@pytest.fixture
def _data_sets_stay() -> Iterator[None]:
    before = dict(DATASETS)
    yield
    DATASETS.clear()
    DATASETS.update(before)


ROOT = Path(__file__).resolve().parents[2]
WHOLE_FILES = ("add_energy.md", "add_solver.md", "add_shaping.md", "add_recipe.md")
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.name not in WHOLE_FILES)]
FENCE = re.compile(r"^```(python|text|sh)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Language, text and first line of each block of a page."""
    text = page.read_text()
    return [(found[1], found[2], text[: found.start(2)].count("\n")) for found in FENCE.finditer(text)]


def titles(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


RUNNABLE = [page for page in PAGES if any(language == "python" for language, _, _ in blocks(page))]


@pytest.mark.usefixtures("_data_sets_stay")
@pytest.mark.parametrize("page", RUNNABLE, ids=titles(RUNNABLE))
def test_code_of_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks run in order, in one namespace; a block of text right after one is what it prints ("..." for any)."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page")  # a dataclass looks its module up
    monkeypatch.setitem(sys.modules, "page", module)
    namespace = vars(module)
    printed, checker = "", doctest.OutputChecker()
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for language, text, line in blocks(page):
        if language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile("\n" * line + text, str(page), "exec", dont_inherit=True), namespace)
            printed = output.getvalue()
        elif language == "text" and printed:
            assert checker.check_output(text, printed, flags), f"{page.name}:{line}\n{text}\nbut it printed\n{printed}"
            printed = ""


@pytest.mark.parametrize("family", FAMILIES)
def test_each_strategy_has_a_page_with_its_equation_and_picture(family: str) -> None:
    page = ROOT / "docs" / "strategies" / f"{family.lower()}.md"
    text = page.read_text()
    assert text.startswith(f"# {family}: ")
    assert re.search(r"^    \S.* = ", text, flags=re.MULTILINE), "an equation"
    pictures = re.findall(r"!\[.+\]\((.+\.png)\)", text)
    assert pictures
    for picture in pictures:
        assert (page.parent / picture).read_bytes().startswith(b"\x89PNG"), picture
    assert f"<!-- methods {family} -->" in text, "its methods come from the recipe"
    assert RUNNABLE.count(page) == 1, "its code runs in this file"


def test_recipes_named_in_commands_exist() -> None:
    from lowland.recipes.catalogue import find

    named = [
        name for page in PAGES for _, text, _ in blocks(page) for name in re.findall(r"lowland run ([a-z0-9-]+)", text)
    ]
    assert named
    for name in named:
        find(name)
