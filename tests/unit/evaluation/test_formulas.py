"""Answers without learning, and sympy as a rival in a process of its own."""

from __future__ import annotations

import torch

from lowland.data.formulas.draws import Solved, draw_problems
from lowland.data.formulas.text import plain
from lowland.data.formulas.tokens import read_formula
from lowland.evaluation.formula_answers import candidate_texts
from lowland.evaluation.formulas import agreed, copied, nearest_answers, right_answers, right_candidates, zeros
from lowland.evaluation.sympy_rival import Sympy, integrated
from lowland.training.formulas import Candidates, as_tensors


def problems(*pairs: tuple[str, str]) -> list[Solved]:
    return [Solved(read_formula(problem), read_formula(answer)) for problem, answer in pairs]


def test_what_needs_no_learning() -> None:
    x, _ = as_tensors("integral", problems(("exp(x)", "x"), ("2*x", "x")))
    assert right_answers("integral", x, copied("integral", x)).tolist() == [True, False]
    assert not bool(right_answers("integral", x, zeros("integral", x)).any())
    known, answers = as_tensors("integral", problems(("3*exp(x)", "x"), ("4*x", "x^2")))
    assert torch.equal(nearest_answers(x, known, answers), answers)


def test_lists_are_judged_one_by_one() -> None:
    x, y = as_tensors("integral", problems(("2*x", "x^2"), ("cos(x)", "sin(x)")))
    both = torch.stack([y, y.flip(0)], dim=1)
    assert right_candidates("integral", x, both).tolist() == [[True, False], [True, False]]


def test_the_chosen_candidate_is_shown() -> None:
    _, y = as_tensors("integral", problems(("x", "x"), ("x", "x^2"), ("x", "x^3")))
    lists = Candidates(y[None], torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([[0.5, 0.4, 0.0]]))
    texts = [(text, chosen) for text, _, _, chosen in candidate_texts(lists, 0, y[2], plain, most=2)]
    assert texts == [("x", False), ("x^3", True)]


def test_sympy_solves_checks_and_is_stopped(generator: torch.Generator) -> None:
    """A problem that takes longer than it may ends the process, and the next one is answered again."""
    easy = problems(("x*cos(x)", "x*sin(x) + cos(x)"), ("1/x", "log(x)"))
    with Sympy(seconds=20.0) as rival:
        found = integrated(rival, easy)
        assert [one.answer for one in found] == [one.answer for one in easy]
        assert rival.solve("integral", read_formula("x^x"))[0] is False
        first = draw_problems("first", 1, generator)[0]
        assert rival.right("first", first.problem, first.answer)
        x, y = as_tensors("integral", easy)
        assert agreed(rival, "integral", easy, y, right_answers("integral", x, y)) == 2
        assert agreed(rival, "integral", easy, y, torch.tensor([False, True])) == 1
        rival.seconds = 0.001
        assert rival.solve("integral", read_formula("x^3*exp(2*x)*sin(3*x)*cos(x)")) == (False, None)
        assert rival.right("integral", easy[0].problem, easy[0].answer)
