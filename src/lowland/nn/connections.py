"""Layers of LeNet-5 with weights that torch's layers cannot share or leave out, and how many connections a net has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from lowland.errors import OptionError, ShapeError, UnsupportedError


class TableConvolution(nn.Module):
    """y_o = b_o + Σ_{i in T_o} w_oi ⋆ x_i: a convolution in which map o sees only the maps of its row T_o of a table.

    Weights that join no maps do not exist. Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to
    document recognition" (1998), table I.

    Args:
        table: for each output map the input maps that it sees.
        inputs: number of input maps.
        kernel: side of the filters, in pixels.
        bound: weights and biases of a map whose units have n inputs are drawn uniformly from ± bound(n); by default
            ± 1 / √n, as those of the other layers.
        generator: draws them; by default one with seed 0.

    Raises:
        OptionError: for an output map that sees nothing, or a map that is named twice or does not exist.

    >>> layer = TableConvolution([[0], [0, 2]], inputs=3, kernel=5)
    >>> layer(torch.zeros(1, 3, 14, 14)).shape, sum(weights.numel() for weights in layer.parameters())
    (torch.Size([1, 2, 10, 10]), 77)
    """

    places: Tensor

    def __init__(
        self,
        table: Sequence[Sequence[int]],
        inputs: int,
        kernel: int = 5,
        bound: Callable[[int], float] = lambda inputs: 1 / math.sqrt(inputs),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for output, row in enumerate(table):
            if not row or len(set(row)) < len(row) or not all(0 <= one < inputs for one in row):
                raise OptionError(
                    f"Map {output} of the table must see one or more of the maps 0 to {inputs - 1}, each once, but its "
                    f"row is {list(row)}."
                )
        generator = generator or torch.Generator().manual_seed(0)
        bounds = torch.tensor([bound(len(row) * kernel**2) for row in table])
        each = torch.repeat_interleave(bounds, torch.tensor([len(row) for row in table]))
        weight = torch.empty(len(each), kernel, kernel).uniform_(-1, 1, generator=generator)
        self.weight = nn.Parameter(each[:, None, None] * weight)
        self.bias = nn.Parameter(bounds * torch.empty(len(bounds)).uniform_(-1, 1, generator=generator))
        # Pairs of maps that are not joined take the filter of zeros behind the last one.
        places = torch.full((len(table), inputs), len(each))
        pairs = torch.tensor([(output, one) for output, row in enumerate(table) for one in row])
        places[pairs[:, 0], pairs[:, 1]] = torch.arange(len(each))
        self.register_buffer("places", places)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H − kernel + 1, W − kernel + 1)."""
        filters = torch.cat([self.weight, torch.zeros_like(self.weight[:1])])[self.places]
        return functional.conv2d(maps, filters, self.bias)

    def connections(self, output: Tensor) -> int:
        """How many connections lead into one sample of an output: each weight and bias serves at each place once."""
        return (self.weight.numel() + self.bias.numel()) * output[0, 0].numel()


class RadialBasis(nn.Module):
    """y_k = ‖x − w_k‖²: squared distances to fixed centres. Source: LeCun et al. (1998), equation 7.

    Args:
        centres: w (K, D), stored with the weights, but not trained.

    >>> RadialBasis(torch.eye(2))(torch.tensor([[1.0, 0.0]]))
    tensor([[0., 2.]])
    """

    centres: Tensor

    def __init__(self, centres: Tensor) -> None:
        super().__init__()
        self.register_buffer("centres", centres.clone())

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) → (B, K)."""
        return (x[:, None] - self.centres).square().sum(dim=2)

    def connections(self, output: Tensor) -> int:
        """How many connections lead into one sample of an output: K · D."""
        return self.centres.numel()


def count_connections(net: nn.Module, shape: Sequence[int]) -> int:
    """How many connections a net has for one sample: each unit's inputs, and its bias as one more.

    The count of LeCun et al. (1998): a shared weight counts at each place, a pooled unit once for each pixel of its
    window, and a unit of batch normalisation twice, for its input and its shift. Padding counts as input.
    Non-linearities and local normalisation have no connections. Nothing is computed: only shapes are followed.

    Args:
        net: of torch's convolutions, linear layers, poolings and batch normalisations, those of `lowland.nn`, and
            modules without weights.
        shape: of one sample.

    Raises:
        UnsupportedError: for another layer with weights, unless it has a method `connections` as `Pooling` has it.
        ShapeError: for a shape that the net does not take.

    >>> count_connections(nn.Conv2d(1, 6, 5), (1, 32, 32))
    122304
    """
    found: list[int] = []
    counts = {layer: count for layer in net.modules() if (count := _count(layer)) is not None}
    weights = {name: one.to("meta") for name, one in (*net.named_parameters(), *net.named_buffers())}
    handles = [
        layer.register_forward_hook(lambda _, __, output, count=count: found.append(count(output)))
        for layer, count in counts.items()
    ]
    try:
        # Two samples, because batch normalisation in training mode refuses one.
        functional_call(net, weights, (torch.empty(2, *shape, device="meta"),))
    except RuntimeError as error:
        raise ShapeError(f"The net takes no samples of shape {tuple(shape)}: {error}".rstrip(".") + ".") from error
    finally:
        for handle in handles:
            handle.remove()
    return sum(found)


def _count(layer: nn.Module) -> Callable[[Tensor], int] | None:
    """Counts the connections into an output of a layer; None for one without any."""
    if hasattr(layer, "connections"):
        return cast(Callable[[Tensor], int], layer.connections)
    for kind, count in _COUNTS.items():
        if isinstance(layer, kind):
            return partial(count, layer)
    if next(layer.parameters(recurse=False), None) is not None:
        raise UnsupportedError(
            f"How many connections a {type(layer).__name__} has is not known: give it a method connections(output)."
        )
    return None


def _weights(layer: nn.Module) -> int:
    return sum(one.numel() for one in layer.parameters(recurse=False))


def _window(layer: Any, output: Tensor) -> int:
    side = layer.kernel_size
    return output[0].numel() * (math.prod(side) if isinstance(side, tuple) else side**2)


_COUNTS: dict[type[nn.Module], Callable[[Any, Tensor], int]] = {
    nn.Conv2d: lambda layer, output: _weights(layer) * output[0, 0].numel(),
    nn.Linear: lambda layer, output: _weights(layer) * output[0].numel() // layer.out_features,
    nn.BatchNorm2d: lambda layer, output: 2 * output[0].numel(),
    nn.MaxPool2d: _window,
    nn.AvgPool2d: _window,
}
