"""The machine of programs against the interpreter, which is written without tensors."""

from __future__ import annotations

import pytest
import torch

from lowland.data.block_programs import ANSWERS, FUNCTIONS, Facts, outcome, parsed
from lowland.data.block_questions import ask
from lowland.data.block_scenes import Block, draw_blocks
from lowland.energies.program_answer import scene_table
from lowland.nn.program_machine import answers_of


def padded(programs: list[list[int]], length: int = 26) -> torch.Tensor:
    return torch.tensor([[*program, *[-1] * (length - len(program))] for program in programs]).float()


def test_machine_and_interpreter_agree_on_questions_and_on_damaged_programs() -> None:
    draw = torch.Generator().manual_seed(0)
    scenes = draw_blocks(12, draw).scenes
    questions = ask(scenes, 60, draw)
    programs = [list(question.program) for question in questions]
    own = [question.scene for question in questions]
    for number in range(200):  # a function is exchanged, left out or doubled, or the scene is another
        program, at = list(programs[number % 60]), int(torch.randint(1000, (), generator=draw))
        place = at % len(program)
        program[place : place + 1] = [[at % len(FUNCTIONS)], [], [program[place]] * 2, [program[place]]][number % 4]
        programs.append(program)
        own.append(at % 12)
    expected = [outcome(program, Facts(scenes[scene]))[0] for program, scene in zip(programs, own, strict=True)]
    found = answers_of(padded(programs, 28), scene_table([scenes[scene] for scene in own])).tolist()
    assert found == [-1 if answer is None else answer for answer in expected]
    assert found[:60] == [ANSWERS.index(question.answer) for question in questions]
    assert found[60:].count(-1) > 50


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("count or filter[red] scene filter[small] scene", "2"),
        ("query[colour] unique relate[left] unique filter[grey] scene", "red"),
        ("exist same[shape] unique filter[grey] scene", "no"),
        ("less count filter[blue] scene count scene", "yes"),
        ("equal[size] query[size] unique filter[red] scene query[size] unique filter[grey] scene", "no"),
    ],
)
def test_answers_that_can_be_seen(program: str, answer: str) -> None:
    scene = (Block(0, 0, 0, 0, 1, 5), Block(1, 5, 0, 1, 2, 3))
    assert ANSWERS[int(answers_of(padded([parsed(program)]), scene_table([scene])))] == answer


@pytest.mark.parametrize("program", ["scene", "count scene scene", "count", "count count scene", "exist unique scene"])
def test_programs_without_an_answer(program: str) -> None:
    scene = (Block(0, 0, 0, 0, 1, 5), Block(1, 5, 0, 1, 2, 3))
    assert int(answers_of(padded([parsed(program)]), scene_table([scene]))) == -1
