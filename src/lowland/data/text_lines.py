"""A user's lines of text: pictures of single lines, and what they say, from a folder."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowland.bounded import read_bytes
from lowland.data.cuts import inked
from lowland.data.pixels import depth, opened, reason, span, upright
from lowland.data.survey import shown, survey
from lowland.errors import DataError, LowlandError
from lowland.words import escaped

HEIGHT = 32
"""Rows of a line."""
WIDEST = 4096
"""Columns of the widest line, at that height."""
FEWEST = 20
"""Lines with a transcript that are needed."""
RARE = 3
"""A character that is seen fewer times is named in a warning."""
_FAINT = 8
_SAID_EVERY = 100


class TextLines(NamedTuple):
    """N lines of a folder.

    `images` uint8 (32, W) each, 0 for paper and 255 for ink; `files` their names in the folder; `texts` what they say,
    None where nobody said it; `light` how many have light ink on dark paper; `skipped` what was left out, and why;
    `notes` sentences for the user.
    """

    images: list[NDArray[np.uint8]]
    files: list[str]
    texts: list[str | None]
    light: int
    skipped: list[tuple[str, str]]
    notes: list[str]

    def take(self, rows: list[int]) -> TextLines:
        """Some of the lines."""
        images, files, texts = ([part[row] for row in rows] for part in (self.images, self.files, self.texts))
        return self._replace(images=images, files=files, texts=texts)

    @property
    def known(self) -> list[int]:
        """The rows with a transcript."""
        return [row for row, text in enumerate(self.texts) if text is not None]

    @property
    def unknown(self) -> list[int]:
        """The rows without one."""
        return [row for row, text in enumerate(self.texts) if text is None]

    @property
    def said(self) -> list[str]:
        """The transcripts, of lines that all have one."""
        return [text for text in self.texts if text is not None]


def line_image(image: Any) -> tuple[NDArray[np.uint8], bool]:
    """A Pillow image of a line as (32, W), 0 for paper and 255 for ink, and whether the ink is lighter than the paper.

    The paper is the median of the border of one pixel. Ink is dark if the paper is in the lighter half of the levels,
    and the reverse. Paper becomes 0 and the strongest ink 255, so that pale and dark scans look alike; the proportions
    are kept. Paper far to the left and right of the ink is cut off (see `inked`).

    Raises:
        ValueError: for a picture without ink, or one that is wider than `WIDEST` at 32 rows.
    """
    from PIL import Image

    levels = span(image) if depth(image) else None
    if levels is not None and levels[0] >= levels[1]:
        raise ValueError("it has no ink: all of it has one level")
    grey = upright(image, levels).convert("L")
    wide = max(1, round(grey.width * HEIGHT / grey.height))
    if wide > WIDEST:
        raise ValueError(f"it is {grey.width} × {grey.height} pixels, too wide for one line of text")
    value = np.asarray(grey, np.float32)
    low, high = np.percentile(value, (0.2, 99.8))
    if high - low < _FAINT:
        raise ValueError("it has no ink: all of it has nearly one level")
    paper = float(np.median(np.concatenate([value[0], value[-1], value[:, 0], value[:, -1]])))
    light = paper < (low + high) / 2
    ink = (value - paper) / (high - paper) if light else (paper - value) / (paper - low)
    ready = Image.fromarray(np.round(255 * ink.clip(0, 1)).astype(np.uint8))
    line = np.asarray(ready.resize((wide, HEIGHT), Image.Resampling.BICUBIC))
    begin, end = inked(line / np.float32(255))
    return line[:, begin:end], bool(light)


def read_text_lines(
    folder: str | Path, transcripts: str = "", watch: Callable[[str], None] = lambda text: None
) -> TextLines:
    """The lines of a folder: `a.png` says what `a.txt` beside it holds, or a table of files and texts.

    Texts are in UTF-8, without what is white at their ends, and composed (Unicode's form NFC), so that an accent is no
    character of its own. A line without a transcript is kept, to be read. A line with an empty one, or one of several
    lines of text, and a picture that cannot be read are left out, each with the reason.

    Args:
        transcripts: a CSV file of two columns, file and text, with or without a header, instead of text files.
        watch: called from time to time with a line of progress.

    Raises:
        DataError: for a folder without pictures or without pairs, or a table that names files that are not there.
    """
    found = survey(folder, "images", [transcripts] if transcripts else [])
    files = {shown(found.root, path): path for path in found.chosen}
    said, skipped = _table(Path(transcripts), files) if transcripts else _beside(files)
    skipped = [*skipped, *found.skipped]
    if not said and not skipped:
        raise DataError(
            f"{found.root} has {len(files)} pictures, such as {next(iter(files))}, but no transcript of any: put what "
            "`a.png` says into `a.txt` beside it, or name a table of files and texts with --transcripts."
        )
    lines = TextLines([], [], [], 0, skipped, [])
    light, left = 0, {name for name, _ in skipped}
    for number, (name, path) in enumerate(files.items()):
        if number % _SAID_EVERY == 0:
            watch(f"pictures of lines: {number:,} of {len(files):,}")
        if name in left:
            continue
        try:
            with opened(path) as image:
                ready, reverse = line_image(image)
        except Exception as error:  # noqa: BLE001  a damaged picture fails in many ways
            lines.skipped.append((name, reason(error, str(path))))
            continue
        light += reverse
        lines.images.append(ready)
        lines.files.append(name)
        lines.texts.append(said.get(name))
    if not transcripts:
        stems = {path.with_suffix("") for path in found.chosen}
        alone = [path for path in found.others if path.suffix == ".txt" and path.with_suffix("") not in stems]
        if alone:
            lines.notes.append(f"{len(alone)} transcripts have no picture, such as {shown(found.root, alone[0])}.")
    return lines._replace(light=light)


def alphabet_of(lines: TextLines) -> str:
    """Every character of the transcripts, in the order of Unicode."""
    return "".join(sorted({letter for text in lines.texts if text is not None for letter in text}))


def rare(lines: TextLines) -> list[str]:
    """A note on the characters that are too rare to be learned; none if there are none."""
    counts = Counter(letter for text in lines.texts if text is not None for letter in text)
    found = sorted(letter for letter, count in counts.items() if count < RARE)
    if not found:
        return []
    what = "character is" if len(found) == 1 else "characters are"
    return [f"{len(found)} {what} seen fewer than {RARE} times, and will hardly be read: {' '.join(found)}"]


def check_lines(lines: TextLines) -> None:
    """Raise a DataError for fewer than twenty lines with a transcript, or a single character in all of them."""
    count, letters = len(lines.known), alphabet_of(lines)
    if count < FEWEST:
        why = f"; {len(lines.skipped)} were left out: {' '.join(lines.skipped[0])}" if lines.skipped else ""
        are = "is" if count == 1 else "are"
        raise DataError(
            f"A reader needs at least {FEWEST} lines with a transcript, better some hundreds, but here {are} {count}"
            f"{why}."
        )
    if len(letters) < 2:
        raise DataError(f"All transcripts are made of one character, {letters!r}: there is nothing to tell apart.")


def _cleaned(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _fault(text: str) -> str:
    if not text:
        return "has an empty transcript"
    return "has a transcript of several lines" if len(text.splitlines()) > 1 else ""


def _beside(files: Mapping[str, Path]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    said, skipped, owner = dict[str, str](), list[tuple[str, str]](), dict[Path, str]()
    for name, path in files.items():
        place = path.with_suffix(".txt")
        if not place.is_file():
            continue
        first = owner.setdefault(place, name)
        if first != name:
            raise DataError(
                f"{place.name} is the transcript of {first} or of {name}: give each line a name of its own."
            )
        try:
            text = _cleaned(read_bytes(place).decode("utf-8-sig"))
        except (OSError, UnicodeDecodeError, LowlandError) as error:
            skipped.append((name, f"has a transcript that cannot be read as UTF-8 ({error})"))
            continue
        if fault := _fault(text):
            skipped.append((name, fault))
        else:
            said[name] = text
    return said, skipped


def _table(path: Path, files: Mapping[str, Path]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    if not path.is_file():
        raise DataError(f"There is no file {path}: --transcripts takes a CSV file of two columns, file and text.")
    try:
        text = read_bytes(path).decode("utf-8-sig")
        first = text.split("\n", 1)[0]
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count)) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The transcripts in {path} cannot be read ({error}): they must be CSV, in UTF-8.") from None
    bare = Counter(name.rsplit("/", 1)[-1] for name in files)
    places = {name.rsplit("/", 1)[-1]: name for name in files if bare[name.rsplit("/", 1)[-1]] == 1}
    said, skipped, lost = dict[str, str](), list[tuple[str, str]](), list[str]()
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise DataError(
                f"{path}, line {number}: there must be a file and its text, such as `a.png,what it says`, but there "
                f"are {len(row)} columns. A text with a comma stands in double quotes."
            )
        given = escaped(row[0].strip())
        name = given if given in files else places.get(given)
        if name is None:
            # The first line may be a header.
            lost += [given] if number > 1 or Path(given).suffix else []
            continue
        cleaned = _cleaned(row[1])
        if said.setdefault(name, cleaned) != cleaned:
            raise DataError(f"{path}, line {number}: {name} says {cleaned!r}, but it said {said[name]!r} before.")
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise DataError(f"{path} names files that are not in the folder: {', '.join(lost[:3])}{more}.")
    skipped = [(name, fault) for name, text in said.items() if (fault := _fault(text))]
    return {name: text for name, text in said.items() if not _fault(text)}, skipped
