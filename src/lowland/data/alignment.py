"""Aligns images of one kind of thing, such as faces, to their common mean (system V12).

Shape letters: N images, C channels, H and W rows and columns, P = 4 numbers of a similarity transform.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import ShapeError, check_number

_P = 4
_STEPS, _ROUNDS, _CHANGE, _DAMPING = 15, 4, 1e-3, 1e-6
_FLOOR = 1e-6


def moved(images: Tensor, transform: Tensor) -> Tensor:
    """Images (N, C, H, W) after a similarity transform each, with the pixels of the border repeated outside.

    Args:
        images: to be moved.
        transform: (N, 4): where the middle of the result is taken from, right and down, in units of half the shorter
            side; the logarithm of the magnification; the turn against the clock in radians.

    >>> image = torch.arange(9.0).reshape(1, 1, 3, 3)
    >>> moved(image, torch.tensor([[1.0, 0.0, 0.0, 0.0]]))[0, 0]
    tensor([[1., 2., 2.],
            [4., 5., 5.],
            [7., 8., 8.]])
    """
    height, width = images.shape[2:]
    right, down, size, turn = transform.unbind(dim=1)
    # In pixels from the middle, where a turn is one whatever the shape of the image.
    half = (min(height, width) - 1) / 2
    rows, columns = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in (height, width))
    y, x = torch.meshgrid(rows.to(images), columns.to(images), indexing="ij")
    cosine, sine = (torch.exp(-size) * f(turn) for f in (torch.cos, torch.sin))
    across = cosine[:, None, None] * x - sine[:, None, None] * y + half * right[:, None, None]
    along = sine[:, None, None] * x + cosine[:, None, None] * y + half * down[:, None, None]
    grid = torch.stack([2 * across / max(width - 1, 1), 2 * along / max(height - 1, 1)], dim=3)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=True)


class Alignment:
    """Moves images so that they resemble a mean: p̂ = argmin_p E(x, p), E = ½ mean (c(T(x, p)) − m)² + ½ κ‖p‖².

    T moves an image by p, c brings it to mean 0 and deviation 1, so that light does not matter, and m is c of the mean
    of the moved training images. p is found by Gauss–Newton steps that never raise E (Lucas & Kanade, 1981), and m and
    p in turns (congealing; Miller, Matsakis & Viola, 2000). κ keeps an image that resembles nothing in its place.

    Args:
        images: (N, C, H, W), to learn the mean from.
        stiffness: κ.

    Raises:
        ShapeError: for images of another rank, or other sizes than those that it learned from.
        OptionError: for a stiffness below 0.

    >>> draw = torch.Generator().manual_seed(0)
    >>> faces = torch.rand(1, 1, 4, 4, generator=draw).expand(6, -1, -1, -1)
    >>> Alignment(faces)(faces).shape
    torch.Size([6, 1, 4, 4])
    """

    def __init__(self, images: Tensor, stiffness: float = 1.0) -> None:
        check_number("stiffness", stiffness, least=0)
        if images.ndim != 4 or not len(images):
            raise ShapeError(f"Images to align must be (N, C, H, W), but they are {tuple(images.shape)}.")
        self.stiffness, self.mean = stiffness, _standard(images.mean(dim=0, keepdim=True))
        found = images.new_zeros(len(images), _P)
        for _ in range(_ROUNDS):
            found = self.transforms(images, found)
            found = found - found.mean(dim=0)  # else all could shrink together until nothing differs
            self.mean = _standard(moved(images, found).mean(dim=0, keepdim=True))

    def energy(self, images: Tensor, transform: Tensor) -> Tensor:
        """E(x, p) of each image, (N,)."""
        rest = self._rest(images, transform)
        return 0.5 * rest.square().mean(dim=1) + 0.5 * self.stiffness * transform.square().sum(dim=1)

    @torch.no_grad()
    def transforms(self, images: Tensor, start: Tensor | None = None) -> Tensor:
        """p̂ of each image, (N, 4), from a start or from 0."""
        if images.shape[1:] != self.mean.shape[1:]:
            raise ShapeError(
                f"These images are {tuple(images.shape[1:])}, but the alignment was learned from "
                f"{tuple(self.mean.shape[1:])}."
            )
        found = images.new_zeros(len(images), _P) if start is None else start
        lowest, scale = self.energy(images, found), images.new_ones(len(images))
        for _ in range(_STEPS):
            rest, steps = self._rest(images, found), _CHANGE * torch.eye(_P).to(images)
            # (N, pixels, P), by central differences
            slope = torch.stack([
                (self._rest(images, found + step) - self._rest(images, found - step)) / (2 * _CHANGE) for step in steps
            ], dim=2)  # fmt: skip
            gradient = (slope * rest[:, :, None]).mean(dim=1) + self.stiffness * found
            curvature = slope.transpose(1, 2) @ slope / rest.shape[1]
            curvature = curvature + (self.stiffness + _DAMPING) * torch.eye(_P).to(images)
            tried = found - scale[:, None] * torch.linalg.solve(curvature, gradient)
            energy = self.energy(images, tried)
            better = energy < lowest
            found, lowest = torch.where(better[:, None], tried, found), torch.where(better, energy, lowest)
            scale = torch.where(better, (2 * scale).clamp_max(1.0), scale / 2)
        return found

    def __call__(self, images: Tensor) -> Tensor:
        """The images, moved."""
        return moved(images, self.transforms(images))

    def _rest(self, images: Tensor, transform: Tensor) -> Tensor:
        return (_standard(moved(images, transform)) - self.mean).flatten(1)


def _standard(images: Tensor) -> Tensor:
    centred = images - images.mean(dim=(1, 2, 3), keepdim=True)
    return centred / centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(_FLOOR)
