"""Generated parts of the documentation: the order of pages, the API, and tables from the registry."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(__file__).parent.parent / "src" / "lowland"
ORDER = {
    "": (
        "index tutorial concepts strategies sparse estimators pretrain driving logs plants goals scale recipes "
        "catalogue systems principles add_energy add_solver add_shaping add_data add_recipe api"
    ).split(),
    "concepts": "energy problem_and_solver free_energy adjoint shaping recipe evaluation".split(),
    "strategies": "index c1 c2 c3 a1 a2 a3 a4".split(),
    "recipes": ["index"],
}
TITLES = {"api": "API", "concepts": "Concepts", "strategies": "The seven strategies", "recipes": "Recipes"}
KINDS = {"energy": "Energies", "solver": "Solvers", "shaping": "Shapings"}
MINIMA = "<!-- minima -->"
METHODS = re.compile(r"<!-- methods ([A-Z]\d) -->")


def on_files(files: Files, config: Any) -> Files:
    from lowland.recipes.overview import systems_markdown

    pages = {**api(), "catalogue.md": registered(), "systems.md": systems_markdown(), **recipes()}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    from lowland.evaluation.minima import minima_markdown

    if MINIMA in markdown:
        markdown = markdown.replace(MINIMA, minima_markdown())
    for mark, table in (("<!-- recipes -->", recipe_table), ("<!-- layers -->", layers)):
        if mark in markdown:
            markdown = markdown.replace(mark, table())
    return METHODS.sub(lambda found: methods(found[1]), markdown)


def on_nav(nav: Navigation, config: Any, files: Files) -> Navigation:
    for item in nav.items:
        if item.is_section:
            folder = name(item)
            item.title = TITLES.get(folder, item.title)
            known = ORDER.get(folder, [])
            item.children.sort(key=lambda page: place(known, Path(page.file.src_path).stem))
    nav.items.sort(key=lambda item: place(ORDER[""], name(item)))
    return nav


def name(item: Any) -> str:
    """File name without suffix of a page, folder name of a section."""
    source = item.file.src_path if item.is_page else next(c.file.src_path for c in item.children if c.is_page)
    return Path(source).parts[0].removesuffix(".md")


def place(known: list[str], stem: str) -> tuple[int, str]:
    """Sort key of a page: listed pages first, then by name."""
    return (known.index(stem) if stem in known else len(known), stem)


def api() -> dict[str, str]:
    """One page per entry of the package: a single file, or all files of a folder."""
    pages = {}
    for entry in sorted(PACKAGE.iterdir()):
        if entry.stem.startswith("_") or not (entry.is_dir() or entry.suffix == ".py"):
            continue
        inside = [entry] if entry.is_file() else sorted(p for p in entry.rglob("*.py") if not p.stem.startswith("_"))
        names = [".".join(["lowland", *path.relative_to(PACKAGE).with_suffix("").parts]) for path in inside]
        if names:
            blocks = [f"# `lowland.{entry.stem}`", *(f"::: {module}" for module in names)]
            pages[f"api/{entry.stem}.md"] = "\n\n".join(blocks) + "\n"
    return pages


def registered() -> str:
    """A table of every registered energy, solver and shaping, with the first line of its docstring."""
    from lowland import registry

    text = ["# Catalogue", "", "All registered classes, read from the registry when this site is built.", ""]
    for kind, heading in KINDS.items():
        text += [f"## {heading}", "", "| class | what it is |", "|---|---|"]
        for title, cls in registry.registered(kind).items():
            first = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
            text.append(f"| [`{title}`][{cls.__module__}.{cls.__qualname__}] | {cell(first)} |")
        text.append("")
    return "\n".join(text)


def layers() -> str:
    """A table of the layers of the package, highest first, with the first line of their docstrings."""
    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())
    text = ["| layer, highest first | what it holds |", "|---|---|"]
    for layer in project["tool"]["importlinter"]["contracts"][0]["layers"]:
        folder = (PACKAGE / layer).is_dir()
        source = PACKAGE / layer / "__init__.py" if folder else PACKAGE / f"{layer}.py"
        first = (ast.get_docstring(ast.parse(source.read_text())) or "").split("\n\n")[0]
        text.append(f"| `{layer}{'/' if folder else '.py'}` | {cell(' '.join(first.split()))} |")
    return "\n".join(text)


def methods(family: str) -> str:
    """The methods of one strategy, as the recipe `strategies` trains them: paper, energy and shaping, and effect."""
    from lowland.data import toy
    from lowland.training.vector_methods import VECTOR_METHODS, Case

    case = Case(toy("spiral", 100), seed=0, plane=True)
    text = ["| method | energy, shaping | what it does, and where it fails |", "|---|---|---|"]
    for method in VECTOR_METHODS.values():
        if method.family == family:
            parts = [f"[`{type(part).__name__}`][{type(part).__module__}.{type(part).__qualname__}]"
                     for part in (method.energy(case), method.shaping(case))]  # fmt: skip
            words = " ".join(filter(None, [method.text, method.limit]))
            text.append(f"| **{method.title}** ({cell(method.paper)}) | {', '.join(parts)} | {cell(words)} |")
    return "\n".join(text)


def recipes() -> dict[str, str]:
    """One page per recipe: what it shows, its methods, options and presets, and the figures on record."""
    from lowland.recipes.base import load
    from lowland.recipes.catalogue import catalogue

    pages = {}
    for entry in catalogue().values():
        cls = load(entry.name)
        systems = ", ".join(f"[{system}](../systems.md)" for system in entry.head.systems) or "none"
        text = [
            f"# {entry.head.title}",
            entry.head.shows,
            f"```sh\nlowland run {entry.name}\n```",
            f"About {entry.head.minutes:g} minutes on two processor cores (preset `cpu`). Systems: {systems}.",
            inspect.getdoc(cls) or "",
            *compared(entry),
            *recorded(entry),
            "## Options",
            "| option | default | bounds | meaning |\n|---|---|---|---|\n" + "\n".join(options(cls)),
        ]
        if cls.presets:
            lines = [f"- `--preset {preset}`: {changes(values)}" for preset, values in cls.presets.items()]
            text += ["## Presets", "\n".join(lines)]
        pages[f"recipes/{entry.name}.md"] = "\n\n".join(text) + "\n"
    return pages


def compared(entry: Any) -> list[str]:
    """The methods that the head of a page names."""
    methods = entry.head.methods or {}
    names = [name for name in dict.fromkeys(methods.values()) if "{{" not in name]
    return ["## Methods", "\n".join(f"- {name}" for name in names)] if names else []


def recorded(entry: Any) -> list[str]:
    """The recorded runs of a recipe, one for each preset that has any."""
    return [part for preset in entry.recorded for part in recorded_run(entry, preset)]


def recorded_run(entry: Any, preset: str) -> list[str]:
    """When and where the recorded run of a preset was, its figures, and its note."""
    from lowland.recipes.catalogue import USUAL
    from lowland.recipes.record import figure, read_record
    from lowland.reports.digits import number

    record = read_record(entry, preset)
    if record is None:
        return []
    title, option = ("", "") if preset == USUAL else (f", preset `{preset}`", f" --preset {preset}")
    machine = f"{record.machine['system']}, {record.machine['processors']} processors"
    lines = ["| system | what | method | published | measured |", "|---|---|---|---|---|"]
    for row in record.rows:
        cells = (row["id"], row["claim"], row["method"], number(row["published"]), number(figure(row)))
        lines.append(f"| {' | '.join(map(cell, cells))} |")
    return [
        f"## Figures on record{title}",
        f"Measured on {record.date}, {machine}, torch {record.versions['torch']}, in {record.minutes:g} minutes, by "
        f"this command; `lowland verify {entry.name}{option}` repeats it and compares.",
        f"```sh\n{record.command}\n```",
        "\n".join(lines),
        *([record.note] if record.note else []),
    ]


def options(cls: Any) -> list[str]:
    """Rows of the table of options: the fields of a recipe with their bounds and the docstrings below them."""
    from lowland.recipes.base import bounds

    lines: dict[str, str] = {}
    limits = bounds(cls)
    for owner in cls.__mro__[:-1]:
        body: list[Any] = ast.parse(inspect.getsource(owner).lstrip()).body[0].body  # type: ignore[attr-defined]
        for field, below in zip(body, [*body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text(below):
                name, default = field.target.id, ast.unparse(field.value) if field.value else ""
                cells = (f"`--{name.replace('_', '-')}`", f"`{default}`", limits.get(name, ""), cell(below.value.value))
                lines.setdefault(name, f"| {' | '.join(cells)} |")
    return list(lines.values())


def is_text(node: Any) -> bool:
    """Whether a statement is a string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def changes(values: dict[str, Any]) -> str:
    """The options that a preset changes, in words."""
    return ", ".join(f"`{option.replace('_', '-')}` {value!r}" for option, value in values.items()) or "the defaults"


def recipe_table() -> str:
    """All recipes with what they show."""
    from lowland.recipes.catalogue import catalogue

    lines = [f"| [`{entry.name}`]({entry.name}.md) | {cell(entry.head.shows)} | {entry.head.minutes:g} |"
             for entry in catalogue().values()]  # fmt: skip
    return "\n".join(["| recipe | what it shows | minutes |", "|---|---|---|", *lines])


def cell(text: str) -> str:
    """Text escaped for a table cell."""
    return " ".join(text.split()).replace("|", "\\|")
