"""The rules of the code that a tool can check: layers, duplicates, banned calls, file sizes, what an import costs."""

from __future__ import annotations

import ast
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "lowland"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent.name != "conformance")
MAX_LINES = 400
CONTRACT = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
LAYERS = CONTRACT["layers"][::-1]
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def execute(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs this Python with the given arguments and, where asked for, a folder to import from first."""
    environment = {**os.environ, "PYTHONPATH": str(path or PACKAGE.parent), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("energies", "solvers", False),
        ("cli", "errors", True),
    ],
)
def test_layer_contract_knows_the_order(
    repository: Path, tmp_path: Path, importer: str, imported: str, allowed: bool
) -> None:
    shutil.copy(repository / "pyproject.toml", tmp_path)
    package = tmp_path / "lowland"
    package.mkdir()
    for name in ["__init__", *LAYERS]:
        (package / f"{name}.py").write_text(f"from lowland import {imported}\n" if name == importer else "")
    result = execute("-c", LINT_IMPORTS, cwd=tmp_path, path=tmp_path)
    assert (result.returncode == 0) is allowed, result.stdout + result.stderr


def module_name(path: Path) -> str:
    parts = ("lowland", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, modules: Collection[str]) -> set[str]:
    """Which of these modules a file imports, inside functions and for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module for name in inside.values()}
    return found & set(modules)


def circles(graph: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """The groups of modules that import each other, by however many steps."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, todo = set(), [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo += new
        reached[start] = seen
    return {
        frozenset(other for other in reached[name] if name in reached[other]) for name in graph if name in reached[name]
    }


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(graph) == {frozenset("abc"), frozenset("de")}


def test_no_module_imports_in_a_circle() -> None:
    """A circle hides in a function or behind TYPE_CHECKING, where neither Python nor the layer contract sees it."""
    paths = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    graph = {name: imports(path, paths) - {name} for name, path in paths.items()}
    assert sorted(" ↔ ".join(sorted(circle)) for circle in circles(graph)) == []


def each_source(check: Callable[[Path], str | None], sources: Sequence[Path] = SOURCES) -> list[str]:
    """What a check says of the files that fail it."""
    return [f"{relative(path)}: {fault}" for path in sources if (fault := check(path)) is not None]


def test_no_import_goes_round_the_layers() -> None:
    """`import lowland as ll` inside the package would reach every layer without the contract seeing it."""
    modules = {entry.stem for entry in PACKAGE.iterdir()}

    def fault(path: Path) -> str | None:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import) and "lowland" in {alias.name for alias in node.names}:
                return f"line {node.lineno}: name the module"
            if isinstance(node, ast.ImportFrom) and node.module == "lowland":
                names = {alias.name for alias in node.names}
                if not names <= modules:
                    return f"line {node.lineno}: import {names - modules} from where it is defined"
        return None

    assert each_source(fault) == []


RECIPES = sorted((PACKAGE / "recipes").glob("*/*/*.py"))
BASE = {path.stem for path in (PACKAGE / "recipes").glob("*.py")}


def test_no_recipe_imports_a_sibling() -> None:
    """A recipe imports what all recipes share, its pillar's common.py and its own folder, besides the library."""

    def fault(path: Path) -> str | None:
        own = module_name(path.parent / "__init__.py")
        common = f"{own.rpartition('.')[0]}.common"
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            if module is None or not module.startswith("lowland.recipes"):
                continue
            shared = len(module.split(".")) == 3 and module.split(".")[2] in BASE
            if not (shared or module in (common, own) or module.startswith(f"{own}.")):
                return f"line {node.lineno}: {module} is neither shared, nor the pillar's common.py, nor its own"
        return None

    assert len(RECIPES) > 0
    assert each_source(fault, RECIPES) == []


def test_recipes_stay_small() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (PACKAGE / "recipes").rglob("*.py")}
    recipes = [length for path, length in lengths.items() if path.name == "recipe.py"]
    assert max(recipes) <= 250
    assert statistics.median(recipes) <= 150
    # The aim is at most 7,500 for 31 recipes and what they share.
    assert sum(lengths.values()) <= 7500 + 160 * max(0, len(recipes) - 31)


def duplicates_in(*paths: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    names = [str(path) for path in paths]
    return execute(
        "-m", "pylint", "--rcfile", str(PACKAGE.parents[1] / "pyproject.toml"), "--recursive=y", *names, cwd=cwd
    )


@pytest.mark.parametrize(("length", "clean"), [(10, True), (11, False)])
def test_duplicate_check_counts_more_than_ten_lines(tmp_path: Path, length: int, clean: bool) -> None:
    """The check of the project's own files, `make duplicates`, is a step of CI of its own."""
    block = "".join(f"value_{i} = {i} * other\n" for i in range(length))
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").write_text(f"{name} = 1\n{block}last_{name} = 2\n")
    assert (duplicates_in(tmp_path, cwd=tmp_path).returncode == 0) is clean


def test_every_folder_is_a_package() -> None:
    """A folder without `__init__.py` is invisible to the layer contract and is imported twice by the doctests."""
    assert not [relative(path) for path in SOURCES if not (path.parent / "__init__.py").exists()]


def test_source_files() -> None:
    def fault(path: Path) -> str | None:
        text = path.read_text()
        if len(text.splitlines()) > MAX_LINES:
            return "too long for one file"
        if banned := re.search(r"\bimport pickle\b|\bpickle\.|\btorch\.(manual_seed|save|load)\(", text):
            return f"uses {banned[0]}"
        filters = re.search(r"\b(catch_warnings|simplefilter|filterwarnings|resetwarnings)\(|\.setLevel\(", text)
        if filters and relative(path) != "quiet.py":
            return f"{filters[0]} changes warnings or logs of all threads: use lowland.quiet"
        if re.search(r"\bcdist\((?!.*donot_use_mm_for_euclid_dist)", text):
            return "from 26 points on cdist takes products, which cancel far from 0"
        return None

    assert each_source(fault) == []


def loops(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.While):
            yield from node.body


def test_no_item_in_loops() -> None:
    """Each `.item()` waits for the device, which in an inner loop costs more than the step itself."""

    def fault(path: Path) -> str | None:
        for statement in loops(ast.parse(path.read_text())):
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "item":
                    return f"line {node.lineno}: .item() in a loop"
        return None

    assert each_source(fault, [p for p in SOURCES if {"energies", "solvers", "nn", "shaping"} & set(p.parts)]) == []


def documented(docstring: str | None) -> set[str]:
    """Names before the colon of each entry of an Args section; entries may share a line, as in `rows, columns: ...`."""
    section = re.search(r"^( *)Args:\n((?:\1 +.*\n|\s*\n)+)", f"{docstring or ''}\n", flags=re.MULTILINE)
    if section is None:
        return set()
    indent = min(len(line) - len(line.lstrip()) for line in section[2].splitlines() if line.strip())
    entries = re.findall(rf"^ {{{indent}}}([\w*][\w, *]*?)(?: \(.*?\))?:", section[2], flags=re.MULTILINE)
    return {name.strip(" *") for entry in entries for name in entry.split(",")}


def accepted(node: ast.ClassDef | ast.FunctionDef) -> set[str]:
    """Parameters of a function, or of the constructor or fields of a class."""
    if isinstance(node, ast.ClassDef):
        fields = {e.target.id for e in node.body if isinstance(e, ast.AnnAssign) and isinstance(e.target, ast.Name)}
        makers = [e for e in node.body if isinstance(e, ast.FunctionDef) and e.name == "__init__"]
        return fields.union(*(accepted(maker) for maker in makers))
    parts = node.args
    star = [part for part in (parts.vararg, parts.kwarg) if part]
    return {argument.arg for argument in [*parts.posonlyargs, *parts.args, *parts.kwonlyargs, *star]}


def test_documented_parameters_exist() -> None:
    def fault(path: Path) -> str | None:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and accepted(node):
                unknown = documented(ast.get_docstring(node)) - accepted(node)
                if unknown:
                    return f"{node.name} has no parameter {', '.join(sorted(unknown))}"
        return None

    assert each_source(fault) == []


def test_import_leaves_torch_alone(repository: Path) -> None:
    result = execute("-c", "import sys, lowland; sys.exit('torch' in sys.modules)", cwd=repository)
    assert result.returncode == 0, result.stderr


def test_help_starts_without_torch(repository: Path) -> None:
    program = (
        "import sys; from lowland.cli import main; sys.argv = ['lowland', '--help']\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    result = execute("-c", program, cwd=repository)
    assert result.returncode == 0, result.stderr
    assert "lowland" in result.stdout
    assert result.stderr.strip().endswith("False"), "lowland --help imported torch"


def test_console_script(repository: Path) -> None:
    script = Path(sys.executable).with_name("lowland")
    result = subprocess.run(
        [script, "--help"], cwd=repository, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert "run" in result.stdout


def test_every_direct_dependency_is_pinned(repository: Path) -> None:
    """Without its pin a dependency could change under the tests from one day to the next."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    optional = (
        line
        for name in ("driving", "export", "fast", "images", "medical", "minari", "plants", "objects", "search", "dev")
        for line in extras[name]
    )
    listed = {Requirement(line) for line in [*project["dependencies"], *optional]}
    # The back-port of tomllib is for Python 3.10 alone, where the newest releases are not tested.
    named = {requirement.name for requirement in listed if requirement.name not in ("lowland", "tomli")}
    lines = (repository / "constraints.txt").read_text().splitlines()
    pinned = {Requirement(line).name for line in lines if line and not line.startswith("#")}
    assert named == pinned
