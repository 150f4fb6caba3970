"""Parallel text of one's own, its split, and the help of LibreOffice from small packages of the same format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lowland.data import office_help as module
from lowland.data.office_help import office_help
from lowland.data.parallel_text import FEWEST, ParallelText, made_parallel, own_parallel, split_text
from lowland.errors import DataError


def files(folder: Path, one: bytes, other: bytes) -> tuple[Path, Path]:
    (folder / "en.txt").write_bytes(one)
    (folder / "de.txt").write_bytes(other)
    return folder / "en.txt", folder / "de.txt"


def test_two_files_are_read_line_by_line(tmp_path: Path) -> None:
    one = "\ufeff" + "".join(f"line\t{row}\x0c more\r\n" for row in range(FEWEST)) + "\nlast"
    other = "".join(f"Zeile {row}\n" for row in range(FEWEST)) + "no source\nletzte\n"
    found = own_parallel(*files(tmp_path, one.encode(), other.encode()))
    assert len(found) == FEWEST + 1
    assert (found.source[0], found.target[-1]) == ("line 0 more", "letzte")
    assert found.group[19] != found.group[20]


@pytest.mark.parametrize(
    ("one", "other", "wrong"),
    [
        (b"a\n" * 40, b"b\n" * 41, "differ in their number of lines, 40 and 41"), (b"", b"b\n", "en.txt is empty"),
        (b"a\n" * 40, b"b\n" * 6 + b"\xff\n" + b"b\n" * 33, "Line 7 of .*de.txt is not text in UTF-8"),
        (b"a\n" * 4, b"b\n" * 4, "hold 4 pairs"), (b"a\n\n" * 40, b"\nb\n" * 40, "hold 0 pairs"),
    ],
)  # fmt: skip
def test_files_that_cannot_be(tmp_path: Path, one: bytes, other: bytes, wrong: str) -> None:
    with pytest.raises(DataError, match=wrong):
        own_parallel(*files(tmp_path, one, other))


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"en\.txt"):
        own_parallel(tmp_path / "en.txt", tmp_path / "de.txt")


def test_no_side_of_a_pair_is_in_two_parts() -> None:
    text = made_parallel(600, torch.Generator().manual_seed(1))
    found = split_text(text, torch.Generator().manual_seed(0), held=0.2)
    parts = (found.train, found.validation, found.test)
    for side in ("source", "target", "group"):
        sets = [set(getattr(part, side)) for part in parts]
        assert sum(map(len, sets)) == len(set.union(*sets))
        assert all(sets)
    assert all(len(set(zip(part.source, part.target, strict=True))) == len(part) for part in parts)
    assert sum(map(len, parts)) + found.dropped == len(text)


def test_texts_that_cannot_be_split() -> None:
    same = ParallelText(("a",) * 9, ("b",) * 9, tuple("123456789"))
    with pytest.raises(DataError, match="too few, or too much alike"):
        split_text(same, torch.Generator().manual_seed(0))
    with pytest.raises(DataError, match="as many lines"):
        ParallelText(("a",), (), ("1",))


def page(*paragraphs: tuple[str, str]) -> bytes:
    inner = "".join(f'<p id="{name}" class="x">{text}</p>\n' for name, text in paragraphs)
    return f'<html><p dir="auto">menu</p><a name="bm_id1"></a>{inner}<p id="bm_module"></p></html>'.encode()


@pytest.fixture
def folder(
    tmp_path: Path, tar: Callable[[dict[str, bytes]], bytes], sha256: Callable[[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:  # fmt: skip
    english = {
        "a/one.html": page(("par_id1", "Save&nbsp;<b>all</b> &amp; quit"), ("hd_id2", "OK"), ("par_id3", "English")),
        "b/two.html": page(("par_id1", "Close"), ("par_id4", "Save all & quit")),
        "three.html": page(("par_id1", "Alone")),
        "b/two.js": b"no page",
    }  # fmt: skip
    german = {
        "a/one.html": page(("hd_id2", "OK"), ("par_id1", "Alles\n  speichern und beenden")),
        "b/two.html": page(("par_id4", "Alles speichern und beenden"), ("par_id1", "Schließen")),
    }
    for name, members in (("_ENGLISH", english), ("_GERMAN", german)):
        source = getattr(module, name)
        content = tar({f"./{source.root}/{path}": payload for path, payload in members.items()})
        head = f"{'data.tar.gz':<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        (tmp_path / source.archive).write_bytes(payload := b"!<arch>\n" + head + content)
        monkeypatch.setattr(module, name, dataclasses.replace(source, sha256={source.archive: sha256(payload)}))
    return tmp_path


def test_paragraphs_are_paired_by_page_and_id(folder: Path) -> None:
    """None that is alike in both, none without a partner, and a pair that comes again once."""
    found = office_help(folder)
    assert list(zip(found.source, found.target, found.group, strict=True)) == [
        ("Save all & quit", "Alles speichern und beenden", "a/one.html"), ("Close", "Schließen", "b/two.html"),
    ]  # fmt: skip
    assert found.summary == "2 pairs of 2 groups"


def test_packages_that_are_missing_or_damaged(folder: Path) -> None:
    with pytest.raises(DataError, match=r"lacks libreoffice-help-en-us.*\.deb"):
        office_help(folder / "nowhere")
    (folder / module._GERMAN.archive).write_bytes(b"!<arch>\n")
    with pytest.raises(DataError, match="is damaged or is another file"):
        office_help(folder)
