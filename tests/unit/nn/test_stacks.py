"""Networks with stacks and the LSTM: their equations, their copies, and sequences that are cut."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowland.errors import OptionError
from lowland.nn.stacks import BOTTOM, LSTM, StackNetwork, SymbolNetwork

NETWORKS = {
    "two actions": StackNetwork(3, hidden=5, stacks=2, capacity=6, copies=3),
    "three actions": StackNetwork(3, hidden=5, stacks=2, capacity=6, keep=True, copies=3),
    "LSTM": LSTM(3, hidden=5, copies=3),
}
EACH = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def drawn(copies: int, rows: int = 4, places: int = 9) -> Tensor:
    return torch.randint(3, (copies, rows, places), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize(("keep", "discrete"), [(False, False), (True, False), (False, True), (True, True)])
def test_stacks_move_as_the_equations_say(keep: bool, discrete: bool) -> None:
    """One copy and one sequence, entry by entry."""
    network = StackNetwork(3, hidden=5, stacks=2, depth=2, capacity=6, keep=keep).double()
    network.discrete = discrete
    symbols = drawn(1, 1)
    scores, (stack,) = network(symbols)
    held = [[BOTTOM] * 6 for _ in range(2)]
    for place, symbol in enumerate(symbols[0, 0].tolist()):
        read = torch.tensor([held[k][i] for k in range(2) for i in range(2)]).double()
        hidden = torch.sigmoid(network.look_weight[0, symbol] + read @ network.read_weight[0] + network.bias[0, 0])
        acts = (hidden @ network.act_weight[0]).reshape(2, -1)
        for k in range(2):
            push, pop, *stay = acts[k, 1:].softmax(dim=0).tolist()
            share = stay[0] if stay else 0.0
            if discrete:
                most = max(push, pop, share)
                push, pop, share = (float(one == most) for one in (push, pop, share))
            value, old = float(acts[k, 0].sigmoid()), [*held[k], BOTTOM]
            held[k] = [push * (value if i == 0 else old[i - 1]) + pop * old[i + 1] + share * old[i] for i in range(6)]
        expected = hidden @ network.decide_weight[0] + network.decide_bias[0, 0]
        torch.testing.assert_close(scores[0, 0, place], expected)
    torch.testing.assert_close(stack[0, 0], torch.tensor(held).double())


def test_lstm_is_that_of_torch() -> None:
    """torch orders the gates i, f, g, o and has two biases."""
    network = LSTM(3, hidden=5)
    rival = nn.LSTM(3, 5, batch_first=True)
    order = [0, 1, 3, 2]

    def gates(weight: Tensor) -> Tensor:
        return torch.cat([weight.unflatten(-1, (4, 5))[..., k, :] for k in order], dim=-1)

    with torch.no_grad():
        rival.weight_ih_l0.copy_(gates(network.look_weight[0]).T)
        rival.weight_hh_l0.copy_(gates(network.read_weight[0]).T)
        rival.bias_ih_l0.copy_(gates(network.bias[0, 0]))
        rival.bias_hh_l0.zero_()
    symbols = drawn(1)
    hidden = rival(nn.functional.one_hot(symbols[0], 3).float())[0]
    expected = hidden @ network.decide_weight[0] + network.decide_bias[0]
    torch.testing.assert_close(network(symbols)[0][0], expected)


@EACH
def test_a_copy_alone_says_the_same(network: SymbolNetwork) -> None:
    symbols = drawn(3)
    together = network(symbols)[0]
    for number in range(3):
        torch.testing.assert_close(network.copy(number)(symbols[number : number + 1])[0][0], together[number])


@EACH
def test_what_is_carried_joins_two_halves(network: SymbolNetwork) -> None:
    symbols = drawn(3)
    first, memory = network(symbols[..., :4])
    second, _ = network(symbols[..., 4:], memory)
    torch.testing.assert_close(torch.cat([first, second], dim=2), network(symbols)[0])


@EACH
def test_later_symbols_change_nothing_before_them(network: SymbolNetwork) -> None:
    symbols = drawn(3)
    changed = symbols.clone()
    changed[..., -1] = (changed[..., -1] + 1) % 3
    before, after = network(symbols)[0], network(changed)[0]
    assert torch.equal(before[..., :-1, :], after[..., :-1, :])
    assert not torch.equal(before[..., -1, :], after[..., -1, :])


@pytest.mark.parametrize("options", [{"symbols": 0}, {"stacks": 0}, {"depth": 3, "capacity": 2}, {"copies": 0}])
def test_sizes_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="not"):
        StackNetwork(**{"symbols": 2} | options)
