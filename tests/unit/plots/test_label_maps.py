"""Labels in colour: one panel for each image and name, white without a label, and a colour for each class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.errors import ShapeError
from lowland.plots.label_maps import label_maps


def test_panels_colours_and_names() -> None:
    labels = torch.tensor([[[0, 1], [-1, 8]]])
    names = [f"class {k}" for k in range(8)] + ["$x$"]
    drawn = label_maps(torch.rand(1, 3, 2, 2), {"mask": labels, "net": labels}, names)
    assert [ax.get_ylabel() for ax in drawn.axes] == ["image", "mask", "net"]
    pixels = np.asarray(drawn.axes[1].get_images()[0].get_array())
    assert pixels[1, 0].tolist() == [1.0, 1.0, 1.0]
    assert len({tuple(pixel) for pixel in pixels.reshape(-1, 3).tolist()}) == 4
    texts = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert texts == [*names[:-1], r"\$x\$"]


def test_labels_of_another_shape() -> None:
    with pytest.raises(ShapeError, match="Labels must be"):
        label_maps(torch.rand(1, 3, 2, 2), {"mask": torch.zeros(1, 2, 3).long()}, ["a"])
    with pytest.raises(ShapeError, match="Labels must be"):
        label_maps(torch.rand(1, 3, 2, 2), {}, ["a"])
