"""The help of LibreOffice in English and German: paragraphs of the same page with the same id are translations."""

from __future__ import annotations

import html
import re
from pathlib import Path

from lowland.data.catalogue import dataset
from lowland.data.lookup import read_all
from lowland.data.parallel_text import ParallelText
from lowland.data.source import Source
from lowland.errors import DataError


def _source(name: str, language: str, size: int, sha256: str) -> Source:
    package = f"libreoffice-help-{language.lower()}"
    archive = f"{package}_4%3a7.4.7-1+deb12u14_all.deb"
    return Source(
        name=name, package=package, version="4:7.4.7-1+deb12u14", sha256={archive: sha256}, client="apt",
        archive=archive, size=size, root=f"usr/share/libreoffice/help/{language}/text",
    )  # fmt: skip


_ENGLISH = _source(
    "office-help", "en-US", 1_753_504, "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712"
)
_GERMAN = _source("office-help-de", "de", 3_293_908, "00490b63c509ac96f7f212d6a6e40452d3e0d1f97ccf4b824dd5ec4c01e8277f")
_PARAGRAPH = re.compile(r'<(p|h[1-6])\b[^>]*?\bid="((?:par|hd|bm)_id\w*)"[^>]*>(.*?)</\1>', re.DOTALL)
_TAG = re.compile(r"<(/?)(\w+)([^>]*)>")


@dataset(
    what="The help of LibreOffice 7.4 in English and German, paired by page and id of the paragraph.",
    size="35,235 pairs of paragraphs from 2,384 pages",
    licence="MPL-2.0",
    source=_ENGLISH,
    also=(_GERMAN,),
)
def office_help(data_dir: str | Path | None = None) -> ParallelText:
    """English paragraphs with their German translations, in the order of pages; the group of a pair is its page.

    A pair that comes again is left out, and so is a paragraph that is the same in both languages. What is shown on
    macOS alone is left out too: a page holds both, "Command" and "Ctrl", and a browser hides one.

    Args:
        data_dir: folder with the two Debian packages. Without it, see `lookup`.

    Raises:
        DataError: for missing or damaged files, or pages without paragraphs that belong together.
    """
    pages = [read_all(source, ".html", data_dir).content for source in (_ENGLISH, _GERMAN)]
    pairs: dict[tuple[str, str], str] = {}
    for page in sorted(pages[0].keys() & pages[1].keys()):
        one, other = (paragraphs(_decoded(part[page], page)) for part in pages)
        for name in one.keys() & other.keys():
            if one[name] != other[name]:
                pairs.setdefault((one[name], other[name]), page)
    if not pairs:
        raise DataError(f"No paragraph of the two packages has a translation. {_ENGLISH.remedy}")
    ordered = sorted(pairs.items(), key=lambda item: (item[1], item[0]))
    return ParallelText(
        tuple(pair[0] for pair, _ in ordered), tuple(pair[1] for pair, _ in ordered), tuple(page for _, page in ordered)
    )


def _decoded(content: bytes, page: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"The page {page} is not text in UTF-8. {_ENGLISH.remedy}") from error


def paragraphs(page: str) -> dict[str, str]:
    """The text of the paragraphs and headings of a page by their id; empty ones are left out, of equal ids the second.

    >>> paragraphs('<p class="x" id="par_id1">Save <b>all</b>&nbsp;&amp; quit</p><p>no id</p><h1 id="hd_id2"></h1>')
    {'par_id1': 'Save all & quit'}
    >>> keys = '<span><span id="MACx" class="MAC"><b>Command</b></span><span id="defaultx">Ctrl</span></span>+F'
    >>> paragraphs(f'<p id="par_id3">{keys}</p>')
    {'par_id3': 'Ctrl+F'}
    """
    found: dict[str, str] = {}
    for match in _PARAGRAPH.finditer(page):
        text = " ".join(html.unescape(_shown(match[3])).split())
        if text:
            found.setdefault(match[2], text)
    return found


def _shown(inner: str) -> str:
    """The text between tags, without what is in a span for macOS."""
    pieces, place, depth, hidden = [], 0, 0, None
    for tag in _TAG.finditer(inner):
        if hidden is None:
            pieces.append(inner[place : tag.start()])
        place = tag.end()
        if tag[2] == "span":
            if tag[1]:
                depth -= 1
                hidden = None if hidden is not None and depth <= hidden else hidden
            else:
                hidden = depth if hidden is None and 'class="MAC"' in tag[3] else hidden
                depth += 1
        elif tag[2] == "br" and hidden is None:
            pieces.append(" ")
    return "".join([*pieces, inner[place:]])
