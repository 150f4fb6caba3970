"""A predictor of codes that looks up in a scene what is where: walls, doors, what stands in the way.

Shape letters: B samples, C channels, H and W rows and columns, N heads, L places of a scene, S numbers of each place
for a head, D size of a code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowland.nn.convolutional import as_real, convolution
from lowland.nn.layers import linear, mlp
from lowland.nn.patches import PATCH, patches
from lowland.registry import register
from lowland.worlds.base import State, WorldCase
from lowland.worlds.vector import VectorWorld

_HEADS = 4
_WAVES = 4


class Scene(nn.Module):
    """Images (B, C, H, W) to "keys" and "values" (B, N, L, S): what is at each of L = ⌈H / 4⌉ ⌈W / 4⌉ places.

    Patches of 4 × 4 pixels, then two convolutions of 3 × 3 patches, so that a place knows what is around it; waves of
    the place are added.

    Args:
        shape: (C, H, W).
        size: S.
        maps: of the patches and the first convolution.
        generator: draws the weights.

    >>> {name: tuple(part.shape) for name, part in Scene((2, 32, 32), 8)(torch.zeros(3, 2, 32, 32)).items()}
    {'keys': (3, 4, 64, 8), 'values': (3, 4, 64, 8)}
    """

    place: Tensor

    def __init__(
        self, shape: tuple[int, int, int], size: int, maps: int = 32, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.look = nn.Sequential(
            patches(shape, maps, generator), nn.SiLU(), convolution(maps, maps, generator), nn.SiLU(),
            convolution(maps, 2 * _HEADS * size, generator),
        )  # fmt: skip
        rows, columns = (-(-side // PATCH) for side in shape[1:])
        at = torch.cartesian_prod((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns)
        phase = at[:, :, None] * torch.pi * 2.0 ** torch.arange(_WAVES)
        waves = torch.cat([phase.sin(), phase.cos()], dim=2).flatten(1)
        self.register_buffer("place", waves, persistent=False)
        self.placed = linear(waves.shape[1], 2 * _HEADS * size, generator)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        seen = self.look(as_real(image, self)).flatten(2).transpose(1, 2) + self.placed(self.place)
        keys, values = seen.unflatten(2, (2, _HEADS, -1)).permute(2, 0, 3, 1, 4).contiguous().unbind()
        return {"keys": keys, "values": values}


@register("world")
class SceneWorld(VectorWorld):
    """o[t+1] = o[t] + f(ō[t], a[t], r[t]), r[t] = Σ_l softmax_l(q(ō[t]) · k_l / √S) v_l: a world that reads a scene.

    The observation asks what is where it is, by dot products with the keys k of all places of a `Scene`, and f, that of
    a `VectorWorld`, sees the values v found there. A network of the observation alone would have to hold the whole
    scene in it, and learn all pairs of its place and the walls; here they meet in one product. This is attention with
    several heads (Bahdanau et al. 2015; Vaswani et al. 2017). The scene does not change: the state is {"observation":
    (B, D), "keys": (B, N, L, S), "values": (B, N, L, S)}.

    Args:
        observations, actions, hidden, dropout, generator: as of `VectorWorld`.
        scene: S.

    >>> world, state = SceneWorld.reference_case()
    >>> world.step(state, torch.zeros(4, 2))["observation"].shape
    torch.Size([4, 3])
    """

    def __init__(
        self,
        observations: int,
        actions: int,
        scene: int,
        hidden: int = 128,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        generator = generator or torch.Generator().manual_seed(0)
        super().__init__(observations, actions, 0, hidden, dropout, True, generator)
        self.ask = mlp(observations, hidden, _HEADS * scene, generator=generator)
        self.from_scene = linear(_HEADS * scene, hidden, generator, bias=False)

    def unroll(self, state: State, actions: Tensor, z: Tensor | None = None) -> State | None:
        """As T calls of `step`, without gradients. Plans from one state share its scene, which is then read once."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return None
        each = _alike(state["keys"], state["values"])
        scene = {name: state[name][::each] for name in ("keys", "values")}
        now, path = state["observation"], []
        for action in actions.unbind(1):
            now = super().step({"observation": now, **scene}, action)["observation"]
            path.append(now)
        held = {name: part[:, None].expand(-1, len(path), *part.shape[1:]) for name, part in state.items()}
        return held | {"observation": torch.stack(path, dim=1)}

    def read(self, state: State) -> Tensor:
        """r, (B, N · S): what the scene holds where the observation is; one scene for each group of successive rows."""
        keys = state["keys"]
        query = self.ask(self._scaled(state)).view(len(keys), -1, _HEADS, keys.shape[-1]).transpose(1, 2)
        weights = (query @ keys.transpose(2, 3) * keys.shape[-1] ** -0.5).softmax(dim=3)
        return (weights @ state["values"]).transpose(1, 2).reshape(len(state["observation"]), -1)

    def _added(self, state: State, action: Tensor, z: Tensor | None) -> Tensor:
        return super()._added(state, action, z) + self.from_scene(self.read(state))

    @classmethod
    def reference_case(cls) -> WorldCase:
        drawn = torch.Generator().manual_seed(0)
        with torch.no_grad():
            seen = Scene((1, 8, 12), 8, 4, drawn)(torch.rand(4, 1, 8, 12, generator=drawn))
        state = {"observation": torch.randn(4, 3, generator=drawn), **seen}
        return WorldCase(cls(3, 2, 8, hidden=16, dropout=0.2), state)


def _alike(*parts: Tensor) -> int:
    """Into how many successive rows, all the same, each tensor can be cut."""
    first = parts[0]
    other = (first.flatten(1)[:, 0] != first.flatten(1)[0, 0]).nonzero()
    each = int(other[0]) if len(other) else len(first)
    if len(first) % each:
        return 1
    groups = (part.unflatten(0, (-1, each)) for part in parts)
    return each if all(bool((group == group[:, :1]).all()) for group in groups) else 1
