"""Small photographs for experiments: crops of the sample images of scikit-image and scikit-learn."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.lookup import read
from lowland.data.source import Source
from lowland.errors import DataError, OptionError
from lowland.files import appearing

_SKIMAGE = Source(
    name="photos",
    package="scikit-image",
    version="0.24 to 0.26",
    sha256={
        "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
        "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
        "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
        "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
        "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
        "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
        "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    },
    root="data",
    module="skimage",
)
_SKLEARN = Source(
    name="photos",
    package="scikit-learn",
    version="1.6 to 1.9",
    sha256={
        "china.jpg": "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        "flower.jpg": "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    },
    root="datasets/images",
    module="sklearn",
)
MOST = 2000


def sample_photos(folder: str | Path, count: int = 500) -> Path:
    """Write square crops of twelve photographs, and `labels.csv` with the photograph of each; returns the folder.

    A photograph is cut along a grid, as coarse as the number of crops allows, so no two crops overlap. Three of the
    twelve are grey, sizes differ, and crops of JPEG files are JPEG files again.

    Args:
        folder: must be empty or not exist.
        count: total number of crops, 24 to 2000.

    Raises:
        OptionError: for another count.
        DataError: if the folder is in use or cannot be written, or scikit-image is not installed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     written = sample_photos(Path(place) / "photos", 24)
    ...     len(list(written.glob("*.*"))), (written / "labels.csv").read_text().split()[1]
    (25, 'astronaut-00.png,astronaut')
    """
    from PIL import Image

    if not 24 <= count <= MOST:
        raise OptionError(f"The sample photographs give 24 to {MOST} crops, not {count}.")
    payloads = {name: text for source in (_SKIMAGE, _SKLEARN) for name, text in _content(source).items()}
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(("file", "label"))
    with new_folder(folder) as root:
        for number, (name, payload) in enumerate(payloads.items()):
            own = count // len(payloads) + (number < count % len(payloads))
            with Image.open(io.BytesIO(payload)) as photograph:
                for index, box in enumerate(_crops(photograph.width, photograph.height, own)):
                    path = root / f"{Path(name).stem}-{index:02}{Path(name).suffix}"
                    photograph.crop(box).save(path)
                    table.writerow((path.name, Path(name).stem))
        (root / "labels.csv").write_text(lines.getvalue())
    return Path(folder)


def photo_crops(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Square crops of the two photographs of scikit-learn, at random places, (count, 3, side, side) in [0, 1].

    Photographs are halved on the way, so that a crop shows more of them.

    Args:
        count: crops, of the two photographs in turn.
        side: height and width of a crop, 213 at most.
        generator: draws the places.

    >>> photo_crops(3, 24, torch.Generator().manual_seed(0)).shape
    torch.Size([3, 3, 24, 24])
    """
    from sklearn.datasets import load_sample_images

    scenes, crops = [torch.from_numpy(scene.copy()).permute(2, 0, 1) for scene in load_sample_images().images], []
    for number in range(count):
        scene = scenes[number % len(scenes)]
        top, left = (int(torch.randint(length - 2 * side, (), generator=generator)) for length in scene.shape[1:])
        crop = scene[:, top : top + 2 * side, left : left + 2 * side].float() / 255
        crops.append(functional.avg_pool2d(crop, 2))
    return torch.stack(crops)


@contextlib.contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """A folder to fill with samples, which appears under its name only when complete.

    Raises:
        DataError: if it exists and is not empty, or cannot be written.
    """
    try:
        with appearing(Path(folder), DataError) as root:
            yield root
    except FileExistsError:
        raise DataError(f"{folder} is there already: name a new folder for the samples.") from None


def _content(source: Source) -> dict[str, bytes]:
    return dict(read(source, list(source.sha256)).content)


def _crops(width: int, height: int, count: int) -> list[tuple[int, int, int, int]]:
    """`count` squares of a grid, as large as possible, evenly spread over the image."""
    side = next(side for side in range(min(width, height), 0, -1) if (width // side) * (height // side) >= count)
    places = [(left, top) for top in range(height // side) for left in range(width // side)]
    chosen = [places[index * len(places) // count] for index in range(count)]
    return [(left * side, top * side, (left + 1) * side, (top + 1) * side) for left, top in chosen]
