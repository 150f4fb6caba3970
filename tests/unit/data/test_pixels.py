"""One reader of pictures: the levels that the raw file holds, one scale for a folder, and what is refused.

Every right value comes from the array that the file was written from, or from the limits that the test names.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from lowland.data import pixels
from lowland.data.folder import check_used, read_folder
from lowland.data.natural import photographs
from lowland.data.pictures import picture
from lowland.data.pixels import check_levels, levels_of
from lowland.data.survey import survey
from lowland.errors import DataError, LowlandError, OptionError

RAMP = np.linspace(0, 1, 64).repeat(16).reshape(64, 16)
"""Sixty-four grey levels, a row each."""


def write(path: Path, levels: np.ndarray) -> Path:
    Image.fromarray(levels).save(path)
    return path


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png(width: int, height: int, rows: bytes, bits: int = 8, colours: int = 2, between: bytes = b"") -> bytes:
    """A PNG file of packed rows, written by hand."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + between + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("top", "white", "real"),
    [
        (4095, 4095, False),
        (300, 511, False),
        (65535, 65535, False),
        (100, 255, False),
        (1.0, 1, True),
        (250.0, 255, True),
        (0.01, 2**-6, True),
        (3.7, 4, True),
    ],
)
def test_all_grey_levels_of_a_picture_are_kept(top: float, white: float, real: bool, tmp_path: Path) -> None:
    """64 levels stay 64, whatever the largest is; the bytes are the levels of the file over white."""
    levels = (RAMP * top).astype(np.float32) if real else np.round(RAMP * top).astype(np.uint16)
    write(tmp_path / ("a.tiff" if real else "a.png"), levels)
    found = read_folder(tmp_path, size=16)
    assert found.levels == (0.0, white)
    assert any("--levels gives others" in note for note in found.notes)
    exact = picture(tmp_path / ("a.tiff" if real else "a.png"))
    # In single precision each level is off by 1e-7 of white at most, far less than the 1/128 between two of them.
    np.testing.assert_allclose(exact[0].numpy(), levels / white, atol=1e-6)
    assert len(np.unique(np.round(exact.numpy() * 255))) == len(np.unique(levels))


def test_one_scale_for_a_folder_and_not_one_for_each_picture(tmp_path: Path) -> None:
    write(tmp_path / "dark.png", np.full((20, 20), 1000, np.uint16))
    write(tmp_path / "light.png", np.full((20, 20), 4000, np.uint16))
    found = read_folder(tmp_path, size=16)
    assert found.levels == (0.0, 4095.0)
    assert [int(one.max()) for one in found.values] == [round(1000 / 4095 * 255), round(4000 / 4095 * 255)]


@pytest.mark.parametrize("real", [False, True])
def test_a_hot_pixel_does_not_set_the_scale(real: bool, tmp_path: Path) -> None:
    levels = np.tile(RAMP, (2, 2)) if real else np.round(np.tile(RAMP, (2, 2)) * 4095)
    levels[5, 5] = 1.02 if real else 65535
    path = write(tmp_path / "a.tiff", levels.astype(np.float32 if real else np.uint16))
    found = picture(path)[0].numpy()
    assert read_folder(tmp_path, size=16).levels == (0.0, 1.0 if real else 4095.0)
    assert found[5, 5] == 1
    levels[5, 5] = 1.0 if real else 4095
    np.testing.assert_allclose(found, levels / levels.max(), atol=1e-6)


def test_levels_below_zero_are_not_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tiff", (2 * RAMP - 1).astype(np.float32))
    np.testing.assert_allclose(picture(path)[0].numpy(), RAMP, atol=1e-6)
    assert levels_of([(-1000.0, 3000.0)], "whole") == (-1024.0, 4095.0)


def test_levels_that_are_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", np.full((20, 20), 500, np.uint16))
    assert picture(path, levels=(0, 1000)).unique().tolist() == [0.5]
    found = read_folder(tmp_path, size=16, levels=(0, 1000))
    assert found.values.unique().tolist() == [round(0.5 * 255)]
    assert found.notes[0].endswith("level 0 was taken for black and 1,000 for white.")
    for wrong in ((1.0,), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)):
        with pytest.raises(OptionError, match="two numbers"):
            check_levels(wrong)
    write(path, np.full((20, 20), 5, np.uint8))
    with pytest.raises(OptionError, match="leave out --levels"):
        check_used(read_folder(tmp_path, size=16, levels=(0, 1000)), (0, 1000))


def test_whole_and_real_levels_have_no_scale_in_common(tmp_path: Path) -> None:
    write(tmp_path / "a.png", np.full((20, 20), 500, np.uint16))
    write(tmp_path / "b.tiff", np.full((20, 20), 0.5, np.float32))
    with pytest.raises(DataError, match="1 pictures have more than 8 bits and 1 have real numbers"):
        read_folder(tmp_path)


def test_photographs_of_ones_own_have_one_scale(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, level in (("a.png", 1023), (("b.png"), 341)):
        write(tmp_path / name, np.full((20, 20), level, np.uint16))
    found = photographs(tmp_path)
    assert found["a.png"].mean().item() == pytest.approx(1, abs=1e-6)
    assert found["b.png"].mean().item() == pytest.approx(1 / 3, abs=1e-6)
    assert "level 0 was taken for black and 1,023 for white" in caplog.text


def test_sixteen_bits_of_colour_that_say_nothing_are_refused(tmp_path: Path) -> None:
    """Pillow keeps the upper byte of each: twelve bits leave sixteen levels of 256."""
    for name, top in (("full.png", 65535), ("dark.png", 4095)):
        levels = (np.linspace(0, top, 20 * 20 * 3).reshape(20, 60)).astype(">u2")
        rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in levels))
        (tmp_path / name).write_bytes(png(20, 20, rows, bits=16))
    found = read_folder(tmp_path)
    assert found.files == ("full.png",)
    assert "upper 8 are read" in dict(found.skipped)["dark.png"]


def test_a_camera_that_was_turned_and_transparent_pixels(tmp_path: Path) -> None:
    half = np.zeros((16, 16), np.uint8)
    half[:8] = 200
    image = Image.fromarray(half)
    exif = image.getexif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.png", exif=exif)
    assert picture(tmp_path / "a.png")[0, :8].max() == 0
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(tmp_path / "b.png")
    assert picture(tmp_path / "b.png").min() == 1


# ---- hostile files


def bombs(folder: Path) -> dict[str, Path]:
    """Small files that ask for much: 20,000² and 7,000² pixels, text that unpacks to a gigabyte, damaged text."""
    packer = zlib.compressobj()
    text = b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()
    rows = zlib.compress(b"\0" * 61)
    made = {
        "vast.png": png(20_000, 20_000, rows),
        "large.png": png(7_000, 7_000, rows),
        "deep.png": png(7_000, 7_000, rows, bits=16, colours=0),
        "text.png": png(20, 20, zlib.compress(b"\0" * 61 * 20), between=chunk(b"zTXt", b"a\0\0" + text)),
        "cut.png": png(20, 20, zlib.compress(b"\0" * 61 * 20), between=chunk(b"zTXt", b"a\0\0no zip")),
        "wrong.png": png(20, 20, zlib.compress(b"\0" * 61 * 20), between=struct.pack(">I", 9) + b"tEXtab"),
        "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n",
    }
    for name, payload in made.items():
        (folder / name).write_bytes(payload)
    return {name: folder / name for name in made}


def test_bombs_are_one_sentence_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture of more than MOST pixels is ever unpacked: Pillow's loader is not reached."""
    loaded: list[int] = []
    plain = PngImagePlugin.PngImageFile.load_prepare
    monkeypatch.setattr(
        PngImagePlugin.PngImageFile, "load_prepare", lambda self: (loaded.append(self.width * self.height), plain(self))
    )
    paths = bombs(tmp_path)
    write(tmp_path / "good.png", np.full((20, 20), 7, np.uint8))
    found = read_folder(tmp_path)
    reasons = dict(found.skipped)
    assert found.files[-1] == "good.png"
    assert set(reasons) >= set(paths) - {"cut.png"}  # Pillow reads over a text that is no zip
    assert all("\n" not in reason and len(reason) < 300 for reason in reasons.values())
    for name in reasons:
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            picture(tmp_path / name)
    assert max(loaded) < pixels.MOST
    assert reasons["vast.png"] == f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels: scale it down"
    assert "49,000,000 pixels" in reasons["large.png"]


def test_a_large_jpeg_is_read_at_the_scale_that_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.jpg", np.full((320, 320, 3), 90, np.uint8))
    monkeypatch.setattr(pixels, "MOST", 40**2)
    assert read_folder(tmp_path, size=16).values.unique().tolist() == [90]


def test_named_pipes_and_links_do_not_hang(tmp_path: Path) -> None:
    write(tmp_path / "good.png", np.full((20, 20), 7, np.uint8))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "round").symlink_to(tmp_path)
    found = read_folder(tmp_path, leave=[tmp_path / "loop.png" / "labels.csv"])
    reasons = dict(found.skipped)
    assert found.files == ("good.png",)
    assert reasons["pipe.png"].startswith("is a named pipe, not a file")
    assert "Too many levels of symbolic links" in reasons["loop.png"]
    assert "No such file" in reasons["lost.png"]
    assert reasons["round"] == "is a link to a folder, which is not followed: name that folder"
    with pytest.raises(DataError, match="is a named pipe"):
        picture(tmp_path / "pipe.png")
    (tmp_path / "series").mkdir()
    for name in ("a.csv", "b.npy"):
        os.mkfifo(tmp_path / "series" / name)
    with pytest.raises(DataError, match="a named pipe"):
        read_folder(tmp_path / "series")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 and line breaks are shown as escapes, and the files are read all the same."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for name in (b"a\xff.png", b"b\nc.png", "ü👨‍👩‍👧.png".encode()):
        write(folder / os.fsdecode(name), np.full((20, 20), 7, np.uint8))
    (folder / os.fsdecode(b"broken\xff.png")).write_bytes(b"hello")
    found = read_folder(folder)
    assert found.files == ("a\\udcff.png", "b\\nc.png", "ü👨‍👩‍👧.png")
    assert found.skipped == (("broken\\udcff.png", "is not a picture, or is damaged"),)
    "".join(found.files).encode()


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "a\0b"])
def test_paths_that_cannot_be(name: str, tmp_path: Path) -> None:
    for reader in (read_folder, picture):
        with pytest.raises(LowlandError):
            reader(tmp_path / name)


def test_kinds_that_are_not_read_are_listed_with_the_way_out(tmp_path: Path) -> None:
    for name in ("a.HEIC", "b.nef", "c.mp4", "d.parquet"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"has no images and no series in it that can be read: a\.HEIC .* JPEG"):
        read_folder(tmp_path)
    write(tmp_path / "e.png", np.full((20, 20), 7, np.uint8))
    (tmp_path / "notes.txt").write_text("x")
    found = read_folder(tmp_path)
    assert [name for name, _ in found.skipped] == ["a.HEIC", "b.nef", "c.mp4", "d.parquet"]
    assert all("save it as" in reason for _, reason in found.skipped)
    assert any("1 other file was left alone: notes.txt" in note for note in found.notes)
    assert survey(tmp_path).kind == "images"


def test_series_of_many_megabytes_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of seven rows give the numbers of the file; a claim of 10¹² rows in a header asks for no memory."""
    monkeypatch.setattr("lowland.data.series_files._ROWS", 7)
    table = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.savetxt(tmp_path / "a.csv", table, "%.9g", ",")
    np.save(tmp_path / "b.npy", table.astype(np.float64))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 3), }".ljust(117) + b"\n"
    (tmp_path / "bomb.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    (tmp_path / "line.csv").write_bytes(b"1," * 5_000_001)
    found = read_folder(tmp_path, size=25)
    wanted = torch.from_numpy(table).reshape(2, 25, 3).transpose(1, 2)
    assert torch.equal(found.values, torch.cat([wanted, wanted]))
    assert found.starts == (0, 25, 0, 25)
    assert [name for name, _ in found.skipped] == ["bomb.npy", "line.csv"]
    assert "more than 10,000,000 characters" in found.skipped[1][1]
