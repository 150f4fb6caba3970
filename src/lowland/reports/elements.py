"""What a page is made of: sections, paragraphs, figures, grids, tables, and the claims at its top."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lowland.errors import OptionError
from lowland.reports.pictures import save_figure

FIELDS = ("id", "claim", "method", "published", "measured", "sd", "seeds", "data")
"""The keys of a row of `results.json`."""


class Elements:
    """The elements of a page in the order in which they are added; figures are saved at once, in the folder `figures`.

    Attributes:
        folder: of the run.
        elements: what stands on the page, as it is kept in `page.json`.
        results: rows of `results.json`.
        stand_ins: sentences on data that stand in for others.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.elements: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self.stand_ins: list[str] = []

    def section(self, title: str) -> None:
        """Begin a new section."""
        self.elements.append({"kind": "section", "title": title})

    def text(self, markdown: str) -> None:
        """Add paragraphs: Markdown with blank lines between paragraphs. HTML in it is shown, not obeyed."""
        self.elements.append({"kind": "text", "markdown": markdown})

    def figure(self, name: str, figure: Any, caption: str = "", format: str = "png", dpi: int = 160) -> None:  # noqa: A002  matplotlib's name
        """Add a figure of matplotlib or plotly, or a PNG or GIF as bytes, saved as `figures/NAME`.

        Args:
            caption: one line of Markdown.
            format: "png", or "svg" for lines and text.
        """
        # A figure of six inches stands 720 pixels wide on the page, so that all figures have letters of one size.
        width = round(120 * figure.get_size_inches()[0]) if hasattr(figure, "get_size_inches") else None
        file = self._picture(name, figure, format, dpi)
        self.elements.append({"kind": "figure", "caption": caption, "file": file, "width": width})

    def grid(
        self, name: str, figures: Sequence[tuple[Any, str]], columns: int = 4, caption: str = "", dpi: int = 110
    ) -> None:
        """Add a grid of (figure, caption); see `figure`."""
        items = [
            {"file": self._picture(f"{name}-{index + 1}", figure, "png", dpi), "caption": text}
            for index, (figure, text) in enumerate(figures)
        ]
        self.elements.append({"kind": "grid", "items": items, "columns": columns, "caption": caption})

    def video(self, file: Path, caption: str = "") -> None:
        """Add a film that stands in the folder of the run (MP4 or WebM)."""
        self.elements.append(
            {"kind": "video", "caption": caption, "file": str(file.resolve().relative_to(self.folder.resolve()))}
        )

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        caption: str = "",
        heat: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        """Add a table.

        Args:
            columns: headings.
            rows: cells: text, numbers, None for an empty one, or (mean, standard deviation).
            heat: columns whose cells are coloured, from pale at the first number to full at the second.
        """
        for row in rows:
            if len(row) != len(columns):
                raise OptionError(
                    f"A row of the table has {len(row)} cells, but there are {len(columns)} columns: {row!r}."
                )
        for name in heat or {}:
            if name not in columns:
                raise OptionError(f"There is no column {name!r} to colour. {', '.join(columns)}")
        cells = json.loads(json.dumps([[_plain(cell) for cell in row] for row in rows]))
        colours = {name: list(ends) for name, ends in (heat or {}).items()}
        self.elements.append(
            {"kind": "table", "columns": list(columns), "rows": cells, "caption": caption, "heat": colours}
        )

    def result(
        self,
        *,
        id: str,  # noqa: A002  the name in results.json
        claim: str,
        method: str,
        measured: float | None,
        published: float | str | None = None,
        sd: float | None = None,
        seeds: int = 1,
        data: str = "",
    ) -> None:
        """Add a row of `results.json`, which is also a line of the table at the top of the page.

        Args:
            id: of the system, such as "E4".
            claim: what was measured, with its unit, in a few words.
            method: by which method.
            measured: what was measured here, the mean over seeds; None where the method failed.
            published: the published figure; None if there is none.
            sd: standard deviation over seeds.
            seeds: how many runs the mean is over.
            data: the data used.
        """
        values = (id, claim, method, _plain(published), _plain(measured), _plain(sd), seeds, data)
        self.results.append(dict(zip(FIELDS, values, strict=True)))

    def stand_in(self, sentence: str) -> None:
        """Say, in the first line of the page, that the data stand in for others."""
        if sentence not in self.stand_ins:
            self.stand_ins.append(sentence)

    def _picture(self, name: str, figure: Any, kind: str, dpi: int) -> str:
        return str(save_figure(self.folder / "figures" / name, figure, kind, dpi).relative_to(self.folder))


def _plain(value: Any) -> Any:
    """Numbers of NumPy and torch as Python's; NaN as None and an infinity as text, since JSON has neither."""
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None if value != value else str(value)
    return value
