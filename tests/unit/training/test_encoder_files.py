"""An encoder that is taken away: its file, the code beside it, and vectors by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lowland import cli
from lowland.errors import CheckpointError, DataError, OptionError, UnsupportedError
from lowland.nn.standardised import Standardised
from lowland.registry import registered
from lowland.training.encoder_files import build_encoder, load_encoder, save_encoder
from lowland.training.source_of import source_of
from lowland.training.vectors import embed_folder

SHAPES = {"Perceptron": (5,), "ResNet1d": (2, 32)}
ALONE = """
import importlib.util, json, pathlib, sys
sys.modules["lowland"] = None  # from now on its import fails
import torch
found = {}
for folder in pathlib.Path.cwd().iterdir():
    spec = importlib.util.spec_from_file_location(folder.name, folder / "encoder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    encoder = module.load(folder / "encoder.safetensors")
    assert not encoder.training and encoder.card["kind"] == "images"
    count = torch.tensor(encoder.shape).prod()
    batch = torch.linspace(0, 1, 2 * count).reshape(2, *encoder.shape)
    found[folder.name] = encoder(batch).detach().sum(dim=1).tolist()
print(json.dumps(found))
"""


def make(name: str, folder: Path) -> Standardised:
    shape = SHAPES.get(name, (3, 16, 16))
    encoder = Standardised(build_encoder(name, shape, {"generator": torch.Generator().manual_seed(3)}))
    encoder.measure(torch.rand(20, *shape, generator=torch.Generator().manual_seed(0)))
    save_encoder(encoder, {}, folder, {"kind": "images"})
    return encoder.eval()


def test_every_encoder_stands_alone(tmp_path: Path) -> None:
    """In a process without Lowland the numbers are those here, to the rounding of another order of sums."""
    encoders = {name: make(name, tmp_path / name) for name in registered("encoder")}
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, alone in json.loads(done.stdout).items():
        encoder = encoders.pop(name)
        code = (tmp_path / name / "encoder.py").read_text()
        assert not [line for line in code.splitlines() if line.lstrip().startswith(("from lowland", "import lowland"))]
        batch = torch.linspace(0, 1, 2 * int(np.prod(encoder.shape))).reshape(2, *encoder.shape)
        again, card = load_encoder(tmp_path / name)
        with torch.no_grad():
            assert np.allclose(alone, encoder(batch).sum(dim=1).numpy(), rtol=1e-4, atol=1e-4)
            assert torch.equal(again(batch), encoder(batch))
        assert card["shape"] == list(encoder.shape)
    assert not encoders


def test_standardised_channels_have_mean_0_and_deviation_1() -> None:
    sample = torch.rand(50, 2, 30, generator=torch.Generator().manual_seed(0)) * torch.tensor([[3.0], [0.0]]) + 5
    encoder = Standardised(build_encoder("ResNet1d", (2, 30), {}))
    encoder.measure(sample)
    inside = (sample - encoder.mean) / encoder.deviation
    # Means of 1,500 numbers near 5 are rounded at 5e-7 each.
    assert float(inside.mean(dim=(0, 2)).abs().max()) < 1e-5
    assert inside[:, 0].std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert encoder.deviation[1].item() == 1


@pytest.mark.parametrize("kind", ["missing", "bytes", "foreign", "card", "weights", "class", "truncated"])
def test_a_file_that_is_no_encoder_is_one_sentence(kind: str, tmp_path: Path) -> None:
    make("ConvNet", tmp_path)
    path = tmp_path / "encoder.safetensors"
    header = {"kind": "lowland encoder 1", "class": "ConvNet", "card": '{"shape": [3, 16, 16], "options": {}}'}
    if kind == "missing":
        path = tmp_path / "nowhere.safetensors"
    elif kind == "bytes":
        path.write_bytes(b"hello")
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        header |= {"foreign": {"kind": ""}, "card": {"card": "{"}, "class": {"class": "ConvNot"}}.get(kind, {})
        save_file({"weight": torch.zeros(2)}, path, header)
    words = "Did you mean 'ConvNet'" if kind == "class" else str(path)
    with pytest.raises((CheckpointError, OptionError), match=words):
        load_encoder(path)


def test_names_that_meet_in_one_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from lowland.nn import convolutional
    from lowland.nn.encoders import convnet

    monkeypatch.setattr(
        "inspect.getsource",
        lambda module: {
            convnet.__name__: "from lowland.nn.convolutional import stage\n"
            "class ConvNet:\n  a = stage\n  b = convolution\ndef convolution(): stage()\n",
            convolutional.__name__: "def stage(): convolution()\ndef convolution(): pass\n",
        }[module.__name__],
    )
    with pytest.raises(UnsupportedError, match="called convolution"):
        source_of(convnet.ConvNet)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.new("L", (30, 20), 80 * number).save(folder / f"{number}.png")
    (folder / "broken.png").write_text("hello")
    return folder


def test_vectors_of_a_folder(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = make("ConvNet", tmp_path / "encoder")
    out = tmp_path / "vectors.npy"
    words = ["embed", str(tmp_path / "encoder" / "encoder.safetensors"), str(images), "--out", str(out)]
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(out), str(out.with_suffix(".json"))]
    assert "broken.png is not a picture, or is damaged: it was left out." in said.err
    assert "3 of 3 images are grey" in said.err
    vectors, names = np.load(out), json.loads(out.with_suffix(".json").read_text())
    assert names["files"] == ["0.png", "1.png", "2.png"]
    with torch.no_grad():
        whole = torch.arange(3)[:, None, None, None].expand(-1, 3, 16, 16) * 80 / 255
        assert np.allclose(vectors, encoder(whole).numpy(), atol=1e-5)


def test_vectors_as_parquet(images: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    make("ConvNet", tmp_path)
    (path,), _ = embed_folder(tmp_path, images, tmp_path / "vectors.parquet")
    table = parquet.read_table(path).to_pydict()
    assert table["file"] == ["0.png", "1.png", "2.png"]
    assert len(table["vector"][0]) == 256


def test_what_cannot_be_embedded(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("ConvNet", tmp_path)
    with pytest.raises(OptionError, match=r"end in .npy or .parquet"):
        embed_folder(tmp_path, images, tmp_path / "vectors.txt")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="has no images"):
        embed_folder(tmp_path, tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="could not be written"):
        embed_folder(tmp_path, images, images / "0.png" / "vectors.npy")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(OptionError, match=r"lowland\[parquet\]"):
        embed_folder(tmp_path, images, tmp_path / "vectors.parquet")


def test_an_encoder_as_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    make("ConvNet", tmp_path)
    path = str(tmp_path / "encoder.safetensors")
    assert cli.main(["export", path, "--to", "onnx"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "encoder.onnx")]
    for more, words in ((["--to", "safetensors"], "is a safetensors file already"), (["--part", "x"], "as a whole")):
        assert cli.main(["export", path, *more, *(["--to", "onnx"] if "--to" not in more else [])]) == 2
        assert words in capsys.readouterr().err


def test_a_folder_without_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"There is no encoder\.safetensors in"):
        load_encoder(tmp_path)
