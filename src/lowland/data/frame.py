"""Reads one image of a size that is given, such as that of a goal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lowland.data.pixels import opened, reason
from lowland.errors import DataError
from lowland.files import regular


def read_frame(path: str | Path, shape: tuple[int, ...]) -> Tensor:
    """An image as (C, H, W) from 0 to 1, like the images of a log.

    Args:
        path: a picture, for grey (C = 1) or colours (C = 3), or an .npy file (H, W, C) of bytes, or of
            numbers from 0 to 1.
        shape: (H, W, C), which it must have.

    Raises:
        DataError: for a file that is missing, damaged, or of another shape.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/goal.npy", np.full((4, 3, 2), 255, dtype=np.uint8))
    ...     goal = read_frame(f"{folder}/goal.npy", (4, 3, 2))
    >>> goal.shape, float(goal.max())
    (torch.Size([2, 4, 3]), 1.0)
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy":
            found = np.load(regular(path), allow_pickle=False)
        else:
            with opened(path) as image:
                found = np.array(image.convert("L" if shape[-1] == 1 else "RGB"))
    except Exception as error:  # noqa: BLE001  a damaged picture fails in many ways
        raise DataError(f"{path} {reason(error, str(path))}.") from None
    found = found[..., None] if found.ndim == 2 else found
    if found.dtype.kind not in "fiub" or tuple(found.shape) != tuple(shape):
        raise DataError(
            f"{path} has the shape {tuple(found.shape)}, but the images of the log have {tuple(shape)}: scale it, or "
            "save it as an .npy file of that shape."
        )
    image = as_image(torch.from_numpy(np.ascontiguousarray(found)))
    if not bool(((image >= 0) & (image <= 1)).all()):
        raise DataError(f"{path} has pixels that are not between 0 and 1: save bytes, or numbers from 0 to 1.")
    return image.float()


def as_image(frame: Tensor) -> Tensor:
    """Frames (…, H, W, C) of a log as images (…, C, H, W) from 0 to 1.

    >>> as_image(torch.full((4, 3, 1), 255, dtype=torch.uint8)).shape
    torch.Size([1, 4, 3])
    """
    return (frame if frame.is_floating_point() else frame.float() / 255).movedim(-1, -3)
