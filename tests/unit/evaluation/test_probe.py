"""The linear probe: its choices, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import DomainError, OptionError, ShapeError
from lowland.evaluation.probe import Labelled, probe

NOISE = torch.Generator().manual_seed(0)
LABELS = torch.tensor([0, 1, 2]).repeat(20)
GOOD: Labelled = (torch.eye(3)[LABELS] + 0.1 * torch.randn(60, 3, generator=NOISE), LABELS)


def test_without_test_samples_none_is_looked_at() -> None:
    assert probe(GOOD, GOOD).accuracy is None
    assert probe(GOOD, GOOD, GOOD).accuracy == 1.0


def test_of_equally_good_decays_the_first_wins() -> None:
    assert probe(GOOD, GOOD, weight_decays=(1e-2, 1e-3)).weight_decay == 1e-2


def test_scale_and_constants_of_features_do_not_matter() -> None:
    plain = probe(GOOD, GOOD, weight_decays=(1e-2,), max_steps=1000)
    changed = torch.cat([1000 * GOOD[0] + 5, torch.full((60, 1), 7.0)], dim=1)
    scaled = probe((changed, LABELS), (changed, LABELS), weight_decays=(1e-2,), max_steps=1000)
    # The shift of 5 takes away 3 bits of float32 and its inverse adds the error of numbers of size 1000.
    assert torch.allclose(
        plain.logits(GOOD[0]).softmax(dim=1), scaled.logits(changed).softmax(dim=1), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ((torch.zeros(3), torch.zeros(3, dtype=torch.int64)), ShapeError, "shape"),
        ((torch.zeros(4, 2), LABELS[:4]), ShapeError, "same in every split"),
        ((GOOD[0], LABELS[:5]), ShapeError, "labels"),
        ((GOOD[0], LABELS.float()), ShapeError, "int64"),
        ((GOOD[0], LABELS - 1), DomainError, "at least 0"),
        ((GOOD[0] / 0 * 0, LABELS), DomainError, "NaN"),
    ],
)
def test_bad_input_is_one_sentence(bad: Labelled, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        probe(GOOD, bad)


def test_one_class_and_negative_decays_are_refused() -> None:
    with pytest.raises(OptionError, match="two classes"):
        probe((GOOD[0], LABELS * 0), GOOD)
    with pytest.raises(OptionError, match="at least 0"):
        probe(GOOD, GOOD, weight_decays=(-1.0,))
