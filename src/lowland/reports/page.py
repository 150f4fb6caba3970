"""The page of a run: one HTML file with everything inside, built from what the run wrote beside it."""

from __future__ import annotations

import base64
import functools
import json
import os
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from lowland.bounded import parse_json, read_bytes
from lowland.checksums import read_json
from lowland.errors import CheckpointError
from lowland.files import write_atomically
from lowland.reports.digits import aligned, number
from lowland.reports.files import read_results
from lowland.systems import System, load_systems
from lowland.terminal import shell

_TYPES = {
    ".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml", ".mp4": "video/mp4", ".webm": "video/webm",
    ".wav": "audio/wav",
}  # fmt: skip
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])


_FOREIGN = (
    jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError,
)  # fmt: skip
"""What a page ends in whose parts are of other kinds than those that Lowland writes."""


def _of_anyone(build: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Run folders are passed on: what Lowland never wrote is an error that says so, with its cause behind it."""

    @functools.wraps(build)
    def built(folder: Path) -> Path:
        try:
            return build(folder)
        except _FOREIGN as error:
            raise CheckpointError(
                f"{folder} was not written by Lowland, or is damaged: its page cannot be built ({error})."
            ) from error

    return built


@_of_anyone
def render(folder: Path) -> Path:
    """Build `report.html` of a run from `page.json`, `results.json`, `config.json`, `environment.json` and its figures.

    A run may come from anyone: its page takes over words, numbers and pictures of its folder, and nothing that runs.

    Raises:
        CheckpointError: if one of them is missing, corrupt or foreign, or names a file outside the folder.
    """
    page = read_json(folder / "page.json", keys=("elements", "seconds"))
    results, status = read_results(folder), read_json(folder / "status.json", keys=("status",))
    config = read_json(folder / "config.json", keys=("recipe", "preset", "options"))
    environment = read_json(folder / "environment.json")
    loader = jinja2.FunctionLoader(lambda name: (files("lowland.reports") / name).read_text(encoding="utf-8"))
    engine = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    engine.undefined = jinja2.StrictUndefined
    engine.filters.update(prose=_prose, inline=_inline, cell=number, picture=lambda file: _data(folder, file))
    elements = [_shown(element) for element in page["elements"]]
    plotly = any(element.get("file", "").endswith(".json") for element in elements)
    lead, sections = _lead(elements)
    html = engine.get_template("page.html.j2").render(
        page=page,
        finding=page.get("finding", ""),
        lead=lead,
        sections=sections,
        results=results,
        recorded=[page.get("recorded", {}).get("\t".join((row["id"], row["claim"], row["method"]))) for row in results],
        published=any(row["published"] is not None for row in results),
        systems=_systems([*page["rows"], *(row["id"] for row in results)]),
        smoke=config["preset"] == "smoke",
        status=status["status"],
        config=config,
        environment=environment,
        seeds=_seeds(config),
        minutes=page["seconds"] / 60,
        command=command(config),
        drawing=lambda file: _drawing(folder, file),
        plotly=Markup(_plotly()) if plotly else "",
        configuration=json.dumps(config, indent=2, ensure_ascii=False),
    )
    path = folder / "report.html"
    write_atomically(path, html.encode(errors="replace"))
    return path


def command(config: dict[str, Any]) -> str:
    """The command that repeats a run.

    >>> command({"recipe": "ellipse", "preset": "smoke", "options": {"seed": 1, "radii": [2.0, 1.0], "flag": True}})
    'lowland run ellipse --preset smoke --seed 1 --radii 2.0 1.0 --flag'
    """
    words = ["lowland", "run", config["recipe"], "--preset", config["preset"]]
    for name, value in config["options"].items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list):
            words += [f"--{option}", *map(str, value)]
        else:
            words += [f"--{option}", str(value)]
    for name, values in config.get("sweep", {}).items():
        words += ["--sweep", f"{name}={','.join(map(str, values))}"]
    return shell(words)


def _lead(elements: list[dict[str, Any]]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The first picture or film, which goes to the top, and sections with the others."""
    lead = next((element for element in elements if element["kind"] in ("figure", "video", "grid")), None)
    sections: list[dict[str, Any]] = [{"title": "", "elements": []}]
    for element in elements:
        if element["kind"] == "section":
            sections.append({"title": element["title"], "elements": []})
        elif element is not lead:
            sections[-1]["elements"].append(element)
    return lead, [section for section in sections if section["elements"]]


def _systems(ids: list[str]) -> dict[str, System]:
    """Those that the page speaks of."""
    known = load_systems()
    return {name: known[name] for name in dict.fromkeys(ids) if name in known}


def _shown(element: dict[str, Any]) -> dict[str, Any]:
    """An element as the template takes it: a table with the text, the side and the colour of each cell."""
    if element["kind"] != "table":
        return element
    columns = list(zip(*element["rows"], strict=True)) or [()] * len(element["columns"])
    right = [_right(cells) for cells in columns]
    texts = [aligned(cells) for cells in columns]
    heats = [element["heat"].get(name) for name in element["columns"]]
    rows = [
        [(_inline(cell) if isinstance(cell, str) else texts[k][row], right[k], _heat(cell, heats[k]))
         for k, cell in enumerate(cells)]
        for row, cells in enumerate(element["rows"])
    ]  # fmt: skip
    heads = [(_inline(name), side) for name, side in zip(element["columns"], right, strict=True)]
    return {**element, "heads": heads, "rows": rows}


def _right(cells: Sequence[Any]) -> bool:
    """Whether a column, with its heading, stands to the right: as numbers do."""
    words = sum(isinstance(cell, str) for cell in cells)
    return 2 * words < len(cells) and any(cell is not None for cell in cells)


def _heat(value: Any, ends: list[float] | None) -> str:
    """Style of a cell: from pale at the first end to a full blue at the second."""
    mean = value[0] if isinstance(value, list) else value
    if ends is None or not isinstance(mean, (int, float)) or isinstance(mean, bool):
        return ""
    share = min(max((mean - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)
    red, green, blue = (round(255 + share * (full - 255)) for full in (18, 63, 112))
    return f"background:rgb({red},{green},{blue});color:{'#fff' if share > 0.6 else '#14213d'}"


def _seeds(config: dict[str, Any]) -> str:
    most, first = (config["options"].get(name, default) for name, default in (("seeds", 1), ("seed", 0)))
    return f"seed {first}" if most <= 1 else f"{most} seeds from {first}"


def _prose(text: str) -> Markup:
    return Markup(_markdown.render(text))


def _inline(text: str) -> Markup:
    return Markup(_markdown.renderInline(text))


def _spaced(_renderer: Any, tokens: Sequence[Any], place: int, _options: Any, _env: Any) -> str:
    """Text that is not code, with one space between each number and its percent sign."""
    return str(escape(re.sub(r"(?<=\d)%(?!\w)", " %", tokens[place].content)))


_markdown.add_render_rule("text", _spaced)


def _read(folder: Path, file: str) -> bytes:
    path = folder / file
    # Neither by its name nor by a link: a page that is passed on would carry what it shows from anywhere.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise CheckpointError(
            f"The page of {folder} shows {file}, which lies outside the run: it was not written by it."
        )
    try:
        return read_bytes(path, CheckpointError)
    except CheckpointError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise CheckpointError(
                f"{path} is missing, which the page shows. Resume the run to draw it again."
            ) from None
        raise


def _data(folder: Path, file: str) -> str:
    content, suffix = _read(folder, file), Path(file).suffix
    if suffix not in _TYPES:
        raise CheckpointError(
            f"{folder / file} is no picture or film or sound that a page shows. Resume the run to draw it again."
        )
    return f"data:{_TYPES[suffix]};base64,{base64.b64encode(content).decode()}"


def _drawing(folder: Path, file: str) -> Markup:
    """The numbers and words of a figure of plotly, as JSON that cannot end the element it stands in."""
    figure = parse_json(_read(folder, file))
    text = json.dumps({"data": figure["data"], "layout": figure["layout"], "frames": figure.get("frames")})
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()
