"""A page from its template: Markdown with placeholders, filled with what a run measured, drew and noted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

from lowland.errors import OptionError, nearest
from lowland.reports.digits import number
from lowland.reports.files import FIELDS
from lowland.reports.head import REST, Claim, Head, Table, read_page
from lowland.reports.plain import plain
from lowland.reports.results import Results
from lowland.systems import load_systems, published
from lowland.words import verbatim

_PLACE = re.compile(r"^[ ]*\x02(\d+)\x03[ ]*$|^## +(.+)$", flags=re.MULTILINE)
_FILTERS: dict[str, Callable[..., str]] = {
    "fixed": lambda value, decimals=2: f"{value:,.{decimals}f}".replace("-", "−"),
    "signed": lambda value, decimals=2: f"{value:+,.{decimals}f}".replace("-", "−"),
    "percent": lambda value, decimals=0: f"{value:.{decimals}%}".replace("-", "−"),
    "number": number,
    "verbatim": lambda text, longest=300: verbatim(str(text), longest),
    "span": lambda values, decimals=0: _span(list(values), decimals),
    "plural": lambda count, one: f"{count:,} {one}" + ("" if count == 1 else "s"),
    "times": lambda value, decimals=1: f"{value:.{decimals}f}×",
}


def _span(values: list[float], decimals: int) -> str:
    """The least and the greatest, as "3 to 5", or one number where they look the same."""
    ends = [f"{value:,.{decimals}f}".replace("-", "−").replace("inf", "∞") for value in (min(values), max(values))]
    return " to ".join(dict.fromkeys(ends))


def _engine() -> jinja2.Environment:
    engine = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    engine.filters.update(_FILTERS)
    return engine


def render(text: str, names: Mapping[str, Any], what: str, engine: jinja2.Environment | None = None) -> str:
    """A template filled with values by name; `what` names it in errors.

    Raises:
        OptionError: one sentence, for a text that is no template, or names what is not there.

    >>> render("{{ share | percent }} of {{ count }}", {"share": 0.5, "count": 8}, "The text")
    '50% of 8'
    """
    try:
        return (engine or _engine()).from_string(text).render(dict(names))
    except jinja2.TemplateSyntaxError as error:
        raise OptionError(f"{what}, line {error.lineno}, is not a template: {error}.") from None
    except jinja2.UndefinedError as error:
        raise OptionError(f"{what} names what the run does not have: {error}.") from None
    except OptionError as error:
        raise OptionError(f"{what} cannot be filled: {error}") from None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise OptionError(f"{what} cannot be filled: {type(error).__name__}: {error}.") from error


class Filled:
    """What a page says of a run.

    Args:
        path: of `page.md`.
        results: what was measured.
        options: of the run, `o` in the template.
        shown: further values, by the names that the template uses for them.
        elements: pictures, films and tables of the run, each under its name.
        conclusive: whether verdicts may be drawn.

    Attributes:
        head: of the page.
        title: its `heading`, or else its title.
        rows: of `results.json`, from the claims of the head.
        tolerances: of their claims.
        finding: one sentence, or "".
        elements: what stands on the page, in its order.

    Raises:
        OptionError: one sentence, for a page that names what the run does not have.
    """

    def __init__(
        self,
        path: Path,
        results: Results,
        options: Mapping[str, Any],
        shown: Mapping[str, Any] | None = None,
        elements: Sequence[dict[str, Any]] = (),
        conclusive: bool = True,
    ) -> None:
        self.path, self.results = path, results
        self.head, body = read_page(path)
        self._named = {element["name"]: element for element in elements if "name" in element}
        self._lost = [element for element in elements if element.get("name") == REST]
        self._placed: list[dict[str, Any]] = []
        self._engine = _engine()
        self.methods = _Titles(self.head.methods or {})
        self._names = {
            "r": results, "mean": results.mean, "sd": results.sd, "each": results.each, "has": results.has,
            "verdict": results.verdict, "best": results.best, "measured": self._measured, "conclusive": conclusive,
            "title": self.methods.__getitem__, "o": SimpleNamespace(**options), "figure": self._figure,
            "grid": self._grid, "video": self._video, "sounds": self._sounds, "table": self._table,
            "published": published, **(shown or {}),
        }  # fmt: skip
        for name, expression in (self.head.names or {}).items():
            self._names[name] = self._value(expression, f"name {name}")
        self.rows: list[dict[str, Any]] = []
        self.tolerances: list[float | str | None] = []
        for claim in self.head.claims:
            self.rows += (made := self._claimed(claim))
            self.tolerances += [claim.tolerance] * len(made)
        self.finding = " ".join(self._text(self.head.finding, "finding").split()) if conclusive else ""
        self.title = " ".join(self._text(self.head.heading, "heading").split()) or self.head.title
        self.elements = self._arranged(self._text(body, "body"))

    def _text(self, text: str, where: str, **more: Any) -> str:
        return render(text, self._names | more, f"The {where} of {self.path}", self._engine)

    def _value(self, expression: str, where: str) -> Any:
        try:
            found = self._engine.compile_expression(expression, undefined_to_none=False)(**self._names)
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise OptionError(f"The {where} of {self.path} cannot be computed: {error}.") from None
        if isinstance(found, jinja2.Undefined):
            raise OptionError(f"The {where} of {self.path} names what the run does not have: {expression}.")
        return found

    def _measured(self, method: str, measure: str) -> str:
        """Mean ± deviation, as text."""
        return number([self.results.mean(method, measure), self.results.sd(method, measure)])

    # Claims

    def _claimed(self, claim: Claim) -> list[dict[str, Any]]:
        where = f"claim {claim.claim!r}"
        if claim.when and not self._value(claim.when, where):
            return []
        if not claim.each:
            return self._rows(claim, where, {})
        return [row for it in self._value(claim.each, where) for row in self._rows(claim, where, {"it": it})]

    def _rows(self, claim: Claim, where: str, more: dict[str, Any]) -> list[dict[str, Any]]:
        text = {
            name: self._text(part, where, **more)
            for name, part in {
                "claim": claim.claim,
                "measure": claim.measure,
                "data": self.head.data if claim.data is None else claim.data,
            }.items()
        }
        chosen = [self._text(name, where, **more) if "{" in name else name for name in claim.methods]
        methods = chosen or [name for name in self._ordered(text["measure"]) if name not in claim.without]
        if not methods:
            raise OptionError(
                f"The {where} of {self.path} names the measure {text['measure']!r}, which the run has not."
            )
        rows, names = [], claim.names or {}
        for name in methods:
            key = claim.published if isinstance(claim.published, str) else claim.published.get(name, "")
            key, system = self._text(key, where, method=name, **more), self._system(claim, where, method=name, **more)
            try:
                values = (
                    system, text["claim"],
                    self._text(names.get(name, names.get("*", self.methods[name])), where, method=name, **more),
                    published(system, key) if key else None,
                    plain(self.results.mean(name, text["measure"])), plain(self.results.sd(name, text["measure"])),
                    self.results.seeds(name, text["measure"]), text["data"],
                )  # fmt: skip
            except OptionError as error:
                raise OptionError(f"The {where} of {self.path} cannot be filled: {error}") from None
            rows.append(dict(zip(FIELDS, values, strict=True)))
        return rows

    def _system(self, claim: Claim, where: str, **more: Any) -> str:
        name = self._text(claim.system_of(more["method"]), where, **more)
        if name and name not in load_systems():
            raise OptionError(f"The {where} of {self.path} names the system {name!r}. {nearest(name, load_systems())}")
        return name

    def _ordered(self, *measures: str) -> list[str]:
        """The methods that have one of the measures: those of the head first, in its order."""
        having = [name for name in self.results.methods() if any(self.results.has(name, m) for m in measures)]
        return sorted(having, key=list(self.methods).index) if set(having) <= set(self.methods) else [
            *(name for name in self.methods if name in having), *(name for name in having if name not in self.methods)
        ]  # fmt: skip

    # The body

    def _arranged(self, text: str) -> list[dict[str, Any]]:
        elements: list[dict[str, Any]] = []
        last = 0
        for found in [*_PLACE.finditer(text), None]:
            if prose := text[last : found.start() if found else None].strip():
                elements.append({"kind": "text", "markdown": prose})
            if found is None:
                return elements
            last = found.end()
            elements.append({"kind": "section", "title": found[2].strip()} if found[2] else self._placed[int(found[1])])
        raise AssertionError

    def _place(self, element: dict[str, Any]) -> str:
        lost = [one for one in self._lost if one not in self._placed]
        first = len(self._placed)
        self._placed += lost if element in self._lost else [element]
        return "".join(f"\n\n\x02{number}\x03\n\n" for number in range(first, len(self._placed)))

    def _find(self, name: str, kind: str) -> dict[str, Any]:
        if name not in self._named and REST in self._named:
            return self._named[REST]
        if name not in self._named:
            raise OptionError(f"The run has no {kind} {name!r}. {nearest(name, self._named)}")
        return dict(self._named[name])

    def _figure(self, name: str, caption: str = "") -> str:
        """A picture of the run."""
        element = self._find(name, "figure")
        return self._place({**element, "caption": caption} if element["kind"] == "figure" else element)

    def _grid(self, name: str, captions: Sequence[str] = (), columns: int = 0, caption: str = "") -> str:
        """Pictures side by side."""
        element = self._find(name, "grid")
        if element["kind"] != "grid":
            return self._place(element)
        items = [dict(item) for item in element["items"]]
        for item, words in zip(items, captions, strict=False):
            item["caption"] = words
        columns = columns or element["columns"]
        return self._place({**element, "items": items, "columns": columns, "caption": caption or element["caption"]})

    def _video(self, name: str, caption: str = "") -> str:
        element = self._find(name, "film")
        return self._place({**element, "caption": caption} if element["kind"] == "video" else element)

    def _sounds(self, name: str, caption: str = "") -> str:
        """Players of sounds."""
        element = self._find(name, "sounds")
        return self._place({**element, "caption": caption} if element["kind"] == "sounds" else element)

    def _table(self, name: str, caption: str = "") -> str:
        """A table of the head, or one that the run made."""
        tables = self.head.tables or {}
        if name in tables:
            return self._place(self._made(tables[name], name, caption))
        element = self._find(name, "table")
        return self._place({**element, "caption": caption or element["caption"]})

    def _made(self, table: Table, name: str, caption: str) -> dict[str, Any]:
        where = f"table {name}"
        methods = table.methods or [m for m in self._ordered(*table.columns) if m not in table.without]
        rows = [[self.methods[m], *(self._cell(m, measure, table) for measure in table.columns)] for m in methods]
        heads = {measure: self._text(heading, where) for measure, heading in table.columns.items()}
        heat = {heads[measure]: list(ends) for measure, ends in (table.heat or {}).items()}
        return {
            "kind": "table", "name": name, "columns": [self._text(table.first, where), *heads.values()],
            "rows": plain(rows), "caption": caption or self._text(table.caption, where), "heat": heat,
        }  # fmt: skip

    def _cell(self, method: str, measure: str, table: Table) -> Any:
        if not self.results.has(method, measure):
            return None
        mean, sd = self.results.mean(method, measure), self.results.sd(method, measure)
        if table.decimals and measure in table.decimals:
            mean, sd = (None if value is None else round(value, int(table.decimals[measure])) for value in (mean, sd))
        return [mean, sd] if table.spread and sd is not None else mean


class _Titles(dict[str, str]):
    """How methods are called on the page; one that the head does not name is called by its key."""

    def __missing__(self, name: str) -> str:
        return name


def check_page(path: Path) -> Head:
    """The head of a page whose template can be read, so that a mistake shows before anything is computed.

    Raises:
        OptionError: one sentence, for a mistake in head or body.
    """
    head, body = read_page(path)
    engine = jinja2.Environment()
    engine.filters.update(_FILTERS)
    texts = [
        body,
        head.finding,
        head.data,
        *(text for claim in head.claims for text in (claim.claim, claim.data or "")),
        *(text for one in (head.sweeps or {}).values() for text in (one.finding, one.text)),
    ]
    for text in texts:
        try:
            engine.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise OptionError(f"{path}, line {error.lineno} of the text, is not a template: {error}.") from None
    return head
