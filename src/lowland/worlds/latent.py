"""A world model in a latent space: an encoder of images, and a predictor of their codes.

Shape letters: B samples, T steps, C channels, H and W rows and columns, D size of a code, A of an action.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.nn.convolutional import as_real, convolution
from lowland.nn.layers import linear
from lowland.nn.patches import PATCH, patches
from lowland.registry import register
from lowland.worlds.base import State, World, WorldCase
from lowland.worlds.scene import Scene, SceneWorld
from lowland.worlds.vector import VectorWorld


class ImageCode(nn.Module):
    """Images (B, C, H, W), uint8 or from 0 to 1, to codes (B, D): patches, convolutions, then two linear layers.

    The first convolution reads patches of 4 × 4 pixels that do not overlap, as in a vision transformer (Dosovitskiy et
    al. 2021): at full size convolutions would take most of the time. The others have stride 2. Images whose sides are
    not multiples of 4 get rows and columns of zeros.

    Args:
        shape: (C, H, W), with sides of at least 4 pixels, twice as many for each number of `maps` after the first.
        size: D.
        maps: feature maps of the patches and of the convolutions.
        generator: draws the weights.

    >>> ImageCode((2, 32, 32), 16, (8, 8))(torch.zeros(3, 2, 32, 32)).shape
    torch.Size([3, 16])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        size: int = 32,
        maps: tuple[int, ...] = (32, 64),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        least = PATCH * 2 ** (len(maps) - 1)
        if len(shape) != 3 or min(shape[1:]) < least:
            raise OptionError(f"Images (C, H, W) of at least {least} pixels a side are needed, not {shape}.")
        generator = generator or torch.Generator().manual_seed(0)
        self.shape, self.size = tuple(shape), size
        layers: list[nn.Module] = [*patches(shape, maps[0], generator), nn.SiLU()]
        for before, after in pairwise(maps):
            layers += [convolution(before, after, generator, stride=2), nn.SiLU()]
        self.look = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            flat = self.look(torch.zeros(1, *shape)).shape[1]
        self.read = nn.Sequential(linear(flat, 4 * size, generator), nn.SiLU(), linear(4 * size, size, generator))

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[1:] != self.shape:
            raise ShapeError(f"This encoder takes images {self.shape}, but they are {tuple(image.shape[1:])}.")
        return self.read(self.look(as_real(image, self)))


@register("world")
class LatentWorld(World):
    """h[t+1] = h[t] + f(h[t], a[t]), with h = Enc(image): a joint-embedding predictive world (JEPA, system W10).

    Nothing is decoded: the model predicts codes only, and plans are judged by how near the predicted code is to that
    of an image of the goal (`worlds.latent.goal_cost`). Source: LeCun 2022, "A path towards autonomous machine
    intelligence", section 4; Sobal et al. 2025, "Learning from reward-free offline data" (PLDM); Zhou et al. 2024,
    "DINO-WM". A state is {"image": (B, C, H, W)}, which the first step encodes, or {"code": (B, D)}; other parts, such
    as the "goal" of a plan, pass through unchanged. `features` are codes of either.

    Args:
        shape, size, maps: of the encoder, see `ImageCode`.
        actions: A.
        hidden: units of each hidden layer of the predictor, which is a `VectorWorld`.
        dropout: probability with which a mask drops a unit of the predictor.
        generator: draws the weights.
        encoder: images to codes (B, D), in place of an `ImageCode`.
        predictor: a world of codes {"observation": (B, D)}, in place of the `VectorWorld`; its actions are those of
            this world, and `actions`, `hidden` and `dropout` have no effect. What was built with either is kept by
            its weights: `save_world` refuses it.
        scene: S of a `Scene` of the first image, in which the predictor, then a `SceneWorld`, looks things up; 0 for
            none. What does not change in an episode, such as walls, need not be in the code.

    >>> world = LatentWorld((2, 16, 16), size=8, maps=(4, 4))
    >>> world.step({"image": torch.zeros(3, 2, 16, 16)}, torch.zeros(3, 2))["code"].shape
    torch.Size([3, 8])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        size: int = 32,
        maps: tuple[int, ...] = (32, 64),
        actions: int = 2,
        hidden: int = 128,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
        encoder: nn.Module | None = None,
        predictor: World | None = None,
        scene: int = 0,
    ) -> None:
        generator = generator or torch.Generator().manual_seed(0)
        encoder = encoder or ImageCode(shape, size, maps, generator)
        if predictor is None and scene:
            predictor = SceneWorld(size, actions, scene, hidden, dropout, generator)
        predictor = predictor or VectorWorld(size, actions, hidden=hidden, dropout=dropout, generator=generator)
        super().__init__(predictor.actions, masked=predictor.masked, dropout=predictor.dropout)
        self.shape, self.size = shape, size
        self.encoder, self.predictor = encoder, predictor
        self.scene = Scene(shape, scene, generator=generator) if scene else None

    def encode(self, state: State) -> State:
        """The same state with a "code", and what its scene holds if there is one, in place of its "image"."""
        if "code" in state:
            return state
        others = {name: part for name, part in state.items() if name != "image"}
        return others | self.context(state) | {"code": self.encoder(state["image"])}

    def context(self, state: State) -> dict[str, Tensor]:
        """What the predictor looks things up in, see `Scene`; nothing without a scene."""
        return {} if self.scene is None else self.scene(state["image"])

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        state = self.encode(state)
        after = self.predictor.step(self._inner(state), action, None, mask)
        return {**state, "code": after["observation"]}

    def _inner(self, state: State) -> State:
        """The state of the predictor."""
        return {"observation": state["code"]} | {name: state[name] for name in ("keys", "values") if name in state}

    def unroll(self, state: State, actions: Tensor, z: Tensor | None = None) -> State | None:
        state = self.encode(state)
        found = self.predictor.unroll(self._inner(state), actions)
        if found is None:
            return None
        steps, scene = actions.shape[1], self._inner(state).keys()
        others = {name: part for name, part in state.items() if name not in scene}
        held = {name: part[:, None].expand(-1, steps, *part.shape[1:]) for name, part in others.items()}
        return held | {"code": found["observation"]}

    def branches(self, state: State, action: Tensor, z: Tensor | None, masks: Tensor) -> State:
        state = self.encode(state)
        found = self.predictor.branches(self._inner(state), action, None, masks)["observation"]
        count = masks.shape[1]
        return {name: part.repeat_interleave(count, dim=0) for name, part in state.items()} | {"code": found}

    def features(self, state: State) -> Tensor:
        return self.encode(state)["code"]

    @classmethod
    def reference_case(cls) -> WorldCase:
        state = {"code": torch.randn(4, 6, generator=torch.Generator().manual_seed(0))}
        return WorldCase(cls((2, 8, 8), 6, (4,), hidden=16, dropout=0.2), state)


def goal_cost(state: State, action: Tensor) -> Tensor:
    """C = ‖h − h_goal‖² / D, for a state with the code of the goal as "goal", (B, D).

    >>> goal_cost({"code": torch.ones(2, 4), "goal": torch.zeros(2, 4)}, torch.zeros(2, 2))
    tensor([1., 1.])
    """
    return functional.mse_loss(state["code"], state["goal"], reduction="none").mean(dim=1)
