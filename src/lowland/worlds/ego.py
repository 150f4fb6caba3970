"""A forward model of image sequences that moves the own car by its kinematics and learns the rest of the world.

Shape letters: B samples, P frames of context, C channels, H and W rows and columns, Z of a latent.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.nn.convolutional import SLOPE, as_real
from lowland.registry import register
from lowland.worlds.base import State, WorldCase
from lowland.worlds.convolutional import ConvolutionalWorld
from lowland.worlds.driving_costs import CARS, CROP
from lowland.worlds.kinematics import advance


@register("world")
class EgoWorld(ConvolutionalWorld):
    """i′(q) = m i(W q + flow) + (1 − m) new, with (flow, m, new) = f(film, z), and own′ by `kinematics`.

    In a log the actions of a driver are small and predictable from the images. A model that gets them as one more input
    learns to ignore them, so that its predictions hardly depend on actions even at their bounds. Here the own car moves
    by the known `advance`, and the warp W, which maps pixels of the next frame to the last one, follows from that
    motion: the dependence on actions is exact. Frames are first transformed to the next position of the car, so that
    static objects are static in them; the network, which sees neither action nor vector, predicts the motion of each
    channel on the road (at most 8 pixels a step) and new content. Everything is differentiable in the actions.

    Sobal, Canziani, Carion, Cho & LeCun 2022, "Separating the world and ego models for self-driving"
    (arXiv:2204.07184), for the separation; warps: Jaderberg et al. 2015. As in the replay, other cars do not react to
    the own car. States are those of `Films` and of `Replay` with a history: `image` (B, P, C, H, W), `own`
    (B, 5), `path` (B, P, 5) and `size` (B, 2).

    Args:
        size: (H, W) of a frame, along the road first.
        frames: P.
        channels: C.
        dt: seconds of a step.
        latents, maps, dropout, generator: as of `ConvolutionalWorld`.
        crop: metres that a frame shows, along and across.

    >>> world, state = EgoWorld.reference_case()
    >>> world.step(state, torch.tensor([[0.0, 0.5]]).expand(4, 2))["image"].shape
    torch.Size([4, 2, 3, 16, 8])
    """

    drift: Tensor

    def __init__(
        self,
        size: tuple[int, int] = (64, 16),
        frames: int = 4,
        channels: int = 3,
        dt: float = 0.2,
        latents: int = 8,
        maps: tuple[int, ...] = (16, 32, 48),
        dropout: float = 0.1,
        crop: tuple[float, float] = CROP,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            size, frames, channels, (), latents=latents, maps=maps, hidden=1, dropout=dropout, decoder="warp",
            generator=generator,
        )  # fmt: skip
        del self.from_action  # the only user of `hidden`, since there is no vector either
        self.dt, self.crop = dt, crop
        self.register_buffer("drift", torch.zeros(channels, 2))

    def initialise(self, state: State, actions: Tensor, states: State) -> None:
        """Initially other cars move at the mean speed of the own car in the log."""
        super().initialise(state, actions, states)
        pixel = self.crop[0] / self.encoder.film[2]
        self.drift[CARS, 1] = states["own"][..., 4].mean() * self.dt / pixel

    def encode(self, state: State) -> Tensor:
        """The code of the frames, each transformed to the next position of the car, with its present heading."""
        film = as_real(state["image"], self)
        where = seen_from(self._ahead(state)[:, None], state["path"], film.shape[-2:], self.crop)
        return self.encoder(sample(film.flatten(0, 1), where.flatten(0, 1)).unflatten(0, film.shape[:2]))

    def _ahead(self, state: State) -> Tensor:
        """The next position, which does not depend on the action, with the present heading; (B, 5)."""
        x, y, dx, dy, v = state["own"].unbind(dim=1)
        return torch.stack([x + v * dx * self.dt, y + v * dy * self.dt, dx, dy, v], dim=1)

    def _fuse(self, state: State, action: Tensor, z: Tensor | None) -> Tensor:
        return functional.leaky_relu(self.encode(state) + self._latent(z), SLOPE)

    def _after(self, state: State, action: Tensor, code: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        own = advance(state["own"], action, state["size"][:, 0], self.dt)
        size = last.shape[-2:]
        answer = sample(self.to_frame(code), seen_from(own, self._ahead(state), size, self.crop))
        where = seen_from(own, state["own"], size, self.crop)[:, None]

        def seen(flow: Tensor) -> Tensor:
            moved = where + (flow + self.drift[:, :, None, None]).movedim(2, -1) * (2 / flow.new_tensor(size[::-1]))
            return sample(last.flatten(0, 1)[:, None], moved.flatten(0, 1))[:, 0].unflatten(0, last.shape[:2])

        return self._mixed(answer, seen), own

    @classmethod
    def reference_case(cls) -> WorldCase:
        noise = torch.Generator().manual_seed(0)
        # Bilinear sampling exactly at a pixel has a kink, so that the path is a little off the position of the car.
        path = torch.tensor([3.0, 5.0, 0.8, 0.6, 9.0]) + torch.rand(4, 3, 5, generator=noise)
        path = torch.cat([path[..., :2], functional.normalize(path[..., 2:4], dim=-1), path[..., 4:]], dim=-1)
        state = {"image": torch.rand(4, 2, 3, 16, 8, generator=noise), "own": path[:, 2], "path": path[:, :2]}
        state["size"] = torch.tensor([4.5, 1.8]).expand(4, 2)
        return WorldCase(cls((16, 8), 2, latents=2, maps=(4, 6, 8), dropout=0.2), state)


def seen_from(here: Tensor, there: Tensor, size: tuple[int, ...], crop: tuple[float, float] = CROP) -> Tensor:
    """Where the pixels of an image taken at `here` lie in one taken at `there`, (…, H, W, 2), as `grid_sample` has it.

    (1, 1) is the lower right corner and (−1, −1) the upper left one; row 0 is ahead and column 0 to the left.

    Args:
        here, there: (…, 5), states of the own car, broadcast against each other.
        size: (H, W).
        crop: metres that images show, along and across.

    >>> own = torch.tensor([0.0, 0.0, 1.0, 0.0, 10.0])
    >>> two_metres_on = own + torch.tensor([2.0, 0.0, 0.0, 0.0, 0.0])
    >>> columns, rows = seen_from(two_metres_on, own, (2, 1), (8.0, 4.0)).unbind(dim=-1)
    >>> rows.flatten().round(decimals=3).add(0.0).tolist()  # half the height is 4 m
    [-1.0, 0.0]
    """
    half_length, half_width = crop[0] / 2, crop[1] / 2
    like = {"dtype": here.dtype, "device": here.device}
    down, right = (((2 * torch.arange(count, **like) + 1) / count - 1) for count in size)
    ahead, left = -half_length * down[:, None], -half_width * right
    x, y, hx, hy = (here - there)[..., :2].unbind(-1) + here[..., 2:4].unbind(-1)
    tx, ty = there[..., 2], there[..., 3]
    cosine, sine, forward, aside = (
        part[..., None, None] for part in (tx * hx + ty * hy, tx * hy - ty * hx, x * tx + y * ty, y * tx - x * ty)
    )
    rows = (forward + ahead * cosine - left * sine) / -half_length
    columns = (aside + ahead * sine + left * cosine) / -half_width
    return torch.stack(torch.broadcast_tensors(columns, rows), dim=-1)


def sample(image: Tensor, where: Tensor) -> Tensor:
    """(N, C, H, W) sampled at `where` (N, H, W, 2), bilinearly; edge pixels extend beyond the image."""
    return functional.grid_sample(image, where, padding_mode="border", align_corners=False)
