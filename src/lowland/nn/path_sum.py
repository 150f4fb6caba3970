"""Rectifier networks as sums over paths (system O2): a piecewise polynomial in the weights, written out term by term.

Shape letters: B samples, I inputs, U and V units of two layers, K outputs, P all paths.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowland.errors import OptionError, ShapeError, UnsupportedError

MOST_TERMS = 2**24
"""Of a batch, paths × samples: 128 MiB in double precision."""


class PathSum(NamedTuple):
    """What `path_sum` found.

    Attributes:
        output: (B, K), the sum over all paths.
        paths: number of paths of the network.
        active: (B,) int64, how many of them carry a signal for each sample.
        switches: δ of every hidden layer, (B, U) bool each.
    """

    output: Tensor
    paths: int
    active: Tensor
    switches: tuple[Tensor, ...]


def path_sum(network: nn.Sequential, x: Tensor, switches: Sequence[Tensor] | None = None) -> PathSum:
    """Ŷ_k = Σ_P δ_P(W, X) (Π_{(ij) ∈ P} W_ij) X_{start of P}, over all paths P that end in output k.

    δ_P is 1 where all hidden units on the path are active, else 0. A bias is a weight from a unit that is always 1, at
    which shorter paths start. For fixed δ the sum is a polynomial in the weights, of the degree of the number of linear
    layers, and at most linear in each layer. Source: LeCun, "Deep Learning: A Cornucopia of Applications and
    Mathematical Mysteries" (2016), slides on the objective function of deep nets with ReLUs; Choromanska et al., "The
    loss surfaces of multilayer networks" (2015), equation 1.

    All terms are computed, so this is for small networks, to look at.

    Args:
        network: linear layers with a rectifier between any two of them, such as `mlp(..., activation=nn.ReLU)`.
        x: (B, I).
        switches: δ of each hidden layer, (B, U) bool, in place of what x and the weights say.

    Raises:
        UnsupportedError: for a network of other layers.
        ShapeError: for inputs of another size.
        OptionError: if there are more than 2²⁴ terms.

    >>> from lowland.nn.layers import mlp
    >>> network, x = mlp(3, 4, 2, activation=nn.ReLU).double(), torch.ones(1, 3).double()
    >>> found = path_sum(network, x)
    >>> found.paths, bool(torch.allclose(found.output, network(x)))
    (34, True)
    """
    layers = linear_layers(network)
    if x.ndim != 2 or x.shape[1] != layers[0].in_features:
        raise ShapeError(f"The network takes (B, {layers[0].in_features}), but the input is {tuple(x.shape)}.")
    widths = [layers[0].in_features, *(layer.out_features for layer in layers)]
    terms = len(x) * math.prod(width + 1 for width in widths[:-1]) * widths[-1]
    if terms > MOST_TERMS:
        raise OptionError(
            f"A sum over paths of this network has {terms} terms, more than {MOST_TERMS}: use a smaller one, or fewer "
            "samples."
        )
    if switches is None:
        switches = activity(network, x)
    # Every layer but the last gets a unit that is always 1 and always active, from which its successor's biases come.
    always = torch.ones(len(x), 1, dtype=x.dtype, device=x.device)
    open_ = [torch.cat([one.to(x.dtype), always], dim=1) for one in switches]
    matrices = [_with_biases(layer, last=layer is layers[-1]) for layer in layers]
    term = torch.cat([x, always], dim=1)
    active = torch.ones_like(term)
    for place, (weight_VU, is_weight_VU) in enumerate(matrices):
        term = term[..., None] * weight_VU.T
        active = active @ is_weight_VU.T
        if place < len(open_):
            gate = open_[place]
            term = term * gate.reshape(len(x), *(1,) * (term.ndim - 2), -1)
            active = active * gate
    count = torch.ones(widths[0] + 1, dtype=torch.float64)
    for _, is_weight_VU in matrices:
        count = is_weight_VU.double().cpu() @ count
    output = term.sum(dim=tuple(range(1, term.ndim - 1)))
    return PathSum(output, round(count.sum().item()), active.sum(dim=1).round().long(), tuple(switches))


def linear_layers(network: nn.Sequential) -> list[nn.Linear]:
    """The linear layers of a network that has a rectifier between any two of them.

    Raises:
        UnsupportedError: for a network of other layers.
    """
    layers = list(network) if isinstance(network, nn.Sequential) else []
    linear = [layer for layer in layers[::2] if isinstance(layer, nn.Linear)]
    between = all(isinstance(layer, nn.ReLU) for layer in layers[1::2])
    if not linear or len(linear) != len(layers[::2]) or len(layers) % 2 == 0 or not between:
        raise UnsupportedError(
            "A sum over paths needs an nn.Sequential of linear layers with an nn.ReLU between any two, but got "
            f"{', '.join(type(layer).__name__ for layer in layers) or type(network).__name__}."
        )
    return linear


@torch.no_grad()
def activity(network: nn.Sequential, x: Tensor) -> tuple[Tensor, ...]:
    """Which units of each hidden layer are above 0, (B, U) bool, for inputs (B, I); see `path_sum` for the network.

    >>> layer = nn.Linear(1, 2, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[1.0], [-1.0]]))
    >>> activity(nn.Sequential(layer, nn.ReLU(), nn.Linear(2, 1)), torch.ones(1, 1))
    (tensor([[ True, False]]),)
    """
    found = []
    for layer in linear_layers(network)[:-1]:
        x = layer(x)
        found.append(x > 0)
        x = x.relu()
    return tuple(found)


@torch.no_grad()
def polynomial_excess(
    network: nn.Sequential, x: Tensor, direction: Sequence[Tensor], degree: int, points: int = 24
) -> float:
    """How far t → Ŷ(W + t V) is from a polynomial of a degree, over an interval in which no unit switches.

    The interval is [0, r], with r the largest of 1, ½, ¼ … for which all δ are the same at all points, and the points
    are those of Chebyshev. The network is evaluated itself, not its sum over paths.

    Args:
        network: see `path_sum`, in double precision.
        x: (B, I).
        direction: V, one tensor for each parameter of the network.
        degree: of the polynomial that is fitted.
        points: at which it is fitted.

    Returns:
        the largest residual of the least-squares fit, relative to the largest change of Ŷ over the interval.

    Raises:
        UnsupportedError: for a network of other layers, or if a unit switches in every interval that was tried.

    >>> from lowland.nn.layers import mlp
    >>> network, draw = mlp(2, 3, 1, activation=nn.ReLU).double(), torch.Generator().manual_seed(0)
    >>> ways = [torch.randn(one.shape, generator=draw).double() for one in network.parameters()]
    >>> x = torch.ones(1, 2).double()
    >>> polynomial_excess(network, x, ways, 2) < 1e-10 < polynomial_excess(network, x, ways, 1)
    True
    """
    base = torch.cos(math.pi * (torch.arange(points, dtype=torch.float64) + 0.5) / points)
    names = [name for name, _ in network.named_parameters()]
    own = [parameter.detach() for parameter in network.parameters()]
    moved = nn.Sequential(*(_copy(layer) for layer in network))

    def at(t: float) -> tuple[Tensor, tuple[Tensor, ...]]:
        moved.load_state_dict({n: w + t * v for n, w, v in zip(names, own, direction, strict=True)})
        return moved(x), activity(moved, x)

    for halvings in range(40):
        length = 0.5**halvings
        found = [at(length * (1 + float(point)) / 2) for point in base]
        first = found[0][1]
        if all(torch.equal(a, b) for _, one in found for a, b in zip(one, first, strict=True)):
            values = torch.stack([output.flatten() for output, _ in found])
            vandermonde = torch.stack([torch.cos(k * torch.acos(base)) for k in range(degree + 1)], dim=1)
            fitted = vandermonde @ torch.linalg.lstsq(vandermonde, values).solution
            change = (values.amax(dim=0) - values.amin(dim=0)).max()
            return float((values - fitted).abs().max() / change) if change > 0 else 0.0
    raise UnsupportedError("A unit of this network stands at its threshold: take another input.")


def _copy(layer: nn.Module) -> nn.Module:
    if not isinstance(layer, nn.Linear):
        return nn.ReLU()
    made = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    return made.to_empty(device=layer.weight.device).to(layer.weight.dtype)


def _with_biases(layer: nn.Linear, last: bool) -> tuple[Tensor, Tensor]:
    """Weights with a column of biases and, but for the last layer, a row for the constant unit; and where one is."""
    weight, bias = layer.weight, layer.bias
    column = weight.new_zeros(len(weight), 1) if bias is None else bias[:, None]
    is_weight = torch.cat([torch.ones_like(weight), torch.full_like(column, float(bias is not None))], dim=1)
    matrix = torch.cat([weight, column], dim=1)
    if not last:
        passed = weight.new_zeros(1, matrix.shape[1])
        passed[0, -1] = 1
        matrix, is_weight = torch.cat([matrix, passed]), torch.cat([is_weight, passed])
    return matrix, is_weight


def path_lengths(network: nn.Sequential) -> list[int]:
    """Numbers of weights on the paths: all linear layers, and fewer for paths that start at a bias.

    >>> from lowland.nn.layers import mlp
    >>> path_lengths(mlp(3, 4, 2, activation=nn.ReLU))
    [1, 2]
    """
    layers = linear_layers(network)
    starts = (len(layers) - place for place, layer in enumerate(layers) if layer.bias is not None)
    return sorted({len(layers), *itertools.chain(starts)})
