"""Small files that ask for much: each is one sentence, and the memory is not asked for."""

from __future__ import annotations

import gzip
import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowland as ll
from lowland import bounded
from lowland.data.cifar import cifar10
from lowland.data.folder import read_folder
from lowland.data.gym_log import write_gym_log
from lowland.data.gym_read import read_gym_log
from lowland.data.idx import read_idx
from lowland.data.label_files import read_labels
from lowland.data.mnist_sample import mnist10k
from lowland.data.optical_digits import digits
from lowland.data.orl import faces, read_pgm
from lowland.errors import DataError

MOST = 2**20


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test reaches in no time."""
    monkeypatch.setattr(bounded, "UNPACKED", MOST)


def zeros(count: int) -> bytes:
    return gzip.compress(bytes(count))


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def announced(shape: str) -> bytes:
    """An archive whose one array announces a shape and holds nothing."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("observations.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    return buffer.getvalue()


def test_what_is_allowed_is_unpacked_whole() -> None:
    # The bound is the larger of the two: so many bytes, or ten times the size.
    for payload in (bytes(MOST), os.urandom(2 * MOST)):
        assert bounded.unzip(gzip.compress(payload), "a") == payload
    two = gzip.compress(b"first ") + gzip.compress(b"second")
    assert bounded.unzip(two, "a") == b"first second"
    arrays = bounded.read_arrays(npz(a=np.arange(5), b=np.eye(2)), "a.npz")
    assert arrays["a"].tolist() == [0, 1, 2, 3, 4]
    assert arrays["b"].tolist() == [[1, 0], [0, 1]]


def test_no_more_is_held_than_the_bound() -> None:
    payload = zeros(64 * MOST)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="bomb unpacks to more than 1 MB"):
            bounded.unzip(payload, "bomb")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The pieces up to the bound, the piece that passes it, and the reader's own buffers of the same size.
    assert peak < 6 * MOST


BOMBS: dict[str, tuple[str, bytes, Callable[[Path], Any], str]] = {
    "idx, zipped": ("x.gz", zeros(4 * MOST), lambda f: read_idx((f / "x.gz").read_bytes(), "x.gz", 3), "unpacks to"),
    "idx that announces 2^96 values": (
        "x", b"\0\0\x08\x03" + b"\xff" * 12, lambda f: read_idx((f / "x").read_bytes(), "x", 3), "truncated",
    ),
    "digits, zipped": ("digits.csv.gz", zeros(4 * MOST), digits, "unpacks to"),
    "a log of a plant": ("log.npz", npz(observations=np.zeros(MOST)), lambda f: read_gym_log(f / "log.npz"), "unpacks"),
    "a log that announces 2^50 rows": (
        "log.npz", announced("(1125899906842624,)"), lambda f: read_gym_log(f / "log.npz"), "truncated, damaged",
    ),
    "an archive of pictures": ("cifar10_jpeg.npz", npz(train_bytes=np.zeros(MOST)), cifar10, "unpacks to"),
    "nested JSON": ("0.json", b"[" * 200_000, mnist10k, "nested too deeply"),
    "a number of 10,000 digits": ("0.json", b'{"data": [' + b"9" * 10_000 + b"]}", mnist10k, "not a JSON list"),
    "a number beyond floats": ("0.json", b'{"data": [' + b"9" * 400 + b"]}", mnist10k, "not a JSON list"),
    "a grey picture that announces 10^18 pixels": (
        "s1/1.pgm", b"P5 999999999 999999999 255\nabc", faces, "should hold 999999999",
    ),
    "a grey picture of no width": ("s1/1.pgm", b"P5 0 0 255\n", faces, "not a binary PGM"),
    "a grey picture whose width has 5000 digits": ("s1/1.pgm", b"P5 " + b"1" * 5000 + b" 1 255\n", faces, "is not a"),
}  # fmt: skip
MANY = {
    "0.json": [f"{digit}.json" for digit in range(10)],
    "s1/1.pgm": [f"s{person}/{shot}.pgm" for person in range(1, 41) for shot in range(1, 11)],
}
"""Data sets of many files, of which each is the bomb."""


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_is_one_sentence(case: str, tmp_path: Path) -> None:
    name, content, read, words = BOMBS[case]
    for each in MANY.get(name, [name]):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_sparse_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "0.json").touch()
    os.truncate(tmp_path / "0.json", 2**40)
    for digit in range(1, 10):
        (tmp_path / f"{digit}.json").touch()
    with pytest.raises(DataError, match="1,099,511,627,776 bytes, more than"):
        mnist10k(tmp_path)


def test_a_sparse_table_of_labels_is_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((40, 2)))
    table = tmp_path / "labels.csv"
    table.touch()
    os.truncate(table, 2**40)
    folder = read_folder(tmp_path, leave=[table])
    with pytest.raises(DataError, match="1,099,511,627,776 bytes, more than"):
        read_labels(str(table), tmp_path, folder)


def test_what_does_not_end_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.npz")
    with pytest.raises(DataError, match="is a named pipe, not a file"):
        read_gym_log(tmp_path / "log.npz")
    with pytest.raises(DataError, match="is a device"):
        bounded.read_bytes(Path("/dev/zero"))
    # A pipe in the place of a file of a data set is no file of it, and no other place is searched for.
    for name, load in (("digits.csv.gz", ll.data.digits), ("cifar10_jpeg.npz", cifar10), ("0.json", mnist10k)):
        os.mkfifo(tmp_path / name)
        with pytest.raises(DataError, match=r"holds neither|holds no|Name the folder"):
            load(tmp_path)


def test_writing_to_a_pipe_does_not_wait_for_a_reader(tmp_path: Path) -> None:
    np.savez(tmp_path / "log.npz", observations=np.zeros((5, 2)), actions=np.ones((5, 1)))
    os.mkfifo(tmp_path / "pipe.npz")
    log = read_gym_log(tmp_path / "log.npz")
    assert read_gym_log(write_gym_log(log, tmp_path / "pipe.npz")).steps == log.steps


def test_numbers_beyond_single_precision_are_left_out_and_said(tmp_path: Path) -> None:
    values = np.zeros((6, 2))
    values[3, 1] = 1e39
    np.savez(tmp_path / "log.npz", observations=values, actions=np.linspace(-1, 1, 6))
    log = read_gym_log(tmp_path / "log.npz")
    assert log.notes == ("1 of 6 steps have NaN or infinity and were left out.",)
    assert all(path["observation"].isfinite().all() for path in log.paths)


def test_a_jpeg_of_another_size_is_refused_before_it_is_decoded() -> None:
    from PIL import Image

    from lowland.data.cifar import _decode

    buffer = io.BytesIO()
    Image.new("RGB", (3000, 3000)).save(buffer, "JPEG")
    files = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
    with pytest.raises(DataError, match=r"image 0 could not be decoded \(it is 3000 × 3000"):
        _decode([files, np.array([0, len(files)]), np.array([1])], "test")


def test_a_grey_picture_still_reads() -> None:
    assert read_pgm(b"P5\n# made by hand\n2 1\n255\n" + bytes([3, 4]), "a").tolist() == [[3, 4]]
