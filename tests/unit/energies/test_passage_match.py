"""The energy of a passage and a question."""

from __future__ import annotations

import pytest
import torch

import lowland as ll
from lowland.data.text_features import Entries, TextFeatures
from lowland.energies.passage_match import PassageMatch
from lowland.errors import LowlandError


def test_the_minimum_over_z_is_the_passage_of_the_largest_score() -> None:
    texts = [["red", "apple"], ["green", "apple"], ["red", "car"]]
    features = TextFeatures(texts)
    energy = PassageMatch(features.entries(), len(texts), length=4)
    x = torch.tensor([[float(name) for name in features.words(text)] + [-1.0, -1.0] for text in texts])
    found = ll.infer(energy, x=x, over="z")
    assert found.value.argmax(dim=1).tolist() == [0, 1, 2]
    assert bool(found.exact.all())
    unknown = ll.infer(energy, x=torch.full((1, 4), float(features.unknown)), over="z")
    assert float(unknown.energy) == 0


def test_vectors_add_their_cosine() -> None:
    entries = Entries(torch.tensor([0]), torch.tensor([0]), torch.tensor([1.0]), torch.tensor([1.0, 1.0]))
    energy = PassageMatch(entries, 2, 1, torch.eye(2), share=3.0)
    x = {"words": torch.tensor([[0.0], [1.0]]), "vector": torch.tensor([[0.0, 1.0], [1.0, 0.0]])}
    torch.testing.assert_close(energy.encode(x), torch.tensor([[1.0, 3.0], [3.0, 0.0]]))


@pytest.mark.parametrize("wrong", ["passages", "share", "keys", "text"])
def test_what_cannot_be_is_refused(wrong: str) -> None:
    text = torch.tensor([5 if wrong == "text" else 0])
    entries = Entries(torch.tensor([0]), text, torch.tensor([1.0]), torch.tensor([1.0]))
    keys = torch.eye(3) if wrong == "keys" else None
    with pytest.raises(LowlandError):
        PassageMatch(entries, 0 if wrong == "passages" else 2, 1, keys, -1.0 if wrong == "share" else 0.0)
