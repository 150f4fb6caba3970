"""Each loader on a few records in the real format, and on damaged ones."""

from __future__ import annotations

import gzip
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

import lowland as ll
from lowland.data.natural import _strip, photographs
from lowland.errors import DataError, DomainError, OptionError

RANDOM = np.random.default_rng(0)


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def test_the_catalogue_is_complete():
    assert {"digits", "mnist10k", "mnist", "fashion_mnist", "cifar10", "patches", "faces"} <= set(ll.data.DATASETS)
    for name, entry in ll.data.DATASETS.items():
        assert entry.name == name
        assert entry.what.endswith(".")
        assert entry.size
        assert entry.licence
        assert entry.source.package
        assert entry.source.version
        assert entry.source.sha256
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in entry.source.sha256.values())
        assert bool(entry.source.client) == bool(entry.source.archive)
        assert not entry.source.archive or entry.source.archive in entry.source.sha256


def test_unknown_and_double_names_are_refused():
    for call in (ll.data.load, ll.data.get, ll.data.check):
        with pytest.raises(OptionError, match="Did you mean 'mnist10k'"):
            call("mnist10")
    digits = ll.data.DATASETS["digits"]
    with pytest.raises(OptionError, match="Two data sets are called digits"):
        ll.data.dataset(what="", size="", licence="", source=digits.source)(lambda data_dir=None: digits.load(data_dir))


def test_digits_are_scikit_learns_in_a_split_that_never_moves():
    from sklearn.datasets import load_digits

    images = ll.data.digits()
    pixels, labels = load_digits(return_X_y=True)
    known = {row.tobytes(): label for row, label in zip(pixels.astype(np.uint8), labels, strict=True)}
    for split in ("train", "validation", "test"):
        rows = (getattr(images, split).flatten(1) * 16).to(torch.uint8).numpy()
        assert [known[row.tobytes()] for row in rows] == getattr(images, f"{split}_labels").tolist()
    # Recorded when the split was fixed: another draw would make figures of different versions incomparable.
    assert images.test_labels[:12].tolist() == [6, 5, 5, 7, 9, 9, 8, 4, 6, 8, 6, 0]


@pytest.mark.parametrize(
    "payload",
    [b"", gzip.compress(b"1,2\n", mtime=0), gzip.compress(b"x", mtime=0)[:-4], b"0,0\n"],
    ids=["empty", "another shape", "truncated", "not gzip"],
)
def test_damaged_digits_are_named(tmp_path, payload):
    (tmp_path / "digits.csv.gz").write_bytes(payload)
    with pytest.raises(DataError, match=r"digits\.csv\.gz"):
        ll.data.digits(tmp_path)


@pytest.fixture
def mnist10k_folder(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for digit in range(10):
        levels = RANDOM.integers(0, 256, 784 * 10)
        values = [round(float(level) / 255, 3) for level in levels]
        (folder / f"{digit}.json").write_text(json.dumps({"data": values}))
    return folder


def test_mnist10k(mnist10k_folder):
    images = ll.data.mnist10k(mnist10k_folder)
    assert (len(images.train), len(images.validation), len(images.test)) == (70, 10, 20)
    assert images.shape == (1, 28, 28)
    assert images.stand_in_for == "MNIST"
    assert images.test_labels.bincount().tolist() == [2] * 10
    # Rounding to three decimals is undone: every pixel is a whole number of 255ths.
    assert torch.equal((images.train * 255).round() / 255, images.train)
    assert "70 train" in ll.data.check("mnist10k", mnist10k_folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"data": [0, 0.5', "truncated"),
        ('{"other": []}', "not a JSON list of pixels"),
        ('{"data": "text"}', "not a JSON list of pixels"),
        ('{"data": []}', "holds 0 pixels"),
        (json.dumps({"data": [0] * 785}), "holds 785 pixels"),
        (json.dumps({"data": [2] * 784}), r"outside \[0, 1\]"),
        (json.dumps({"data": [float("nan")] * 784}), r"outside \[0, 1\]"),
    ],
)
def test_damaged_mnist10k_is_named(mnist10k_folder, text, words):
    (mnist10k_folder / "3.json").write_text(text)
    with pytest.raises(DataError, match=rf"3\.json of mnist10k .*{words}"):
        ll.data.mnist10k(mnist10k_folder)


@pytest.mark.parametrize("loader", [ll.data.mnist, ll.data.fashion_mnist])
@pytest.mark.parametrize("zipped", [True, False])
def test_idx_families(tmp_path, loader, zipped):
    for part, count in (("train", 120), ("t10k", 20)):
        arrays = {
            f"{part}-images-idx3-ubyte": RANDOM.integers(0, 256, (count, 28, 28), dtype=np.uint8),
            f"{part}-labels-idx1-ubyte": np.arange(count, dtype=np.uint8) % 10,
        }
        for name, array in arrays.items():
            payload = idx(array)
            (tmp_path / f"{name}{'.gz' * zipped}").write_bytes(gzip.compress(payload) if zipped else payload)
    images = loader(tmp_path)
    assert (len(images.train), len(images.validation), len(images.test)) == (110, 10, 20)
    assert images.test_labels.tolist() == [*range(10), *range(10)]
    assert torch.equal((images.test[5, 0] * 255).to(torch.uint8), torch.from_numpy(_last_test(tmp_path, zipped)[5]))

    (tmp_path / f"t10k-labels-idx1-ubyte{'.gz' * zipped}").write_bytes(idx(np.zeros(19, dtype=np.uint8)))
    with pytest.raises(DataError, match="hold 20 images but 19 labels"):
        loader(tmp_path)
    (tmp_path / f"t10k-labels-idx1-ubyte{'.gz' * zipped}").write_bytes(idx(np.full(20, 77, dtype=np.uint8)))
    with pytest.raises(DomainError, match=r"test labels .* must lie in 0 … 9"):
        loader(tmp_path)
    (tmp_path / f"t10k-labels-idx1-ubyte{'.gz' * zipped}").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is missing"):
        loader(tmp_path)


def _last_test(folder, zipped):
    payload = (folder / f"t10k-images-idx3-ubyte{'.gz' * zipped}").read_bytes()
    raw = gzip.decompress(payload) if zipped else payload
    return np.frombuffer(raw, np.uint8, offset=16).reshape(20, 28, 28).copy()


def test_full_mnist_without_a_folder_says_what_to_do():
    with pytest.raises(DataError, match=r"Get train-images-idx3-ubyte\.gz, .* give their folder as data_dir"):
        ll.data.mnist()


@pytest.fixture
def cifar_folder(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in [*(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin"]:
        records = RANDOM.integers(0, 256, (20, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        (folder / name).write_bytes(records.tobytes())
    return tmp_path


def test_cifar10_binary(cifar_folder):
    images = ll.data.cifar10(cifar_folder)
    assert (len(images.train), len(images.validation), len(images.test)) == (90, 10, 20)
    assert images.shape == (3, 32, 32)
    assert images.stand_in_for is None
    raw = np.frombuffer((cifar_folder / "cifar-10-batches-bin" / "test_batch.bin").read_bytes(), np.uint8)
    second_green = raw[3073 + 1 + 1024 : 3073 + 1 + 2048].reshape(32, 32)
    assert np.array_equal((images.test[1, 1] * 255).round().numpy().astype(np.uint8), second_green)


def test_damaged_cifar10_is_named(cifar_folder):
    path = cifar_folder / "cifar-10-batches-bin" / "data_batch_4.bin"
    whole = path.read_bytes()
    for payload, words in ((whole[:-1], "truncated"), (b"", "truncated"), (b"\x0b" + whole[1:], "label above 9")):
        path.write_bytes(payload)
        with pytest.raises(DataError, match=rf"data_batch_4\.bin of cifar10 .*{words}"):
            ll.data.cifar10(cifar_folder)


def jpeg_arrays(count):
    files = []
    for shade in range(count):
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32), (shade * 10, 0, 255 - shade * 10)).save(buffer, "JPEG", quality=95)
        files.append(buffer.getvalue())
    return {
        "bytes": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]).astype(np.int64),
        "labels": (np.arange(count) % 10).astype(np.uint8),
    }


def save_npz(folder, **changes):
    arrays = {f"train_{key}": value for key, value in jpeg_arrays(20).items()}
    arrays |= {f"test_{key}": value for key, value in jpeg_arrays(10).items()}
    np.savez(folder / "cifar10_jpeg.npz", **(arrays | changes))


def test_cifar10_from_jpeg_files(tmp_path):
    save_npz(tmp_path)
    images = ll.data.cifar10(tmp_path)
    assert (len(images.train), len(images.validation), len(images.test)) == (18, 2, 10)
    assert images.stand_in_for == "CIFAR-10"
    # Plain colours survive JPEG to within two levels of 255 in each channel.
    assert images.test[7, :, 16, 16].tolist() == pytest.approx([70 / 255, 0, 185 / 255], abs=2.5 / 255)


def test_damaged_jpeg_archive_is_named(tmp_path):
    good = jpeg_arrays(10)
    broken = good["bytes"].copy()
    broken[good["offsets"][3] : good["offsets"][3] + 40] = 0
    for changes, words in (
        ({"test_bytes": broken}, "test image 3 could not be decoded"),
        ({"test_offsets": good["offsets"][:-1]}, "offsets do not fit"),
        ({"test_bytes": good["bytes"][:-5]}, "offsets do not fit"),
        ({"test_labels": np.array([{"any": "object"}] * 10, dtype=object)}, "test_labels holds Python objects"),
    ):
        save_npz(tmp_path, **changes)
        with pytest.raises(DataError, match=rf"cifar10_jpeg\.npz.*{words}"):
            ll.data.cifar10(tmp_path)
    path = tmp_path / "cifar10_jpeg.npz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="truncated, damaged, of another kind"):
        ll.data.cifar10(tmp_path)


def test_patches_are_distinct_windows_of_the_photographs(tmp_path):
    Image.fromarray(RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(RANDOM.integers(0, 256, (25, 15, 3), dtype=np.uint8)).save(tmp_path / "b.png")
    raw = ll.data.patches(6, 500, unit_norm=False, data_dir=tmp_path)
    windows = torch.cat(
        [grey.unfold(0, 6, 1).unfold(1, 6, 1).reshape(-1, 36) for grey in photographs(tmp_path).values()]
    )
    distance, nearest = torch.cdist(raw, windows - windows.mean(1, keepdim=True)).min(dim=1)
    assert float(distance.max()) < 1e-3
    assert len(nearest.unique()) == 500
    unit = ll.data.patches(6, 500, data_dir=tmp_path)
    assert torch.allclose(unit, raw / raw.norm(dim=1, keepdim=True), atol=1e-6)


def test_flat_patches_are_left_out():
    assert bool((ll.data.patches(6, 400, unit_norm=False).std(dim=1, unbiased=False) >= 0.0099).all())
    flat = ll.data.patches(6, 20_000, unit_norm=False, min_contrast=0.0).std(dim=1, unbiased=False)
    assert bool((flat < 0.0099).any())
    assert torch.equal(ll.data.patches(6, 9), ll.data.patches(6, 9, torch.Generator().manual_seed(0)))


def test_patch_images_are_of_both_photographs():
    images = ll.data.load("patches")
    assert (len(images.train), len(images.validation), len(images.test)) == (7000, 1000, 2000)
    assert images.classes == ("china.jpg", "flower.jpg")
    assert bool((images.train_labels.bincount() > 1000).all())


def test_parts_of_the_photographs_do_not_overlap(tmp_path):
    """The one photograph has a level of its own in each column, so that a patch says which columns it is from."""
    levels = np.tile(np.arange(0, 256, 2, dtype=np.uint8), (64, 1))
    Image.fromarray(levels).save(tmp_path / "ramp.png")
    reached = []
    for part in ("train", "validation", "test"):
        drawn = ll.data.patches(4, 300, part=part, unit_norm=False, min_contrast=0.0, data_dir=tmp_path)
        assert drawn.shape == (300, 16)
        strip = _strip(photographs(tmp_path), part)["ramp.png"]
        reached += (strip[0] * 255 / 2).round().int().tolist()
    assert reached == list(range(128))
    with pytest.raises(OptionError, match="Did you mean 'train'"):
        ll.data.patches(4, 3, part="trian")


def test_patches_of_ones_own_photographs(tmp_path):
    noise = RANDOM.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "mine.PNG")
    (tmp_path / "notes.txt").write_text("no photograph")
    assert ll.data.patches(4, 27 * 37, data_dir=tmp_path).shape == (27 * 37, 16)
    with pytest.raises(OptionError, match="only 999 patches"):
        ll.data.patches(4, 1000, data_dir=tmp_path)
    with pytest.raises(OptionError, match=r"31 × 31 do not fit into mine\.PNG"):
        ll.data.patches(31, 1, data_dir=tmp_path)
    with pytest.raises(OptionError, match="size of at least 2"):
        ll.data.patches(1, 1, data_dir=tmp_path)
    (tmp_path / "mine.PNG").write_bytes((tmp_path / "mine.PNG").read_bytes()[:500])
    with pytest.raises(DataError, match=r"picture mine\.PNG is truncated or damaged"):
        ll.data.patches(4, 10, data_dir=tmp_path)
    (tmp_path / "mine.PNG").unlink()
    with pytest.raises(DataError, match="holds no photographs"):
        ll.data.patches(4, 10, data_dir=tmp_path)


def pgm(pixels, newline=b"\n"):
    return newline.join([b"P5", b"%d %d" % pixels.shape[::-1], b"255", b""]) + pixels.tobytes()


def test_faces(tmp_path):
    first = RANDOM.integers(0, 256, (12, 9), dtype=np.uint8)
    for person in range(1, 41):
        (tmp_path / f"s{person}").mkdir()
        for shot in range(1, 11):
            (tmp_path / f"s{person}" / f"{shot}.pgm").write_bytes(pgm(first))
    images = ll.data.faces(tmp_path)
    assert (len(images.train), len(images.validation), len(images.test)) == (280, 40, 80)
    assert np.array_equal((images.train[0, 0] * 255).round().numpy(), first)
    (tmp_path / "s7" / "2.pgm").write_bytes(pgm(first)[:-1])
    with pytest.raises(DataError, match=r"s7/2\.pgm should hold 9 × 12 pixels, but 107 bytes"):
        ll.data.faces(tmp_path)
    (tmp_path / "s7" / "2.pgm").write_bytes(b"P6 not grey")
    with pytest.raises(DataError, match=r"s7/2\.pgm is not a binary PGM"):
        ll.data.faces(tmp_path)


def test_text_conversion_of_a_face_is_undone():
    from lowland.data.orl import read_pgm

    # Rows that resemble each other, as in a face, so that the untouched pair can be told from the added ones.
    smooth = np.tile(np.linspace(20, 200, 30).astype(np.uint8), (20, 1))
    smooth[4, 7], smooth[9, 3] = 10, 10
    converted = pgm(smooth).replace(b"\n", b"\r\n")
    assert np.array_equal(read_pgm(converted, "face").numpy(), smooth)
    smooth[14, 20:22] = 13, 10
    untouched = pgm(smooth).replace(b"\r\n", b"#").replace(b"\n", b"\r\n").replace(b"#", b"\r\n")
    assert np.array_equal(read_pgm(untouched, "face").numpy(), smooth)
