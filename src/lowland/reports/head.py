"""The head of a page: what `page.md` says of its recipe in TOML, between two lines of +++, above the body.

+++
title = "Predictive sparse decomposition"
shows = "One sentence: what the recipe shows."
systems = ["S6"]                        # ids of the systems that it serves
minutes = 2.5                           # on two processor cores with the preset cpu
finding = "One sentence with {{ mean('PSD', 'gap') | percent }}; it stands first on the page."
data = "{{ o.tests }} test patches"     # of all claims
heading = "PSD on {{ o.data }}"         # of the page of a run, if its title depends on options
[names]                                 # expressions that texts below use by name
gap = 'mean("PSD", "gap")'
[methods]                               # by key: how pages, tables and claims call them
PSD = "encoder of PSD"
[[claims]]                              # lines of results.json
system = "S6"
claim = "objective gap, mean"
measure = "gap"
[tables.codes]                          # {{ table("codes") }} in the body
columns = { gap = "mean gap" }
+++
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from lowland.bounded import read_bytes
from lowland.errors import OptionError, nearest
from lowland.systems import load_systems, published, tomllib

FENCE = "+++\n"
REST = "*"
"""Stands for all that has no name of its own: methods of a claim, or elements of a page."""


@dataclass(frozen=True)
class Claim:
    """Lines of results.json: one measure of some methods. All texts are templates, as the body is.

    Args:
        claim: what was measured, with its unit, in a few words.
        measure: key of the measure.
        system: id of the system, or a template for it, such as "{{ family[method] }}", or one for each method, with
            that of all others under "*"; none for a result that belongs to no system of the list.
        methods: keys of the methods; by default all that have the measure, in the order of the head.
        without: methods that are left out.
        names: other names for some methods than those of the head, or for all others by "*"; `method` in their texts.
        published: key of the published figure in the list of systems, or one key for each method.
        data: the data used; by default that of the head.
        when: an expression; the claim is left out where it is false.
        each: an expression for a list; the claim is repeated for every value, `it` in its texts.
        tolerance: by how much a new run may differ from the record: a number in the unit of the claim, a share such as
            "5 %", or "machine" for a time, which is not compared. By default from the deviation over seeds.
    """

    claim: str
    measure: str
    system: str | Mapping[str, str] = ""
    methods: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    names: Mapping[str, str] | None = None
    published: str | Mapping[str, str] = ""
    data: str | None = None
    when: str = ""
    each: str = ""
    tolerance: float | str | None = None

    @property
    def systems(self) -> tuple[str, ...]:
        """All ids that the claim names."""
        named = (self.system,) if isinstance(self.system, str) else self.system.values()
        return tuple(name for name in named if name)

    def system_of(self, method: str) -> str:
        """Id of the system that a method of the claim belongs to."""
        return self.system if isinstance(self.system, str) else self.system.get(method) or self.system[REST]


@dataclass(frozen=True)
class Table:
    """A table of methods (rows) by measures (columns).

    Args:
        columns: heading by measure.
        methods: keys of the methods; by default all that have one of the measures.
        without: methods that are left out.
        first: heading of the column of methods.
        caption: below it.
        spread: whether cells show the deviation over seeds beside the mean.
        heat: measures whose cells are coloured, from pale at the first number to full at the second.
        decimals: of the cells of some measures; by default four significant digits.
    """

    columns: Mapping[str, str]
    methods: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    first: str = ""
    caption: str = ""
    spread: bool = False
    heat: Mapping[str, tuple[float, float]] | None = None
    decimals: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Sweep:
    """What a page says of a sweep over one option of its recipe, `[sweeps.OPTION]`.

    Args:
        title, shows, systems: of the page of the sweep; by default those of the recipe.
        options: other options of the recipe that have another default in this sweep.
        finding: one sentence, a template; `points` are the points in order, see `recipes.sweep.Point`.
        text: Markdown above the tables, a template as well.
        claims: texts of the claims that the sweep reports; by default all.
        tables: names of tables of the points that are put together, row below row, with the point in the first column.
        shared: names, or first parts of names, of stages that do not depend on the option: they are computed once.
            `*` stands for anything, as in "seed-*/model".
    """

    title: str = ""
    shows: str = ""
    systems: tuple[str, ...] = ()
    options: Mapping[str, Any] | None = None
    finding: str = ""
    text: str = ""
    claims: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Head:
    """All that stands above the body of a page; see the top of this file."""

    title: str
    shows: str
    systems: tuple[str, ...] = ()
    minutes: float = 1
    finding: str = ""
    data: str = ""
    heading: str = ""
    names: Mapping[str, str] | None = None
    methods: Mapping[str, str] | None = None
    claims: tuple[Claim, ...] = ()
    tables: Mapping[str, Table] | None = None
    sweeps: Mapping[str, Sweep] | None = None


def read_page(path: Path) -> tuple[Head, str]:
    """The head and the body of a page.

    Raises:
        OptionError: one sentence, for a page that is missing or cannot be read, or a head that names what is unknown.
    """
    stat = path.stat() if path.is_file() else None
    if stat is None:
        raise OptionError(f"{path} is missing: a recipe is a folder with recipe.py and page.md.")
    return _read(path, stat.st_mtime_ns, stat.st_size)


@cache
def _read(path: Path, _changed: int, _size: int) -> tuple[Head, str]:
    text = read_bytes(path, OptionError).decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    parts = text.split(FENCE, 2)
    if len(parts) != 3 or parts[0].strip():
        raise OptionError(f"{path} needs a head: TOML between two lines of +++, above the text.")
    try:
        values = tomllib.loads(parts[1])
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"The head of {path} is not TOML that can be read: {error}.") from None
    return parse(values, str(path)), parts[2]


def parse(values: dict[str, Any], place: str) -> Head:
    """The head of a page from its values; `place` names the page in errors."""
    claims = tuple(_made(Claim, one, f"A claim in the head of {place}") for one in _list(values, "claims", place))
    tables = {
        name: _made(Table, one, f"The table {name} in the head of {place}")
        for name, one in values.get("tables", {}).items()
    }
    sweeps = {
        name: _made(Sweep, one, f"The sweep {name} in the head of {place}")
        for name, one in values.get("sweeps", {}).items()
    }
    head = _made(Head, {**values, "claims": claims, "tables": tables, "sweeps": sweeps}, f"The head of {place}")
    methods = head.methods or {}
    swept = [name for one in sweeps.values() for name in one.systems]
    for name in (*head.systems, *(name for claim in claims for name in claim.systems), *swept):
        if name not in load_systems() and "{" not in name:
            raise OptionError(f"The head of {place} names the system {name!r}. {nearest(name, load_systems())}")
    for part, what in [(claim, f"claim {claim.claim!r}") for claim in claims] + [
        (t, f"table {n}") for n, t in tables.items()
    ]:
        systems = part.system if isinstance(part, Claim) and isinstance(part.system, Mapping) else ()
        for name in (*part.methods, *part.without, *(name for name in systems if name != REST)):
            known = {*methods, *((part.names or {}) if isinstance(part, Claim) else ())}
            if name not in known and "{" not in name:
                raise OptionError(f"The {what} of {place} names the method {name!r}. {nearest(name, known)}")
    for claim in claims:
        if isinstance(claim.system, Mapping) and REST not in claim.system:
            raise OptionError(f'The claim {claim.claim!r} of {place} has no system "*" for all other methods.')
        cited = {REST: claim.published} if isinstance(claim.published, str) else claim.published
        for name, key in cited.items():
            if key and "{" not in key:
                try:
                    published(claim.system_of(name), key)
                except OptionError as error:
                    raise OptionError(
                        f"The claim {claim.claim!r} of {place} cites what is not there: {error}"
                    ) from None
    return head


def _list(values: dict[str, Any], name: str, place: str) -> list[Any]:
    found = values.get(name, [])
    if not isinstance(found, list):
        raise OptionError(f"{name} in the head of {place} must be written as [[{name}]].")
    return found


def _made(cls: Any, values: Any, what: str) -> Any:
    known = {field.name: field for field in fields(cls)}
    if not isinstance(values, dict):
        raise OptionError(f"{what} must be a table of values by name, not {values!r}.")
    for name in values:
        if name not in known:
            raise OptionError(f"{what} has no entry {name!r}. {nearest(name, known)}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for name, field in known.items():
        if name in values and not _fits(values[name], str(field.type)):
            raise OptionError(f"{what} has {name} = {values[name]!r}, which is of the wrong kind.")
    try:
        return cls(**values)
    except TypeError as error:
        raise OptionError(f"{what} is incomplete: {str(error).split('__init__() ')[-1]}.") from None


def _fits(value: Any, kind: str) -> bool:
    """Whether a value of TOML is of the kind that an annotation names."""
    if isinstance(value, bool):
        return kind == "bool"
    if isinstance(value, str):
        return kind.startswith("str") or "| str" in kind
    if isinstance(value, (int, float)):
        return kind.startswith("float")
    return "Mapping" in kind if isinstance(value, dict) else kind.startswith("tuple")
