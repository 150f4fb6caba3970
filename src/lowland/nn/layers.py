"""Fully connected layers whose first weights come from a `torch.Generator`, never from the global random state."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError


class ToOne(nn.Linear):
    """A linear layer with one output, y = w·x + b.

    In a graph of torch.compile it is written as a sum, which is computed inside the loop of the layer before it, as is
    its derivative; a matrix product would need a call of its own and a batch of copies of w.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  nn.Linear's own name
        if not torch.compiler.is_dynamo_compiling():
            return functional.linear(input, self.weight, self.bias)
        product = (input * self.weight[0]).sum(dim=-1, keepdim=True)
        return product if self.bias is None else product + self.bias


class SiLU(nn.SiLU):
    """x σ(x). In a graph of torch.compile it is written out, so that its derivative shares the exponential in σ."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  nn.SiLU's own name
        return input * torch.sigmoid(input) if torch.compiler.is_dynamo_compiling() else functional.silu(input)


def linear(inputs: int, outputs: int, generator: torch.Generator | None = None, bias: bool = True) -> nn.Linear:
    """A linear layer y = W x + b, all entries first drawn uniformly from ±1/√inputs, as `nn.Linear` does.

    Args:
        inputs, outputs: sizes of x and y.
        generator: draws the weights; by default one with seed 0.
        bias: whether there is a b.

    >>> linear(3, 2).weight.shape
    torch.Size([2, 3])
    """
    generator = generator or torch.Generator().manual_seed(0)
    kind = ToOne if outputs == 1 else nn.Linear
    layer = kind(inputs, outputs, bias=bias, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(inputs)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


def mlp(
    *sizes: int,
    activation: Callable[[], nn.Module] = SiLU,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A multi-layer perceptron, (..., sizes[0]) → (..., sizes[-1]), with an activation between any two linear layers.

    Args:
        sizes: of the input, the hidden layers and the output.
        activation: makes the module after each linear layer but the last; smooth by default, so that an energy built of
            it has second derivatives.
        generator: draws the first weights; by default one with seed 0.

    Raises:
        OptionError: for fewer than two sizes, or one below 1.

    >>> mlp(2, 16, 1)(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise OptionError(f"An MLP needs at least two sizes of at least 1, such as (2, 64, 1), but it got {sizes}.")
    generator = generator or torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [linear(inputs, outputs, generator), activation()]
    return nn.Sequential(*layers[:-1])


class Flat(nn.Flatten):
    """The sample itself as a vector, with the `shape` and `size` of an encoder: the baseline of raw pixels.

    >>> encoder = Flat((3, 4, 4))
    >>> encoder(torch.zeros(2, 3, 4, 4)).shape, encoder.size
    (torch.Size([2, 48]), 48)
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape, self.size = tuple(shape), math.prod(shape)


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode within, and each part's own mode again behind.

    >>> layer = nn.BatchNorm1d(2)
    >>> with evaluating(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, mode in modes:
            part.training = mode
