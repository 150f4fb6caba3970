"""What holds for every network that reads its prompt apart: causal, cached as uncached, and rows as their batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lowland.energies.autoregressive import Autoregressive
from lowland.errors import OptionError
from lowland.nn.convolutional_translation import ConvolutionalTranslator
from lowland.nn.transformer_translation import TransformerTranslator
from lowland.nn.translation import AttentiveDecoder, Translator

WORDS, PROMPT, LENGTH = 7, 5, 6
BLANK, MARK = WORDS - 1, WORDS
MADE: dict[str, Callable[[bool], Translator]] = {
    "lstm": lambda tied: AttentiveDecoder(WORDS, WORDS, PROMPT, 8, tied=tied),
    "convolutions": lambda tied: ConvolutionalTranslator(WORDS, WORDS, PROMPT, LENGTH, 8, (2, 3), tied=tied),
    "wide": lambda tied: ConvolutionalTranslator(WORDS, WORDS, PROMPT, LENGTH, 8, (1, 1), kernel=4, tied=tied),
    "transformer": lambda tied: TransformerTranslator(WORDS, WORDS, PROMPT, 8, 2, 2, tied=tied),
}
ROWS = torch.tensor([
    [MARK, 0, 1, 2, 3, 4, 5, 1, 0, 2], [MARK, 3, 3, BLANK, BLANK, BLANK, 1, 1, 4, 0],
    [MARK, 2, 0, 1, BLANK, BLANK, 0, 3, 2, 2],
])  # fmt: skip
every = pytest.mark.parametrize("name", MADE)


@every
@pytest.mark.parametrize("tied", [False, True])
def test_token_by_token_is_as_all_at_once(name: str, tied: bool) -> None:
    network = MADE[name](tied)
    whole, _ = network(ROWS)
    scores, memory = network(ROWS[:, : 1 + PROMPT])
    found = [scores]
    for place in range(1 + PROMPT, ROWS.shape[1]):
        scores, memory = network(ROWS[:, place : place + 1], memory)
        found.append(scores)
    torch.testing.assert_close(torch.cat(found, dim=1), whole, atol=1e-5, rtol=0)
    two, memory = network(ROWS[:, : 3 + PROMPT])
    rest, _ = network(ROWS[:, 3 + PROMPT :], memory)
    torch.testing.assert_close(torch.cat([two, rest], dim=1), whole, atol=1e-5, rtol=0)


@every
def test_a_later_token_changes_no_earlier_score(name: str) -> None:
    network, changed = MADE[name](True), ROWS.clone()
    changed[:, -2:] = torch.tensor([5, 0])
    before, after = network(ROWS)[0], network(changed)[0]
    torch.testing.assert_close(after[:, :-2], before[:, :-2])
    assert not torch.allclose(after[:, -1], before[:, -1])


@every
def test_a_batch_is_as_its_rows_and_blanks_change_nothing(name: str) -> None:
    network = MADE[name](True)
    together = network(ROWS)[0]
    for row in range(len(ROWS)):
        torch.testing.assert_close(network(ROWS[row : row + 1])[0][0], together[row], atol=1e-5, rtol=0)
    assert network(torch.tensor([[MARK, *[BLANK] * PROMPT]]))[0].isfinite().all()


@every
def test_each_word_that_is_read_matters(name: str) -> None:
    network = MADE[name](True)
    for place in (1, 2):
        changed = ROWS[1:2].clone()
        changed[0, place] = 5
        assert not torch.allclose(network(changed)[0][:, 0], network(ROWS[1:2])[0][:, 0])


@every
def test_attention_is_a_share_of_the_words(name: str) -> None:
    share = MADE[name](True).attention(torch.tensor([[0, 3, 2]]), torch.tensor([[1, 1]]))
    assert share.shape == (1, 3, 3)
    assert bool((share >= 0).all())
    assert bool((share.sum(dim=2) <= 1 + 1e-5).all())


@every
def test_the_energy_is_that_of_its_tokens_and_has_gradients_for_all_weights(name: str) -> None:
    network = MADE[name](True)
    energy = Autoregressive(network, LENGTH, PROMPT, ends=True)
    x = torch.tensor([[3.0, 3.0, BLANK, BLANK, BLANK]])
    y = torch.tensor([[1.0, 4.0, -1.0, -1.0, -1.0, -1.0]])
    scores = network(torch.tensor([[MARK, 3, 3, BLANK, BLANK, BLANK, 1, 4]]))[0].log_softmax(dim=2)
    by_hand = -(scores[0, 0, 1] + scores[0, 1, 4] + scores[0, 2, WORDS])
    torch.testing.assert_close(energy(x=x, y=y), by_hand[None])
    energy(x=x, y=y).sum().backward()
    assert all(part.grad is not None for part in network.parameters())


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: ConvolutionalTranslator(5, 5, 2, 2, kernel=1), "kernel of at least 2"),
        (lambda: ConvolutionalTranslator(5, 5, 0, 2), "at least 1, not 5, 5, 0"),
        (lambda: TransformerTranslator(5, 5, 2, width=6, heads=4), "heads divide"),
        (lambda: AttentiveDecoder(5, 4, 2, tied=True), "5 and 4"),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be(make: Callable[[], Translator], wrong: str) -> None:
    with pytest.raises(OptionError, match=wrong):
        make()
