"""The page of a run: one HTML file with everything inside, built from what the run wrote beside it."""

from __future__ import annotations

import base64
import json
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from lowland.checksums import read_json
from lowland.errors import CheckpointError
from lowland.files import write_atomically
from lowland.reports.files import read_results

_TYPES = {".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml", ".mp4": "video/mp4", ".webm": "video/webm"}
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])


def render(folder: Path) -> Path:
    """Build `report.html` of a run from `page.json`, `results.json`, `config.json`, `environment.json` and its figures.

    Raises:
        CheckpointError: if one of them is missing, corrupt or foreign.
    """
    page = read_json(folder / "page.json", keys=("elements", "seconds"))
    results, status = read_results(folder), read_json(folder / "status.json", keys=("status",))
    config = read_json(folder / "config.json", keys=("recipe", "preset", "options"))
    environment = read_json(folder / "environment.json")
    loader = jinja2.FunctionLoader(lambda name: (files("lowland.reports") / name).read_text(encoding="utf-8"))
    engine = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    engine.undefined = jinja2.StrictUndefined
    engine.filters.update(
        prose=_prose, inline=_inline, cell=number, heat=_heat, picture=lambda file: _data(folder, file)
    )
    plotly = any(element.get("file", "").endswith(".html") for element in page["elements"])
    html = engine.get_template("page.html.j2").render(
        page=page,
        results=results,
        status=status["status"],
        config=config,
        environment=environment,
        seeds=_seeds(results, config),
        minutes=page["seconds"] / 60,
        command=command(config),
        piece=lambda file: Markup(_read(folder, file).decode()),
        plotly=Markup(_plotly()) if plotly else "",
        configuration=json.dumps(config, indent=2, ensure_ascii=False),
    )
    path = folder / "report.html"
    write_atomically(path, html.encode())
    return path


def command(config: dict[str, Any]) -> str:
    """The command that repeats a run.

    >>> command({"recipe": "ellipse", "preset": "smoke", "options": {"seed": 1, "radii": [2.0, 1.0], "flag": True}})
    'lowland run ellipse --preset smoke --seed 1 --radii 2.0 1.0 --flag'
    """
    words = ["lowland run", config["recipe"], "--preset", config["preset"]]
    for name, value in config["options"].items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list):
            words += [f"--{option}", *(shlex.quote(str(part)) for part in value)]
        else:
            words += [f"--{option}", shlex.quote(str(value))]  # an empty path is still a word
    return " ".join(words)


def number(value: Any) -> str:
    """A cell of a table as text: numbers to four significant digits, (mean, standard deviation) with a ±.

    >>> number(0.98765432), number([0.9, 0.0123]), number(None), number(3), number(1.2e-9)
    ('0.9877', '0.9 ± 0.012', '–', '3', '1.2e−09')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, list):
        mean, deviation = value
        return number(mean) if deviation is None else f"{number(mean)} ± {deviation:.2g}"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    return str(value)


def _heat(value: Any, ends: list[float] | None) -> str:
    """Style of a cell: from pale at the first end to a full blue at the second."""
    mean = value[0] if isinstance(value, list) else value
    if ends is None or not isinstance(mean, (int, float)) or isinstance(mean, bool):
        return ""
    share = min(max((mean - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)
    red, green, blue = (round(255 + share * (full - 255)) for full in (18, 63, 112))
    return f"background:rgb({red},{green},{blue});color:{'#fff' if share > 0.45 else '#14213d'}"


def _seeds(results: list[dict[str, Any]], config: dict[str, Any]) -> str:
    most = max((row["seeds"] for row in results), default=1)
    first = config["options"].get("seed", 0)
    return f"seed {first}" if most <= 1 else f"{most} seeds from {first}"


def _prose(text: str) -> Markup:
    return Markup(_markdown.render(text))


def _inline(text: str) -> Markup:
    return Markup(_markdown.renderInline(text))


def _read(folder: Path, file: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except OSError:
        raise CheckpointError(
            f"{folder / file} is missing, which the page shows. Resume the run to draw it again."
        ) from None


def _data(folder: Path, file: str) -> str:
    return f"data:{_TYPES[Path(file).suffix]};base64,{base64.b64encode(_read(folder, file)).decode()}"


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()
