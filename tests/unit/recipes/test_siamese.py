"""Siamese verification: folds, and options that do not fit together."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import execute, load, start


def test_ten_people_in_four_folds_leave_two_for_each_test(tmp_path: Path) -> None:
    config = dataclasses.replace(load("siamese").preset("smoke"), folds=4, steps=1)
    run = execute(config, start(config, tmp_path, "smoke"))
    assert all(row["seeds"] == 4 and row["measured"] is not None for row in run.results)
    methods = {name: {row["method"] for row in run.results if row["id"] == name} for name in ("J1", "V12")}
    assert {"PCA of aligned photographs (baseline)", "DrLIM on aligned photographs"} <= methods["V12"] - methods["J1"]
    assert (run.folder / "figures" / "aligned.png").is_file()


def test_more_folds_than_pairs_of_people_are_refused(tmp_path: Path) -> None:
    config = dataclasses.replace(load("siamese").preset("smoke"), folds=6)
    with pytest.raises(OptionError, match="fewer than two people"):
        config.run(start(config, tmp_path, "smoke"))


@pytest.mark.parametrize("name", ["maps", "projector", "margins"])
def test_an_empty_list_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name} must be at least one"):
        load("siamese").from_options({name: ()})
