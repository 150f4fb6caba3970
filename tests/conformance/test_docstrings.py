"""The docstring of every registered energy, solver and shaping has an equation, a source and an example that runs."""

from __future__ import annotations

import doctest
import re

import pytest

from lowland.registry import registered

CLASSES = [cls for kind in ("energy", "solver", "shaping") for cls in registered(kind).values()]
EVERY = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


@EVERY
def test_it_has_an_example_with_an_answer(cls: type) -> None:
    """That the answer is right, the doctests check, which pytest collects from the module."""
    assert "__doc__" in vars(cls), "the docstring is that of its base"
    examples = doctest.DocTestParser().get_examples(cls.__doc__ or "")
    assert any(example.want for example in examples)
    shown = "".join(example.source + example.want for example in examples)
    assert cls.__name__ in shown, "the example is of something else"


@EVERY
def test_it_opens_with_an_equation(cls: type) -> None:
    text = re.split(r"Args:|>>>", cls.__doc__ or "")[0]
    assert re.search(r"\S.* (=|←|∼|∝) \S", text)


@EVERY
def test_it_says_where_it_comes_from(cls: type) -> None:
    """A paper with its year, or that it is in every textbook."""
    assert re.search(r"\b(18|19|20)\d\d\b|Source: textbook", cls.__doc__ or "")


@pytest.mark.parametrize("cls", registered("shaping").values(), ids=lambda cls: cls.__name__)
def test_a_shaping_says_which_energies_it_takes(cls: type) -> None:
    assert re.search(r"^ *Energies: \S", cls.__doc__ or "", re.MULTILINE)
