"""Labels of the files in a folder: a table of two columns, or the names of the sub-folders."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from lowland.bounded import read_bytes
from lowland.data.folder import Folder
from lowland.errors import DataError
from lowland.files import regular
from lowland.words import escaped

FOLDERS = "folders"
_MOST = 1000
_MEMBER = re.compile(r"(?<=\.npy)#\d+$", re.IGNORECASE)
"""The suffix of a series in a file of several series; other names may contain a # as well."""


def read_labels(source: str, root: str | Path, folder: Folder) -> tuple[Tensor, tuple[str, ...], tuple[str, ...]]:
    """The class of each sample (N,) int64, −1 if unknown; the names of the classes; and notes.

    Args:
        source: a CSV file with two columns, file and label, with or without a header, where files are given by their
            path in the folder or by their bare name; or "folders", which takes a file's sub-folder as its class.
        root: the folder.
        folder: the samples read from it.

    Raises:
        DataError: for a table that cannot be read, files that are not in the folder, two labels for one file, no
            labels, a single class, or as many classes as samples.
    """
    owners = [_MEMBER.sub("", name) for name in folder.files]
    known = set(owners)
    if source == FOLDERS:
        given, notes = {name: name.rsplit("/", 1)[0] for name in sorted(known) if "/" in name}, ()
        where = f"The sub-folders of {root}"
    else:
        given, notes = _table(Path(source), Path(root), known, {name for name, _ in folder.skipped})
        where = source
    counts = Counter(given.values())
    if len(counts) < 2:
        what = f"only one class, {next(iter(counts))!r}" if counts else "no label of a file that could be read"
        raise DataError(f"{where}: there is {what}, but a probe needs at least two classes: leave out --labels.")
    if len(counts) > min(_MOST, max(2, len(given) // 2)):
        raise DataError(
            f"{where}: {len(given)} files have {len(counts)} different labels, but a probe learns classes, of which "
            "each has several files."
        )
    classes = tuple(sorted(counts, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name)))
    number = {name: index for index, name in enumerate(classes)}
    labels = [number[given[name]] if name in given else -1 for name in owners]
    return torch.tensor(labels), classes, notes


def label_path(labels: str, folder: str | Path = "") -> str:
    """The absolute path of a table of labels, which may be named by its place in the folder; "folders" and "" stay.

    >>> label_path("folders", "/tmp"), label_path("/tmp/labels.csv")
    ('folders', '/tmp/labels.csv')
    """
    if not label_tables(labels):
        return labels
    # pathlib raises at names that are too long, and where links go in a circle.
    inside = os.path.join(folder, labels)  # noqa: PTH118  see above
    inner = str(folder) and os.path.isfile(inside) and not os.path.isfile(labels)  # noqa: PTH113  see above
    return os.path.realpath(inside if inner else labels)


def label_tables(labels: str) -> list[str]:
    """The files that hold the labels, which are no samples.

    >>> label_tables("labels.csv"), label_tables("folders"), label_tables("")
    (['labels.csv'], [], [])
    """
    return [labels] if labels and labels != FOLDERS else []


def check_table(labels: str) -> None:
    """Raise a DataError if the labels are to come from a file that does not exist."""
    for path in map(Path, label_tables(labels)):
        if not os.path.lexists(path):
            raise DataError(f"There is no file {path}: --labels takes a CSV file, or the word {FOLDERS}.")
        regular(path)


def _table(path: Path, root: Path, known: set[str], skipped: set[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    check_table(str(path))
    try:
        text = read_bytes(path).decode("utf-8-sig")
        first = text.split("\n", 1)[0]
        lines = [line for line in csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count)) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The labels in {path} cannot be read ({error}): they must be CSV, in UTF-8.") from None
    bare: dict[str, set[str]] = {}
    for name in known | skipped:
        bare.setdefault(name.rsplit("/", 1)[-1], set()).add(name)
    given: dict[str, str] = {}
    lost: list[str] = []
    for number, line in enumerate(lines, start=1):
        if len(line) < 2 or not line[1].strip():
            raise DataError(f"{path}, line {number}: there must be a file and its label, such as `cats/1.png,cat`.")
        file, label = line[0].strip(), line[1].strip()
        name = _find(escaped(file), root, known | skipped, bare)
        if name is None:
            # The first line may be a header.
            lost += [file] if number > 1 or Path(file).suffix else []
            continue
        if given.setdefault(name, label) != label:
            raise DataError(f"{path}, line {number}: {file} is labelled {label!r}, but it was {given[name]!r} before.")
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise DataError(
            f"{path} labels {len(lost)} file{'s' if len(lost) > 1 else ''} that "
            f"{'are' if len(lost) > 1 else 'is'} not in {root}: {', '.join(lost[:3])}{more}."
        )
    unread = len(skipped & set(given))
    notes = (f"{unread} labels belong to files that could not be used.",) if unread else ()
    return {name: label for name, label in given.items() if name in known}, notes


def _find(file: str, root: Path, known: set[str], bare: dict[str, set[str]]) -> str | None:
    path = Path(file)
    tried = [path.as_posix()]
    for base in (root, root.resolve()):
        if path.is_relative_to(base):
            tried.append(path.relative_to(base).as_posix())
    for name in tried:
        if name in known:
            return name
    same = bare.get(path.name, set()) if path.name == file else set()
    return next(iter(same)) if len(same) == 1 else None
