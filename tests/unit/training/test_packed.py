"""Packed weights: each bit where it belongs, files as small as computed, and the same outputs, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from lowland.energies import LeNet
from lowland.errors import CheckpointError, UnsupportedError
from lowland.nn.quantised import quantised, quantised_layers
from lowland.nn.quantisers import Bits, levels_of
from lowland.training.packed import load_packed, pack_levels, packed_bytes, packed_size, save_packed, unpack_levels

EVERY: tuple[Bits, ...] = (1, "ternary", 2, 3, 4, 5, 6, 7, 8)


@pytest.mark.parametrize("bits", EVERY)
@pytest.mark.parametrize("count", [1, 5, 8, 61])
def test_levels_come_back(bits: Bits, count: int) -> None:
    least, most = levels_of(bits)
    levels = torch.randint(least, most + 1, (count,), generator=torch.Generator().manual_seed(count))
    levels = torch.where(levels < 0, -1, 1) if bits == 1 else levels
    packed = pack_levels(levels, bits)
    assert packed.dtype == torch.uint8
    assert packed.numel() == packed_size(count, bits)
    assert torch.equal(unpack_levels(packed, bits, count), levels)


@pytest.mark.parametrize(("bits", "activations"), [(6, 3), ("ternary", 3), (1, 1), (8, None), (None, 4)])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_file_gives_the_same_numbers(
    bits: Bits | None, activations: int | None, per_channel: bool, tmp_path: Path
) -> None:
    """In the file there is nothing but the header and the bytes that were computed."""
    energy, x = (
        LeNet(output="linear", modern=True),
        torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)),
    )
    small = quantised(energy, bits, activations, x=x, per_channel=per_channel)
    path = save_packed(small, tmp_path / "small.safetensors")
    again = load_packed(path, energy)
    with torch.no_grad():
        assert torch.equal(again.encode(x), small.encode(x))
        assert not torch.equal(again.encode(x), energy.encode(x))
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    assert path.stat().st_size - header == packed_bytes(small)


def test_the_bytes_are_those_of_a_count_by_hand() -> None:
    """Per channel 4 bytes of bias and 4 of scale; LeNet's table of places has 16 × 6 int64."""
    energy = LeNet(output="linear", modern=True)
    small = quantised(energy, 6, None)
    weights = [layer.weight.numel() for _, layer in quantised_layers(small)]
    assert weights == [150, 1500, 48000, 10080, 840]
    channels = 6 + 16 + 120 + 84 + 10
    assert packed_bytes(small) == sum(-(-6 * one // 8) for one in weights) + 8 * channels + 8 * 16 * 6


def test_the_root_may_be_the_layer(tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    small = quantised(net, "ternary", None)
    again = load_packed(save_packed(small, tmp_path / "a.safetensors"), net)
    assert torch.equal(again(torch.ones(1, 3)), small(torch.ones(1, 3)))


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(UnsupportedError, match="not quantised"):
        save_packed(net, tmp_path / "a")
    path = save_packed(quantised(net, 3, None), tmp_path / "a.safetensors")
    with pytest.raises(UnsupportedError, match="is quantised"):
        load_packed(path, quantised(net, 3, None))
    for other in (
        nn.Sequential(nn.Linear(4, 2)),
        nn.Sequential(nn.ReLU()),
        nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)),
    ):
        with pytest.raises(CheckpointError, match="does not hold packed weights"):
            load_packed(path, other)
    from lowland.checksums import read_tensors, write_tensors

    tensors, note = read_tensors(path)
    for broken in ("[]", "{", json.dumps({"0": {"settings": {"weights": 99}, "shape": [2, 3]}})):
        write_tensors(tmp_path / "b.safetensors", tensors, {**note, "lowland_packed": broken})
        with pytest.raises(CheckpointError, match="does not hold packed weights"):
            load_packed(tmp_path / "b.safetensors", net)
    write_tensors(tmp_path / "c.safetensors", {**tensors, "0.weight": torch.zeros(1, dtype=torch.uint8)}, note)
    with pytest.raises(CheckpointError, match="1 bytes for 6 weights"):
        load_packed(tmp_path / "c.safetensors", net)
