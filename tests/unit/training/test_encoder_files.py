"""An encoder that is taken away: its file, the code beside it, and vectors by it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

from lowland import cli
from lowland.data.folder import read_folder
from lowland.data.prepare import Prepare
from lowland.errors import CheckpointError, DataError, DomainError, OptionError, UnsupportedError
from lowland.nn.standardised import Standardised
from lowland.registry import registered
from lowland.training.encoder_files import build_encoder, export_encoder, load_encoder, save_encoder
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


PREPARED = """
import json, sys
sys.modules["lowland"] = None
import numpy as np, torch
from encoder import load
encoder = load("encoder.safetensors")
names = json.loads(sys.argv[1])
batch = encoder.prepare(names)
np.save("batch.npy", batch.numpy())
np.save("vectors.npy", torch.cat([encoder(part[None]) for part in batch]).detach().numpy())
refused = []
for wrong in (batch * 255, batch[:, :1], batch[..., 1:], (batch * 255).byte(), batch - 0.5, batch * torch.nan):
    try:
        encoder(wrong)
    except ValueError as error:
        refused.append(str(error))
print(json.dumps(refused))
"""


@pytest.fixture
def gallery(tmp_path: Path) -> dict[str, np.ndarray]:
    """Pictures of many modes by file name, and what Pillow alone makes of each: (H, W, 3) bytes before scaling."""
    noise = np.random.default_rng(0)
    (tmp_path / "gallery").mkdir()

    def place(name: str) -> Path:
        return tmp_path / "gallery" / name

    colour = noise.integers(0, 256, (70, 50, 3), dtype=np.uint8)
    Image.fromarray(colour).save(place("a.png"))
    grey = noise.integers(0, 256, (20, 33), dtype=np.uint8)
    Image.fromarray(grey).save(place("b.png"))
    deep = noise.integers(0, 4096, (40, 40)).astype(np.uint16)
    Image.fromarray(deep).save(place("c.png"))
    turned = Image.fromarray(colour)
    exif = turned.getexif()
    exif[0x0112] = 3
    turned.save(place("d.png"), exif=exif)
    clear = np.dstack([colour, np.zeros((70, 50), np.uint8)])
    Image.fromarray(clear).save(place("e.png"))
    as_bytes = np.round(deep / 4095 * 255).astype(np.uint8)
    return {
        "a.png": colour,
        "b.png": np.stack([grey] * 3, axis=-1),
        "c.png": np.stack([as_bytes] * 3, axis=-1),
        "d.png": colour[::-1, ::-1],
        "e.png": np.full((70, 50, 3), 255, np.uint8),
    }


def test_prepare_outside_of_the_library_is_what_embed_does(gallery: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Bit for bit, and as Pillow's own calls have it; what it would not have made is refused."""
    folder, levels = tmp_path / "gallery", (0.0, 4095.0)
    encoder = Standardised(build_encoder("ConvNet", (3, 16, 16), {"maps": (4, 8)})).eval()
    save_encoder(encoder, {"maps": (4, 8)}, tmp_path, {"kind": "images", "levels": levels})
    names = json.dumps([str(folder / name) for name in gallery])
    done = subprocess.run([sys.executable, "-c", PREPARED, names], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    batch = np.load(tmp_path / "batch.npy")
    wanted = [
        ImageOps.fit(Image.fromarray(np.ascontiguousarray(one)), (16, 16), Image.Resampling.BICUBIC)
        for one in gallery.values()
    ]
    ours = read_folder(folder, 16, 3, "images", levels=levels).take().numpy()
    assert np.array_equal(batch, ours)
    assert np.array_equal(batch, np.stack([np.asarray(one) for one in wanted]).transpose(0, 3, 1, 2) / np.float32(255))
    embed_folder(tmp_path, folder, tmp_path / "table.npy")
    # Convolutions of one sample and of five at once may sum in another order.
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), np.load(tmp_path / "table.npy"), rtol=1e-4, atol=1e-5)
    refused = json.loads(done.stdout)
    assert ["in [0, 1]" in sentence for sentence in refused] == [True, False, False, False, True, True]
    assert all("takes float32 (B, 3, 16, 16), not torch." in sentence for sentence in refused[1:4])


def test_arrays_are_prepared_as_the_files_of_their_pixels(gallery: dict[str, np.ndarray], tmp_path: Path) -> None:
    prepare = Prepare("images", (3, 16, 16), (0.0, 4095.0))
    for name in ("a.png", "b.png", "c.png", "e.png"):
        with Image.open(tmp_path / "gallery" / name) as image:
            array = np.asarray(image)
        assert torch.equal(prepare(array), prepare(tmp_path / "gallery" / name)), name
    plain = Prepare("images", (3, 16, 16))
    assert torch.equal(plain(gallery["a.png"] / 255), plain(gallery["a.png"]))
    for wrong, words in (
        (np.zeros((3, 40, 40)), "the shape is (3, 40, 40)"),
        (np.full((40, 40), 255.0), "do not lie in [0, 1]"),
        (np.full((40, 40), 300), "which levels are black and white"),
        (np.full((40, 40), "a"), "of numbers"),
        (np.full((40, 40), np.nan), "do not lie in [0, 1]"),
    ):
        with pytest.raises(DomainError, match=re.escape(words)):
            plain(wrong)
    with pytest.raises(DataError, match="which levels are black and white"):
        plain(tmp_path / "gallery" / "c.png")


def test_series_are_prepared_as_the_folder_has_them(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(70, 2)).astype(np.float32)
    np.savetxt(tmp_path / "a.csv", table, "%.9g", ",")
    prepare = Prepare("series", (2, 32))
    assert torch.equal(prepare(tmp_path / "a.csv"), read_folder(tmp_path, 32).values)
    assert torch.equal(prepare(table), prepare(tmp_path / "a.csv"))
    for wrong in (np.zeros((70, 3)), np.zeros((20, 2)), np.full((70, 2), np.inf)):
        with pytest.raises(DomainError, match="cannot be prepared"):
            prepare(wrong)


def test_the_graph_has_names_and_refuses_what_it_can(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    encoder = make("ConvNet", tmp_path)
    session = onnxruntime.InferenceSession(str(export_encoder(tmp_path / "encoder.safetensors", "onnx")))
    (given,), (found,) = session.get_inputs(), session.get_outputs()
    assert (given.name, found.name, given.type, given.shape[1:]) == ("images", "vectors", "tensor(float)", [3, 16, 16])
    assert "Resampling.BICUBIC" in session.get_modelmeta().custom_metadata_map["prepared"]
    good = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # Sums of float32 in another order, as in export_onnx.
        np.testing.assert_allclose(session.run(None, {"images": good.numpy()})[0], encoder(good), rtol=1e-4, atol=1e-4)
    mixed = good.clone()
    mixed[1] *= 255
    assert np.isnan(session.run(None, {"images": mixed.numpy()})[0]).all(axis=1).tolist() == [False, True, False]
    for wrong in (good[:, :1], good[..., 1:], (good * 255).byte()):
        with pytest.raises(Exception, match=r"(?i)invalid|unexpected"):
            session.run(None, {"images": wrong.numpy()})


def test_an_encoder_that_is_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "encoder.safetensors")
    with pytest.raises(CheckpointError, match="is a named pipe"):
        load_encoder(tmp_path / "encoder.safetensors")


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
