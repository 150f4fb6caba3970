"""Samples in groups, such as the photographs of a person: so many of each, folds that share no group, and pairs.

Shape letters: N samples, P pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import OptionError


def first_of_each(groups_N: Tensor, most: int) -> Tensor:
    """Rows of the first samples of each group, at most so many, group by group.

    >>> first_of_each(torch.tensor([1, 0, 1, 1, 0]), 2)
    tensor([1, 4, 0, 2])
    """
    return torch.cat([(groups_N == group).nonzero()[:most, 0] for group in groups_N.unique()])


def group_folds(
    groups_N: Tensor, folds: int, generator: torch.Generator, what: str = "groups"
) -> list[dict[str, Tensor]]:
    """Folds in which no group is in two parts: rows of "train", "validation" and "test", (N,) bool each.

    Each group is in the test part of one fold. Of the others of a fold one in five, at least two, is validation.

    Args:
        groups_N: (N,) int64.
        folds: at least 2.
        generator: draws the order of the groups.
        what: how an error calls the groups.

    Raises:
        OptionError: for fewer than two groups in a test part.

    >>> [fold["test"].tolist() for fold in group_folds(torch.arange(4), 2, torch.Generator().manual_seed(0))]
    [[True, True, False, False], [False, False, True, True]]
    """
    groups = groups_N.unique()
    if folds < 2 or len(groups) < 2 * folds:
        raise OptionError(f"{folds} folds of {len(groups)} {what} leave fewer than two {what} for the test.")
    order, made = groups[torch.randperm(len(groups), generator=generator)], []
    for test in order.tensor_split(folds):
        rest = order[~torch.isin(order, test)]
        held = max(2, len(rest) // 5)
        parts = {"train": rest[held:], "validation": rest[:held], "test": test}
        made.append({name: torch.isin(groups_N, part) for name, part in parts.items()})
    return made


def pairs_within(groups_N: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of all ordered pairs of two different samples of one group, (P,) both.

    >>> pairs_within(torch.tensor([0, 1, 0]))
    (tensor([0, 2]), tensor([2, 0]))
    """
    same = groups_N[:, None] == groups_N[None]
    first, second = (same & ~torch.eye(len(groups_N), dtype=torch.bool)).nonzero(as_tuple=True)
    return first, second
