"""The LSTM with attention."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.nn.translation import AttentiveDecoder

MARK = 5


def network() -> AttentiveDecoder:
    return AttentiveDecoder(words=5, tokens=3, prompt=3, width=8, generator=torch.Generator().manual_seed(1))


def test_token_by_token_is_as_all_at_once() -> None:
    tokens = torch.tensor([[MARK, 0, 1, 4, 2, 0], [MARK, 3, 4, 4, 1, 1]])
    whole, _ = network()(tokens)
    scores, memory = network()(tokens[:, :4])
    for place in (4, 5):
        torch.testing.assert_close(scores[:, -1], whole[:, place - 4])
        scores, memory = network()(tokens[:, place : place + 1], memory)
    torch.testing.assert_close(scores[:, -1], whole[:, -1])


def test_blanks_change_nothing_and_numbers_without_a_token_never_follow() -> None:
    one = torch.tensor([[MARK, 2, 4, 4]])
    both = torch.tensor([[MARK, 2, 4, 4], [MARK, 0, 1, 2]])
    alone, beside = network()(one)[0][:, -1], network()(both)[0][:1, -1]
    torch.testing.assert_close(alone, beside)
    assert torch.isinf(alone[:, 3:5]).all()
    assert torch.isfinite(alone[:, [0, 1, 2, 5]]).all()


def test_what_is_left_out_is_left_out_within_alone() -> None:
    model, tokens = network(), torch.tensor([[MARK, 2, 1, 4]] * 2)
    before = model(tokens)[0]
    with model.thinned(2, 0.5, torch.Generator().manual_seed(0)):
        within = model(tokens)[0]
    assert not torch.equal(within[0], within[1])
    torch.testing.assert_close(model(tokens)[0], before)
    with pytest.raises(OptionError, match="from 0 to below 1"), model.thinned(2, 1.0, torch.Generator()):
        pass


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="even width"):
        AttentiveDecoder(5, 3, 2, width=7)
