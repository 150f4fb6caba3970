"""Documents as passages: the texts of a user's folder, and the descriptions of functions in Python packages.

A passage is some paragraphs below one heading; each of its sentences knows its line in the file.
"""

from __future__ import annotations

import ast
import importlib.util
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lowland.bounded import read_bytes, unzip
from lowland.data.document_text import READERS, Line, plain_lines
from lowland.data.survey import shown, walk_folder
from lowland.errors import DataError, OptionError

LEAST, MOST = 40, 120
"""Words of a passage: a paragraph is added to one with fewer than the first, if both have no more than the second."""
_END = re.compile(r"""(?<=[.!?])["')\]]*\s+(?=[A-Z0-9"'(\[`])""")


class Sentence(NamedTuple):
    """A sentence and the line of its document on which it begins."""

    text: str
    line: int


class Passage(NamedTuple):
    """Some sentences of the document with that number, the heading above them, and which section they belong to."""

    document: int
    heading: str
    section: int
    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        """All sentences in one string."""
        return " ".join(sentence.text for sentence in self.sentences)


class Documents(NamedTuple):
    """Names of documents, their passages, notes for the user, and the files that were left out, with reasons."""

    names: tuple[str, ...]
    passages: tuple[Passage, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files that were looked at."""
        return (*self.names, *(name for name, _ in self.skipped))


def read_documents(folder: str | Path) -> Documents:
    """The passages of all texts in a folder and those inside it: txt, md, rst and html, each packed by gzip or not.

    Hidden files and those of runs are not looked at, and links to folders not followed. A file of another kind, one
    that is binary, or that cannot be read, is among `skipped`. Text that is not UTF-8 is read as Latin-1, and a note
    says so.

    Raises:
        DataError: for a folder that is not there, or without a passage.
    """
    root = Path(folder)
    try:
        inside = root.is_dir()
    except (OSError, ValueError) as error:
        raise DataError(f"{root} cannot be opened: {getattr(error, 'strerror', None) or error}.") from error
    if not inside:
        raise DataError(f"{root} is not a folder that is there: name the folder that holds your documents.")
    names, passages, other = list[str](), list[Passage](), list[str]()
    paths, skipped = walk_folder(root)
    for path in paths:
        name = shown(root, path)
        suffixes = [suffix.lower() for suffix in path.suffixes]
        kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]
        if kind not in READERS:
            skipped.append((name, f"is of a kind that is not read: save it as {', '.join(READERS)}"))
            continue
        try:
            text, utf8 = _decoded(unzip(read_bytes(path), str(path)), name)
        except DataError as error:
            skipped.append((name, str(error)))
            continue
        section = passages[-1].section + 1 if passages else 0
        found = passages_of(READERS[kind](text), len(names), section)
        if not found:
            skipped.append((name, "has no sentence in it"))
            continue
        names.append(name)
        passages += found
        other += [] if utf8 else [name]
    if not passages:
        what = f"{len(skipped)} other file{'s' * (len(skipped) != 1)}" if skipped else "nothing"
        raise DataError(
            f"{root} has no document in it that can be read, but {what}: what is read is {', '.join(READERS)}, packed "
            "by gzip or not, with text in it."
        )
    notes = [f"{other[0]} and {len(other) - 1} more are not UTF-8 and read as Latin-1."] if len(other) > 1 else [
        f"{name} is not UTF-8 and read as Latin-1." for name in other
    ]  # fmt: skip
    return Documents(tuple(names), tuple(passages), tuple(notes), tuple(skipped))


def _decoded(payload: bytes, name: str) -> tuple[str, bool]:
    if payload[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return payload.decode("utf-16"), True
        except UnicodeDecodeError as error:
            raise DataError(f"{name} begins like UTF-16, but is not: convert it to UTF-8.") from error
    if b"\x00" in payload:
        raise DataError("is binary, not text")
    try:
        return payload.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        text = payload.decode("latin-1")
    if sum("\x7f" <= letter < "\xa0" for letter in text) > 0.02 * len(text):
        raise DataError("is binary, or text in another encoding than UTF-8")
    return text, False


def passages_of(lines: Iterable[Line], document: int = 0, section: int = 0) -> list[Passage]:
    r"""Cut the lines of a document into passages.

    Args:
        lines: of one document.
        document: its number.
        section: number of its first section.

    >>> [found] = passages_of(plain_lines("One sentence\nover lines. Another one."))
    >>> found.sentences
    (Sentence(text='One sentence over lines.', line=1), Sentence(text='Another one.', line=2))
    """
    found: list[Passage] = []
    heading, kept, count = "", list[Sentence](), 0
    paragraph: list[Line] = []

    def close_passage() -> None:
        nonlocal kept, count
        if kept:
            found.append(Passage(document, heading, section, tuple(kept)))
        kept, count = [], 0

    def close_paragraph() -> None:
        nonlocal kept, count, paragraph
        pieces, paragraph = _sentences(paragraph), []
        size = sum(len(piece.text.split()) for piece in pieces)
        if kept and (count >= LEAST or count + size > MOST):
            close_passage()
        for piece in pieces:
            if count + len(piece.text.split()) > MOST:
                close_passage()
            kept.append(piece)
            count += len(piece.text.split())

    for line in lines:
        if line.heading:
            close_paragraph()
            close_passage()
            heading, section = line.text, section + 1
        elif line.text:
            paragraph.append(line)
        else:
            close_paragraph()
    close_paragraph()
    close_passage()
    return found


def _sentences(paragraph: Sequence[Line]) -> list[Sentence]:
    """The sentences of a paragraph, each with the line on which it begins; those without a letter are left out."""
    text, starts = "", list[tuple[int, int]]()
    for line in (line for line in paragraph if re.search(r"[^\W_]", line.text)):  # not the rules of tables
        starts.append((len(text) + bool(text), line.number))
        text = f"{text} {line.text}" if text else line.text
    cuts = [0, *(match.end() for match in _END.finditer(text)), len(text)]
    found = []
    for first, last in itertools.pairwise(cuts):
        piece = text[first:last].strip()
        if re.search(r"[^\W\d_]", piece):
            line = next(number for start, number in reversed(starts) if start <= first)
            found.append(Sentence(piece, line))
    return found


def docstrings(packages: Sequence[str], most: int = 100_000) -> Documents:
    """What public functions and classes of installed Python packages say of themselves: a document for each file.

    The first paragraph of a docstring is the heading of its passages, and the rest is their text. Files are parsed and
    not imported; tests, names that begin with an underscore and docstrings of one paragraph are left out.

    Args:
        packages: names as they are imported, such as "sklearn" or "email".
        most: passages at most.

    Raises:
        OptionError: for a package that is not installed, or holds no such docstring.

    >>> docstrings(["json"]).names
    ('json/__init__.py', 'json/decoder.py', 'json/encoder.py')
    """
    names, passages = list[str](), list[Passage]()
    for package in packages:
        root = _root(package)
        before = len(passages)
        for path in sorted(root.rglob("*.py")):
            inside = path.relative_to(root.parent)
            if {"tests", "test", "externals"} & set(inside.parts) or len(passages) >= most:
                continue
            found = _of_file(path, len(names), len(passages))
            if found:
                names.append(inside.as_posix())
                passages += found
        if len(passages) == before:
            raise OptionError(f"The package {package!r} has no docstrings of several paragraphs: name another one.")
    return Documents(tuple(names), tuple(passages))


def _root(package: str) -> Path:
    try:
        spec = importlib.util.find_spec(package) if re.fullmatch(r"[A-Za-z_]\w*", package) else None
    except (ImportError, ValueError):
        spec = None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not places:
        raise OptionError(f"There is no installed package {package!r} with several files: name one as it is imported.")
    return Path(places[0])


def _of_file(path: Path, document: int, section: int) -> list[Passage]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return []
    found: list[Passage] = []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop(0)
        stack = [child for child in ast.iter_child_nodes(node) if isinstance(child, kinds)] + stack
        if not isinstance(node, kinds) or node.name.startswith("_"):
            continue
        text = ast.get_docstring(node)
        first = node.body[0]
        if text is None or "\n\n" not in text:
            continue
        summary, rest = text.split("\n\n", 1)
        offset = first.lineno + summary.count("\n") + 1
        lines = [line._replace(number=line.number + offset) for line in plain_lines(rest) if not _rule(line.text)]
        made = passages_of(lines, document, section + len(found))
        title = " ".join(summary.split())
        found += [passage._replace(heading=title, section=section + len(found)) for passage in made]
    return found


def _rule(text: str) -> bool:
    """Whether a line is a line of dashes, as below the names of parts of a docstring."""
    return len(text) > 2 and not text.strip("-=~")
