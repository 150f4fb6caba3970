"""The split of a user's folder into training and test samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowland.data.folder import Folder
from lowland.data.images import stratified
from lowland.data.label_files import read_labels
from lowland.errors import DataError

HELD_OUT = 0.25
"""Fraction of the labelled files to hold out."""
_FEW_LABELS, _FEW_FILES, _FEW_OWNERS = 12, 4, 5


@dataclass(frozen=True)
class Split:
    """Training and test rows of a folder.

    Args:
        train, test: rows (N,) int64.
        labels: class of every sample, −1 if unknown; None without labels.
        classes: names of the classes.
        notes: sentences on the labels.
    """

    train: Tensor = field(repr=False)
    test: Tensor = field(repr=False)
    labels: Tensor | None = field(default=None, repr=False)
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """For a report: numbers of samples to "train" on, of "tests" and of "labelled" ones; "classes" and notes.

        >>> Split(torch.arange(3), torch.arange(3, 5), torch.tensor([0, 1, -1, 0, 1])).facts["labelled"]
        4
        """
        labelled = 0 if self.labels is None else int((self.labels >= 0).sum())
        return {
            "train": len(self.train), "tests": len(self.test), "labelled": labelled, "classes": self.classes,
            "label_notes": self.notes,
        }  # fmt: skip


def split_folder(data: Folder, folder: Path, labels: str, seed: int) -> Split:
    """Hold out a quarter of the labelled files, the same fraction of every class; without labels a tenth of all files.

    All windows of a file stay together, except in a folder of fewer than five files, where the last tenth of each file
    is held out. Classes with fewer than four labelled files count as unlabelled.

    Args:
        data: the samples read from the folder.
        folder: the folder.
        labels: a CSV file, or "folders"; "" for no labels.
        seed: of the random choice.

    Raises:
        DataError: for labels that cannot be used, or fewer than 12 labelled files.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 2)
    files = list(dict.fromkeys(data.files))
    number = {file: index for index, file in enumerate(files)}
    owner = torch.tensor([number[file] for file in data.files])
    if not labels:
        held = _unlabelled(owner, len(files), generator)
        return Split((~held).nonzero()[:, 0], held.nonzero()[:, 0])
    given, classes, notes = read_labels(labels, folder, data)
    of_file = torch.full((len(files),), -1)
    of_file[owner] = given
    of_file, classes, more = _frequent(of_file, classes)
    known = (of_file >= 0).nonzero()[:, 0]
    if len(known) < _FEW_LABELS or len(classes) < 2:
        raise DataError(
            f"{labels}: there are labels of {len(known)} files in {len(classes)} classes of at least {_FEW_FILES}, but "
            f"the probe needs {_FEW_LABELS} files in two classes: leave out --labels, or label more."
        )
    held = torch.isin(owner, known[stratified(of_file[known], HELD_OUT, generator)[1]])
    return Split((~held).nonzero()[:, 0], held.nonzero()[:, 0], of_file[owner], classes, (*notes, *more))


def _unlabelled(owner: Tensor, files: int, generator: torch.Generator) -> Tensor:
    """Which samples are held out, given the file of each."""
    if files < _FEW_OWNERS:
        held = torch.zeros(len(owner), dtype=torch.bool)
        for file in range(files):
            own = (owner == file).nonzero()[:, 0]
            held[own[len(own) - len(own) // 10 :]] = True
        return held
    return torch.isin(owner, torch.randperm(files, generator=generator)[: max(2, files // 10)])


def _frequent(of_file: Tensor, classes: tuple[str, ...]) -> tuple[Tensor, tuple[str, ...], tuple[str, ...]]:
    """Labels without rare classes, which might be missing from one part; the remaining classes, and a note."""
    counts = torch.bincount(of_file[of_file >= 0], minlength=len(classes))
    kept = (counts >= _FEW_FILES).nonzero()[:, 0]
    if len(kept) == len(classes):
        return of_file, classes, ()
    anew = torch.full((len(classes) + 1,), -1)
    anew[kept] = torch.arange(len(kept))
    rare = [name for index, name in enumerate(classes) if index not in kept.tolist()]
    named = ", ".join(rare[:5]) + (" …" if len(rare) > 5 else "")
    note = f"Classes of fewer than {_FEW_FILES} labelled files count as not labelled: {named}."
    # The last entry is for files without a label, −1.
    return anew[of_file], tuple(classes[index] for index in kept.tolist()), (note,)
