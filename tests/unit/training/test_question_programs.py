"""Programs from programs, and from answers alone."""

from __future__ import annotations

import pytest
import torch

from lowland.data.block_programs import ANSWERS, parsed
from lowland.data.block_questions import BlockQuestion
from lowland.data.block_scenes import Block, draw_blocks
from lowland.errors import DataError, OptionError
from lowland.solvers.beam_search import BeamSearch
from lowland.training.question_programs import (
    QuestionSet,
    direct_answers,
    nearest_programs,
    program_energy,
    programs_of,
    question_set,
    reinforce,
    right,
    seeing_energy,
    seen,
    train_directly,
    train_on_answers,
    train_on_programs,
    train_to_see,
    words_of,
)

SCENES = [
    (Block(0, 0, 0, 0, 1, 5),),
    (Block(0, 0, 0, 0, 1, 5), Block(1, 2, 0, 1, 2, 3)),
    (Block(1, 2, 1, 0, 1, 5), Block(1, 3, 1, 1, 2, 3), Block(2, 4, 1, 1, 4, 8)),
]


def small_set() -> tuple[QuestionSet, list[str]]:
    """Two kinds of questions about three scenes."""
    asked = []
    for scene, blocks in enumerate(SCENES):
        asked.append(BlockQuestion(("how", "many"), tuple(parsed("count scene")), str(len(blocks)), scene))
        cubes = "yes" if any(block.shape == 0 for block in blocks) else "no"
        asked.append(BlockQuestion(("any", "cubes"), tuple(parsed("exist filter[cube] scene")), cubes, scene))
    words = words_of(asked)
    return question_set(asked, SCENES, words), words


def test_programs_are_learned_and_run() -> None:
    data, words = small_set()
    energy = program_energy(len(words), width=16)
    before = right(programs_of(energy, data, BeamSearch(4)).answer, data)
    losses = train_on_programs(energy, data, 80, torch.Generator().manual_seed(0), batch=6)
    assert losses[-1] < 0.5 * losses[0]
    found = programs_of(energy, data, BeamSearch(4))
    assert right(found.answer, data) > before
    assert torch.equal(found.answer, energy.answers(data.x(), found.program))


def test_answers_alone_teach_what_no_program_has_taught() -> None:
    """Known programs are about counting; that `any cubes` asks for cubes is found by the search."""
    data, words = small_set()
    counts, cubes = data.take(torch.tensor([0, 2, 4])), data.take(torch.tensor([1, 3, 5]))
    energy = program_energy(len(words), width=16, generator=torch.Generator().manual_seed(2))
    draw = torch.Generator().manual_seed(0)
    train_on_programs(energy, counts, 8, draw, batch=3)
    before = right(programs_of(energy, cubes, BeamSearch(4)).answer, cubes)
    hidden = cubes._replace(program=torch.full_like(cubes.program, -1))
    history = train_on_answers(energy, counts, hidden, BeamSearch(300), 2, 25, draw)
    assert before < 100
    assert history[0]["explained"] > before
    assert right(programs_of(energy, cubes, BeamSearch(300), answered=True).answer, cubes) > before


def test_reinforce_returns_rewards_and_changes_the_proposal() -> None:
    data, words = small_set()
    energy = program_energy(len(words), width=8)
    before = energy.proposal.network.out.bias.detach().clone()
    rewards = reinforce(energy, data, data, 3, torch.Generator().manual_seed(0), batch=4)
    assert len(rewards) == 3
    assert all(0 <= reward <= 1 for reward in rewards)
    assert not torch.equal(before, energy.proposal.network.out.bias)


def test_a_network_without_programs_learns_what_it_is_told() -> None:
    data, words = small_set()
    energy = train_directly(data, len(words), 120, 16, 0, torch.Generator().manual_seed(0))
    assert right(direct_answers(energy, data), data) > 100 * 2 / 6  # that of the most frequent answer


def test_the_nearest_question_is_the_one_itself() -> None:
    data, _ = small_set()
    assert torch.equal(nearest_programs(data, data), data.program)


def test_seeing() -> None:
    scenes = draw_blocks(24, torch.Generator().manual_seed(0))
    energy = seeing_energy(torch.Generator().manual_seed(1))
    train_to_see(energy, scenes, 60, 0)
    found = seen(energy, scenes)
    places = [{block[4:] for block in scene} for scene in (*found, *scenes.scenes)]
    right = sum(one == other for one, other in zip(places[:24], places[24:], strict=True))
    assert right >= 18, right


def test_faults_are_named() -> None:
    data, words = small_set()
    with pytest.raises(DataError, match="no questions"):
        question_set([], SCENES, words)
    with pytest.raises(DataError, match="The word 'spheres' is in no question"):
        question_set([BlockQuestion(("any", "spheres"), (0,), ANSWERS[0], 0)], SCENES, words)
    with pytest.raises(OptionError, match="steps, a batch and a rate"):
        train_on_programs(program_energy(len(words), 8), data, 0, torch.Generator())
