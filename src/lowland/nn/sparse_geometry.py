"""The places of voxels, and which voxel is read for which: what convolutions of sparse volumes need, computed once.

Shape letters: N voxels, M voxels of the answer, K offsets of a kernel, P pairs of a voxel that is read and one that is
written.
"""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import DataError, OptionError, ShapeError, check_number


class Rules:
    """Which voxel is read for which, offset by offset: all that a sparse convolution knows of places.

    Args:
        inputs, outputs: (P,) int64; the pairs of one offset follow those of the one before. In an offset no voxel is
            named twice on one side.
        counts: pairs of each of the K offsets.
        shape: (M, N), voxels that are written and read.
        middle: the offset that reads each voxel for itself, if there is one; its pairs are left out above.
    """

    def __init__(
        self, inputs: Tensor, outputs: Tensor, counts: list[int], shape: tuple[int, int], middle: int | None = None
    ) -> None:
        self.inputs, self.outputs, self.counts, self.shape, self.middle = inputs, outputs, counts, shape, middle

    @cached_property
    def bags(self) -> tuple[Tensor, Tensor]:
        """The order of the pairs by what they write, (P,), and where each voxel that is written begins, (M + 1,)."""
        starts = torch.bincount(self.outputs, minlength=self.shape[0]).cumsum(0)
        return self.outputs.argsort(stable=True), functional.pad(starts, (1, 0))

    @cached_property
    def turned(self) -> Rules:
        """The rules of the transposed convolution."""
        made = Rules(self.outputs, self.inputs, self.counts, (self.shape[1], self.shape[0]), self.middle)
        made.turned = self
        return made


class Geometry:
    """The places of the voxels of a batch of volumes, and the rules of convolutions on them, computed once.

    Args:
        coordinates: (N, 4) whole numbers: the sample, x, y and z.
        sides: voxels along x, y and z.
        samples: B; by default one more than the last sample that has a voxel.

    Raises:
        ShapeError: if the coordinates are no whole numbers (N, 4).
        OptionError: for sides that are no three positive whole numbers.
        DataError: for no voxel at all, one outside the volume, or one that is there twice.
    """

    def __init__(self, coordinates: Tensor, sides: tuple[int, int, int], samples: int | None = None) -> None:
        if coordinates.ndim != 2 or coordinates.shape[1] != 4 or coordinates.is_floating_point():
            raise ShapeError(
                "Voxels need whole coordinates (N, 4), the sample, x, y and z, but these are "
                f"{tuple(coordinates.shape)} of {coordinates.dtype}."
            )
        if len(sides) != 3:
            raise OptionError(f"A volume needs three sides, along x, y and z, but sides is {sides}.")
        for side in sides:
            check_number("a side of a volume", side, least=1, whole=True)
        if not len(coordinates):
            raise DataError("A volume without any voxel cannot be convolved: leave it out of the batch.")
        coordinates = coordinates.long()
        samples = int(coordinates[:, 0].max()) + 1 if samples is None else samples
        bounds = torch.tensor([samples, *sides], device=coordinates.device)
        outside = ((coordinates < 0) | (coordinates >= bounds)).any(dim=1)
        if bool(outside.any()):
            raise DataError(
                f"The voxel {coordinates[outside][0].tolist()} lies outside {samples} volumes of {sides}; the first "
                "number is the sample."
            )
        self.coordinates, self.sides, self.samples = coordinates, sides, samples
        keys, self._order = self._key(coordinates, 0).sort()
        twice = keys[1:] == keys[:-1]
        if bool(twice.any()):
            place = coordinates[self._order[1:][twice][0]].tolist()
            raise DataError(f"The voxel {place} is there twice: join the features of such voxels first.")
        self._rules: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.coordinates)

    def _key(self, coordinates: Tensor, border: int) -> Tensor:
        """One number for each place, rising with x, y and z, if there is an empty border around each volume."""
        sample, x, y, z = coordinates.unbind(dim=1)
        wide, deep, high = (side + 2 * border for side in self.sides)
        return ((sample * wide + x + border) * deep + y + border) * high + z + border

    def near(self, kernel: int) -> Rules:
        """Rules that read, for each voxel, the voxels in a cube of odd side around it.

        Voxels are found by binary search in sorted keys, once for each line of the cube along z.

        >>> Geometry(torch.tensor([[0, 1, 1, 1], [0, 1, 1, 2]]), (4, 4, 4)).near(3).counts[12:15]
        [1, 0, 1]
        """
        if ("near", kernel) not in self._rules:
            reach = kernel // 2
            border, steps = max(1, reach), range(-reach, reach + 1)
            coordinates = self.coordinates[self._order]
            keys = self._key(coordinates, border)
            high, deep = self.sides[2] + 2 * border, self.sides[1] + 2 * border
            # The last key, which is no voxel, ends the search.
            padded = functional.pad(keys, (0, 1), value=torch.iinfo(torch.long).max)
            inputs, outputs = [], []
            for along_x, along_y in itertools.product(steps, steps):
                wanted = keys + (along_x * deep + along_y) * high - reach
                at = torch.searchsorted(keys, wanted)
                for along_z in steps:
                    hit = padded[at] == wanted
                    # The middle reads each voxel for itself: its pairs are known.
                    found = hit.nonzero()[:, 0] if (along_x, along_y, along_z) != (0, 0, 0) else at[:0]
                    inputs.append(self._order[at[found]])
                    outputs.append(self._order[found])
                    at, wanted = at + hit, wanted + 1
            counts = [len(some) for some in inputs]
            both = len(self), len(self)
            self._rules["near", kernel] = Rules(torch.cat(inputs), torch.cat(outputs), counts, both, len(counts) // 2)
        return self._rules["near", kernel]

    def strided(self, kernel: int, stride: int, padding: int) -> tuple[Geometry, Rules]:
        """The voxels whose cube of that side holds a voxel of these, and the rules that read these for them.

        Raises:
            DataError: if the kernel is larger than a side with its padding, or no voxel is seen.
        """
        name = "strided", kernel, stride, padding
        if name not in self._rules:
            wide, deep, high = sides = _strided(self.sides, kernel, stride, padding)
            if min(sides) < 1:
                raise DataError(f"A kernel of {kernel} voxels does not fit into a volume of {self.sides}.")
            bounds = torch.tensor(sides, device=self.coordinates.device)
            inputs, places = [], []
            for offset in itertools.product(range(kernel), repeat=3):
                moved = self.coordinates[:, 1:] + padding - torch.tensor(offset, device=bounds.device)
                to = moved.div(stride, rounding_mode="floor")
                hit = ((moved == to * stride) & (to >= 0) & (to < bounds)).all(dim=1).nonzero()[:, 0]
                inputs.append(hit)
                places.append(torch.cat([self.coordinates[hit, :1], to[hit]], dim=1))
            sample, x, y, z = torch.cat(places).unbind(dim=1)
            keys, outputs = (((sample * wide + x) * deep + y) * high + z).unique(return_inverse=True)
            rest, last = keys // high, keys % high
            parts = [rest // deep // wide, rest // deep % wide, rest % deep, last]
            coarse = Geometry(torch.stack(parts, dim=1), sides, self.samples)
            counts = [len(some) for some in inputs]
            self._rules[name] = coarse, Rules(torch.cat(inputs), outputs, counts, (len(coarse), len(self)))
        return self._rules[name]


def _strided(sides: tuple[int, int, int], kernel: int, stride: int, padding: int) -> tuple[int, int, int]:
    wide, deep, high = ((side + 2 * padding - kernel) // stride + 1 for side in sides)
    return wide, deep, high
