"""What the documentation does not write by hand: the order of its pages, and one API page for each package folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation

PACKAGE = Path(__file__).parent.parent / "src" / "lowland"
ORDER = "index tutorial concepts strategies recipes rows principles add_energy add_solver api".split()
TITLES = {"api": "API", "concepts": "Concepts", "strategies": "Strategies", "recipes": "Recipes"}


def modules(entry: Path) -> list[str]:
    """Import paths of the documented modules of one entry of the package: a single file, or all files of a folder."""
    if entry.is_file():
        return [f"lowland.{entry.stem}"]
    inside = sorted(path for path in entry.rglob("*.py") if not path.stem.startswith("_"))
    return [".".join(["lowland", *path.relative_to(PACKAGE).with_suffix("").parts]) for path in inside]


def on_files(files: Files, config: Any) -> Files:
    for entry in sorted(PACKAGE.iterdir()):
        if entry.stem.startswith("_") or not (entry.is_dir() or entry.suffix == ".py"):
            continue
        if names := modules(entry):
            blocks = [f"# `lowland.{entry.stem}`", *(f"::: {name}" for name in names)]
            files.append(File.generated(config, f"api/{entry.stem}.md", content="\n\n".join(blocks) + "\n"))
    return files


def on_nav(nav: Navigation, config: Any, files: Files) -> Navigation:
    def key(item: Any) -> str:
        source = item.file.src_path if item.is_page else next(c.file.src_path for c in item.children if c.is_page)
        return Path(source).parts[0].removesuffix(".md")

    for item in nav.items:
        if item.is_section:
            item.title = TITLES.get(key(item), item.title)
    nav.items.sort(key=lambda item: (ORDER.index(key(item)) if key(item) in ORDER else len(ORDER), key(item)))
    return nav
