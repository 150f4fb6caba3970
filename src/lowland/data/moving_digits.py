"""Films of handwritten digits that move across a field and bounce off its walls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.images import Images
from lowland.errors import OptionError, ShapeError


class MovingDigits(NamedTuple):
    """Films of one digit each.

    `frames` (N, T, 1, S, S) with grey levels from 0 to 1, `place` (N, T, 2) the row and column of the digit's centre as
    fractions of the field, each from 0 to 1, `labels` (N,) the digit itself.
    """

    frames: Tensor
    place: Tensor
    labels: Tensor | None = None

    @property
    def flat(self) -> Tensor:
        """All frames, film by film, (N · T, 1, S, S)."""
        return self.frames.flatten(0, 1)

    @property
    def neighbours(self) -> tuple[Tensor, Tensor]:
        """All frames but the last of each film, and the frame after each, (N · (T − 1), 1, S, S) both."""
        return self.frames[:, :-1].flatten(0, 1), self.frames[:, 1:].flatten(0, 1)

    @property
    def labelled(self) -> tuple[Tensor, Tensor]:
        """All frames and the digit in each, (N · T,).

        Raises:
            OptionError: for films without labels.
        """
        if self.labels is None:
            raise OptionError("These films have no labels: give them to moving_digits.")
        return self.flat, self.labels.repeat_interleave(self.frames.shape[1])


def moving_digits(
    digits: Tensor,
    generator: torch.Generator | None = None,
    *,
    side: int = 32,
    frames: int = 6,
    speed: tuple[float, float] = (1.5, 4.0),
    labels: Tensor | None = None,
) -> MovingDigits:
    """A film of each digit, moving in a straight line at constant speed and reflected by the walls.

    Moving MNIST (Srivastava, Mansimov & Salakhutdinov 2015, section 3.1) with one digit.

    Args:
        digits: (N, 1, D, D), smaller than the field.
        generator: draws positions and velocities; by default one with seed 0.
        side: S, in pixels.
        frames: T.
        speed: in pixels per frame, uniform between the two ends.
        labels: (N,), the digit in each film, to keep with it.

    Raises:
        ShapeError: for digits that are not square images of one channel, or as large as the field.
        OptionError: for fewer than two frames, or speeds out of order.

    >>> films = moving_digits(torch.rand(3, 1, 14, 14))
    >>> films.frames.shape, films.place.shape
    (torch.Size([3, 6, 1, 32, 32]), torch.Size([3, 6, 2]))
    >>> films.neighbours[1].shape
    torch.Size([15, 1, 32, 32])
    """
    if digits.ndim != 4 or digits.shape[1] != 1 or digits.shape[2] != digits.shape[3] or digits.shape[3] >= side:
        raise ShapeError(
            f"Digits must be square images (N, 1, D, D) with D below {side}, the side of the field, but they are "
            f"{tuple(digits.shape)}."
        )
    if frames < 2 or not 0 <= speed[0] <= speed[1]:
        raise OptionError(f"A film needs two frames or more and speeds in order, not {frames} and {speed}.")
    generator = generator or torch.Generator().manual_seed(0)
    count, size = len(digits), digits.shape[3]
    start, angle, drawn = torch.rand(4, count, generator=generator, dtype=torch.float32).split([2, 1, 1])
    pace = speed[0] + (speed[1] - speed[0]) * drawn[0]
    velocity = pace[:, None] * torch.stack([(2 * torch.pi * angle[0]).sin(), (2 * torch.pi * angle[0]).cos()], dim=1)
    room = side - size
    path = room * start.T[:, None] + velocity[:, None] * torch.arange(frames)[:, None]
    phase = torch.remainder(path, 2 * room)
    corner = torch.minimum(phase, 2 * room - phase)
    # Position of each field pixel in the digit, in grid_sample's coordinates: −1 to 1 over the digit's width.
    pixel = torch.arange(side, dtype=start.dtype) + 0.5
    inside = 2 * (pixel - corner[..., None]) / size - 1
    down, across = inside.flatten(0, 1).unbind(dim=1)
    grid = torch.stack([across[:, None, :].expand(-1, side, -1), down[:, :, None].expand(-1, -1, side)], dim=3)
    films = functional.grid_sample(digits.repeat_interleave(frames, dim=0), grid, align_corners=False)
    return MovingDigits(films.unflatten(0, (count, frames)).clamp(0, 1), corner / room, labels)


def film_splits(
    images: Images, generators: Iterable[torch.Generator], side: int = 32, frames: int = 6
) -> dict[str, MovingDigits]:
    """Labelled films of training, validation and test digits, which do not mix.

    Digits of more than half the field are shrunk to half their size, so that they have room to move.

    Args:
        images: digits.
        generators: of places and velocities, one for each split.
        side, frames: of `moving_digits`.

    >>> from lowland.data import digits
    >>> films = film_splits(digits().first(train=5, validation=3, test=2), [torch.Generator() for _ in range(3)], 16, 4)
    >>> {name: tuple(one.frames.shape) for name, one in films.items()}
    {'train': (5, 4, 1, 16, 16), 'validation': (3, 4, 1, 16, 16), 'test': (2, 4, 1, 16, 16)}
    """
    made = {}
    for name, generator in zip(("train", "validation", "test"), generators, strict=True):
        digits, labels = getattr(images, name), getattr(images, f"{name}_labels")
        digits = functional.avg_pool2d(digits, 2) if digits.shape[2] >= side // 2 + 4 else digits
        made[name] = moving_digits(digits, generator, side=side, frames=frames, labels=labels)
    return made
