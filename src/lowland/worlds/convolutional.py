"""The convolutional forward model of image sequences, with additive fusion, and the posterior of its latents.

Shape letters: B samples, T steps, P frames of context, C channels, H and W rows and columns, S size of the vector, A of
an action, Z of a latent, F feature maps, K masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Box
from lowland.errors import OptionError, nearest
from lowland.nn.convolutional import SLOPE, FilmEncoder, FrameDecoder, activation, as_real, convolution, warp
from lowland.nn.layers import linear, mlp
from lowland.registry import register
from lowland.worlds.base import State, World, WorldCase, each_row, standardise

DECODERS = ("additive", "warp")
_FURTHEST = 8.0
_KEEP = 3.0
_LEAST = 0.05
_CAR = 5


@register("world")
class ConvolutionalWorld(World):
    """i[t+1] = σ(Δ + i[t]) and o[t+1] = o[t] + m + d ⊙ δ, with (Δ, δ) = f(i[t−P+1..t], o[t], a[t], z[t]).

    Frames i and vector o are encoded to F × h × w numbers, to which encodings of action and latent are added; a
    residual block follows, then transposed convolutions to a frame and a perceptron to the change of the vector, whose
    mean and deviation m and d come from the training data. At the default sizes it is the model of Henaff, Canziani &
    LeCun 2019 (section 3.1, appendix B): with `ConvolutionalPosterior` 15.5 million parameters, published about 15.6;
    the residual block, whose size is not published, has three convolutions of 3 × 3.

    With `decoder="warp"` the next frame is the last one, warped channel by channel by a predicted flow of at most 8
    pixels, and mixed with new content where something appears. The published model drops units in every layer; here the
    masks act on feature maps after the fusion, so that the masks of `branches` share one encoding. States are {"image":
    (B, P, C, H, W), "own": (B, S)}, and with one vector for each frame "path" (B, P, S), whose newest is `own`; other
    tensors pass through unchanged. Actions are z-scored. A vector of five numbers is read as the x, y, heading and
    speed of `lowland.worlds.kinematics`: x is relative to the newest frame, and the speed stays at 0 or above.

    Args:
        size: (H, W) of a frame, along the road first.
        frames: P.
        channels: C.
        own: shape of the vector of a sample: (S,), or (P, S) with one for each frame; () for none.
        actions: A.
        latents: Z.
        maps: feature maps of the three stages, F being the last.
        hidden: units of the hidden layers of the perceptrons.
        dropout: probability with which a mask drops a feature map.
        decoder: "additive" or "warp".
        generator: draws the weights.

    Raises:
        OptionError: for an unknown decoder, sizes below 1, or a dropout that is not in [0, 1).
        ShapeError: in use, for frames of another number or size than it was made for.

    >>> world = ConvolutionalWorld(size=(64, 16), frames=2, own=(4,), maps=(4, 8, 16), hidden=16)
    >>> state = {"image": torch.zeros(3, 2, 3, 64, 16), "own": torch.zeros(3, 4)}
    >>> world.step(state, torch.zeros(3, 2))["image"].shape
    torch.Size([3, 2, 3, 64, 16])
    """

    action_mean: Tensor
    action_deviation: Tensor
    change_mean: Tensor
    change_deviation: Tensor

    def __init__(
        self,
        size: tuple[int, int] = (117, 24),
        frames: int = 20,
        channels: int = 3,
        own: tuple[int, ...] = (20, 4),
        actions: int = 2,
        latents: int = 32,
        maps: tuple[int, ...] = (64, 128, 256),
        hidden: int = 256,
        dropout: float = 0.1,
        decoder: str = "additive",
        generator: torch.Generator | None = None,
    ) -> None:
        if decoder not in DECODERS:
            raise OptionError(f"There is no decoder {decoder!r}. {nearest(decoder, DECODERS)}")
        if min(*size, frames, channels, actions, hidden, *maps) < 1 or latents < 0:
            raise OptionError(
                "Sizes, frames, channels, actions, maps and hidden must be at least 1, latents at least 0."
            )
        if not 0 <= dropout < 1:
            raise OptionError(f"dropout must be in [0, 1), but it is {dropout}.")
        masked = 2 * maps[-1] if dropout else 0
        super().__init__(Box(actions, low=-1.0, high=1.0), latents, masked, dropout)
        generator = generator or torch.Generator().manual_seed(0)
        self.decoder, self.channels = decoder, channels
        self.encoder = FilmEncoder(frames, channels, size, own, maps, hidden, generator)
        flat = math.prod(self.encoder.shape)
        self.from_action = mlp(actions, hidden, hidden, flat, activation=activation, generator=generator)
        self.register_buffer("action_mean", torch.zeros(actions))
        self.register_buffer("action_deviation", torch.ones(actions))
        self.from_latent = linear(latents, flat, generator, bias=False) if latents else None
        self.first, self.second, self.third = (convolution(maps[-1], maps[-1], generator) for _ in range(3))
        self.to_frame = FrameDecoder(channels * (1 if decoder == "additive" else 4), size, maps, generator)
        self.to_own = None
        if own:
            self.to_own = mlp(flat, hidden, hidden, own[-1], activation=activation, generator=generator)
            self.register_buffer("change_mean", torch.zeros(own[-1]))
            self.register_buffer("change_deviation", torch.ones(own[-1]))

    def initialise(self, state: State, actions: Tensor, states: State) -> None:
        standardise(actions, self.action_mean, self.action_deviation)
        if not self.encoder.own:
            return
        path = torch.cat([state["own"][:, None], states["own"]], dim=1)
        path = path - self._origin(path[:, :1])
        standardise(path, self.encoder.own_mean, self.encoder.own_deviation)
        # Noise in nearly constant entries, such as the cosine of the heading, must not dominate the others.
        self.encoder.own_deviation.clamp_min_(_LEAST)
        standardise(path.diff(dim=1), self.change_mean, self.change_deviation, path)

    def encode(self, state: State) -> Tensor:
        """The code of frames and vector, (B, F, h, w)."""
        if not self.encoder.own:
            return self.encoder(state["image"])
        if len(self.encoder.own) == 1:
            return self.encoder(state["image"], state["own"] - self._origin(state["own"]))
        return self.encoder(state["image"], state["path"] - self._origin(state["path"][:, -1:]))

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        return self._decode(state, action, self._fuse(state, action, z), mask)

    def branches(self, state: State, action: Tensor, z: Tensor | None, masks: Tensor) -> State:
        """As of every world, but with the new frame only, (B · K, 1, C, H, W): the others are known."""
        count = masks.shape[1]
        code = self._fuse(state, action, z).repeat_interleave(count, dim=0)
        newest = {**state, "image": state["image"][:, -1:]}
        again = {name: tensor.repeat_interleave(count, dim=0) for name, tensor in newest.items()}
        action = action.repeat_interleave(count, dim=0)
        return self._decode(again, action, code, each_row(masks, len(code) // count).flatten(0, 1))

    def features(self, state: State) -> Tensor:
        """(B, D): last frame and z-scored last vector, so that ‖φ − φ'‖² is the sum of their mean squared errors."""
        frame = as_real(state["image"], self)[:, -1].flatten(1)
        parts = [frame / math.sqrt(frame.shape[1])]
        if self.encoder.own:
            own = (state["own"] - self.encoder.own_mean) / self.encoder.own_deviation
            parts.append(own / math.sqrt(own.shape[1]))
        return torch.cat(parts, dim=1)

    def _origin(self, own: Tensor) -> Tensor:
        """The x of cars and 0 elsewhere, which is subtracted, since images do not depend on x."""
        return functional.pad(own[..., :1], (0, own.shape[-1] - 1)) if own.shape[-1] == _CAR else torch.zeros_like(own)

    def _fuse(self, state: State, action: Tensor, z: Tensor | None) -> Tensor:
        scaled = (action - self.action_mean) / self.action_deviation
        code = self.encode(state) + self.from_action(scaled).unflatten(1, self.encoder.shape)
        return functional.leaky_relu(code + self._latent(z), SLOPE)

    def _latent(self, z: Tensor | None) -> Tensor | float:
        """The code of the latent."""
        return 0.0 if self.from_latent is None or z is None else self.from_latent(z).unflatten(1, self.encoder.shape)

    def _decode(self, state: State, action: Tensor, code: Tensor, mask: Tensor | None) -> State:
        early, late = (None, None) if mask is None else mask[:, :, None, None].chunk(2, dim=1)
        code = code if early is None else code * early
        inner = functional.leaky_relu(self.second(functional.leaky_relu(self.first(code), SLOPE)), SLOPE)
        code = functional.leaky_relu(code + self.third(inner if late is None else inner * late), SLOPE)
        film = as_real(state["image"], self)
        frame, own = self._after(state, action, code, film[:, -1])
        made = dict(state) | {"image": torch.cat([film[:, 1:], frame[:, None]], dim=1)}
        if own is not None:
            made["own"] = own
            if "path" in state:
                made["path"] = torch.cat([state["path"][:, 1:], own[:, None]], dim=1)
        return made

    def _after(self, state: State, action: Tensor, code: Tensor, last: Tensor) -> tuple[Tensor, Tensor | None]:
        """The next frame and the next vector."""
        frame = self._frame(self.to_frame(code), last)
        if self.to_own is None:
            return frame, None
        own = state["own"] + self.change_mean + self.change_deviation * self.to_own(code.flatten(1))
        return frame, torch.cat([own[:, :-1], own[:, -1:].clamp_min(0)], dim=1) if own.shape[1] == _CAR else own

    def _frame(self, answer: Tensor, last: Tensor) -> Tensor:
        if self.decoder == "additive":
            return torch.sigmoid(answer + last)
        return self._mixed(answer, partial(warp, last))

    def _mixed(self, answer: Tensor, seen: Callable[[Tensor], Tensor]) -> Tensor:
        """The last frame `seen` through a flow (B, C, 2, H, W) in pixels, mixed with new content."""
        flow, keep, fresh = answer.unflatten(1, (self.channels, 4)).split((2, 1, 1), dim=2)
        share = torch.sigmoid(keep[:, :, 0] + _KEEP)
        new = torch.sigmoid(fresh[:, :, 0] - _KEEP)
        return share * seen(_FURTHEST * torch.tanh(flow / _FURTHEST)) + (1 - share) * new

    @classmethod
    def reference_case(cls) -> WorldCase:
        noise = torch.Generator().manual_seed(0)
        state = {"image": torch.rand(4, 2, 3, 16, 8, generator=noise), "own": torch.randn(4, 5, generator=noise)}
        world = cls((16, 8), 2, 3, (5,), latents=2, maps=(4, 6, 8), hidden=8, dropout=0.2, decoder="warp")
        return WorldCase(world, state)


class ConvolutionalPosterior(nn.Module):
    """Posterior network q(z[t] | s[t], s[t+1]) = N(μ, σ²) from the world's code of s[t] plus a code of the next frame.

    As in Henaff, Canziani & LeCun 2019, appendix B, with three fully connected layers after the sum. It trains the
    world's encoder as well.

    Args:
        world: for its sizes; it is passed again at each call, and not stored.
        hidden: units of the two hidden layers; by default as in the paper.
        generator: draws the weights.

    >>> world = ConvolutionalWorld(size=(16, 8), frames=2, own=(), maps=(4, 4), hidden=8, latents=3)
    >>> state = {"image": torch.zeros(5, 2, 3, 16, 8)}
    >>> ConvolutionalPosterior(world, hidden=8)(world, state, torch.zeros(5, 2), state)[0].shape
    torch.Size([5, 3])
    """

    def __init__(self, world: ConvolutionalWorld, hidden: int = 256, generator: torch.Generator | None = None) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(1)
        _, channels, height, width = world.encoder.film
        self.target = FilmEncoder(1, channels, (height, width), maps=world.encoder.maps, generator=generator)
        sizes = math.prod(world.encoder.shape), hidden, hidden, 2 * world.latents
        self.network = mlp(*sizes, activation=activation, generator=generator)

    def forward(
        self, world: ConvolutionalWorld, state: State, action: Tensor, following: State
    ) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z[t], (B, Z) each; the action is not used."""
        code = world.encode(state) + self.target(following["image"][:, -1:])
        mean, log_variance = self.network(functional.leaky_relu(code, SLOPE).flatten(1)).chunk(2, dim=1)
        return mean, log_variance
