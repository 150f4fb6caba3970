"""How many questions about scenes are answered rightly, by depth, and what baselines without a program reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lowland.data.block_programs import ANSWERS, chain, spelled, tree
from lowland.data.block_questions import BlockQuestion
from lowland.data.block_scenes import Scene
from lowland.energies.program_answer import ProgramAnswer
from lowland.errors import DataError, ShapeError
from lowland.inference import infer
from lowland.solvers.ancestral import Ancestral
from lowland.training.question_programs import QuestionSet, right

_DRAWS = 100


def depths(data: QuestionSet) -> Tensor:
    """How many relations follow one another in the program that was written for each question, (N,)."""
    return torch.tensor([chain(tree([int(n) for n in row if n >= 0])) for row in data.program.tolist()])


def answer_row(
    said: Mapping[str, Tensor], sets: Mapping[str, QuestionSet], programs: Mapping[str, Tensor] | None = None
) -> dict[str, float]:
    """The share of right answers in percent, "right"; at each depth, "depth 0" …; and of deeper questions, "deep".

    Args:
        said: numbers of answers (N,), of "test" and "deep"; with "validation", its share is "validation".
        sets: the questions.
        programs: (N, T) of both; adds "written", the share of programs that are the ones written for the questions, and
            "none", that of those without an answer.
    """
    test = sets["test"]
    row = {"right": right(said["test"], test), "deep": right(said["deep"], sets["deep"])}
    if "validation" in said:
        row["validation"] = right(said["validation"], sets["validation"])
    depth = depths(test)
    for level in depth.unique().tolist():
        rows = (depth == level).nonzero()[:, 0]
        row[f"depth {level}"] = right(said["test"][rows], test.take(rows))
    if programs is not None:
        row["written"] = 100 * float((programs["test"] == test.program).all(dim=1).float().mean())
        row["none"] = 100 * float((said["test"] < 0).float().mean())
    return row


def frequent_answers(sets: Mapping[str, QuestionSet]) -> dict[str, dict[str, float]]:
    """Rows of who always gives the most frequent answer of training, of all questions and of each kind.

    The kind is the first function of the program, with the value that is asked for; it is told, not read.
    """
    train = sets["train"]
    kinds = _kinds(train)
    common = int(train.answer.bincount().argmax())
    by_kind = {
        kind: Counter(train.answer[kinds == kind].tolist()).most_common(1)[0][0] for kind in kinds.unique().tolist()
    }
    parts = [part for part in sets if part != "train"]
    always = {part: torch.full_like(sets[part].answer, common) for part in parts}
    told = {part: torch.tensor([by_kind.get(kind, common) for kind in _kinds(sets[part]).tolist()]) for part in parts}
    return {"most frequent": answer_row(always, sets), "by kind": answer_row(told, sets)}


def _kinds(data: QuestionSet) -> Tensor:
    return data.program[:, 0].long()


def seen_rightly(found: Sequence[Scene], truth: Sequence[Scene]) -> dict[str, float]:
    """The shares in percent of blocks, "blocks", and of whole scenes, "scenes", that are seen exactly as they are.

    Raises:
        ShapeError: for other numbers of scenes, or none.

    >>> seen_rightly([()], [()])["scenes"]
    100.0
    """
    if len(found) != len(truth) or not truth:
        raise ShapeError(f"{len(found)} scenes cannot be compared with {len(truth)}.")
    blocks = sum(len(set(one) & set(other)) for one, other in zip(found, truth, strict=True))
    whole = sum(set(one) == set(other) for one, other in zip(found, truth, strict=True))
    return {"blocks": 100 * blocks / max(1, sum(map(len, truth))), "scenes": 100 * whole / len(truth)}


def listed_programs(
    energy: ProgramAnswer, data: QuestionSet, row: int, generator: torch.Generator, most: int = 6
) -> list[dict[str, Any]]:
    """The programs of least energy among a hundred that are drawn for one question, with the parts of their energy.

    Args:
        energy: of answers.
        data: the questions.
        row: which of them.
        generator: draws.
        most: how many.

    Returns:
        Of each "program", in words, "proposal" and "mismatch" with the right answer, in nats, and "answer", or "".

    Raises:
        DataError: for a row that is not there.
    """
    if not 0 <= row < len(data.words):
        raise DataError(f"There is no question {row}: there are {len(data.words)}.")
    many = data.take(torch.full((_DRAWS,), row))
    with torch.no_grad():
        drawn = infer(energy.proposal, x=many.words, over="y", solver=Ancestral(), generator=generator).value
        different = torch.unique(drawn, dim=0)
        some = data.take(torch.full((len(different),), row))
        proposal = energy.proposal(x=some.words, y=different)
        whole = energy(x=some.x(), y=some.y(), z=different)
    said = energy.answers(some.x(), different).tolist()
    found = []
    for place in whole.argsort()[:most].tolist():
        program = [int(number) for number in different[place].tolist() if number >= 0]
        found.append(
            {
                "program": spelled(program),
                "proposal": float(proposal[place]),
                "mismatch": float(whole[place] - proposal[place]),
                "answer": ANSWERS[said[place]] if said[place] >= 0 else "",
            }
        )
    return found


def asked(question: BlockQuestion) -> str:
    """A question as it is written."""
    return " ".join(question.words) + ("." if question.words[0] in ("count", "tell") else "?")
