"""Folders of pictures and masks: numbers, colours, palettes; and each mistake with the sentence that it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.data.mask_folder import read_mask_folder, write_masks
from lowland.errors import DataError, OptionError

HIGH, WIDE = 40, 60


def pictures(folder: Path, count: int = 5, masks: int = 4, mode: str = "L", values: Any = (0, 1, 255)) -> Path:
    """Dark pictures, and masks with the first value on the left, the second on the right, the last in the top rows."""
    (folder / "masks").mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (WIDE, HIGH), (10 * number, 0, 0)).save(folder / f"{number}.png")
        if number < masks:
            half(mode, values).save(folder / "masks" / f"{number}.png")
    return folder


def half(mode: str, values: Any) -> Image.Image:
    pixels = np.zeros((HIGH, WIDE, *np.shape(values)[1:]), np.uint8)
    pixels[:, : WIDE // 2], pixels[:, WIDE // 2 :], pixels[:4] = values
    if mode != "P":
        return Image.fromarray(pixels)
    image = Image.frombytes("P", (WIDE, HIGH), pixels.tobytes())
    image.putpalette([level // 3 for level in range(768)])
    return image


@pytest.mark.parametrize("mode", ["L", "P"])
def test_numbers_of_classes(tmp_path: Path, mode: str) -> None:
    found = read_mask_folder(pictures(tmp_path / "a", mode=mode, values=(3, 7, 255)), size=32)
    scenes = found.scenes
    assert scenes.images.shape == (5, 3, 32, 48)
    assert (scenes.classes, found.values, found.masked, found.unmasked) == (("3", "7"), ["3", "7"], [0, 1, 2, 3], [4])
    assert found.sizes == [(HIGH, WIDE)] * 5
    labels = scenes.labels[0]
    assert labels[5:, :24].eq(0).all()
    assert labels[5:, 24:].eq(1).all()
    assert labels[:3].eq(-1).all()
    assert scenes.labels[4].eq(-1).all()
    assert scenes.images[2, 0].eq(20).all()


def test_colours_with_names(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", mode="RGB", values=((255, 0, 0), (0, 0, 255), (0, 0, 0)))
    (folder / "masks" / "classes.csv").write_text("class,value\nroof,#FF0000\nsky,#0000ff\nsea,#00ff00\n")
    found = read_mask_folder(folder, size=32, ignore="#000000")
    assert (found.scenes.classes, found.values) == (("sky", "roof"), ["#0000ff", "#ff0000"])
    assert found.scenes.labels[0, 5, 2] == 1
    assert any("class sea" in note for note in found.notes)


def test_transparent_pixels_have_no_label(tmp_path: Path) -> None:
    values = ((255, 0, 0, 255), (0, 0, 255, 255), (0, 255, 0, 0))
    found = read_mask_folder(pictures(tmp_path / "a", mode="RGBA", values=values), size=32)
    assert found.values == ["#0000ff", "#ff0000"]
    assert found.scenes.labels[0, 0].eq(-1).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_one_value_may_be_the_transparent_one(tmp_path: Path, mode: str) -> None:
    colours = mode == "RGB"
    folder = pictures(tmp_path / "a", mode=mode, values=[(k,) * 3 for k in (1, 2, 0)] if colours else (1, 2, 0))
    for path in (folder / "masks").iterdir():
        with Image.open(path) as image:
            image.load()
        image.save(path, transparency=(0, 0, 0) if colours else 0)
    found = read_mask_folder(folder, size=32)
    assert found.values == (["#010101", "#020202"] if colours else ["1", "2"])
    assert found.scenes.labels[0, 0].eq(-1).all()
    assert found.scenes.labels[0, 5, 2] == 0


@pytest.mark.parametrize("ignore", ["2", "02"])
def test_a_number_to_ignore(tmp_path: Path, ignore: str) -> None:
    found = read_mask_folder(pictures(tmp_path / "a", values=(0, 1, 2)), size=32, ignore=ignore)
    assert found.values == ["0", "1"]
    assert found.scenes.labels[0, 0].eq(-1).all()


def test_a_value_to_ignore_of_the_other_kind(tmp_path: Path) -> None:
    for mode in ("L", "P"):
        said = refused(pictures(tmp_path / mode, mode=mode, values=(0, 1, 2)), ignore="#000000")
        assert "ignore is #000000, but the masks have numbers of classes, such as 0: give the number" in said
    folder = pictures(tmp_path / "c", mode="RGB", values=((255, 0, 0), (0, 0, 255), (0, 0, 0)))
    assert "ignore is 0, but the masks have colours of classes, such as #000000" in refused(folder, ignore="0")


def test_masks_are_written_as_they_were_read(tmp_path: Path) -> None:
    for kind, values, mode in (("n", (3, 7, 3), "L"), ("c", ((255, 0, 0), (0, 0, 255), (255, 0, 0)), "RGB")):
        found = read_mask_folder(pictures(tmp_path / kind, mode=mode, values=values), size=32)
        place = write_masks(tmp_path / kind / "new", found, found.scenes.labels[:1])
        with Image.open(place / "4.png") as written:
            assert written.size == (WIDE, HIGH)
            pixels = np.asarray(written)
        assert pixels[20, 2].tolist() == np.array(values[0]).tolist()
        assert pixels[20, -2].tolist() == np.array(values[1]).tolist()


def refused(folder: Path, **options: Any) -> str:
    with pytest.raises((DataError, OptionError)) as caught:
        read_mask_folder(folder, **{"size": 32, **options})
    return str(caught.value)


def test_masks_that_do_not_fit_are_left_out_with_the_reason(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", count=8, masks=8)
    Image.new("L", (WIDE, HIGH + 1)).save(folder / "masks" / "0.png")
    (folder / "masks" / "1.png").write_bytes(b"no picture")
    half("L", (0, 1, 255)).save(folder / "masks" / "2.jpg")
    (folder / "masks" / "2.png").unlink()
    Image.fromarray(np.zeros((HIGH, WIDE), np.uint16)).save(folder / "masks" / "3.png")
    half("L", (0, 9, 255)).save(folder / "masks" / "4.png")
    (folder / "masks" / "classes.csv").write_text("a,0\nb,1\n")
    half("L", (0, 1, 255)).save(folder / "masks" / "other.png")
    found = read_mask_folder(folder, size=32)
    why = dict(found.skipped)
    assert "60 × 41 pixels, and the picture 60 × 40" in why["0.png"]
    assert "not a picture" in why["1.png"]
    assert "in a format that blurs" in why["2.png"]
    assert "more than 8 bits" in why["3.png"]
    assert "pixels of 9, which classes.csv does not name" in why["4.png"]
    assert found.files == ["5.png", "6.png", "7.png"]
    assert found.notes == ["1 masks have no picture, such as other.png."]
    (folder / "masks" / "5.png").unlink()
    assert "at least 3 masks, better twenty, but there are 2; 5 files were left out" in refused(folder)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none")
    folder = pictures(tmp_path / "a")
    assert "There is no folder of masks" in refused(folder, masks=tmp_path / "none")
    for place in (folder / "masks").glob("*.png"):
        place.rename(place.with_name(f"mask-{place.name}"))
    said = refused(folder)
    assert "No picture has a mask: there are pictures such as 0.png and masks such as mask-0.png" in said
    assert "size must be a multiple of 16" in refused(folder, size=40)
    assert "ignore must be a number from 0 to 255" in refused(folder, ignore="black")


def test_one_class_only(tmp_path: Path) -> None:
    said = refused(pictures(tmp_path / "a", values=(0, 255, 255)))
    assert "one class only, 0" in said
    assert "--ignore none" in said
    assert read_mask_folder(tmp_path / "a", size=32, ignore="none").values == ["0", "255"]


def test_masks_without_a_label_do_not_count(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", masks=5)
    half("L", (255, 255, 255)).save(folder / "masks" / "0.png")
    speck = np.full((HIGH, WIDE), 255, np.uint8)
    speck[2, 2] = 1  # lost when the mask is scaled
    Image.fromarray(speck).save(folder / "masks" / "1.png")
    found = read_mask_folder(folder, size=32)
    assert found.files == ["2.png", "3.png", "4.png"]
    assert all("its mask labels no pixel at this size" in why for _, why in found.skipped)
    half("L", (255, 255, 255)).save(folder / "masks" / "2.png")
    said = refused(folder)
    assert "at least 3 masks, better twenty, but there are 2; 3 files were left out: 0.png" in said
    assert "labels no pixel" in said


def test_colours_without_end(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a")
    noise = np.random.default_rng(0).integers(0, 255, (HIGH, WIDE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "masks" / "0.png")
    assert "different values: masks must not be smoothed" in dict(read_mask_folder(folder, size=32).skipped)["0.png"]
    for number in range(4):
        Image.fromarray(np.repeat(np.arange(HIGH, dtype=np.uint8)[:, None] + 60 * number, WIDE, 1)).save(
            folder / "masks" / f"{number}.png"
        )
    assert "of which at most 64 can be classes" in refused(folder)


def test_numbers_and_colours_do_not_mix(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a")
    half("RGB", ((255, 0, 0), (0, 0, 255), (0, 0, 0))).save(folder / "masks" / "0.png")
    assert "save all of them alike" in refused(folder)


def test_a_number_with_two_colours_is_no_class(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", mode="P", values=(3, 7, 3))
    image = half("P", (3, 7, 3))
    image.putpalette([level // 3 for level in range(9)] + [9, 9, 9] + [level // 3 for level in range(12, 768)])
    image.save(folder / "masks" / "2.png")
    said = refused(folder)
    assert "3 is #030303 in that of 0.png and #090909 in that of 2.png" in said
    assert "as colours, or as numbers in one channel" in said
    image.putpalette([level // 3 for level in range(60)] + [9] * 708)  # where no pixel is
    image.save(folder / "masks" / "2.png")
    assert read_mask_folder(folder, size=32).values == ["3", "7"]


def test_two_of_one_name(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a")
    half("L", (0, 1, 255)).save(folder / "masks" / "0.bmp")
    assert "0.png has two masks" in refused(folder)
    (folder / "masks" / "0.bmp").unlink()
    Image.new("RGB", (WIDE, HIGH)).save(folder / "0.bmp")
    assert "give each picture a name of its own" in refused(folder)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("a,0\nb,red\n", "line 2: there must be a class and its value"),
        ("a,0\nb,300\n", "line 2: there must be a class and its value"),
        ("a,0,1\n", "line 1: there must be a class and its value"),
        ("a,0\nb,0\n", "line 2: 0 is 'a' already"),
        ("a,0\na,1\n", "gives a class two values"),
    ],
)
def test_tables_of_classes(tmp_path: Path, table: str, sentence: str) -> None:
    folder = pictures(tmp_path / "a")
    (folder / "masks" / "classes.csv").write_text(table)
    assert sentence in refused(folder)


def test_pictures_of_more_than_eight_bits_share_one_scale(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a")
    for number, level in enumerate((500, 1000, 4000)):
        Image.fromarray(np.full((HIGH, WIDE), level, np.uint16)).save(folder / f"{number}.png")
    found = read_mask_folder(folder, size=32)
    assert found.levels == (0.0, 4095.0)
    for row, level in enumerate((500, 1000, 4000)):
        assert found.scenes.images[row].eq(round(255 * level / 4095)).all()
    assert found.scenes.images[3, 0].eq(30).all()  # of eight bits: as it is
    assert found.notes == ["3 of 5 pictures have more than 8 bits: level 0 was taken for black and 4,095 for white."]
    Image.fromarray(np.full((HIGH, WIDE), 0.5, np.float32)).save(folder / "6.tif")
    assert "no one scale fits both" in refused(folder)


def test_a_turned_photograph_has_the_mask_of_what_is_seen(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (HIGH, WIDE), (1, 2, 3)).save(folder / "0.png", exif=exif)
    found = read_mask_folder(folder, size=32)
    assert 0 in found.masked
    assert found.sizes[0] == (HIGH, WIDE)
    assert torch.equal(found.scenes.labels[0], found.scenes.labels[1])
