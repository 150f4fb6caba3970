"""The split of a folder: windows of a file stay together, and rare classes are not probed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lowland.data.folder import read_folder
from lowland.data.split import split_folder


def test_windows_of_a_file_stay_together(tmp_path: Path) -> None:
    for number in range(20):
        np.save(tmp_path / f"{number}.npy", np.random.default_rng(number).normal(size=(60, 1)))
    data = read_folder(tmp_path, size=20)
    parts = split_folder(data, tmp_path, "", 0)
    apart = {data.files[row] for row in parts.test.tolist()}
    assert len(parts.train) + len(parts.test) == 60
    assert apart.isdisjoint(data.files[row] for row in parts.train.tolist())
    assert len(apart) == 2


def test_the_end_of_a_single_recording_is_set_apart(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.arange(400.0))
    parts = split_folder(read_folder(tmp_path, size=20), tmp_path, "", 0)
    assert parts.train.tolist() == list(range(18))
    assert parts.test.tolist() == [18, 19]


def test_rare_classes_are_not_probed(tmp_path: Path) -> None:
    for number in range(20):
        place = tmp_path / ("rare" if number < 3 else "a" if number < 10 else "b")
        place.mkdir(exist_ok=True)
        np.save(place / f"{number}.npy", np.zeros(20))
    parts = split_folder(read_folder(tmp_path), tmp_path, "folders", 0)
    assert parts.classes == ("a", "b")
    assert parts.labels is not None
    assert parts.labels.tolist() == [0] * 7 + [1] * 10 + [-1] * 3
    assert "count as not labelled: rare" in parts.notes[0]
