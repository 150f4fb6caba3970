"""Lines of a document as plain text with headings: from text, Markdown, reStructuredText or HTML.

Each line keeps its number in the file, so that an answer can say where it stands.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

_UNDERLINE = re.compile(r"""([=\-~^"'#*+:`_.])\1{2,}\s*""")
_FENCE = ("```", "~~~")
_HIDDEN = {"script", "style", "head", "template", "noscript", "svg"}
_BREAKS = {
    "p", "div", "li", "ul", "ol", "tr", "table", "section", "article", "pre", "blockquote", "dt", "dd", "br", "hr",
    "td", "header", "footer", "nav", "main", "figure", "figcaption", "body",
}  # fmt: skip


class Line(NamedTuple):
    """A line of a document: its `number` from 1 on, its `text`, "" between paragraphs, and whether it is a heading."""

    number: int
    text: str
    heading: bool = False


def plain_lines(text: str) -> list[Line]:
    """The lines of a text without headings."""
    return [Line(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]


def markdown_lines(text: str) -> list[Line]:
    r"""The lines of Markdown: headings with # or an underline; marks of links, code and emphasis are left out.

    >>> markdown_lines("# A *title*\ntext with [a link](there)")
    [Line(number=1, text='A title', heading=True), Line(number=2, text='text with a link', heading=False)]
    """
    found: list[Line] = []
    raw = text.splitlines()
    fenced = False
    for number, line in enumerate(raw, start=1):
        bare = line.strip()
        if bare.startswith(_FENCE):
            fenced = not fenced
            found.append(Line(number, ""))
        elif fenced:
            found.append(Line(number, bare))
        elif head := re.match(r"#{1,6}\s+(.*?)\s*#*$", bare):
            found.append(Line(number, _unmarked(head[1]), True))
        elif re.fullmatch(r"(=+|-+)", bare) and found and found[-1].text and not found[-1].heading:
            found[-1] = found[-1]._replace(heading=True)
            found.append(Line(number, ""))
        else:
            found.append(Line(number, _unmarked(bare)))
    return found


def _unmarked(text: str) -> str:
    text = re.sub(r"!?\[([^\]]*)\]\([^)\s]*(?:\s[^)]*)?\)", r"\1", text)
    return re.sub(r"(\*\*|__|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)|`)", "", text)


def rst_lines(text: str) -> list[Line]:
    r"""The lines of reStructuredText: a line above one of =, -, ~ and such, of its length at least, is a heading.

    >>> [line.text for line in rst_lines("Title\n=====\n\nA :func:`call` of ``f``.") if line.heading]
    ['Title']
    """
    found: list[Line] = []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if _UNDERLINE.fullmatch(bare):
            title = found[-1] if found else None
            if title is not None and title.text and len(bare) >= len(title.text):
                found[-1] = title._replace(heading=True)
            found.append(Line(number, ""))
        else:
            text = re.sub(r":[\w:+.-]+:`([^`]*)`", r"\1", bare)
            found.append(Line(number, re.sub(r"``?([^`]*)``?_{0,2}", r"\1", text)))
    return found


def html_lines(text: str) -> list[Line]:
    r"""The lines of HTML: what a browser shows, h1 to h6 as headings.

    >>> found = html_lines("<h1>Title</h1><script>no</script><p>Some <b>bold</b> text &amp; more.")
    >>> [(line.text, line.heading) for line in found if line.text]
    [('Title', True), ('Some bold text & more.', False)]
    """
    reader = _Html()
    reader.feed(text)
    reader.close()
    reader.end()
    return reader.lines


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[Line] = []
        self._open: list[str] = []
        self._pieces: list[tuple[int, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._open.append(tag)
        elif tag in _BREAKS or re.fullmatch("h[1-6]", tag):
            self.end()

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            while self._open and self._open.pop() != tag:
                pass
        elif re.fullmatch("h[1-6]", tag):
            self.end(heading=True)
        elif tag in _BREAKS:
            self.end()

    def handle_data(self, data: str) -> None:
        if not self._open:
            first = self.getpos()[0]
            self._pieces += [(first + row, piece) for row, piece in enumerate(data.split("\n"))]

    def end(self, heading: bool = False) -> None:
        """The paragraph ends here."""
        by_line: dict[int, str] = {}
        for number, piece in self._pieces:
            by_line[number] = by_line.get(number, "") + piece
        self._pieces = []
        kept = [(number, " ".join(piece.split())) for number, piece in by_line.items() if piece.strip()]
        if heading and kept:
            kept = [(kept[0][0], " ".join(piece for _, piece in kept))]
        self.lines += [Line(number, piece, heading) for number, piece in kept]
        if kept:
            self.lines.append(Line(kept[-1][0], ""))


READERS = {
    ".txt": plain_lines, ".text": plain_lines, ".md": markdown_lines, ".markdown": markdown_lines, ".rst": rst_lines,
    ".html": html_lines, ".htm": html_lines, ".xhtml": html_lines,
}  # fmt: skip
"""How the lines of a file are read, by its ending."""
