"""Problems made backwards: their answers solve them, and no two are alike."""

from __future__ import annotations

import pytest
import torch

from lowland.data.formulas.draws import KINDS, LONGEST, draw_problems
from lowland.data.formulas.tokens import padded, tokens_of
from lowland.energies.formula_residual import FormulaResidual
from lowland.errors import DataError, OptionError


@pytest.mark.parametrize("kind", KINDS)
def test_answers_solve_their_problems(kind: str, generator: torch.Generator) -> None:
    """To a relative error of 10⁻⁸: rounding alone leaves less than 10⁻¹², and no other small formula comes as near."""
    found = draw_problems(kind, 40, generator)
    prompt, length = LONGEST[kind]
    x = padded([tokens_of(one.problem) for one in found], prompt, front=True)
    y = padded([tokens_of(one.answer) for one in found], length)
    residual = FormulaResidual(kind, prompt, length)(x=x, y=y)
    # Where an answer is real at too few points, as log(log(c1 x)) may be, nothing can be said of it.
    assert float(residual[residual.isfinite()].max()) < 1e-16
    assert int(residual.isfinite().sum()) >= (38 if kind == "first" else 40)


def test_the_parts_have_nothing_in_common(generator: torch.Generator) -> None:
    test = draw_problems("integral", 50, generator)
    train = draw_problems("integral", 300, generator, without=test)
    assert len({one.problem for one in train}) == len({one.answer for one in train}) == 300
    assert not {one.problem for one in test} & {one.problem for one in train}
    assert not {one.answer for one in test} & {one.answer for one in train}


def test_a_seed_draws_the_same(generator: torch.Generator) -> None:
    first, second = (draw_problems("second", 5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first == second


def test_integrands_have_no_answer_yet(generator: torch.Generator) -> None:
    assert {one.answer for one in draw_problems("integral", 5, generator, backwards=False)} == {0}


def test_what_cannot_be_drawn(generator: torch.Generator) -> None:
    with pytest.raises(OptionError, match="Did you mean 'second'"):
        draw_problems("secnd", 1, generator)
    with pytest.raises(OptionError, match="no kind of problem"):
        draw_problems("first", 1, generator, backwards=False)


def test_a_family_has_an_end(generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LONGEST, "integral", (1, 2))
    with pytest.raises(DataError, match="no 100 different problems"):
        draw_problems("integral", 100, generator)
