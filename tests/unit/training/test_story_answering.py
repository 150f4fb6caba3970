"""Memory networks on stories: numbers of words, empty sentences, and training."""

from __future__ import annotations

import pytest
import torch

from lowland.data.stories import Question, read_stories, write_stories
from lowland.data.story_puzzles import WORLDS
from lowland.errors import DataError, OptionError
from lowland.training.story_answering import (
    StoryTraining,
    answering,
    emptied,
    most_frequent_errors,
    story_errors,
    story_sets,
    train_on_stories,
)

TRAIN = read_stories("1 Mary went home.\n2 John went out.\n3 Where is Mary?\thome\t1\n4 Where is John?\tout\t2\n")
TEST = read_stories("1 Mary went out.\n2 Who went there?\tmary\t1\n")
QUICK = StoryTraining(epochs=12, restarts=2)


def stories(kind: int, count: int, seed: int = 0) -> dict[str, list[Question]]:
    generator = torch.Generator().manual_seed(seed)
    return {part: write_stories(WORLDS[kind][1], count, generator) for part in ("train", "validation", "test")}


def test_words_and_answers_are_those_of_training() -> None:
    sets, spelling = story_sets({"train": TRAIN, "test": TEST})
    assert spelling.answers == ["home", "out"]
    assert "who" not in spelling.words
    assert (spelling.memory, spelling.longest) == (2, 3)
    assert sets["test"].answer.tolist() == [-1]
    spelled = [
        [spelling.words[w] for w in row if w >= 0] for row in sets["train"].inputs(torch.tensor([0]))["story"].int()
    ]
    assert spelled == [["john", "went", "out", "mary", "went", "home"]]  # the last one told first


def test_a_long_story_keeps_its_end() -> None:
    sets, _ = story_sets({"train": TRAIN}, memory=1)
    table = [row.tolist() for row in sets["train"].sentences]
    assert sets["train"].memory.shape == (2, 1)
    assert table[int(sets["train"].memory[0, 0])] == sets["train"].sentences[1].tolist()


def test_empty_sentences_keep_the_order() -> None:
    memory = torch.arange(20).repeat(200, 1)
    found = emptied(memory, torch.Generator().manual_seed(0))
    kept = [[one for one in row if one >= 0] for row in found.tolist()]
    assert all(row == list(range(len(row))) for row in kept)
    share = 1 - sum(map(len, kept)) / memory.numel()
    assert 0.06 < share < 0.12  # of n + n/9 places on average; 4,000 draws have a deviation of 0.005
    assert torch.equal(emptied(memory, torch.Generator(), share=0.0), memory)


def test_one_hop_learns_where_someone_is() -> None:
    sets, spelling = story_sets(stories(1, 300))
    settings = QUICK._replace(hops=1, epochs=30)
    network, found = train_on_stories(sets, spelling, settings, torch.Generator().manual_seed(0))
    assert float(story_errors(network, sets["test"])[0]) < most_frequent_errors(sets) / 2
    assert found["chosen"] == int(found["losses"].argmin())
    assert not network.linear


def test_the_energy_of_a_network_says_what_training_measured() -> None:
    sets, spelling = story_sets(stories(15, 60))
    network, _ = train_on_stories(sets, spelling, QUICK._replace(epochs=1), torch.Generator().manual_seed(0))
    energy, rows = answering(network, spelling), torch.arange(60)
    scores = energy.encode(sets["test"].inputs(rows))
    wrong = 100 * float((scores.argmax(dim=1) != sets["test"].answer).float().mean())
    assert wrong == pytest.approx(float(story_errors(network, sets["test"])[0]))
    attention = energy.attention(sets["test"].inputs(rows))
    assert attention.shape == (60, 3, spelling.memory)
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(60, 3))


def test_what_cannot_be_trained() -> None:
    with pytest.raises(DataError, match="test"):
        story_sets({"train": TRAIN, "test": []})
    with pytest.raises(OptionError, match="not 0"):
        story_sets({"train": TRAIN}, memory=0)
    sets, spelling = story_sets({"train": TRAIN, "validation": TRAIN})
    with pytest.raises(OptionError, match="above 0"):
        train_on_stories(sets, spelling, QUICK._replace(restarts=0), torch.Generator())
