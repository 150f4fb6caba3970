"""A user's pictures and masks: a folder of images, and for some of them which class each pixel is of.

Legend: N pictures, H and W rows and columns, K classes.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.bounded import read_bytes
from lowland.data.picture_files import scale_note
from lowland.data.pixels import depth, one_scale, opened, reason, span, upright
from lowland.data.scenes import UNLABELLED, Scenes
from lowland.data.survey import shown, survey
from lowland.errors import DataError, LowlandError, OptionError
from lowland.files import write_atomically
from lowland.words import escaped

TABLE = "classes.csv"
"""In the folder of masks: which value is which class."""
FEWEST = 3
"""Masks that are needed."""
_USUAL = "255"
"""What stands for no label in masks of numbers, unless the user says otherwise."""
_MOST = 64
_MULTIPLE = 16
_LOSSY = (".jpg", ".jpeg", ".webp", ".avif", ".jp2")
_SAID_EVERY = 50


class MaskFolder(NamedTuple):
    """N pictures of a folder, at one size.

    `scenes` all pictures, with −1 as the label of what no mask labels; `masked` and `unmasked` the rows with a mask and
    without; `files` their names in the folder; `sizes` (height, width) of the files; `values` what stands for each
    class in masks, such as 3 or #ff0000; `skipped` what was left out, and why; `notes` sentences for the user; `levels`
    black and white of pictures of more than eight bits, None if there are none.
    """

    scenes: Scenes
    masked: list[int]
    files: list[str]
    sizes: list[tuple[int, int]]
    values: list[str]
    skipped: list[tuple[str, str]]
    notes: list[str]
    levels: tuple[float, float] | None

    @property
    def unmasked(self) -> list[int]:
        return sorted(set(range(len(self.files))) - set(self.masked))


def read_mask_folder(
    folder: str | Path,
    masks: str | Path = "",
    size: int = 96,
    ignore: str = _USUAL,
    watch: Callable[[str], None] = lambda text: None,
) -> MaskFolder:
    """The pictures of a folder, and the masks of some: that of `a/b.jpg` is `masks/a/b.png`.

    A mask is a picture of the same size in a format without loss, whose values are numbers of classes (one channel, or
    a palette) or colours. `masks/classes.csv`, a table of class and value (a number, or a colour such as #ff0000),
    names them; without it every value is a class. Transparent pixels have no label.

    All pictures are scaled to the median of their shapes, with `size` pixels on the shorter side and sides that are
    multiples of 16; masks are scaled by the nearest pixel. Pictures of more than eight bits share one black and white,
    see `one_scale`.

    Args:
        masks: folder of the masks; by default `masks` in the folder.
        size: pixels of the shorter side.
        ignore: the value of pixels without a label, or "none".
        watch: called from time to time with a line of progress.

    Raises:
        DataError: for a folder without pictures, masks or pairs, fewer than three masks that can be used, one class
            only, more than 64 classes, palettes in which a number has two colours, or pictures
            that no one scale fits.
        OptionError: for a size that is not a multiple of 16, or a value to ignore that no mask can have: a colour if
            masks have numbers, or a number other than 255 if they have colours.
    """
    if size < 2 * _MULTIPLE or size % _MULTIPLE:
        raise OptionError(f"size must be a multiple of {_MULTIPLE} and at least {2 * _MULTIPLE}, but it is {size}.")
    unlabelled = _value(ignore)
    if not unlabelled and ignore != "none":
        raise OptionError(f"ignore must be a number from 0 to 255, a colour such as #000000, or none, not {ignore!r}.")
    place = Path(masks) if masks else Path(folder) / "masks"
    if not place.is_dir():
        survey(folder, "images")  # says what is wrong with a folder that is none
        raise DataError(
            f"There is no folder of masks at {place}: put the mask of a.jpg there as a.png, or name --masks."
        )
    owners = survey(place, "images")
    found = survey(folder, "images", [*owners.chosen, *owners.others])
    pictures = {shown(found.root, path): path for path in found.chosen}
    pairs, notes = _paired(pictures, {shown(owners.root, path): path for path in owners.chosen})
    table = _classes(place / TABLE)
    skipped = [*found.skipped, *owners.skipped]
    shapes, spans = dict[str, tuple[int, int]](), dict[str, list[tuple[float, float]]]()
    for name, path in pictures.items():
        try:
            with opened(path) as image:
                if kind := depth(image):
                    spans.setdefault(kind, []).append(span(image))
                shapes[name] = _turned(image)
        except Exception as error:  # noqa: BLE001  a damaged picture fails in many ways
            skipped.append((name, reason(error, str(path))))
    if not shapes:
        raise DataError(f"No picture in {folder} can be used: {' '.join(skipped[0])}.")
    levels = one_scale(spans)
    if levels:
        kind, deep = next(iter(spans.items()))
        notes.append(f"{len(deep):,} of {len(shapes):,} pictures have {scale_note(kind, levels, False)}")
    work = _working_size(list(shapes.values()), size)
    images, files, codes = list[NDArray[np.uint8]](), list[str](), dict[int, NDArray[Any]]()
    palettes = dict[str, dict[str, str]]()
    for number, name in enumerate(shapes):
        if number % _SAID_EVERY == 0:
            watch(f"pictures: {number:,} of {len(shapes):,}")
        try:
            with opened(pictures[name]) as image:
                pixels = _scaled(image, work, levels)
            if name in pairs:
                codes[len(images)], palettes[name] = _mask(pairs[name], shapes[name], work, unlabelled, table)
        except Exception as error:  # noqa: BLE001  see above
            skipped.append((name, reason(error, str(pictures[name]))))
            continue
        images.append(pixels)
        files.append(name)
    _check_palettes(palettes)
    values = sorted({str(value) for each in codes.values() for value in np.unique(each) if value}, key=_order)
    _check(values, len(codes), skipped, unlabelled)
    notes += [
        f"No mask has the class {name} at this size: it is not learned." for v, name in table.items() if v not in values
    ]
    labels = torch.full((len(images), *work), UNLABELLED)
    for row, mask in codes.items():
        for number, value in enumerate(values):
            labels[row][torch.from_numpy(mask == value)] = number
    classes = tuple(table.get(value, value) for value in values)
    scenes = Scenes(torch.from_numpy(np.stack(images)).movedim(3, 1).contiguous(), labels, classes)
    return MaskFolder(scenes, sorted(codes), files, [shapes[name] for name in files], values, skipped, notes, levels)


def write_masks(folder: Path, found: MaskFolder, labels: Tensor) -> Path:
    """Write the labels (M, H, W) of the M pictures without a mask as PNG of their own sizes; returns the folder.

    Raises:
        CheckpointError: if they cannot be written.
    """
    names = [found.files[row].rsplit(".", 1)[0] for row in found.unmasked]
    for row, name, each in zip(found.unmasked, names, labels.numpy(), strict=True):
        content = io.BytesIO()
        mask_image(each, found.values, found.sizes[row]).save(content, "PNG")
        # Pictures that differ in their suffix alone stay apart.
        name = name if names.count(name) == 1 else found.files[row]
        write_atomically(folder / f"{name}.png", content.getvalue())
    return folder


def mask_image(labels: NDArray[np.int64], values: list[str], size: tuple[int, int]) -> Any:
    """Labels (H, W) as a Pillow image of another (height, width), with the values that the user's masks have."""
    from PIL import Image

    colours = any(value.startswith("#") for value in values)
    if colours:
        table = np.array([[int(value[i : i + 2], 16) for i in (1, 3, 5)] for value in values], np.uint8)
    else:
        table = np.array([int(value) for value in values], np.uint8)
    return Image.fromarray(table[labels]).resize((size[1], size[0]), Image.Resampling.NEAREST)


def _paired(pictures: Mapping[str, Path], masks: Mapping[str, Path]) -> tuple[dict[str, Path], list[str]]:
    """The mask of each picture that has one, and a note on those that are of none."""
    owner = dict[str, str]()
    for name in pictures:
        first = owner.setdefault(name.rsplit(".", 1)[0], name)
        if first != name and any(mask.rsplit(".", 1)[0] == name.rsplit(".", 1)[0] for mask in masks):
            raise DataError(f"A mask may be that of {first} or of {name}: give each picture a name of its own.")
    pairs, alone = dict[str, Path](), list[str]()
    for name, path in masks.items():
        picture = owner.get(name.rsplit(".", 1)[0])
        if picture is None:
            alone.append(name)
        elif picture in pairs:
            raise DataError(f"{picture} has two masks, {pairs[picture].name} and {path.name}: keep one.")
        else:
            pairs[picture] = path
    if not pairs:
        raise DataError(
            f"No picture has a mask: there are pictures such as {next(iter(pictures))} and masks such as "
            f"{next(iter(masks))}, but a mask has the name of its picture, up to the suffix."
        )
    return pairs, [f"{len(alone)} masks have no picture, such as {alone[0]}."] if alone else []


def _classes(path: Path) -> dict[str, str]:
    """Class by value, from a table of class and value; empty if there is none."""
    if not path.is_file():
        return {}
    try:
        rows = [row for row in csv.reader(read_bytes(path).decode("utf-8-sig").splitlines()) if row]
    except (OSError, UnicodeDecodeError, csv.Error, LowlandError) as error:
        raise DataError(f"The classes in {path} cannot be read ({error}): they must be CSV, in UTF-8.") from None
    table = dict[str, str]()
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        value = _value(cells[1]) if len(cells) == 2 else ""
        if not value:
            if number == 1 and len(cells) == 2:
                continue  # a header
            raise DataError(
                f"{path}, line {number}: there must be a class and its value, such as `sky,3` or `sky,#80c0ff`."
            )
        if table.setdefault(value, escaped(cells[0])) != escaped(cells[0]):
            raise DataError(f"{path}, line {number}: {value} is {table[value]!r} already.")
    if len(set(table.values())) < len(table):
        raise DataError(f"{path} gives a class two values: each class has one.")
    return table


def _value(text: str) -> str:
    """A colour such as #00ff00 or the number of a class, as values of masks are written; empty if it is neither."""
    if text.startswith("#"):
        return text.lower() if len(text) == 7 and set(text[1:].lower()) <= set("0123456789abcdef") else ""
    return str(int(text)) if text.isascii() and text.isdigit() and int(text) < 256 else ""


def _turned(image: Any) -> tuple[int, int]:
    """(height, width) of a Pillow image once it is turned as its camera says."""
    sideways = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (image.width, image.height) if sideways else (image.height, image.width)


def _working_size(shapes: list[tuple[int, int]], size: int) -> tuple[int, int]:
    """Sides that are multiples of 16, `size` the shorter one, in the median proportion, at most 3 to 1."""
    ratio = min(3.0, max(1 / 3, statistics.median(width / height for height, width in shapes)))
    longer = round(size * max(ratio, 1 / ratio) / _MULTIPLE) * _MULTIPLE
    return (size, longer) if ratio >= 1 else (longer, size)


def _scaled(image: Any, work: tuple[int, int], levels: tuple[float, float] | None) -> NDArray[np.uint8]:
    from PIL import Image

    ready = upright(image, levels).convert("RGB")
    return np.asarray(ready.resize((work[1], work[0]), Image.Resampling.BICUBIC))


def _mask(
    path: Path, shape: tuple[int, int], work: tuple[int, int], unlabelled: str, table: Mapping[str, str]
) -> tuple[NDArray[Any], dict[str, str]]:
    """The values of a mask at the working size, as text (H, W), empty where there is no label; and its palette.

    The palette is the colour of each value that has pixels; empty for a mask without one.

    Raises:
        ValueError: for a mask that cannot be used, with the reason.
    """
    from PIL import Image, ImageOps

    if path.suffix.lower() in _LOSSY:
        raise ValueError(f"its mask {path.name} is in a format that blurs: save masks as PNG")
    with opened(path) as image:
        if _turned(image) != shape:
            sizes = [f"{width} × {height}" for height, width in (_turned(image), shape)]
            raise ValueError(f"its mask has {sizes[0]} pixels, and the picture {sizes[1]}")
        if depth(image):
            raise ValueError("its mask has more than 8 bits: save class numbers as bytes, or colours")
        ImageOps.exif_transpose(image, in_place=True)
        colours_HWC = np.asarray(image.convert("RGBA")).astype(np.int64)
        clear, colours = colours_HWC[:, :, 3] < 128, (colours_HWC[:, :, :3] << np.array([16, 8, 0])).sum(axis=2)
        numbered, palette = image.mode in ("1", "L", "LA", "P", "PA"), image.mode in ("P", "PA")
        pixels = np.asarray(image).reshape(*shape, -1)[:, :, 0].astype(np.int64) if numbered else colours
    present, index = np.unique(pixels, return_inverse=True)
    if len(present) > _MOST and not table:
        raise ValueError(
            f"its mask has {len(present):,} different values: masks must not be smoothed, or name classes in {TABLE}"
        )
    names = np.array([str(value) if numbered else f"#{value:06x}" for value in present], dtype="U7")
    for number, name in enumerate(names):
        if name == unlabelled:
            names[number] = ""
        elif table and name not in table:
            count = int((index == number).sum())
            raise ValueError(f"its mask has {count:,} pixels of {name}, which {TABLE} does not name")
    used = np.unique(np.stack([pixels[~clear], colours[~clear]]), axis=1).T.tolist() if palette else []
    values = np.where(clear, "", names[index.reshape(shape)])
    numbers = np.unique(values, return_inverse=True)
    small = Image.fromarray(numbers[1].reshape(shape).astype(np.int32)).resize(
        (work[1], work[0]), Image.Resampling.NEAREST
    )
    found = numbers[0][np.asarray(small)]
    if not (found != "").any():
        raise ValueError("its mask labels no pixel at this size")
    return found, {str(value): f"#{colour:06x}" for value, colour in used}


def _order(value: str) -> tuple[bool, int]:
    return (True, int(value[1:], 16)) if value.startswith("#") else (False, int(value))


def _check_palettes(palettes: Mapping[str, Mapping[str, str]]) -> None:
    """Raise a DataError if a number has two colours: then it is no class, but a place in the palette of one file."""
    first = dict[str, tuple[str, str]]()
    for name, palette in palettes.items():
        for value, colour in palette.items():
            before, where = first.setdefault(value, (colour, name))
            if before != colour:
                raise DataError(
                    f"Masks have palettes of their own: {value} is {before} in that of {where} and {colour} in that of "
                    f"{name}. Save masks as colours, or as numbers in one channel."
                )


def _check(values: list[str], count: int, skipped: list[tuple[str, str]], unlabelled: str) -> None:
    why = f"; {len(skipped)} files were left out: {' '.join(skipped[0])}" if skipped else ""
    if count < FEWEST:
        raise DataError(f"Labelling pixels needs at least {FEWEST} masks, better twenty, but there are {count}{why}.")
    if len({value.startswith("#") for value in values}) > 1:
        raise DataError("Some masks have numbers of classes and some have colours: save all of them alike.")
    if unlabelled not in ("", _USUAL) and values[0].startswith("#") != unlabelled.startswith("#"):
        have, way = ("numbers", "number") if unlabelled.startswith("#") else ("colours", "colour, such as #000000,")
        raise OptionError(
            f"ignore is {unlabelled}, but the masks have {have} of classes, such as {values[0]}: give the {way} of "
            "pixels without a label, or none."
        )
    if len(values) > _MOST:
        raise DataError(
            f"The masks have {len(values):,} different values, such as {', '.join(values[:3])}: of which at most "
            f"{_MOST} can be classes: save them without smoothing, and name the classes in {TABLE}."
        )
    if len(values) < 2:
        apart = f", apart from {unlabelled} for pixels without a label" if unlabelled else ""
        hint = " If that value is a class, pass --ignore none." if unlabelled else ""
        raise DataError(f"The masks have one class only, {values[0]}{apart}: there is nothing to tell apart.{hint}")
