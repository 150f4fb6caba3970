"""The energy of a sequence of symbols, each foretold from those before (system M6)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Tokens
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import OptionError
from lowland.nn.stacks import StackNetwork, SymbolNetwork
from lowland.registry import register


@register("energy")
class NextSymbol(Energy):
    """E(y) = −Σ_t log p(y_t | y_<t): y a sequence of symbols, p of a recurrent network that has read those before.

    The energies of all sequences of one length are normalised, log Z = 0, so that `MaximumLikelihood` is the mean of E,
    the cross-entropy. Source: Joulin & Mikolov, "Inferring algorithmic patterns with stack-augmented recurrent nets"
    (2015), equation 1. `lowland.training.symbol_streams` trains networks on streams, as they do.

    Args:
        network: one copy of a network of symbols, such as `StackNetwork`.
        length: T, the number of symbols.

    Raises:
        OptionError: for a network of several copies, which has several energies.

    >>> energy = NextSymbol(StackNetwork(symbols=2), length=5)
    >>> energy(y=torch.tensor([[0, 0, 1, 1, 0]])).shape
    torch.Size([1])
    """

    def __init__(self, network: SymbolNetwork, length: int) -> None:
        if network.copies != 1:
            raise OptionError(f"An energy has one network, but this one has {network.copies} copies: take `copy(k)`.")
        super().__init__(y=Tokens(network.symbols, length))
        self.network = network

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        before = torch.cat([torch.full_like(y[:, :1], -1), y[:, :-1]], dim=1)
        scores = self.network(before[None])[0][0]
        return -scores.log_softmax(dim=2).gather(2, y.round().long()[..., None])[..., 0].sum(dim=1)

    def log_partition(self, x: Any) -> Tensor:
        return next(self.network.parameters()).new_zeros(())

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With no weights from hidden units to symbols, each place has the same probabilities, those of the biases."""
        network = StackNetwork(symbols=3, hidden=4, stacks=2, capacity=4)
        with torch.no_grad():
            network.decide_weight.zero_()
            network.decide_bias.copy_(torch.tensor([0.0, 1.0, 0.5]))
            least = -3 * torch.tensor([0.0, 1.0, 0.5]).log_softmax(dim=0)[1]
        return ReferenceCase(cls(network, length=3), {}, "y", least[None], torch.ones(1, 3))
