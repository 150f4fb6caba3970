"""What recipes of the pillar `sparse` share: pictures to restore, and how well that was done."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from torch import Tensor

from lowland.data.pictures import picture, pictures, scale
from lowland.data.pixels import check_levels
from lowland.errors import DataError, OptionError
from lowland.evaluation.restoration import psnr
from lowland.plots import images, photographs
from lowland.recipes.base import Bound, Count, Recipe
from lowland.reports.run import Run
from lowland.words import escaped, verbatim

_log = logging.getLogger(__name__)
WHITE = 255.0
"""Grey levels of a picture file: noise is given in these, as is usual, though pictures lie in [0, 1]."""
OURS = "learned dictionary"
_MOST = 2**22
"""Numbers in the largest picture."""


@dataclass(frozen=True)
class PictureRecipe(Recipe):
    """Restores the user's picture, or some of scikit-image's, by a dictionary of their windows."""

    image: str = ""
    """A picture of your own. Without one, six pictures of scikit-image are used."""
    levels: tuple[float, ...] = ()
    """Black and white level of your picture, if it has more than 8 bits; by default they are read off its pixels."""
    names: tuple[str, ...] = ("camera", "coins", "brick", "grass", "gravel", "moon")
    """Which of scikit-image's pictures."""
    size: Annotated[int, Bound(least=2)] = 8
    """Side S of a window, in pixels."""
    atoms: Count = 256
    """Atoms K of the dictionary."""
    rounds: Count = 15
    """Rounds of dictionary learning; each finds all codes and then all atoms."""
    samples: Count = 20_000
    """Windows to learn from, at most."""
    crop: Annotated[int, Bound(least=0)] = 0
    """Use only the middle of each picture, with this many pixels a side; 0 uses all of it."""

    def originals(self) -> tuple[dict[str, Tensor], str]:
        """Pictures by name, (C, H, W) each, and a sentence on their levels: "" for pictures of 8 bits.

        Raises:
            OptionError: for an unknown name, or levels without a picture that needs them.
            DataError: for a file that is no picture, or a picture smaller than a window.
        """
        note = ""
        if self.image:
            path = Path(self.image)
            levels, note = scale({path.name: path}, check_levels(self.levels))
            if note:
                _log.warning("%s", note)
            found = {escaped(path.stem): picture(path, levels=levels)}
        elif self.levels:
            raise OptionError("--levels is for a picture of your own: name it with --image.")
        else:
            known = pictures()
            unknown = sorted(set(self.names) - set(known))
            if unknown or not self.names:
                raise OptionError(f"There is no picture called {', '.join(unknown) or 'nothing'}: {', '.join(known)}.")
            found = {name: known[name] for name in self.names}
        for name, pixels in found.items():
            if min(pixels.shape[1:]) < self.size:
                raise DataError(
                    f"The picture {name} is {sides(pixels)} pixels, smaller than a window of {self.size} × {self.size}."
                )
        return found, note

    def cropped(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The pictures as far as they are used.

        Raises:
            DataError: for a picture whose windows would not fit into memory, about a kilobyte for each of its numbers.
        """
        used = {name: middle(pixels, self.crop) if self.crop else pixels for name, pixels in found.items()}
        for name, pixels in used.items():
            if pixels.numel() > _MOST:
                raise DataError(
                    f"The picture {name} has {sides(pixels)} pixels in {len(pixels)} channels, more than the {_MOST:,} "
                    "values whose windows fit into memory: use its middle with --crop "
                    f"{math.isqrt(_MOST // len(pixels))}."
                )
        return used

    def measure(
        self, run: Run, truths: Mapping[str, Tensor], found: Mapping[str, Mapping[str, Tensor]], methods: Sequence[str]
    ) -> None:
        """PSNR of each method: `psnr` with one number for each picture, `mean psnr`, and `psnr of NAME`."""
        for name, truth in truths.items():
            run.measured.add({method: {"psnr": psnr(found[name][method], truth)} for method in methods})
        for method in methods:
            each = run.measured.each(method, "psnr")
            run.measured.set(method, "mean psnr", sum(each) / len(each))
            for name, value in zip(truths, each, strict=True):
                run.measured.set(method, f"psnr of {name}", value)

    def figures(
        self, run: Run, found: Mapping[str, Mapping[str, Tensor]], atoms: Mapping[str, Tensor], methods: Sequence[str]
    ) -> None:
        """The middle of each picture by every method, the first 100 atoms of each dictionary, and a table of PSNR."""
        of = {name: {m: run.measured.mean(m, f"psnr of {name}") for m in methods} for name in found}
        for name, tiles in found.items():
            labels = {method: f"{method}, {value:.2f} dB" for method, value in of[name].items()}
            shown = [(middle(tile, 160), labels.get(label, label)) for label, tile in tiles.items()]
            run.figure(f"picture {name}", partial(photographs, shown, columns=3))
        run.grid("atoms", [(images(part[:100]), verbatim(name)) for name, part in atoms.items()], columns=3)
        rows = [[verbatim(name), *(round(value or 0.0, 2) for value in row.values())] for name, row in of.items()]
        means = [round(run.measured.mean(method, "mean psnr") or 0.0, 2) for method in methods]
        run.table(("picture", *methods), [*rows, ["mean", *means]], name="psnr")


def sides(image: Tensor) -> str:
    """Height and width, as text."""
    return f"{image.shape[1]} × {image.shape[2]}"


def middle(image: Tensor, side: int) -> Tensor:
    """The middle of a picture, at most so many pixels a side.

    >>> import torch
    >>> middle(torch.zeros(1, 9, 4), 5).shape
    torch.Size([1, 5, 4])
    """
    top, left = ((length - min(length, side)) // 2 for length in image.shape[1:])
    return image[:, top : top + side, left : left + side]
