"""Numeric files as series: one row per time step and one column per channel."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from torch import Tensor

from lowland.data.picture_files import Read
from lowland.data.pixels import reason
from lowland.files import regular

SERIES = frozenset((".csv", ".npy"))
"""Suffixes of series files."""
_LONGEST = 256
_SHORTEST = 16
_TIMES = frozenset(("t", "time", "times", "timestamp", "seconds", "index", "step", "date", "datetime", ""))
_ROWS = 10_000
_SAID_EVERY = 100
_LONGEST_LINE = 10_000_000


def read_series(
    files: dict[str, Path], size: int, channels: int, watch: Callable[[str], None] = lambda text: None
) -> Read:
    """Windows as float32 (N, C, T); see `read_images` for the arguments.

    Memory: at most twice the size of all files in float32, since a series is freed once its windows are cut.
    """
    found: list[tuple[str, np.ndarray]] = []
    skipped: list[tuple[str, str]] = []
    notes: list[str] = []
    for number, (name, path) in enumerate(files.items()):
        if number % _SAID_EVERY == 0:
            watch(f"series: {number:,} of {len(files):,}")
        try:
            many, note = read_one(path)
            found += [(name if len(many) == 1 else f"{name}#{number}", one) for number, one in enumerate(many)]
            notes += [note] if note else []
        except Exception as error:  # noqa: BLE001  a damaged file fails in many ways
            skipped.append((name, reason(error, str(path))))
    widths = Counter(one.shape[1] for _, one in found)
    channels = channels or (widths.most_common(1)[0][0] if widths else 1)
    long = [len(one) for _, one in found if one.shape[1] == channels and len(one) >= _SHORTEST]
    size = size or min(_LONGEST, min(long, default=_SHORTEST))
    fitting: list[tuple[str, np.ndarray]] = []
    for name, one in found:
        if one.shape[1] != channels:
            skipped.append((name, f"has {one.shape[1]} channels, but the others have {channels}"))
        elif len(one) < size:
            skipped.append((name, f"has {len(one)} time steps, fewer than a window of {size}"))
        else:
            fitting.append((name, one))
    if not fitting:
        return Read(torch.empty((0, 1, 1), dtype=torch.float32), [], skipped, notes)
    if any(len(one) != size for _, one in found):
        notes.append(f"Series were cut into windows of {size} steps; what was left at the end was dropped.")
    values = torch.empty((sum(len(one) // size for _, one in fitting), channels, size), dtype=torch.float32)
    places: list[tuple[str, int]] = []
    found.clear()
    fitting.reverse()
    while fitting:
        name, one = fitting.pop()
        cut = windows(one, size)
        values[len(places) : len(places) + len(cut)] = cut  # copied from a view, so that nothing is in memory twice
        places += [(name, start * size) for start in range(len(cut))]
    return Read(values, places, skipped, list(dict.fromkeys(notes)))


def read_one(path: Path) -> tuple[list[np.ndarray], str]:
    """The series in a file, float32 (T, C) each, and a note on its columns, or "".

    Raises:
        DataError, OSError, ValueError: nearly any error, for a file that cannot be used.
    """
    return (_array(path), "") if path.suffix.lower() == ".npy" else _table(path)


def windows(series: np.ndarray, size: int) -> Tensor:
    """Views of the consecutive windows (N, C, size) of a series (T, C); an incomplete last window is dropped."""
    count = len(series) // size
    cut = series[: count * size].reshape(count, size, series.shape[1])
    return torch.from_numpy(cut).transpose(1, 2)


def _array(path: Path) -> list[np.ndarray]:
    # Memory-mapped, so that neither the file nor the size its header claims is allocated as a whole.
    found = np.load(regular(path), mmap_mode="r", allow_pickle=False)
    if not isinstance(found, np.ndarray):
        found.close()
    return series_in(found)


def series_in(array: np.ndarray) -> list[np.ndarray]:
    """The series (T, C) of an array (T,), (T, C) or (N, T, C), in float32.

    Raises:
        ValueError: for an array of another kind, or non-finite numbers.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim not in (1, 2, 3):
        raise ValueError("it is not an array (T,), (T, C) or (N, T, C) of real numbers")
    if not array.size:
        raise ValueError("it holds no numbers")
    return [_finite(one) for one in (array if array.ndim == 3 else array.reshape(1, len(array), -1))]


def read_cells(path: Path) -> tuple[list[str], np.ndarray]:
    """The titles in the first row of a table, and the numbers below it (N, C); an empty cell is NaN.

    Raises:
        ValueError: for a table without titles or rows, or with a cell that is not a number.
    """
    head, rows = [], []
    with regular(path).open(encoding="utf-8-sig", newline="") as file:
        first = file.readline(_LONGEST_LINE)
        file.seek(0)
        lines = (line for line in csv.reader(_lines(file), delimiter=max(",;\t", key=first.count)) if line)
        head = next(lines, [])
        if not head or all(_is_number(cell) for cell in head):
            raise ValueError("it has no row of titles")
        rows = list(_pieces(([cell.strip() or "nan" for cell in line] for line in lines), 0))
    if not rows:
        raise ValueError("it has a heading and nothing below it")
    return head, np.concatenate(rows)


def _table(path: Path) -> tuple[list[np.ndarray], str]:
    with regular(path).open(encoding="utf-8-sig", newline="") as file:
        first = file.readline(_LONGEST_LINE)
        file.seek(0)
        mark = max(",;\t", key=first.count)
        lines = (line for line in csv.reader(_lines(file), delimiter=mark) if line)
        head = next(lines, None)
        if head is None:
            raise ValueError("it is empty")
        skip, note, rows = 0, "", lines
        if all(_is_number(cell) for cell in head):
            rows = _chained(head, lines)
        elif len(head) > 1 and head[0].strip().lower() in _TIMES:
            skip = 1
            note = f"The first column of the CSV files, {head[0].strip()!r}, is the time and was left out."
        pieces = list(_pieces(rows, skip))
    if not pieces:
        raise ValueError("it has a heading and nothing below it")
    return [_finite(np.concatenate(pieces))], note


def _lines(file: TextIO) -> Iterator[str]:
    number = 1
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"line {number} has more than {_LONGEST_LINE:,} characters")
        yield line
        number += 1


def _chained(head: list[str], lines: Iterator[list[str]]) -> Iterator[list[str]]:
    yield head
    yield from lines


def _pieces(lines: Iterator[list[str]], skip: int) -> Iterator[np.ndarray]:
    """The numbers of a table, in chunks of rows: as text they would take many times as much memory."""
    numbers: list[list[float]] = []
    width = 0
    for number, line in enumerate(lines, start=1):
        width = width or len(line)
        if len(line) != width:
            raise ValueError(f"row {number} has {len(line)} cells, but the first has {width}")
        if bad := [cell for cell in line[skip:] if not _is_number(cell)]:
            raise ValueError(f"row {number} has {bad[0][:80]!r}, which is not a number")
        numbers.append([float(cell) for cell in line[skip:]])
        if len(numbers) == _ROWS:
            yield _single(np.array(numbers))
            numbers.clear()
    if numbers:
        yield _single(np.array(numbers))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _single(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # overflow becomes infinity, which is reported later
        return array.astype(np.float32)


def _finite(array: np.ndarray) -> np.ndarray:
    series = _single(array)
    bad = ~np.isfinite(series).all(axis=1)
    if bad.any():
        raise ValueError(f"{int(bad.sum())} of its {len(series)} rows are not finite")
    return series
