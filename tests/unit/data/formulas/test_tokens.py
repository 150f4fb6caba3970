"""Prefix tokens, and text that people write."""

from __future__ import annotations

import pytest
import torch

from lowland.data.formulas.tokens import NAMES, NUMBER, PAD, bare, padded, read_formula, tokens_of, tree_of
from lowland.errors import DataError, DomainError


@pytest.mark.parametrize("text", ["x", "-x", "105*x^12 - 7/30", "x^(1/2)/(2*x - 1)", "-2*sin(x)*exp(-3*x)/x^2"])
def test_tokens_say_the_tree(text: str) -> None:
    tree = read_formula(text)
    assert tree_of(tokens_of(tree)) == tree


def test_a_number_is_its_digits() -> None:
    assert [NAMES[token] for token in tokens_of(-105)] == ["-", "1_", "0_", "5"]


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        ("+ x", "'\\+' at place 0 has too few"), ("sin", "too few"), ("x x", "these tokens are 2"),
        ("", "these tokens are 0"),
        ("1_ x", "'1_' at place 0"), ("/ x 0", "positive powers"), ("log 0", "logarithm of 0"),
    ],
)  # fmt: skip
def test_tokens_that_are_no_formula(names: str, wrong: str) -> None:
    with pytest.raises(DomainError, match=wrong):
        tree_of([NUMBER[name] for name in names.split()])
    with pytest.raises(DomainError, match="none of a formula"):
        tree_of([PAD])


def test_padding_and_back() -> None:
    rows = padded([[0, 3], [5]], 4, front=True)
    assert [bare(row) for row in rows] == [[0, 3], [5]]
    assert padded([], 4).shape == (0, 4)
    assert torch.equal(padded([[5]], 2), torch.tensor([[5.0, -1.0]]))
    with pytest.raises(DataError, match="has 3 tokens, but the model takes at most 2"):
        padded([[1, 2, 3]], 2)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "1 to 200 characters"), ("x" * 201, "1 to 200"), ("x +", "its end"), ("(x", "closing bracket"),
        ("sin x", "bracket after sin"), ("sinn(x)", "unknown name 'sinn'. Did you mean 'sin'"),
        ("y + 1", "unknown name 'y'"),
        ("x $ 2", "'\\$' at place 3"), ("2 x", "an operator"), ("1/0", "no value"), ("log(0)", "no value"),
        ("9999999999", "10⁹"), ("__import__('os')", "'_' at place 1"), ("2^100", "power 100"),
    ],
)  # fmt: skip
def test_text_that_is_no_formula_gets_one_sentence(text: str, wrong: str) -> None:
    with pytest.raises(DataError, match=wrong) as caught:
        read_formula(text)
    assert "\n" not in str(caught.value)
