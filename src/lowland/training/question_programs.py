"""Programs for questions: learned from some, and then from answers alone, by a search over programs (system M8).

Legend: N questions, S words of a question, T functions of a program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.block_programs import ANSWERS, FUNCTIONS
from lowland.data.block_questions import LONGEST_PROGRAM, LONGEST_QUESTION, BlockQuestion, ask
from lowland.data.block_scenes import ATTRIBUTES, CELL, PLACES, BlockScenes, Scene, draw_blocks, labels_of, scenes_of
from lowland.domains.tokens import EMPTY
from lowland.energies.autoregressive import Autoregressive
from lowland.energies.classifier import Classifier
from lowland.energies.grid_crf import GridCRF
from lowland.energies.program_answer import ProgramAnswer, scene_table
from lowland.errors import DataError, OptionError
from lowland.inference import infer
from lowland.nn.layers import evaluating
from lowland.nn.places import DirectAnswer, PlaceScores
from lowland.nn.translation import AttentiveDecoder
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.solvers.ancestral import Ancestral
from lowland.solvers.base import Solver
from lowland.training.fit import fit
from lowland.training.schedules import falling

_CLIP, _AT_ONCE, _SHARE = 5.0, 250, 0.3
_ABOUT, _DEEP = {"train": "ask", "deep": "test"}, (3,)
"""Pictures that some questions are about, and how many relations follow one another in the deep ones."""


class QuestionSet(NamedTuple):
    """N questions as numbers.

    `words` (N, S), `table` (N, 60) of their scenes, `program` (N, T), and `answer` (N,), numbers.
    """

    words: Tensor
    table: Tensor
    program: Tensor
    answer: Tensor

    def take(self, rows: Tensor | slice) -> QuestionSet:
        """Some of the questions."""
        return QuestionSet(*(part[rows] for part in self))

    def x(self) -> dict[str, Tensor]:
        """The x of a `ProgramAnswer`."""
        return {"question": self.words, "scene": self.table}

    def y(self) -> Tensor:
        """The one-hot answers."""
        return functional.one_hot(self.answer, len(ANSWERS)).float()


def words_of(questions: Sequence[BlockQuestion]) -> list[str]:
    """The words of questions, in the order of the alphabet."""
    return sorted({word for question in questions for word in question.words})


def question_set(questions: Sequence[BlockQuestion], scenes: Sequence[Scene], words: Sequence[str]) -> QuestionSet:
    """Questions as numbers.

    Args:
        questions: with the numbers of their scenes.
        scenes: as they are, or as they are seen.
        words: that are known.

    Raises:
        DataError: for no questions, or a word that is not known.

    >>> question = BlockQuestion(("count", "cubes"), (0,), "2", 0)
    >>> question_set([question], [()], ["count", "cubes"]).words[0, :3].tolist()
    [0.0, 1.0, 2.0]
    """
    if not questions:
        raise DataError("There are no questions.")
    number = {word: place for place, word in enumerate(words)}
    asked = torch.full((len(questions), LONGEST_QUESTION), float(len(words)))
    program = torch.full((len(questions), LONGEST_PROGRAM), float(EMPTY))
    for row, question in enumerate(questions):
        unknown = [word for word in question.words if word not in number]
        if unknown:
            raise DataError(f"The word {unknown[0]!r} is in no question that was learned from: say it in other words.")
        asked[row, : len(question.words)] = torch.tensor([float(number[word]) for word in question.words])
        program[row, : len(question.program)] = torch.tensor(question.program, dtype=program.dtype)
    answers = torch.tensor([ANSWERS.index(question.answer) for question in questions])
    return QuestionSet(asked, scene_table([scenes[question.scene] for question in questions]), program, answers)


def drawn_questions(
    scenes: int, counts: Mapping[str, int], generator: torch.Generator
) -> tuple[dict[str, BlockScenes], dict[str, list[BlockQuestion]]]:
    """Pictures to learn to see from and to ask about, and questions about them.

    Args:
        scenes: pictures "see", and as many "ask"; "validation" and "test" have two thirds as many each.
        counts: of questions "train", about the pictures "ask", and "validation", "test" and "deep", which has a
            relation more than any of the others and is about the pictures "test".
        generator: draws everything.
    """
    fewer = max(2, 2 * scenes // 3)
    sizes = {"see": scenes, "ask": scenes, "validation": fewer, "test": fewer}
    pictures = {part: draw_blocks(size, generator) for part, size in sizes.items()}
    questions = {
        part: ask(pictures[_ABOUT.get(part, part)].scenes, count, generator, *([_DEEP] if part == "deep" else []))
        for part, count in counts.items()
    }
    return pictures, questions


def question_sets(
    questions: Mapping[str, list[BlockQuestion]], scenes: Mapping[str, tuple[Scene, ...]]
) -> dict[str, QuestionSet]:
    """The questions of `drawn_questions` as numbers, with the scenes of their pictures as they are seen."""
    words = words_of([question for own in questions.values() for question in own])
    return {part: question_set(own, scenes[_ABOUT.get(part, part)], words) for part, own in questions.items()}


def program_energy(
    words: int, width: int = 64, mismatch: float = 10.0, generator: torch.Generator | None = None
) -> ProgramAnswer:
    """The energy with an `AttentiveDecoder` of this width as proposal, for so many known words."""
    network = AttentiveDecoder(words + 1, len(FUNCTIONS), LONGEST_QUESTION, width, generator)
    return ProgramAnswer(Autoregressive(network, LONGEST_PROGRAM, LONGEST_QUESTION, ends=True), mismatch)


def train_on_programs(
    energy: ProgramAnswer,
    data: QuestionSet,
    steps: int,
    generator: torch.Generator,
    rate: float = 0.01,
    batch: int = 32,
) -> list[float]:
    """Train the proposal in place on questions with their programs; the rate rises, and falls to zero.

    Args:
        energy: whose first term is trained: with z given, the second one is constant.
        data: with programs.
        steps: of Adam.
        generator: draws the order and what is left out.
        rate: the highest.
        batch: questions of a step.

    Returns:
        −log p of a program, in nats, at each step.

    Raises:
        OptionError: for steps, a rate or a batch that are not positive.
    """
    losses = []
    with _optimiser(energy.proposal, steps, rate, batch) as step:
        for rows in _rows(len(data.words), steps, batch, generator):
            with _thinned(energy, len(rows), generator):
                loss = energy.proposal(x=data.words[rows], y=data.program[rows]).mean()
            losses.append(step(loss))
    return losses


class Found(NamedTuple):
    """Programs (N, T) of least energy, their `answer` (N,), −1 for none, and `energy` (N,)."""

    program: Tensor
    answer: Tensor
    energy: Tensor


def programs_of(energy: ProgramAnswer, data: QuestionSet, solver: Solver, answered: bool = False) -> Found:
    """ẑ = argmin_z E(x, y, z): the program of least energy of each question.

    Args:
        energy: of the programs.
        data: with the answers, if they are to be explained.
        solver: such as `BeamSearch`.
        answered: whether the program is to say the answer; without, any answer will do.
    """
    free = energy if answered else ProgramAnswer(energy.proposal, energy.mismatch, answered=False)
    parts = []
    with evaluating(free), torch.no_grad():
        for rows in torch.arange(len(data.words)).split(_AT_ONCE):
            some = data.take(rows)
            found = infer(free, x=some.x(), y=some.y() if answered else None, over="z", solver=solver)
            parts.append(Found(found.value, free.answers(some.x(), found.value), found.energy))
    return Found(*map(torch.cat, zip(*parts, strict=True)))


def right(found: Tensor, data: QuestionSet) -> float:
    """The share of answers (N,) that are right, in percent."""
    return 100 * float((found == data.answer).float().mean())


def train_on_answers(
    energy: ProgramAnswer,
    known: QuestionSet,
    asked: QuestionSet,
    solver: Solver,
    rounds: int,
    steps: int,
    generator: torch.Generator,
    rate: float = 0.005,
) -> list[dict[str, float]]:
    """Lower F(x, y) = min_z E(x, y, z) in place: search for programs that explain the answers, and learn from these.

    Each round infers z for all questions at once, then takes steps on E at the z that were found and say the answer,
    together with the programs that are known. The gradient of F is that of E at its minimum (envelope theorem), so this
    is descent on F whose minima are renewed once a round: hard EM. A question that no program explains teaches nothing.

    Args:
        energy: trained in place.
        known: with programs.
        asked: with answers alone; its programs are not read.
        solver: of the search.
        rounds: how many.
        steps: of each round.
        generator: draws the order and what is left out.
        rate: the highest of each round.

    Returns:
        Of each round "explained", the share of questions with a program that says the answer, in percent, and "same",
        the share of those whose program is the one that was written for it, which training does not know.
    """
    history = []
    for _ in range(rounds):
        found = programs_of(energy, asked, solver, answered=True)
        kept = (found.answer == asked.answer).nonzero()[:, 0]
        same = int((found.program[kept] == asked.program[kept]).all(dim=1).sum())
        history.append({"explained": 100 * len(kept) / len(asked.words), "same": 100 * same / max(1, len(kept))})
        taught = asked.take(kept)._replace(program=found.program[kept])
        both = QuestionSet(*(torch.cat(pair) for pair in zip(known, taught, strict=True)))
        train_on_programs(energy, both, steps, generator, rate)
    return history


def reinforce(
    energy: ProgramAnswer,
    known: QuestionSet,
    asked: QuestionSet,
    steps: int,
    generator: torch.Generator,
    rate: float = 0.001,
    batch: int = 32,
) -> list[float]:
    """Raise the mean reward of drawn programs in place (Williams 1992): 1 if a program says the answer, or else 0.

    The gradient is that of (r − b) · −log p(z), z drawn from the proposal by `Ancestral`, b a moving mean of r. As many
    questions with known programs are in each step, so that the language is not forgotten.

    Args:
        energy: trained in place.
        known: with programs.
        asked: with answers alone.
        steps, rate, batch: see `train_on_programs`.
        generator: draws everything.

    Returns:
        The mean reward of each step.
    """
    rewards, mean = [], 0.0
    known_rows = _rows(len(known.words), steps, batch, generator)
    with _optimiser(energy.proposal, steps, rate, batch) as step:
        for rows in _rows(len(asked.words), steps, batch, generator):
            some = asked.take(rows)
            with torch.no_grad():
                drawn = infer(energy.proposal, x=some.words, over="y", solver=Ancestral(), generator=generator).value
                reward = (energy.answers(some.x(), drawn) == some.answer).float()
            first = known.take(next(known_rows))
            advantage = reward - (mean if rewards else reward.mean())
            with _thinned(energy, len(rows) + len(first.words), generator):
                each = energy.proposal(x=torch.cat([some.words, first.words]), y=torch.cat([drawn, first.program]))
            step((advantage * each[: len(rows)]).mean() + each[len(rows) :].mean())
            mean = float(reward.mean()) if not rewards else 0.9 * mean + 0.1 * float(reward.mean())
            rewards.append(float(reward.mean()))
    return rewards


def train_directly(
    data: QuestionSet, words: int, steps: int, width: int, seed: int, generator: torch.Generator
) -> Classifier:
    """A network from question and scene straight to the answer, trained by its likelihood; see `DirectAnswer`."""
    table = (*(len(values) for values in ATTRIBUTES.values()), PLACES, PLACES)
    energy = Classifier(data.words.shape[1] + data.table.shape[1], len(ANSWERS), hidden=())
    energy.network = DirectAnswer(words + 1, data.words.shape[1], table, len(ANSWERS), width, generator)
    _fit(energy, torch.cat([data.words, data.table], dim=1), data.y(), steps, 64, seed)
    return energy


def direct_answers(energy: Classifier, data: QuestionSet) -> Tensor:
    """The number of the answer of least energy, (N,)."""
    with evaluating(energy), torch.no_grad():
        return energy.encode(torch.cat([data.words, data.table], dim=1)).argmax(dim=1)


def nearest_programs(known: QuestionSet, asked: QuestionSet) -> Tensor:
    """The programs (N, T) of the known questions that share most words, as a part of the words of both."""
    counts = [
        torch.zeros(len(part.words), int(known.words.max()) + 1).scatter_(1, part.words.long(), 1.0)[:, :-1]
        for part in (known, asked)
    ]
    shared = counts[1] @ counts[0].T
    either = counts[1].sum(dim=1, keepdim=True) + counts[0].sum(dim=1) - shared
    return known.program[(shared / either).argmax(dim=1)]


def seeing_energy(generator: torch.Generator) -> GridCRF:
    """E(x, y) = −Σ_p f_p(x)·y_p: what stands at each place p of a picture x; f is a `PlaceScores`."""
    return GridCRF(PlaceScores(PLACES, [len(values) for values in ATTRIBUTES.values()], generator=generator))


def train_to_see(energy: GridCRF, scenes: BlockScenes, steps: int, seed: int) -> None:
    """Train an energy of `seeing_energy` in place on pictures and what stands in them."""
    _fit(energy, _places(scenes), energy.one_hot(labels_of(scenes.scenes)), steps, 16, seed)


def seen(energy: GridCRF, scenes: BlockScenes) -> tuple[Scene, ...]:
    """The scenes of least energy of pictures."""
    parts = []
    with evaluating(energy), torch.no_grad():
        for x in _places(scenes).split(_AT_ONCE):
            parts.append(energy.network(x).argmax(dim=1))
    return scenes_of(torch.cat(parts))


def _places(scenes: BlockScenes) -> Tensor:
    return functional.pixel_unshuffle(scenes.pixels(), CELL)


def _fit(energy: GridCRF | Classifier, x: Tensor, y: Tensor, steps: int, batch: int, seed: int) -> None:
    fit(
        energy, (x, y), MaximumLikelihood(), steps, min(batch, len(x)), 3e-3, "adamw", 1e-3, clip=_CLIP,
        schedule=partial(falling, steps), validation=0.0, seed=seed, progress=False, log_every=max(1, steps // 60),
    )  # fmt: skip


def _rows(count: int, steps: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The rows of each step, all of them before any comes again."""
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(order) < min(batch, count):
            order = torch.cat([order, torch.randperm(count, generator=generator)])
        yield order[:batch]
        order = order[batch:]


def _thinned(energy: ProgramAnswer, rows: int, generator: torch.Generator) -> AbstractContextManager[None]:
    network = energy.proposal.network
    assert isinstance(network, AttentiveDecoder)
    return network.thinned(rows, _SHARE, generator)


@contextmanager
def _optimiser(module: nn.Module, steps: int, rate: float, batch: int) -> Iterator[Callable[[Tensor], float]]:
    """A function that takes a step down a loss, and returns it."""
    if steps < 1 or batch < 1 or not rate > 0:
        raise OptionError(f"Training needs steps, a batch and a rate above 0, not {steps}, {batch} and {rate}.")
    optimiser = torch.optim.Adam(module.parameters(), rate)
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda k: min((k + 1) / warm, (steps - k) / max(1, steps - warm))
    )

    def step(loss: Tensor) -> float:
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), _CLIP)
        optimiser.step()
        schedule.step()
        return float(loss.detach())

    yield step
