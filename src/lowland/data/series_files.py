"""Files of numbers as series: a row for each time step and a column for each channel."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SERIES = frozenset((".csv", ".npy"))
"""Suffixes that are taken for series."""
_LONGEST = 256
_SHORTEST = 16
_TIMES = frozenset(("t", "time", "times", "timestamp", "seconds", "index", "step", "date", "datetime", ""))
Read = tuple[Tensor, list[tuple[str, int]], list[tuple[str, str]], list[str]]


def read_series(root: Path, files: list[Path], size: int, channels: int) -> Read:
    """Windows as float32 (N, C, T), where each came from, what could not be used and why, and notes."""
    found: list[tuple[str, np.ndarray]] = []
    skipped: list[tuple[str, str]] = []
    notes: list[str] = []
    for path in files:
        name = path.relative_to(root).as_posix()
        try:
            many = _array(path) if path.suffix.lower() == ".npy" else _table(path, notes)
            found += [(name if len(many) == 1 else f"{name}#{number}", one) for number, one in enumerate(many)]
        except Exception as error:  # noqa: BLE001  a damaged file fails in many ways
            reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
            skipped.append((name, f"could not be read ({reason.rstrip('.')})"))
    widths = Counter(one.shape[1] for _, one in found)
    channels = channels or (widths.most_common(1)[0][0] if widths else 1)
    long = [len(one) for _, one in found if one.shape[1] == channels and len(one) >= _SHORTEST]
    size = size or min(_LONGEST, min(long, default=_SHORTEST))
    windows, places = [], []
    for name, one in found:
        if one.shape[1] != channels:
            skipped.append((name, f"has {one.shape[1]} channels, but the others have {channels}"))
        elif len(one) < size:
            skipped.append((name, f"has {len(one)} time steps, fewer than a window of {size}"))
        else:
            for start in range(0, len(one) - size + 1, size):
                windows.append(one[start : start + size].T)
                places.append((name, start))
    if not windows:
        return torch.empty((0, 1, 1), dtype=torch.float32), [], skipped, notes
    if any(len(one) != size for _, one in found):
        notes.append(f"Series were cut into windows of {size} steps; what was left at the end was dropped.")
    return torch.from_numpy(np.stack(windows)), places, skipped, list(dict.fromkeys(notes))


def _array(path: Path) -> list[np.ndarray]:
    array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim not in (1, 2, 3):
        raise ValueError("it is not an array (T,), (T, C) or (N, T, C) of real numbers")
    if not array.size:
        raise ValueError("it holds no numbers")
    return [_finite(one) for one in (array if array.ndim == 3 else array.reshape(1, len(array), -1))]


def _table(path: Path, notes: list[str]) -> list[np.ndarray]:
    text = path.read_text(encoding="utf-8-sig")
    first = text.split("\n", 1)[0]
    mark = max(",;\t", key=first.count)
    lines = [line for line in csv.reader(io.StringIO(text), delimiter=mark) if line]
    if not lines:
        raise ValueError("it is empty")
    skip = 0
    if not all(_is_number(cell) for cell in lines[0]):
        heads = lines.pop(0)
        if len(heads) > 1 and heads[0].strip().lower() in _TIMES:
            skip = 1
            notes.append(f"The first column of the CSV files, {heads[0].strip()!r}, is the time and was left out.")
    numbers = []
    for number, line in enumerate(lines, start=1):
        if len(line) != len(lines[0]):
            raise ValueError(f"row {number} has {len(line)} cells, but the first has {len(lines[0])}")
        if bad := [cell for cell in line[skip:] if not _is_number(cell)]:
            raise ValueError(f"row {number} has {bad[0]!r}, which is no number")
        numbers.append([float(cell) for cell in line[skip:]])
    if not numbers:
        raise ValueError("it has a heading and nothing below it")
    return [_finite(np.array(numbers))]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _finite(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is said below
        series = array.astype(np.float32)
    bad = ~np.isfinite(series).all(axis=1)
    if bad.any():
        raise ValueError(f"{int(bad.sum())} of its {len(series)} rows are not finite")
    return series
