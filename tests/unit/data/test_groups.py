"""Folds and pairs of samples in groups."""

from __future__ import annotations

import pytest
import torch

from lowland.data.groups import first_of_each, group_folds, pairs_within
from lowland.errors import OptionError

GROUPS = torch.tensor([7, 3, 3, 9, 5, 7, 1, 2, 9, 9, 4, 8])


def test_no_group_is_in_two_parts_and_each_is_tested_once() -> None:
    tested: list[int] = []
    for fold in group_folds(GROUPS, 3, torch.Generator().manual_seed(1)):
        parts = [set(GROUPS[rows].tolist()) for rows in fold.values()]
        assert set.union(*parts) == set(GROUPS.tolist())
        assert sum(map(len, parts)) == 8
        assert len(parts[1]) == 2
        tested += sorted(parts[2])
    assert sorted(tested) == sorted(set(GROUPS.tolist()))


@pytest.mark.parametrize("folds", [1, 5])
def test_folds_that_leave_fewer_than_two_groups_are_refused(folds: int) -> None:
    with pytest.raises(OptionError, match=f"{folds} folds of 8 groups leave fewer than two"):
        group_folds(GROUPS, folds, torch.Generator())


def test_pairs_are_of_one_group_and_of_two_samples() -> None:
    first, second = pairs_within(GROUPS)
    assert len(first) == 2 + 2 + 6  # 7 and 3 are there twice, 9 three times
    assert torch.equal(GROUPS[first], GROUPS[second])
    assert bool((first != second).all())
    assert len(first_of_each(GROUPS, 2)) == 11
