"""ONNX graphs of 8 bits: smaller, nearly the same numbers, and honest about time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lowland import cli
from lowland.errors import CheckpointError, OptionError, ShapeError, UnsupportedError
from lowland.nn.layers import mlp
from lowland.nn.standardised import Standardised
from lowland.training import export_onnx
from lowland.training.encoder_files import build_encoder, save_encoder
from lowland.training.int8 import Int8, export_int8

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


def test_the_graph_is_smaller_and_nearly_the_same(tmp_path: Path) -> None:
    net = mlp(32, 300, 300, 10, activation=nn.ReLU)
    x = torch.rand(64, 32, generator=torch.Generator().manual_seed(0))
    found = export_int8(export_onnx(net, x, tmp_path / "net.onnx"), x)
    assert found.path == tmp_path / "net.int8.onnx"
    assert 0 < found.difference < 0.1
    assert found.bytes[0] < 0.4 * found.bytes[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.int8.onnx", "net.onnx"]
    assert "of the bytes" in found.text


def test_the_command_writes_both_graphs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = Standardised(build_encoder("ConvNet", (1, 16, 16), {}))
    save_encoder(encoder, {}, tmp_path / "encoder", {"kind": "images"})
    (tmp_path / "photos").mkdir()
    draw = np.random.default_rng(0)
    for number in range(9):
        picture = Image.fromarray(draw.integers(0, 256, (20, 20), dtype=np.uint8))
        picture.save(tmp_path / "photos" / f"{number}.png")
    words = ["export", str(tmp_path / "encoder" / "encoder.safetensors"), "--int8", str(tmp_path / "photos")]
    assert cli.main([*words, "--to", "onnx"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [Path(one).name for one in lines[:2]] == ["encoder.onnx", "encoder.int8.onnx"]
    assert "at batch 1" in lines[2]
    assert cli.main([*words, "--to", "program"]) != 0
    assert "--to onnx" in capsys.readouterr().err


def test_a_slower_graph_is_called_so() -> None:
    slow, fast = (Int8(Path("a"), 0.1, (1, 2), (one, 1.0)) for one in (2.0, 0.5))
    assert "SLOWER" in slow.text
    assert "2.0 times as fast" in fast.text


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    x = torch.rand(8, 4)
    with pytest.raises(CheckpointError, match="no file"):
        export_int8(tmp_path / "none.onnx", x)
    graph = export_onnx(nn.Linear(4, 2), x, tmp_path / "net.onnx")
    with pytest.raises(OptionError, match="four or more"):
        export_int8(graph, x[:3])
    with pytest.raises(ShapeError, match="does not take"):
        export_int8(graph, torch.rand(8, 5))
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="no graph"):
        export_int8(tmp_path / "bad.onnx", x)
    two = export_onnx(nn.Bilinear(4, 4, 2), (x, x), tmp_path / "two.onnx")
    with pytest.raises(UnsupportedError, match="2 inputs"):
        export_int8(two, x)
