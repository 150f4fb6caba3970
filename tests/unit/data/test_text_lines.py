"""Lines of text from a folder: ink and paper, transcripts beside or in a table, and every mistake as one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lowland.data.line_samples import sample_lines
from lowland.data.text_lines import alphabet_of, check_lines, line_image, rare, read_text_lines
from lowland.errors import DataError, OptionError


def picture(place: Path, paper: int = 240, ink: int = 20, size: tuple[int, int] = (16, 60), mode: str = "L") -> Path:
    pixels = np.full(size, paper, np.uint8)
    pixels[4:12, 20:24] = ink
    Image.fromarray(pixels).convert(mode).save(place)
    return place


@pytest.mark.parametrize(("paper", "ink", "light"), [(240, 20, False), (10, 180, True), (130, 90, False)])
def test_ink_is_what_differs_from_the_border(tmp_path: Path, paper: int, ink: int, light: bool) -> None:
    with Image.open(picture(tmp_path / "a.png", paper, ink)) as image:
        found, reverse = line_image(image)
    assert reverse is light
    # The stroke is columns 20 to 24 of 60, at twice the size; two columns of paper are left on its sides.
    assert found.shape == (32, 12)
    assert found[16, 4:8].min() > 240
    assert found[:4].max() < 15


def test_sixteen_bits_are_read_as_eight(tmp_path: Path) -> None:
    pixels = np.full((32, 64), 40000, np.uint16)
    pixels[8:24, 30:34] = 1000
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        found, light = line_image(image)
    assert not light
    assert found.shape == (32, 8)
    assert found[16, 3] == 255
    assert found[16, 0] == 0


@pytest.mark.parametrize(("size", "paper", "ink"), [((16, 60), 240, 240), ((2, 600), 240, 20)])
def test_pictures_that_are_no_lines(tmp_path: Path, size: tuple[int, int], paper: int, ink: int) -> None:
    pixels = np.full(size, paper, np.uint8)
    pixels[:, 20:24] = ink
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image, pytest.raises(ValueError, match=r"no ink|too wide"):
        line_image(image)


def test_a_folder_of_pairs(tmp_path: Path) -> None:
    for name in "abcdef":
        picture(tmp_path / f"{name}.png")
    (tmp_path / "a.txt").write_text("  e\u0301t\u00e9 \n", encoding="utf-8")
    (tmp_path / "b.txt").write_text(" \n")
    (tmp_path / "c.txt").write_text("one\ntwo\n")
    (tmp_path / "d.txt").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "e.png").write_text("hello")
    (tmp_path / "lonely.txt").write_text("x")
    found = read_text_lines(tmp_path)
    assert found.files == ["a.png", "f.png"]
    assert found.texts == ["\u00e9t\u00e9", None]
    why = dict(found.skipped)
    assert "empty" in why["b.png"]
    assert "several lines" in why["c.png"]
    assert "UTF-8" in why["d.png"]
    assert "not a picture" in why["e.png"]
    assert "lonely.txt" in found.notes[0]


def test_a_table_of_transcripts(tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    (folder / "deep").mkdir(parents=True)
    picture(folder / "a.png")
    picture(folder / "deep" / "b.png")
    table = tmp_path / "labels.csv"
    table.write_text('file,text\na.png,"1,50"\nb.png,7\n')
    found = read_text_lines(folder, str(table))
    assert dict(zip(found.files, found.texts, strict=True)) == {"a.png": "1,50", "deep/b.png": "7"}


@pytest.mark.parametrize(
    ("content", "says"),
    [("a.png,1\nz.png,2\n", "z.png"), ("a.png,1\na.png,2\n", "before"), ("a.png,1,50\n", "double quotes"),
     ("a.png\n", "1 columns")],
)  # fmt: skip
def test_tables_that_cannot_be_used(tmp_path: Path, content: str, says: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(DataError, match=says):
        read_text_lines(tmp_path, str(tmp_path / "labels.csv"))


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"no transcript of any.*a\.txt"):
        read_text_lines(tmp_path)
    with pytest.raises(DataError, match="no file"):
        read_text_lines(tmp_path, str(tmp_path / "labels.csv"))
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="at least 20"):
        check_lines(read_text_lines(tmp_path))
    picture(tmp_path / "a.bmp")
    with pytest.raises(DataError, match=r"a\.txt is the transcript of"):
        read_text_lines(tmp_path)


def test_one_character_and_rare_ones(tmp_path: Path) -> None:
    for number in range(20):
        picture(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text("xx" if number else "xq")
    found = read_text_lines(tmp_path)
    check_lines(found)
    assert alphabet_of(found) == "qx"
    assert "1 character is seen fewer than 3 times" in rare(found)[0]
    assert rare(found)[0].endswith(": q")
    (tmp_path / "0.txt").write_text("xx")
    with pytest.raises(DataError, match="one character, 'x'"):
        check_lines(read_text_lines(tmp_path))


def test_drawn_lines_are_read_back(tmp_path: Path) -> None:
    found = read_text_lines(sample_lines(tmp_path, 20, "ab"))
    assert len(found.known) == 20
    assert len(found.unknown) == 2
    assert found.light == 2
    assert alphabet_of(found) == "ab"
    with pytest.raises(OptionError, match="at least 1"):
        sample_lines(tmp_path, 0)


def test_a_quoted_text_of_several_lines_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    for name in "ab":
        picture(folder / f"{name}.png")
    (tmp_path / "t.csv").write_text('a.png,"two\nlines"\nb.png,one\n')
    found = read_text_lines(folder, str(tmp_path / "t.csv"))
    assert found.texts == ["one"]
    assert "several lines" in dict(found.skipped)["a.png"]
