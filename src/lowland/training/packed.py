"""Networks of few bits in files of few bytes: weights packed to their bits, in one safetensors file (system H1)."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lowland.checksums import read_tensors, write_tensors
from lowland.errors import CheckpointError, OptionError, UnsupportedError
from lowland.nn.quantised import QuantisedLayer, owners_of, quantised_layers, requantise, settings_of
from lowland.nn.quantisers import Bits, WeightQuantiser, levels_of
from lowland.version import __version__

M = TypeVar("M", bound=nn.Module)
_KEY, _SCALES = "lowland_packed", "scales"
_TRITS = 5
"""Ternary numbers in a byte: 3⁵ = 243 of 256 values are used, 1.6 bits a number."""
_POWERS = (1, 3, 9, 27, 81)


def pack_levels(levels: Tensor, bits: Bits) -> Tensor:
    """Whole numbers as a row of bytes: each less −Q_N, in k bits, the lowest first; five ternary ones in a byte.

    The bytes are ⌈n k / 8⌉, or ⌈n / 5⌉ for ternary numbers. Single bits are 0 for −1.

    Args:
        levels: of any shape, each among the signed levels of so many bits.
        bits: 1 to 8 or "ternary".

    >>> pack_levels(torch.tensor([-2, -1, 0, 1]), 2).tolist()  # 0 + 1·4 + 2·16 + 3·64
    [228]
    """
    least, _ = levels_of(bits)
    codes = levels.flatten().to(torch.int64) - least
    if bits == "ternary":
        return (_rows(codes, _TRITS) * torch.tensor(_POWERS)).sum(dim=1).to(torch.uint8)
    if bits == 1:
        codes = codes // 2
    each = codes[:, None] >> torch.arange(bits) & 1
    return (_rows(each.flatten(), 8) << torch.arange(8)).sum(dim=1).to(torch.uint8)


def unpack_levels(packed: Tensor, bits: Bits, count: int) -> Tensor:
    """The first `count` numbers that `pack_levels` packed, as int64 (count,).

    >>> unpack_levels(torch.tensor([228], dtype=torch.uint8), 2, 4).tolist()
    [-2, -1, 0, 1]
    """
    least, _ = levels_of(bits)
    codes = packed.to(torch.int64)[:, None]
    if bits == "ternary":
        return (codes // torch.tensor(_POWERS) % 3).flatten()[:count] + least
    each = (codes >> torch.arange(8) & 1).flatten()[: count * bits].reshape(count, bits)
    found = (each << torch.arange(bits)).sum(dim=1)
    return (2 * found if bits == 1 else found) + least


def packed_size(count: int, bits: Bits) -> int:
    """Bytes of so many packed numbers.

    >>> packed_size(100, 6), packed_size(100, "ternary"), packed_size(100, 1)
    (75, 20, 13)
    """
    return -(-count // _TRITS) if bits == "ternary" else -(-count * bits // 8)


def packed_bytes(module: nn.Module) -> int:
    """Bytes of a quantised module's weights, scales and all other tensors, as `save_packed` stores them.

    The header of the file, which names them, comes on top.
    """
    return sum(tensor.numel() * tensor.element_size() for tensor in _packed(module)[0].values())


def save_packed(module: nn.Module, path: str | Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a quantised module in few bytes: its rounded weights, and everything else as it is.

    The file has, for each layer NAME with weights of few bits, the bytes `NAME.weight` and one scale for each channel
    in `NAME.scales`; the metadata `lowland_packed` is JSON that says of each layer how many bits and what shape. The
    floating-point weights from which it was trained are not kept: to train on, keep `save_energy`'s files as well.

    Args:
        module: of `lowland.nn.quantised.quantised`.
        path: where the file goes.
        metadata: further text by name, kept in the header of the file.

    Raises:
        UnsupportedError: for a module that is not quantised.
        CheckpointError: if the file cannot be written.

    >>> import tempfile
    >>> from lowland.nn.quantised import quantised
    >>> net = nn.Linear(100, 10)
    >>> small = quantised(net, 1, None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load_packed(save_packed(small, f"{folder}/net.safetensors"), net)
    >>> packed_bytes(small), bool((again(torch.ones(1, 100)) == small(torch.ones(1, 100))).all())  # 125 + 40 + 40
    (205, True)
    """
    tensors, layers = _packed(module)
    note = {"format": "pt", "lowland": __version__, "class": type(module).__name__} | dict(metadata or {})
    write_tensors(Path(path), tensors, note | {_KEY: json.dumps(layers)})
    return Path(path)


def load_packed(path: str | Path, module: M) -> M:
    """A copy of a floating-point module with the rounded weights of a file of `save_packed`, and its inputs rounded.

    It computes what the saved module computes, bit for bit. Its weights are s · level and are not rounded again.

    Args:
        path: the file.
        module: a network or energy of the same architecture, not quantised; its weights do not matter.

    Raises:
        UnsupportedError: for a module that is quantised.
        CheckpointError: if the file is missing or damaged, or is of another network.
    """
    if settings_of(module) is not None:
        raise UnsupportedError(f"This {type(module).__name__} is quantised: give a floating-point one of its kind.")
    tensors, note = read_tensors(Path(path))
    whose = f"{path} does not hold packed weights for this {type(module).__name__}"
    if _KEY not in note:
        raise CheckpointError(f"{whose}: save_packed did not write it.")
    again = copy.deepcopy(module)
    try:
        layers: dict[str, Any] = json.loads(note[_KEY])
        requantise(again, {name: {**one["settings"], "weights": None} for name, one in layers.items()})
        for name, one in layers.items():
            bits, shape = one["settings"]["weights"], one["shape"]
            if bits is not None:
                packed, scales = tensors[_joined(name, "weight")], tensors.pop(_joined(name, _SCALES))
                count = torch.Size(shape).numel()
                if packed.dtype != torch.uint8 or packed.shape != (packed_size(count, bits),):
                    raise ValueError(f"{name} has {packed.numel()} bytes for {count} weights")
                owners = owners_of(again.get_submodule(name)) if one["settings"]["per_channel"] else None
                spread = WeightQuantiser(bits, len(scales), owners).spread
                levels = unpack_levels(packed, bits, count).reshape(shape).to(scales)
                tensors[_joined(name, "weight")] = spread(scales, levels) * levels
        again.load_state_dict(tensors)
    except (OptionError, UnsupportedError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{whose}: {' '.join(str(error).split())}".rstrip(".") + ".") from error
    return again


def _packed(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of the file, and what its metadata say of each layer."""
    settings = settings_of(module)
    if settings is None:
        raise UnsupportedError(
            f"This {type(module).__name__} is not quantised: make a copy of few bits by lowland.nn.quantised.quantised."
        )
    tensors = {name: one.detach().cpu().contiguous().clone() for name, one in module.state_dict().items()}
    for name, layer in quantised_layers(module):
        if layer.weight_levels is not None:
            tensors.pop(_joined(name, "weight_levels.step"), None)
            bits, levels = layer.weight_levels.bits, _levels(layer)
            tensors[_joined(name, "weight")] = pack_levels(levels.cpu(), bits)
            tensors[_joined(name, _SCALES)] = layer.weight_levels.scales(layer.weight).detach().cpu().clone()
    shapes = {name: list(layer.weight.shape) for name, layer in quantised_layers(module)}
    return tensors, {name: {"settings": one, "shape": shapes[name]} for name, one in settings.items()}


def _levels(layer: QuantisedLayer) -> Tensor:
    assert layer.weight_levels is not None
    return layer.weight_levels.levels(layer.weight)


def _joined(name: str, last: str) -> str:
    return f"{name}.{last}" if name else last


def _rows(values: Tensor, width: int) -> Tensor:
    """A vector as rows of so many numbers, with zeros behind the last."""
    return torch.nn.functional.pad(values, (0, -len(values) % width)).reshape(-1, width)
