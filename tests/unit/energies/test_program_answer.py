"""The energy of an answer with a program as latent variable."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from lowland.data.block_programs import ANSWERS, FUNCTIONS, parsed
from lowland.data.block_scenes import Block
from lowland.energies.autoregressive import Autoregressive
from lowland.energies.program_answer import ProgramAnswer, scene_table
from lowland.errors import OptionError
from lowland.inference import infer
from lowland.nn.decoders import TransformerDecoder
from lowland.solvers.beam_search import BeamSearch

SCENE = (Block(0, 1, 0, 1, 2, 3), Block(2, 0, 1, 0, 4, 1))


def energy(length: int = 3, answered: bool = True) -> ProgramAnswer:
    network = TransformerDecoder(len(FUNCTIONS), width=8, depth=1, heads=2, generator=torch.Generator().manual_seed(0))
    return ProgramAnswer(Autoregressive(network, length, prompt=2, ends=True), 6.0, answered)


def given(answer: str) -> dict[str, dict[str, torch.Tensor] | torch.Tensor]:
    x = {"question": torch.tensor([[3.0, 7.0]]), "scene": scene_table([SCENE])}
    return {"x": x, "y": torch.eye(len(ANSWERS))[[ANSWERS.index(answer)]]}


def every_program(length: int) -> torch.Tensor:
    numbers = range(len(FUNCTIONS))
    rows = [row for count in range(length + 1) for row in itertools.product(numbers, repeat=count)]
    return torch.tensor([[*row, *[-1] * (length - len(row))] for row in rows]).float()


@pytest.mark.parametrize("answer", ["2", "yes", "red"])
def test_a_wide_beam_finds_the_least_of_all_programs(answer: str) -> None:
    """Where the last function fills the last place, it bears the mismatch, since there is no cost of ending."""
    model, programs, values = energy(2), every_program(2), given(answer)
    with torch.no_grad():
        found = infer(model, **values, over="z", solver=BeamSearch(len(FUNCTIONS)))
        x = {name: value.expand(len(programs), -1) for name, value in values["x"].items()}
        each = model(x=x, y=values["y"].expand(len(programs), -1), z=programs)
    assert float(found.energy) == pytest.approx(float(each.min()), abs=1e-4)
    assert bool(found.exact)


def test_the_parts_of_the_energy() -> None:
    model, values = energy(), given("2")
    z = torch.tensor([[*parsed("count scene"), -1]]).float()
    proposal = model.proposal(x=values["x"]["question"], y=z).item()
    assert model(**values, z=z).item() == pytest.approx(proposal)
    for wrong in ("exist scene", "unique scene", "count count"):
        z = torch.tensor([[*parsed(wrong), -1]]).float()
        proposal = model.proposal(x=values["x"]["question"], y=z).item()
        assert model(**values, z=z).item() == pytest.approx(proposal + 6.0, abs=1e-5)


def test_without_an_answer_any_will_do() -> None:
    model, values = energy(answered=False), given("2")
    for program, cost in (("exist scene", 0.0), ("unique scene", 6.0)):
        z = torch.tensor([[*parsed(program), -1]]).float()
        proposal = model.proposal(x=values["x"]["question"], y=z).item()
        assert model(x=values["x"], z=z).item() == pytest.approx(proposal + cost, abs=1e-5)


def test_the_answer_of_least_energy_is_that_of_the_program() -> None:
    values = given("2")
    z = torch.tensor([[*parsed("count scene"), -1]]).float()
    found = infer(energy(), x=values["x"], z=z, over="y")
    assert ANSWERS[int(found.value.argmax())] == "2"


@pytest.mark.parametrize("mismatch", [0.0, -1.0, math.inf])
def test_a_mismatch_that_cannot_be(mismatch: float) -> None:
    with pytest.raises(OptionError, match="mismatch"):
        ProgramAnswer(energy().proposal, mismatch)


def test_a_proposal_that_writes_something_else() -> None:
    with pytest.raises(OptionError, match="must write programs"):
        ProgramAnswer(Autoregressive(TransformerDecoder(4), 3, prompt=2, ends=True))
