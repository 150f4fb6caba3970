"""Superpixels: pieces of an image that hardly cross a border, and means over them.

Shape letters: B images, C channels, H and W rows and columns, K values of a pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError


def superpixels(images: Tensor, pieces: int = 200, compactness: float = 10.0) -> Tensor:
    """Which piece each pixel is in, (B, 3, H, W) in [0, 1] → (B, H, W) int64, by SLIC.

    Source: Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods" (2012): k-means of colour
    (CIE Lab) and place, from a regular grid on, and only among what is near.

    Args:
        pieces: about how many of an image.
        compactness: how much a distance in place counts against one in colour; large values give squares.

    Raises:
        OptionError: if scikit-image is not installed.
        ShapeError: for images that are not in colour.

    >>> superpixels(torch.rand(2, 3, 16, 16), pieces=4).shape
    torch.Size([2, 16, 16])
    """
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise OptionError("Superpixels need scikit-image: pip install 'lowland[images]'.") from error
    if images.ndim != 4 or images.shape[1] != 3:
        raise ShapeError(f"Superpixels are of images (B, 3, H, W), not {tuple(images.shape)}.")
    found = [
        torch.from_numpy(slic(image.movedim(0, 2).numpy(), n_segments=pieces, compactness=compactness, start_label=0))
        for image in images.detach().cpu()
    ]
    return torch.stack(found).long()


def piece_means(values: Tensor, pieces: Tensor) -> Tensor:
    """Each pixel's mean over its piece, (B, K, H, W) and (B, H, W) → (B, K, H, W).

    Of costs −f(x), the label of least mean is that of least E among all labelings with one label for each piece.

    Raises:
        ShapeError: for pieces of another shape.

    >>> piece_means(torch.tensor([[[[1.0, 3.0, 5.0]]]]), torch.tensor([[[0, 0, 1]]]))
    tensor([[[[2., 2., 5.]]]])
    """
    if values.ndim != 4 or pieces.shape != (values.shape[0], *values.shape[2:]):
        raise ShapeError(f"Pieces must be (B, H, W) for values (B, K, H, W), not {pieces.shape} for {values.shape}.")
    flat = pieces.flatten(1)
    count = int(flat.max()) + 1
    sums = values.new_zeros(*values.shape[:2], count)
    index = flat[:, None].expand(-1, values.shape[1], -1)
    sums = sums.scatter_add(2, index, values.flatten(2))
    sizes = torch.zeros_like(sums).scatter_add(2, index, torch.ones_like(values.flatten(2)))
    return (sums / sizes.clamp_min(1)).gather(2, index).view_as(values)
