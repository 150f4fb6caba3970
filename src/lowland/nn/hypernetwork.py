"""Networks that depend on a code z: by weights that another network makes, by an input more, or by scales and shifts.

All have one face, x (B, S, I) and z (B, C) → (B, S, O): each sample has its own function, which is asked at S points.

Legend: B samples, S points, I inputs, O outputs, C numbers of a code, P weights of the target network.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.layers import linear, mlp


def weight_count(sizes: Sequence[int]) -> int:
    """P: weights and biases of a fully connected network.

    >>> weight_count((1, 16, 16, 1))
    321
    """
    return sum((first + 1) * second for first, second in itertools.pairwise(sizes))


def with_weights(x: Tensor, weights: Tensor, sizes: Sequence[int]) -> Tensor:
    """A fully connected network, SiLU between its layers, whose weights (B, P) differ from sample to sample."""
    place, last = 0, len(sizes) - 2
    for layer, (first, second) in enumerate(itertools.pairwise(sizes)):
        matrix = weights[:, place : place + first * second].unflatten(1, (first, second))
        place += first * second
        x = torch.baddbmm(weights[:, None, place : place + second], x, matrix)
        place += second
        x = x if layer == last else functional.silu(x)
    return x


def first_weights(sizes: Sequence[int], generator: torch.Generator) -> Tensor:
    """Weights of a network (P,), drawn as `linear` draws them."""
    layers = [linear(first, second, generator=generator) for first, second in itertools.pairwise(sizes)]
    return torch.cat([part.detach().reshape(-1) for one in layers for part in (one.weight.T, one.bias)])


class Conditional(nn.Module):
    """What the networks here share: `code`, the size C of z, and `sizes` of the network that is asked."""

    def __init__(self, code: int, sizes: Sequence[int]) -> None:
        super().__init__()
        if code < 1 or len(sizes) < 2 or min(sizes) < 1:
            raise OptionError(f"A network needs a code of at least 1 and two sizes of at least 1, not {code}, {sizes}.")
        self.code, self.sizes = code, tuple(sizes)


class Hypernetwork(Conditional):
    """f(x; θ), θ = b + A g(z): a small network g makes all weights of another one from a code z.

    b begins as the weights of a usual network and A g(z) as a small change, so that all functions begin alike and
    learning can start. Source: Ha, Dai & Le, "Hypernetworks" (2016), there with one code for each layer that is
    learned with the weights; here z is whatever is inferred.

    Args:
        code: C.
        sizes: of the network whose weights are made: I, hidden layers, O.
        hidden: units of g, which has one hidden layer.
        scale: of A g(z) at the start.
        generator: draws the weights.

    >>> Hypernetwork(2, (1, 8, 1))(torch.zeros(5, 3, 1), torch.zeros(5, 2)).shape
    torch.Size([5, 3, 1])
    """

    def __init__(
        self, code: int, sizes: Sequence[int] = (1, 16, 16, 1), hidden: int = 16, scale: float = 0.3,
        generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(code, sizes)
        generator = generator or torch.Generator().manual_seed(0)
        self.body = mlp(code, hidden, hidden, generator=generator)
        self.head = linear(hidden, weight_count(self.sizes), generator=generator)
        with torch.no_grad():
            self.head.weight.mul_(scale)
            self.head.bias.copy_(first_weights(self.sizes, generator))

    def weights(self, z: Tensor) -> Tensor:
        """θ for each code, (B, C) → (B, P)."""
        return self.head(functional.silu(self.body(z)))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return with_weights(x, self.weights(z), self.sizes)


class Concatenated(Conditional):
    """f([x, z]): the code is a further input.

    >>> Concatenated(2, (1, 8, 1))(torch.zeros(5, 3, 1), torch.zeros(5, 2)).shape
    torch.Size([5, 3, 1])
    """

    def __init__(self, code: int, sizes: Sequence[int], generator: torch.Generator | None = None) -> None:
        super().__init__(code, sizes)
        self.body = mlp(sizes[0] + code, *sizes[1:], generator=generator)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.body(torch.cat([x, z[:, None].expand(-1, x.shape[1], -1)], dim=2))


class FilmNetwork(Conditional):
    """h ← silu(γ(z) h + β(z)) in each hidden layer, with γ and β linear in z (Perez et al. 2018, equation 2).

    >>> FilmNetwork(2, (1, 8, 1))(torch.zeros(5, 3, 1), torch.zeros(5, 2)).shape
    torch.Size([5, 3, 1])
    """

    def __init__(self, code: int, sizes: Sequence[int], generator: torch.Generator | None = None) -> None:
        super().__init__(code, sizes)
        generator = generator or torch.Generator().manual_seed(0)
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList(linear(first, second, generator=generator) for first, second in pairs)
        self.changes = nn.ModuleList(linear(code, 2 * size, generator=generator) for size in sizes[1:-1])

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        for layer, change in zip(self.layers, self.changes, strict=False):
            scale, shift = change(z)[:, None].chunk(2, dim=2)
            x = functional.silu((1 + scale) * layer(x) + shift)
        return self.layers[-1](x)


class OwnWeights(Conditional):
    """f(x; θ + z): the code is a change of all weights, so that descent over z is fine-tuning of the network θ.

    >>> OwnWeights((1, 8, 1)).code
    25
    """

    def __init__(self, sizes: Sequence[int], generator: torch.Generator | None = None) -> None:
        super().__init__(weight_count(sizes), sizes)
        self.common = nn.Parameter(first_weights(self.sizes, generator or torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return with_weights(x, self.common + z, self.sizes)


def parameters_of(network: nn.Module) -> int:
    """How many weights a network learns.

    >>> parameters_of(Concatenated(2, (1, 8, 1)))
    41
    """
    return sum(part.numel() for part in network.parameters())


def width_of(make: Callable[[int], nn.Module], count: int, most: int = 400) -> int:
    """The width from 1 to `most` at which a network has closest to `count` weights.

    >>> width_of(lambda width: Concatenated(2, (1, width, 1)), 41)
    8
    """
    if count < 1 or most < 1:
        raise OptionError(f"A network has at least one weight and a width of at least 1, not {count} and {most}.")
    return min(range(1, most + 1), key=lambda width: abs(parameters_of(make(width)) - count))


def rivals(code: int, target: int, hidden: int, seed: int = 0) -> tuple[Conditional, ...]:
    """A hypernetwork for functions of one number, and three others of as many weights, as far as whole widths allow.

    They are a `Hypernetwork`, a `Concatenated`, a `FilmNetwork` and an `OwnWeights`, each with two hidden layers.

    Args:
        code: C.
        target: units of both hidden layers of the network whose weights are made.
        hidden: units of the network that makes them.
        seed: of the weights.

    >>> [parameters_of(network) for network in rivals(2, 8, 4)]
    [517, 521, 513, 526]
    """

    def draw() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    hyper = Hypernetwork(code, (1, target, target, 1), hidden, generator=draw())
    makers: tuple[Callable[[int], Conditional], ...] = (
        lambda width: Concatenated(code, (1, width, width, 1), draw()),
        lambda width: FilmNetwork(code, (1, width, width, 1), draw()),
        lambda width: OwnWeights((1, width, width, 1), draw()),
    )
    count = parameters_of(hyper)
    return hyper, *(make(width_of(make, count, round(count**0.5) + 2)) for make in makers)
