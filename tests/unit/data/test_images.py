from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowland.data import digits
from lowland.data.images import stratified
from lowland.errors import DomainError, OptionError, ShapeError


def rows(images):
    return {row.numpy().tobytes() for row in images.flatten(1)}


def test_splits_are_disjoint_and_whole():
    images = digits()
    parts = [rows(images.train), rows(images.validation), rows(images.test)]
    # The data set holds no image twice, so the rows tell whether an image fell into two splits.
    assert [len(part) for part in parts] == [1200, 297, 300]
    assert len(set.union(*parts)) == 1797


def test_resplit_leaves_the_test_images_apart():
    images = digits()
    again = images.resplit(0.5, torch.Generator().manual_seed(3))
    assert (len(again.train), len(again.validation)) == (749, 748)
    assert again.test is images.test
    assert rows(again.train) | rows(again.validation) == rows(images.train) | rows(images.validation)
    assert rows(again.train) != rows(images.resplit(0.5, torch.Generator().manual_seed(4)).train)


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=5).filter(lambda c: sum(c) > 1),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31),
)
def test_stratified_draws_each_class_to_within_one(counts, fraction, seed):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    kept, drawn = stratified(labels, fraction, torch.Generator().manual_seed(seed))
    assert sorted([*kept.tolist(), *drawn.tolist()]) == list(range(len(labels)))
    assert len(drawn) == round(len(labels) * fraction)
    share = torch.bincount(labels[drawn], minlength=len(counts)) - torch.tensor(counts) * fraction
    assert bool((share.abs() < 1 + 1e-5).all())


def test_a_share_outside_0_to_1_is_refused():
    with pytest.raises(OptionError, match="between 0 and 1"):
        digits().resplit(1.0, torch.Generator())


def test_global_random_state_is_untouched():
    before = torch.get_rng_state()
    digits()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"train": torch.zeros(2, 8, 8)}, ShapeError, "train images of digits must be float32"),
        ({"test": torch.zeros(300, 1, 8, 8, dtype=torch.float64)}, ShapeError, "test images of digits must be float32"),
        ({"train_labels": torch.zeros(3, dtype=torch.int64)}, ShapeError, "train labels of digits must be int64"),
        ({"test_labels": torch.zeros(300)}, ShapeError, "test labels of digits must be int64"),
        ({"test": torch.full((300, 1, 8, 8), 1.5)}, DomainError, "test images of digits have values outside"),
        ({"test": torch.full((300, 1, 8, 8), torch.nan)}, DomainError, "or not finite"),
        ({"test_labels": torch.full((300,), 10)}, DomainError, "test labels of digits must lie in 0 … 9"),
    ],
)
def test_bad_images_are_refused(change, error, words):
    with pytest.raises(error, match=words):
        replace(digits(), **change)
