"""What recipes of the pillar `sparse` share: data sets, settings that are tuned, and pictures to restore."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.data.natural import patches
from lowland.data.pictures import middle, picture, pictures_named, scale, sides
from lowland.data.pixels import check_levels
from lowland.errors import DataError, OptionError
from lowland.evaluation.restoration import psnr
from lowland.plots import images, photographs
from lowland.recipes.base import Bound, Count, Positive, Recipe, SeededRecipe
from lowland.reports.run import Run
from lowland.words import escaped, verbatim

_log = logging.getLogger(__name__)
WHITE = 255.0
"""Grey levels of a picture file: noise is given in these, as is usual, though pictures lie in [0, 1]."""
OURS = "learned dictionary"
_MOST = 2**22
"""Numbers in the largest picture."""
SIDE = 12
"""Side of the patches of a `PatchRecipe`, in pixels."""
Setting = Mapping[str, float]


def stage_name(method: str) -> str:
    """A method's name as the name of a stage.

    >>> stage_name("ReLU, two layers")
    'ReLU-two-layers'
    """
    return method.replace(" ", "-").replace(",", "")


def load_images(run: Run, name: str) -> Images:
    """A data set by name; the page says so if it stands in for another."""
    data = load(name)
    if data.stand_in_for:
        run.stand_in(f"{name} stands in for {data.stand_in_for}: its test images are not the published ones.")
    return data


@dataclass(frozen=True)
class DigitsRecipe(Recipe):
    """Learns from images of digits, or of clothes."""

    data: Literal["mnist10k", "digits", "fashion_mnist", "mnist"] = "mnist10k"
    """Images: mnist10k, digits, fashion_mnist or mnist."""


@dataclass(frozen=True)
class PatchRecipe(SeededRecipe):
    """Learns sparse codes of patches of photographs, 12 × 12 pixels of norm 1."""

    samples: Count = 50_000
    """Training patches of 12 × 12 pixels."""
    tests: Count = 5_000
    """Test patches, and as many validation patches, from other parts of the photographs."""
    atoms: Count = 256
    """Atoms of the dictionary."""
    sparsity: Positive = 0.1
    """λ, in units of the patches, which have norm 1."""

    def patches(self, seed: int) -> list[Tensor]:
        """Patches for training, validation and test, (N, 144) each."""
        counts = {"train": self.samples, "validation": self.tests, "test": self.tests}
        return [
            patches(SIDE, count, self.generator(10 * seed + number), part=part).to(self.device)
            for number, (part, count) in enumerate(counts.items())
        ]


def fused_adam(parameters: Any, lr: float) -> torch.optim.Optimizer:
    """Adam in one kernel, which is faster on small layers."""
    return torch.optim.Adam(parameters, lr, fused=True)


@dataclass(frozen=True)
class TunedRecipe(SeededRecipe):
    """Compares methods by the best of several settings of each, chosen on a split that is used for nothing else."""

    grids: ClassVar[Mapping[str, Sequence[Setting]]] = {}
    """The settings of each method."""

    def tune(
        self, run: Run, error: Callable[[str, Setting], float], columns: tuple[str, str, str], factor: float = 1.0
    ) -> None:
        """Choose the setting of least error for each method, and add the table `tuning`.

        Args:
            error: of a method with a setting.
            columns: titles of the table's columns of methods, settings and errors.
            factor: of the errors in the table.
        """
        chosen, rows = {}, []
        for method, grid in self.grids.items():
            found = run.stage(f"tuning/{stage_name(method)}", partial(_errors, partial(error, method), grid))
            chosen[method] = found["best"]
            for number, (setting, value) in enumerate(zip(grid, found["errors"], strict=True)):
                text = ", ".join(f"{option} {size:g}" for option, size in setting.items())
                rows.append([method, text, factor * value, "chosen" if number == found["best"] else ""])
        run.show(tuned=chosen)
        run.table((*columns, ""), rows, name="tuning")

    def tuned(self, run: Run) -> dict[str, Setting]:
        """The setting chosen for each method."""
        return {method: self.grids[method][number] for method, number in run.shown["tuned"].items()}


def _errors(error: Callable[[Setting], float], grid: Sequence[Setting]) -> dict[str, Any]:
    errors = [error(setting) for setting in grid]
    return {"errors": errors, "best": errors.index(min(errors))}


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
            found = pictures_named(self.names)
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
