"""What a page is made of: its finding, sections, paragraphs, figures, grids, tables, and the claims."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from lowland.errors import OptionError
from lowland.files import write_atomically
from lowland.reports.files import FIELDS
from lowland.reports.pictures import check_figure, save_figure
from lowland.reports.plain import plain
from lowland.reports.results import Results
from lowland.reports.sound import wav
from lowland.reports.template import REST
from lowland.words import printable, verbatim

P = ParamSpec("P")
E = TypeVar("E", bound="Elements")
_log = logging.getLogger(__name__)


class Elements:
    """The elements of a page in the order in which they are added; figures are saved at once, in the folder `figures`.

    Results come first, then `part` by part what is written and drawn of them: what cannot be drawn costs its own place
    on the page and nothing else. Wherever a figure is taken, a function without arguments that draws it may stand too.

    Attributes:
        folder: of the run.
        conclusive: whether verdicts may be drawn from the figures; those of the preset `smoke` mean nothing.
        elements: what stands on the page, as it is kept in `page.json`.
        results: rows of `results.json`.
        stand_ins: sentences on data that stand in for others.
        found: the finding, "" for none.
        measured: the numbers, method × measure × seed, from which the page makes results, tables and sentences.
        shown: further values for the page, by name.
    """

    def __init__(self, folder: Path, conclusive: bool = True) -> None:
        self.folder, self.conclusive = folder, conclusive
        self.elements: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self.stand_ins: list[str] = []
        self.found = ""
        self.measured = Results()
        self.shown: dict[str, Any] = {}
        self._parts, self._files = 0, set[str]()

    def part(self: E, write: Callable[Concatenate[E, P], object], *args: P.args, **options: P.kwargs) -> None:
        """Write a part of the page by `write(self, ...)`: if that fails, a sentence says so and the run goes on.

        Results, stages and energies come before, since they must not be lost with a picture; results are stored first.
        """
        if not self._parts:
            self.keep()
        self._parts += 1
        with self._kept("This part of the page could not be made", REST):
            write(self, *args, **options)
        self._parts -= 1

    def keep(self) -> None:
        """Store the results, which no picture may cost."""

    def lost(self, what: str, error: Exception, name: str = "") -> None:
        """Say on the page, in the place of that name, and in the log what could not be made, and why."""
        why = printable(f"{type(error).__name__}: {error}", 300)
        _log.warning("%s: %s", what, why)
        _log.debug("%s", what, exc_info=error)
        words = f"**{verbatim(what, 120)}** ({verbatim(why, 300)}). What was computed stands in `results.json`."
        self._add(name, {"kind": "text", "markdown": words})

    def _add(self, name: str, element: dict[str, Any]) -> None:
        """A picture or table under the name by which the page places it."""
        self.elements.append({**element, "name": name} if name else element)

    @contextmanager
    def _kept(self, what: str, name: str = "") -> Iterator[None]:
        """Whatever fails inside is lost, and nothing else is."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  any fault of a picture, of a library's or of ours
            self.lost(what, error, name)

    def before_pages(self, what: str) -> None:
        """Raise an OptionError where a part of the page is being written: `what` would be lost if it failed."""
        if self._parts:
            raise OptionError(f"{what} must come before the page is written, not from inside a part of it.")

    def finding(self, sentence: str) -> None:
        """Set the finding, one sentence in Markdown that the results bear out; it stands first on the page."""
        if self.conclusive:
            self.found = sentence

    def word(self, word: str) -> str | None:
        """A word of judgement for a cell of a table; None where nothing can be concluded."""
        return word if self.conclusive else None

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
        if not callable(figure):
            check_figure(name, figure, format)
        with self._kept(f"The picture {name} could not be drawn", name):
            file, width = self._picture(name, figure, format, dpi)
            self._add(name, {"kind": "figure", "caption": caption, "file": file, "width": width})

    def grid(
        self, name: str, figures: Sequence[tuple[Any, str]], columns: int = 4, caption: str = "", dpi: int = 110
    ) -> None:
        """Add a grid of (figure, caption); see `figure`."""
        items: list[dict[str, str]] = []
        self._add(name, {"kind": "grid", "items": items, "columns": columns, "caption": caption})
        for index, (figure, text) in enumerate(figures):
            label = f"{name}-{index + 1}"
            with self._kept(f"The picture {label} could not be drawn"):
                items.append({"file": self._picture(label, figure, "png", dpi)[0], "caption": text})

    def video(self, file: Path | Callable[[], Path], caption: str = "", name: str = "film") -> None:
        """Add a film that stands in the folder of the run (MP4 or WebM), or a function that makes it."""
        with self._kept("The film could not be made", name):
            path = file() if callable(file) else file
            inside = str(path.resolve().relative_to(self.folder.resolve()))
            self._add(name, {"kind": "video", "caption": caption, "file": inside})

    def sounds(
        self, name: str, sounds: Sequence[tuple[Any, str]], rate: int, columns: int = 4, caption: str = ""
    ) -> None:
        """Add players of (waveform, caption), a row for so many of them, saved as `sounds/NAME-1.wav` and so on.

        Args:
            sounds: waveforms (L,) from −1 to 1 with their captions; see `wav`.
            rate: samples per second.
        """
        items: list[dict[str, str]] = []
        self._add(name, {"kind": "sounds", "items": items, "columns": columns, "caption": caption})
        for index, (waveform, text) in enumerate(sounds):
            path = self.folder / "sounds" / f"{name}-{index + 1}.wav"
            with self._kept(f"The sound {path.stem} could not be made"):
                write_atomically(path, wav(waveform, rate))
                items.append({"file": str(path.relative_to(self.folder)), "caption": text})

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        caption: str = "",
        heat: Mapping[str, tuple[float, float]] | None = None,
        name: str = "",
    ) -> None:
        """Add a table, under the name by which the page places it.

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
        for column in heat or {}:
            if column not in columns:
                raise OptionError(f"There is no column {column!r} to colour. {', '.join(columns)}")
        cells = json.loads(json.dumps(plain([list(row) for row in rows])))
        colours = {column: list(ends) for column, ends in (heat or {}).items()}
        self._add(name, {"kind": "table", "columns": list(columns), "rows": cells, "caption": caption, "heat": colours})

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
        """Add a row of `results.json`, which is also a line of the claims on the page.

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
        self.before_pages("A result")
        values = (id, claim, method, plain(published), plain(measured), plain(sd), seeds, data)
        self.results.append(dict(zip(FIELDS, values, strict=True)))

    def show(self, **values: Any) -> None:
        """Give values to the page, by the names that it uses for them: numbers, text, lists and dictionaries."""
        self.shown |= plain(values)

    def stand_in(self, sentence: str) -> None:
        """Say, in the first line of the page, that the data stand in for others."""
        if sentence not in self.stand_ins:
            self.stand_ins.append(sentence)

    def _picture(self, name: str, figure: Any, kind: str, dpi: int) -> tuple[str, int | None]:
        """Where a figure is saved, in the folder, and how many pixels wide it is on the page, if that is known."""
        made: Any = figure() if callable(figure) else figure
        # A figure of six inches stands 720 pixels wide on the page, so that all figures have letters of one size.
        width = round(120 * made.get_size_inches()[0]) if hasattr(made, "get_size_inches") else None
        # Names may come from those of users' files.
        stem = label = re.sub(r"[^\w.+-]+", "-", printable(name)).strip(".-") or "picture"
        number = 1
        while label in self._files:
            number += 1
            label = f"{stem}-{number}"
        self._files.add(label)
        return str(save_figure(self.folder / "figures" / label, made, kind, dpi).relative_to(self.folder)), width
