"""Stamps, and photographs to put them on, from small archives of the same format."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from lowland.data import backgrounds as photographs
from lowland.data import stamps as module
from lowland.data.lookup import read_all
from lowland.data.stamps import cut_out, series, stamps
from lowland.errors import DataError


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    return buffer.getvalue()


def stamp(width: int, height: int, mode: str = "RGBA", level: int = 255) -> bytes:
    """A red rectangle with a transparent margin of 3 pixels."""
    image = Image.new("RGBA", (width + 6, height + 6))
    image.paste((level, 0, 0, 255), (3, 3, width + 3, height + 3))
    return png(image.convert(mode))


def as_deb(tar: bytes) -> bytes:
    header = f"{'data.tar.gz':<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(tar):<10}`\n".encode()
    return b"!<arch>\n" + header + tar


@pytest.fixture
def folder(
    tmp_path: Path,
    tar: Callable[[dict[str, bytes]], bytes],
    sha256: Callable[[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Four stamps of each of ten series in two categories, what is no stamp of its own, and other files."""
    root = f"./{module._SOURCE.root}"
    members = {
        f"{root}/{name}": stamp(20, 10 + number, level=250 - 20 * row)
        for row, word in enumerate(("cow", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay", "kiwi", "lark"))
        for number, name in enumerate(f"{'ab'[row % 2]}/{word}{end}.png" for end in ("", "-2", "_red", "3"))
    }
    members |= {f"{root}/b/cow_mirror.png": stamp(9, 9), f"{root}/b/same.png": members[f"{root}/a/cow.png"]}
    payload = as_deb(tar(members | {f"{root}/a/cow.txt": b"a stamp", "./usr/share/other/x.png": b"no stamp"}))
    (tmp_path / module._ARCHIVE).write_bytes(payload)
    monkeypatch.setattr(
        module, "_SOURCE", dataclasses.replace(module._SOURCE, sha256={module._ARCHIVE: sha256(payload)})
    )
    return tmp_path


def test_stamps_of_a_package(folder: Path) -> None:
    """No mirror image, no file twice, and no series, each of its own red, in two parts."""
    found = stamps(folder)
    assert found.classes == ("a", "b")
    assert found.shape == (4, 64, 64)
    assert torch.equal(found.together[1].bincount(), torch.tensor([20, 20]))
    seen = []
    for part in ("train", "validation", "test"):
        reds = (255 * getattr(found, part)[:, 0].amax(dim=(1, 2))).round().int()
        assert len(reds) == 4 * len(reds.unique())
        seen.append(set(reds.tolist()))
    assert [len(reds) for reds in seen] == [6, 2, 2]
    assert len(set.union(*seen)) == 10


def test_series_are_of_the_first_word() -> None:
    letters = ("a_filled", "A_outline", "a_with_umlaut_filled")
    assert {series(f"symbols/alphabets/english/{name}.png") for name in letters} == {"a"}
    assert {series(f"seasonal/halloween/grave-{letter}.png") for letter in "abj"} == {"grave"}
    assert {series(f"town/roadsigns/stoplight_{name}.png") for name in ("01_red", "03_green")} == {"stoplight"}
    assert {series(f"town/flags/{name}flag.png") for name in ("red", "blue-and-yellow")} == {"town/flags"}
    assert {series(f"symbols/chess/{name}_1_king.png") for name in "bw"} == {"symbols/chess"}
    assert {series(f"symbols/money/euro/coins/{name}.png") for name in ("001", "200")} == {"symbols/money"}
    assert series("symbols/math/7.png") == "symbols/math"


def test_a_package_that_is_missing_damaged_or_empty(folder: Path) -> None:
    with pytest.raises(DataError, match=r"lacks tuxpaint-stamps-default.*\.deb, the archive of stamps"):
        stamps(folder / "nowhere")
    with pytest.raises(DataError, match=r"lacks usr/share/tuxpaint/stamps/\*\.svg"):
        read_all(module._SOURCE, ".svg", folder)
    (folder / module._ARCHIVE).write_bytes(b"!<arch>\n")
    with pytest.raises(DataError, match="is damaged or is another file"):
        stamps(folder)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_cut_out_fills_the_square_and_keeps_its_proportions(mode: str) -> None:
    pixels = cut_out(stamp(40, 20, mode), "stamp")
    opaque = pixels[3] > 127
    assert pixels.shape == (4, 64, 64)
    assert opaque.any(dim=0).all()
    assert int(opaque.any(dim=1).sum()) == 32
    assert bool((pixels[0][opaque] > (200 if mode == "RGBA" else 50)).all())


def test_pictures_that_are_no_cut_outs() -> None:
    with pytest.raises(DataError, match=r"The picture x\.png"):
        cut_out(b"no picture", "x.png")
    with pytest.raises(DataError, match="nowhere more than half opaque"):
        cut_out(png(Image.new("RGBA", (8, 8), (255, 0, 0, 100))), "faint.png")


def test_photographs_are_split_by_photograph(tmp_path: Path) -> None:
    """From unpacked files; no photograph is in two parts. Large ones give 1 + 4 squares, and 16 more to learn from."""
    names = [*(name for _, files in photographs._FILES for name in files), *photographs._MORE]
    for number, name in enumerate(names):
        side = 800 if number % 2 else 200
        image = Image.new("RGB", (side + 30, side), (6 * number, 255 - 6 * number, 0))
        image.save(tmp_path / name)
    found = photographs.backgrounds(tmp_path)
    parts = [set(getattr(found, f"{part}_labels").tolist()) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(names)
    assert [len(part) for part in parts] == [31, 3, 7]
    assert parts[0] >= set(range(len(names) - 15, len(names)))
    for part in ("train", "validation", "test"):
        counts = getattr(found, f"{part}_labels").bincount()
        large = 21 if part == "train" else 5
        assert all(count in (0, large if label % 2 else 1) for label, count in enumerate(counts.tolist()))
    for image, label in zip(found.test, found.test_labels.tolist(), strict=True):
        # JPEG changes a flat colour by a level or two.
        assert float((image.mean(dim=(1, 2)) * 255 - torch.tensor([6 * label, 255 - 6 * label, 0])).abs().max()) < 3
    (tmp_path / names[0]).unlink()
    with pytest.raises(DataError, match="only part of backgrounds"):
        photographs.backgrounds(tmp_path)
