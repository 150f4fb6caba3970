"""Training of memory networks on stories, several copies side by side (system M5).

Legend: R copies of a network, N questions, M sentences of a memory, W words of a sentence, U different sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from lowland.data.stories import Question
from lowland.domains.tokens import EMPTY
from lowland.energies.story_answer import StoryAnswer
from lowland.errors import DataError, OptionError
from lowland.nn.memory_network import Encoding, MemoryNetwork, Tying, bags

_CLIP, _HALVES, _BATCH = 40.0, 3, 32
"""Largest norm of a gradient, how often the rate halves, evenly over the training, and questions of a step: those of
the paper, which halves every 25 of 100 epochs."""


class StorySet(NamedTuple):
    """N questions as numbers.

    `sentences` (U, W) words of each different sentence; `memory` (N, M) which were told, the last one first, −1 for
    none; `question` (N, W); `answer` (N,), −1 for one that training does not have.
    """

    sentences: Tensor
    memory: Tensor
    question: Tensor
    answer: Tensor

    def inputs(self, rows: Tensor) -> dict[str, Tensor]:
        """Some questions as an x of a `StoryAnswer`."""
        table = torch.cat([self.sentences, torch.full_like(self.sentences[:1], EMPTY)])
        return {"story": table[self.memory[rows]].flatten(1).float(), "question": self.question[rows].float()}


class Spelling(NamedTuple):
    """What the numbers of words and answers mean, and M and W, the sizes of a memory and a sentence.

    Answers are words too, those that no sentence has, such as "milk,football", behind the others.
    """

    words: list[str]
    answers: list[str]
    memory: int
    longest: int


def story_sets(
    parts: Mapping[str, Sequence[Question]], memory: int = 50, trained: str = "train"
) -> tuple[dict[str, StorySet], Spelling]:
    """Questions as numbers, with the words and answers of those that training has.

    Of a longer story the last `memory` sentences are kept, as in the paper. Words that training does not have are left
    out; an answer that it does not have cannot be given, and counts as wrong.

    Args:
        parts: questions by part.
        memory: most sentences of a memory; it is smaller where all stories are shorter.
        trained: the part to train on.

    Raises:
        DataError: for a part without questions.
        OptionError: for a memory below 1.
    """
    if memory < 1:
        raise OptionError(f"A memory needs at least one sentence, not {memory}.")
    if empty := [name for name, part in parts.items() if not part]:
        raise DataError(f"There are no questions to be used for {empty[0]}.")
    known = parts[trained]
    answers = sorted({one.answer for one in known})
    words = sorted({word for one in known for sentence in (*one.story, one.words) for word in sentence})
    words += [answer for answer in answers if answer not in set(words)]
    every = [one for part in parts.values() for one in part]
    longest = max(len(sentence) for one in every for sentence in (*one.story, one.words))
    memory = max(1, min(memory, max(len(one.story) for one in every)))
    number = {word: place for place, word in enumerate(words)}
    told = {sentence: place for place, sentence in enumerate(dict.fromkeys(s for one in every for s in one.story))}

    def spelled(sentences: Sequence[Sequence[str]]) -> Tensor:
        rows = [torch.tensor([number[w] for w in words if w in number], dtype=torch.long) for words in sentences]
        room = torch.full((len(rows) + 1, longest), EMPTY)
        found = pad_sequence(rows, batch_first=True, padding_value=EMPTY) if rows else room[:0]
        room[: len(rows), : found.shape[1]] = found
        return room[: len(rows)]

    sentences, sets = spelled(list(told)), {}
    for name, part in parts.items():
        room = torch.full((len(part), memory), EMPTY)
        for row, one in enumerate(part):
            last = [told[sentence] for sentence in one.story[::-1][:memory]]
            room[row, : len(last)] = torch.tensor(last, dtype=torch.long)
        given = torch.tensor([answers.index(one.answer) if one.answer in answers else EMPTY for one in part])
        sets[name] = StorySet(sentences, room, spelled([one.words for one in part]), given)
    return sets, Spelling(words, answers, memory, longest)


class StoryTraining(NamedTuple):
    """What a network is and how it is trained: the choices of the paper, section 4.

    `encoding` and `tying` see `MemoryNetwork`; `linear` epochs, but no more than `epochs`, go without the softmax over
    sentences, at the full rate, before the others: the linear start. The paper ends it when the loss on validation
    questions has stopped falling, which for induction was too soon with a hundred of them. `noise` adds a tenth of
    empty sentences in training.
    """

    encoding: Encoding = "positions"
    hops: int = 3
    linear: int = 60
    noise: bool = True
    tying: Tying = "adjacent"
    epochs: int = 60
    restarts: int = 3
    features: int = 20
    rate: float = 0.01


def train_on_stories(
    sets: Mapping[str, StorySet], spelling: Spelling, settings: StoryTraining, generator: torch.Generator
) -> tuple[MemoryNetwork, dict[str, Any]]:
    """Train several copies of a network, and take the one of least training loss.

    Gradients are sums over 32 questions, at most 40 long; the rate halves three times. Source: Sukhbaatar et
    al. (2015), section 4.2.

    Args:
        sets: "train" and "validation", see `story_sets`.
        spelling: of these sets.
        settings: what to train and how.
        generator: draws weights, the order of questions and empty sentences.

    Returns:
        The network, one copy; and "losses" (R,) of training, "validation" (R,) errors in percent, and "chosen".
    """
    if min(settings.epochs, settings.restarts) < 1 or settings.rate <= 0 or settings.linear < 0:
        raise OptionError("Training on stories needs epochs, restarts and a rate above 0, and no epochs below 0.")
    network = MemoryNetwork(
        len(spelling.words), [spelling.words.index(answer) for answer in spelling.answers], spelling.memory,
        settings.features, settings.hops, settings.encoding, settings.tying, settings.restarts, generator,
    )  # fmt: skip
    network.linear = True
    for _ in range(min(settings.linear, settings.epochs) if settings.hops else 0):
        _epoch(network, sets["train"], settings.rate, settings.noise, generator)
    network.linear = False
    for epoch in range(settings.epochs):
        falling = 0.5 ** (epoch * (_HALVES + 1) // settings.epochs)
        _epoch(network, sets["train"], settings.rate * falling, settings.noise, generator)
    losses, _ = _losses(network, sets["train"])
    chosen = int(losses.nan_to_num(float("inf")).argmin())
    found = {"losses": losses, "validation": story_errors(network, sets["validation"])}
    return network.copy(chosen), found | {"chosen": chosen}


def _epoch(network: MemoryNetwork, data: StorySet, rate: float, noise: bool, generator: torch.Generator) -> None:
    parameters = list(network.parameters())
    table = _table(network, data)
    memory = emptied(data.memory, generator) if noise else data.memory
    for rows in torch.randperm(len(memory), generator=generator).split(_BATCH):
        scores = _scores(network, table, memory[rows], data.question[rows])
        each = data.answer[rows].repeat(network.copies)
        loss = functional.cross_entropy(scores.flatten(0, 1), each, reduction="sum", ignore_index=EMPTY)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        used = [(p, g) for p, g in zip(parameters, gradients, strict=True) if g is not None]
        with torch.no_grad():
            norm = sum(gradient.flatten(1).square().sum(dim=1) for _, gradient in used) ** 0.5
            scale = rate * (_CLIP / norm).clamp_max(1)
            for parameter, gradient in used:
                parameter -= scale[:, None, None] * gradient


def emptied(memory: Tensor, generator: torch.Generator, share: float = 0.1) -> Tensor:
    """Memories (N, M) with empty sentences between the others, before each with this probability.

    Where there is no room, the sentences that were told first leave.

    >>> emptied(torch.tensor([[4, 5, -1]]), torch.Generator().manual_seed(0), share=1.0).tolist()
    [[-1, 4, -1]]
    """
    rows, places = memory.shape
    more = torch.rand(rows, places, generator=generator) < share
    to = torch.arange(places) + more.cumsum(dim=1)
    room = torch.full((rows, 2 * places + 1), EMPTY)
    return room.scatter(1, to, memory)[:, :places]


def _table(network: MemoryNetwork, data: StorySet) -> Any:
    empty = torch.full_like(data.sentences[:1], EMPTY)
    return bags(torch.cat([data.sentences, empty]), network.words, network.encoding)


def _scores(network: MemoryNetwork, table: Any, memory: Tensor, question: Tensor) -> Tensor:
    """Scores of the answers: each different sentence is embedded once, however often it was told."""
    sentences = network.embed(table)
    last = sentences.shape[1] - 1
    numbers = torch.where(memory < 0, last, memory)
    stories = sentences.index_select(1, numbers.flatten()).unflatten(1, tuple(memory.shape))
    asked = network.embed(bags(question, network.words, network.encoding))
    return network.look(stories, memory >= 0, asked)[0]


@torch.no_grad()
def _losses(network: MemoryNetwork, data: StorySet) -> tuple[Tensor, Tensor]:
    """The mean of −log p of the answers, and the share of wrong ones, of each copy, (R,) each."""
    scores = _scores(network, _table(network, data), data.memory, data.question)
    given = data.answer.expand(network.copies, -1)
    wrong = (scores.argmax(dim=2) != given).float().mean(dim=1)
    likely = scores.log_softmax(dim=2).gather(2, given.clamp_min(0)[..., None])[..., 0]
    known = (given >= 0).float()
    return -(likely * known).sum(dim=1) / known.sum(dim=1).clamp_min(1), wrong


def story_errors(network: MemoryNetwork, data: StorySet) -> Tensor:
    """Questions with a wrong answer of each copy, in percent, (R,)."""
    return 100 * _losses(network, data)[1]


def answering(network: MemoryNetwork, spelling: Spelling) -> StoryAnswer:
    """The energy of a trained network."""
    return StoryAnswer(network, spelling.longest)


def most_frequent_errors(sets: Mapping[str, StorySet]) -> float:
    """Test questions, in percent, that are wrong if the most frequent answer of training is always given."""
    common = int(sets["train"].answer.bincount().argmax())
    return 100 * float((sets["test"].answer != common).float().mean())
