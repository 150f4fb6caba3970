"""Networks whose layers multiply weights and activations of few bits: simulated in floating point, trained by `ll.fit`.

A quantised layer keeps its `weight` and `bias` in floating point, and rounds the weight whenever it is used. So it
trains as before, and its tensors keep their names; the steps, `weight_levels.step` and `input_levels.step`, are new.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, UnsupportedError
from lowland.nn.connections import TableConvolution
from lowland.nn.layers import ToOne, evaluating
from lowland.nn.quantisers import ANNA, NET32K, Bits, Precision, Quantiser, WeightQuantiser, check_bits

__all__ = [
    "ANNA",
    "NET32K",
    "Precision",
    "QuantisedLayer",
    "quantised",
    "quantised_layers",
    "requantise",
    "settings_of",
]

M = TypeVar("M", bound=nn.Module)
_LOOKED_AT = 2**16
"""Numbers of each layer's input that calibration looks at, spread evenly over all of them."""
_ATTRIBUTE = "_precision"
_SETTINGS = {"weights", "inputs", "signed", "per_channel"}


class QuantisedLayer(nn.Module):
    """Y = W̃ ⋆ x̃ + b, with W̃ the rounded weight and x̃ the rounded input; the bias b stays in floating point.

    What every quantised layer has in common; `quantised` makes them of the layers of a network.
    """

    weight: Tensor
    bias: Tensor | None
    weight_levels: WeightQuantiser | None
    input_levels: Quantiser | None

    def _operands(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The rounded input and the rounded weight."""
        levels, inputs = self.weight_levels, self.input_levels
        return x if inputs is None else inputs(x), self.weight if levels is None else levels(self.weight)


class QuantisedLinear(QuantisedLayer, nn.Linear):
    """A `QuantisedLayer` that is linear."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  nn.Linear's own name
        return functional.linear(*self._operands(input), self.bias)


class QuantisedConv1d(QuantisedLayer, nn.Conv1d):
    """A `QuantisedLayer` that is a convolution over time."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  nn.Conv1d's own name
        return self._conv_forward(*self._operands(input), self.bias)


class QuantisedConv2d(QuantisedLayer, nn.Conv2d):
    """A `QuantisedLayer` that is a convolution over images."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  nn.Conv2d's own name
        return self._conv_forward(*self._operands(input), self.bias)


class QuantisedConv3d(QuantisedLayer, nn.Conv3d):
    """A `QuantisedLayer` that is a convolution over films."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  nn.Conv3d's own name
        return self._conv_forward(*self._operands(input), self.bias)


class QuantisedTableConvolution(QuantisedLayer, TableConvolution):
    """A `QuantisedLayer` that is a convolution by a table."""

    def forward(self, maps: Tensor) -> Tensor:
        x, weight = self._operands(maps)
        filters = torch.cat([weight, torch.zeros_like(weight[:1])])[self.places]
        return functional.conv2d(x, filters, self.bias)


_KINDS: dict[Callable[..., Tensor], type[QuantisedLayer]] = {
    nn.Linear.forward: QuantisedLinear,
    ToOne.forward: QuantisedLinear,
    nn.Conv1d.forward: QuantisedConv1d,
    nn.Conv2d.forward: QuantisedConv2d,
    nn.Conv3d.forward: QuantisedConv3d,
    TableConvolution.forward: QuantisedTableConvolution,
}
"""By what a layer computes. One of another `forward` would lose it, so that it is refused."""
_LAYERS = (nn.Linear, nn.modules.conv._ConvNd, TableConvolution)


def quantised(
    module: M,
    weights: Bits | Mapping[str, Bits | None] | None = 6,
    activations: int | None = 3,
    x: Any = None,
    per_channel: bool = True,
    keep: Iterable[str] = (),
) -> M:
    """A copy of a network or energy whose linear and convolutional layers round their weights and inputs to few bits.

    Q(u) = s · round(clip(u / s, −Q_N, Q_P)) with steps s that have the least squared error on the weights and on the
    inputs that the calibration data cause, layer by layer. That is quantisation after training. Trained further by
    `ll.fit`, the copy learns weights and steps by gradients that pass straight through the rounding: see `straight` of
    `lowland.nn.quantisers` for these and for the papers. One bit of a weight is the sign times the mean magnitude of
    its output channel.

    Inputs of a layer are rounded to 0 … 2ᵏ − 1 times a step where calibration saw none below 0, as behind a rectifier,
    and else to levels on both sides of 0. **The input of the first layer stays as it is given**, such as the 8 bits of
    a pixel: that is the layer that calibration calls first. Biases, normalisations, embeddings and recurrent layers
    stay in floating point. The rounding is simulated in floating point, which is not faster;
    `lowland.training.packed` stores the few bits, and `lowland.nn.sign_product` multiplies single bits.

    Args:
        module: an energy or a network, which is not changed.
        weights: bits of a weight, 1 to 8, "ternary" for −1, 0 and 1, or None for floating point; or a dictionary of
            these by the name of a layer, of every layer that is not in `keep`.
        activations: bits of an input, 1 to 8, or None for floating point.
        x: calibration data, on the module's device: for an energy, samples x, or a dictionary of all its variables; for
            another module its input, or a tuple of them. Needed for activations of few bits.
        per_channel: whether each output channel has a step for its weights, or all share one.
        keep: names of layers that stay in floating point.

    Raises:
        OptionError: for other numbers of bits, activations without calibration data, an unknown name in `keep`, or
            weights by names that are not those of the layers.
        UnsupportedError: for a module without such layers or that is quantised already, a transposed convolution, a
            layer with a `forward` of its own, or one that calibration does not call, such as those within torch's
            multi-head attention.

    >>> import lowland as ll
    >>> from lowland.nn.quantised import ANNA, quantised
    >>> energy = ll.energies.Classifier(4, 3, hidden=(8,))
    >>> x = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    >>> small = quantised(energy, *ANNA, x=x)
    >>> small.network[0].input_levels, small.network[2].input_levels
    (None, Quantiser(bits=3, signed=False, channels=1))
    """
    for one in weights.values() if isinstance(weights, Mapping) else [weights]:
        check_bits("weights", one, ternary=True)
    check_bits("activations", activations)
    if activations is not None and x is None:
        raise OptionError("Activations of few bits need calibration data x, or activations=None for floating point.")
    if settings_of(module) is not None:
        raise UnsupportedError(f"This {type(module).__name__} is quantised already: start from the float network.")
    again = copy.deepcopy(module)
    layers = dict(_layers(again))
    keep = tuple(keep)
    for name in keep:
        if name not in layers:
            raise OptionError(f"keep names {name!r}, which is no layer. The layers are {', '.join(layers)}.")
    wanted = {name: layer for name, layer in layers.items() if name not in keep}
    if not wanted:
        raise UnsupportedError(f"{type(module).__name__} has no linear or convolutional layer to quantise.")
    for name, layer in wanted.items():
        _kind(name, layer)
    each = weights if isinstance(weights, Mapping) else dict.fromkeys(wanted, weights)
    if odd := sorted(set(each) ^ set(wanted)):
        raise OptionError(
            f"weights must give bits to these layers and no others: {', '.join(wanted)}; not so {odd[0]}."
        )
    seen = {} if activations is None else _inputs(again, layers, x)
    settings: dict[str, dict[str, Any]] = {}
    for name in wanted:
        if activations is not None and name not in seen:
            raise UnsupportedError(
                f"Calibration did not call the layer {name}, so that the range of its input is not known: give x that "
                "reaches it, or name the layer in keep=."
            )
        inputs = activations if name in seen and name != next(iter(seen)) else None
        signed = inputs is not None and bool(seen[name].min() < 0)
        settings[name] = {"weights": each[name], "inputs": inputs, "signed": signed, "per_channel": per_channel}
    requantise(again, settings)
    for name, layer in quantised_layers(again):
        if layer.weight_levels is not None:
            layer.weight_levels.calibrate(layer.weight)
        if layer.input_levels is not None:
            layer.input_levels.calibrate(seen[name])
    return again


def requantise(module: nn.Module, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace layers of a module, in place, by quantised ones with uncalibrated steps, as `settings_of` describes them.

    Raises:
        OptionError: for settings that do not belong to the module.
    """
    layers = dict(_layers(module))
    if not isinstance(settings, Mapping):
        raise OptionError("Bits of layers must be settings by the name of a layer, as settings_of gives them.")
    for name, one in settings.items():
        if name not in layers or not isinstance(one, Mapping) or set(one) != _SETTINGS:
            raise OptionError(f"There is no layer {name!r} to quantise with the settings {repr(one)[:80]}.")
        check_bits("weights", one["weights"], ternary=True)
        check_bits("inputs", one["inputs"])
        layer = layers[name]
        layer.__class__ = _kind(name, layer)
        whole = cast(QuantisedLayer, layer)
        weights, inputs = one["weights"], one["inputs"]
        owners = owners_of(layer) if one["per_channel"] else None
        channels = 1 if not one["per_channel"] else len(layer.weight) if owners is None else int(owners.max()) + 1
        whole.weight_levels = None if weights is None else WeightQuantiser(weights, channels, owners).to(layer.weight)
        whole.input_levels = None if inputs is None else Quantiser(inputs, bool(one["signed"])).to(layer.weight)
    setattr(module, _ATTRIBUTE, {name: dict(one) for name, one in settings.items()})


def settings_of(module: nn.Module) -> dict[str, dict[str, Any]] | None:
    """Bits of each layer that `quantised` replaced, as plain JSON, or None for another module.

    >>> settings_of(quantised(nn.Sequential(nn.Linear(2, 3)), "ternary", None))
    {'0': {'weights': 'ternary', 'inputs': None, 'signed': False, 'per_channel': True}}
    """
    return getattr(module, _ATTRIBUTE, None)


def quantised_layers(module: nn.Module) -> Iterator[tuple[str, QuantisedLayer]]:
    """The quantised layers of a module, with their names."""
    for name, layer in module.named_modules():
        if isinstance(layer, QuantisedLayer):
            yield name, layer


def _layers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, layer in module.named_modules():
        if isinstance(layer, _LAYERS):
            yield name, layer


def _kind(name: str, layer: nn.Module) -> type[QuantisedLayer]:
    kind = _KINDS.get(type(layer).forward)
    if kind is None:
        raise UnsupportedError(
            f"The layer {name or type(layer).__name__} is a {type(layer).__name__}, which cannot be quantised: name it "
            "in keep=, so that it stays in floating point."
        )
    return kind


def owners_of(layer: nn.Module) -> Tensor | None:
    """The output map of each filter of a convolution by a table; None where each row of the weight has its own."""
    if not isinstance(layer, TableConvolution):
        return None
    used = layer.places < len(layer.weight)
    owners = torch.empty(len(layer.weight), dtype=torch.long, device=layer.places.device)
    owners[layer.places[used]] = used.nonzero()[:, 0]
    return owners


def _inputs(module: nn.Module, layers: Mapping[str, nn.Module], x: Any) -> dict[str, Tensor]:
    """Some of the numbers that each layer is given, the least among them, in the order in which layers are called."""
    found: dict[str, list[Tensor]] = {}

    def look(name: str, value: Tensor) -> None:
        numbers = value.detach().flatten()
        # An odd stride falls on all channels in turn, whose number is often a power of two.
        found.setdefault(name, []).extend([numbers.min()[None], numbers[:: numbers.numel() // _LOOKED_AT | 1].clone()])

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, values: look(name, values[0])

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad(), evaluating(module):
            _call(module, x)
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(values) for name, values in found.items()}


def _call(module: nn.Module, x: Any) -> None:
    """Run a module on its calibration data; of an energy the part that depends on x alone, if only that is given."""
    encode = getattr(module, "encode", None)
    if hasattr(module, "domains") and isinstance(x, Mapping):
        module(**x)
    elif hasattr(module, "domains") and encode is not None:
        encode(x)
    elif isinstance(x, tuple | list):
        module(*x)
    else:
        module(x)
