"""Image observations: a bird's-eye view of the traffic around a car, in the car's frame.

Shape letters: B images, C = 3 channels of H × W pixels, N vehicles in one frame, M rectangles of one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lowland.compiled import in_threads, usable
from lowland.envs.scene import Scene
from lowland.errors import OptionError
from lowland.worlds.driving_costs import CROP

_EDGE = 1e-6


@dataclass(frozen=True)
class Camera:
    """Images (3, H, W) of `crop` metres around the own car: lane markings, other cars, and off-road area.

    Row 0 is farthest ahead and column 0 farthest to the left. A pixel is the covered fraction of its 4 × 4 evenly
    spaced sample points, times 255 and rounded, as if drawn at four times the size and averaged. Cars are rectangles;
    markings lie on all lane boundaries and are one pixel wide; everything beyond the outermost boundaries is off the
    road. At 117 × 24 a pixel is 0.617 m (1.62 px/m), as in Henaff, Canziani & LeCun (2019) after resizing by ¼.

    Args:
        height, width: in pixels, from 4 to 1024.
        third: "off_road" as in the released code, or "own", the own car, as in the paper.
        crop: size of the view in metres, along and across the road.

    >>> tuple(round(side, 3) for side in Camera().pixel)
    (0.617, 0.617)
    """

    height: int = 117
    width: int = 24
    third: Literal["off_road", "own"] = "off_road"
    crop: tuple[float, float] = CROP

    def __post_init__(self) -> None:
        sizes = (self.height, self.width)
        if not all(isinstance(n, int) and 4 <= n <= 1024 for n in sizes):
            raise OptionError(f"An image needs a height and a width of 4 to 1024 pixels, but they are {sizes}.")
        if self.third not in ("off_road", "own"):
            raise OptionError(f"The third channel of an image is 'off_road' or 'own', not {self.third!r}.")
        if not all(0 < metres <= 1000 for metres in self.crop):
            raise OptionError(f"An image must show more than 0 and up to 1000 m, not {self.crop}.")

    @property
    def pixel(self) -> tuple[float, float]:
        """Size of a pixel in metres, along and across the road."""
        return self.crop[0] / self.height, self.crop[1] / self.width

    def draw(self, scene: Scene, own: Tensor, size: Tensor, frame: Tensor, vehicle: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 around cars `own` (B, 5), with all cars of `frame` (B,) except `vehicle` (B,)."""
        if usable(own):
            return self._compiled(scene, own, size, frame, vehicle)
        return self._plain(scene, own, size, frame, vehicle)

    def logged(self, scene: Scene, rows: Tensor) -> Tensor:
        """(…, 3, H, W), images around the logged cars at rows (…,) of the log, for training."""
        flat = rows.reshape(-1).to(scene.device)
        image = self.draw(scene, scene.own[flat], scene.size[flat], scene.frame[flat], scene.vehicle[flat])
        return image.reshape(*rows.shape, *image.shape[1:])

    def _compiled(self, scene: Scene, own: Tensor, size: Tensor, frame: Tensor, vehicle: Tensor) -> Tensor:
        from lowland.compiled.traffic import draw

        image = torch.empty(len(own), 3, self.height, self.width, dtype=torch.uint8)
        log = [leaf.numpy() for leaf in (scene.table, scene.owner, scene.offset, scene.count)]
        edges = torch.tensor(scene.tracks.road.edges, dtype=torch.float64).numpy()
        crop = torch.tensor(self.crop, dtype=torch.float64).numpy()
        cars = [leaf.contiguous().numpy() for leaf in (own, size, frame, vehicle)]

        def work(rows: slice) -> None:
            which = [leaf[rows] for leaf in cars]
            draw(*which, *log, edges, crop, self.third == "own", image[rows].numpy())  # pyright: ignore[reportCallIssue]

        part = max(32, -(-len(own) // torch.get_num_threads()))
        in_threads(work, [slice(first, first + part) for first in range(0, len(own), part)])
        return image

    def _plain(self, scene: Scene, own: Tensor, size: Tensor, frame: Tensor, vehicle: Tensor) -> Tensor:
        """The same with tensor operations, one rectangle per image at a time, for GPUs or without numba."""
        own, far = own.double(), float(torch.tensor(self.crop, dtype=torch.float64).norm())
        y, dx, dy = own[:, 1:4].unbind(1)
        slots = torch.arange(scene.most, device=own.device)
        place = (scene.offset[frame][:, None] + slots).clamp_max(len(scene.table) - 1)
        cars = scene.table[place].double()
        there = (slots < scene.count[frame][:, None]) & (scene.owner[place] != vehicle[:, None])
        way = cars[..., :2] - own[:, None, :2]
        there &= (way.abs() <= far).all(dim=-1)
        # Visible cars come first, so the loop below only needs as many rounds as the fullest image has cars.
        order = there.to(torch.int8).argsort(dim=1, descending=True, stable=True)
        order = order[:, : int(there.sum(dim=1).max())] if len(own) else order[:, :0]
        there = there.gather(1, order)
        way, cars = (part.gather(1, order[..., None].expand(-1, -1, part.shape[2])) for part in (way, cars))
        ex, ey, hx, hy = dx[:, None], dy[:, None], cars[..., 4], cars[..., 5]
        boxes_BM6 = torch.stack(
            [way[..., 0] * ex + way[..., 1] * ey, way[..., 1] * ex - way[..., 0] * ey,
             hx * ex + hy * ey, hy * ex - hx * ey, cars[..., 6] / 2, cars[..., 7] / 2], dim=-1
        )  # fmt: skip
        edges = torch.tensor(scene.tracks.road.edges, dtype=torch.float64, device=own.device)

        def lines(at: Tensor, half_width: float) -> Tensor:
            aside = at - y[:, None]
            length, width = torch.full_like(aside, 2 * far), torch.full_like(aside, half_width)
            ones = torch.ones_like(aside)
            return torch.stack([aside * ey, aside * ex, ones * ex, -ones * ey, length, width], dim=-1)

        if self.third == "own":
            half = size.double() / 2
            ahead = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64, device=own.device).expand(len(own), 4)
            last = torch.cat([ahead, half], dim=1)[:, None]
        else:
            last = lines(torch.stack([edges[0] - far, edges[-1] + far]), far)
        channels = [
            self._covered(lines(edges, self.pixel[1] / 2)),
            self._covered(boxes_BM6, there),
            self._covered(last),
        ]
        return torch.stack(channels, dim=1)

    def _covered(self, boxes_BM6: Tensor, there_BM: Tensor | None = None) -> Tensor:
        """(B, H, W) uint8, the fraction of each pixel's sample points that lie in a rectangle."""
        device = boxes_BM6.device
        (down, right), (height, width) = (side / 4 for side in self.pixel), (4 * self.height, 4 * self.width)
        ahead = self.crop[0] / 2 - (torch.arange(height, device=device, dtype=torch.float64) + 0.5) * down
        column = torch.arange(width, device=device)
        covered = torch.zeros(len(boxes_BM6), height, width, dtype=torch.bool, device=device)
        for m in range(boxes_BM6.shape[1]):
            a, c, cosine, sine, length, half_width = (value[:, None] for value in boxes_BM6[:, m].unbind(1))
            way = ahead - a
            low, high = torch.full_like(way, -1e9), torch.full_like(way, 1e9)
            for top, bottom, half in ((-way * cosine, sine, length), (way * sine, cosine, half_width)):
                slanted = bottom != 0
                by = torch.where(slanted, 1 / torch.where(slanted, bottom, 1.0), 0.0)
                low = torch.where(slanted, torch.maximum(low, top * by - (half * by).abs()), low)
                high = torch.where(slanted, torch.minimum(high, top * by + (half * by).abs()), high)
            begin = torch.ceil((self.crop[1] / 2 - c - high) / right - 0.5 - _EDGE)
            end = torch.floor((self.crop[1] / 2 - c - low) / right - 0.5 + _EDGE)
            reach = cosine.abs() * length + sine.abs() * half_width
            inside = way.abs() <= reach + _EDGE * down
            if there_BM is not None:
                inside &= there_BM[:, m, None]
            covered |= (column >= begin[..., None]) & (column <= end[..., None]) & inside[..., None]
        points = covered.reshape(len(covered), self.height, 4, self.width, 4).sum(dim=(2, 4))
        return ((points * 255 + 8) // 16).to(torch.uint8)
