"""Neighbouring frames of a film belong together, and that alone is what is learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from matplotlib.figure import Figure
from torch import nn

from lowland.data.catalogue import load
from lowland.data.moving_digits import MovingDigits, film_splits
from lowland.energies.joint_embedding import JointEmbedding
from lowland.evaluation import fine_tune, measure_films, nearest_films, represent
from lowland.nn.encoders.convnet import ConvNet
from lowland.plots import mosaic, retrieval
from lowland.recipes.base import Bound, Count, Positive, recipe
from lowland.recipes.joint.common import Comparison, Encoders, Method
from lowland.reports.run import Run
from lowland.shaping.contrastive.drlim import DrLIM
from lowland.shaping.contrastive.simclr import SimCLR
from lowland.shaping.joint import JointShaping
from lowland.shaping.regularised.vicreg import VICReg

METHODS: dict[str, tuple[Callable[[int], JointShaping], str]] = {
    "DrLIM": (lambda seed: DrLIM(margin=2.0, hardest=None, seed=seed), "euclidean"),
    "SimCLR": (lambda seed: SimCLR(temperature=0.2, seed=seed), "cosine"),
    "VICReg": (lambda seed: VICReg(seed=seed), "squared"),
}
"""The shaping by its seed, and the distance of the energy."""
Splits = Mapping[str, MovingDigits]


@recipe
@dataclass(frozen=True)
class TemporalRecipe(Comparison):
    """F(x, y) of neighbouring frames x, y by DrLIM, SimCLR and VICReg; frames are not augmented."""

    data: Literal["mnist10k", "digits"] = "mnist10k"
    """Digits that move: mnist10k, or digits."""
    films: Annotated[int, Bound(least=20)] = 3000
    """Films to train on, each of another digit; a tenth of them is validation."""
    tested: Annotated[int, Bound(least=20)] = 500
    """Test films, of digits that are in no other film."""
    frames: Annotated[int, Bound(least=2)] = 6
    """Frames of a film."""
    side: int = 32
    """Side of the field, in pixels; digits of MNIST are shrunk to half their size."""
    maps: tuple[Count, ...] = (32, 64, 128)
    """Feature maps of the encoder's stages."""
    projector: tuple[Count, ...] = (256, 128)
    """Layers from the representation to the embedding."""
    steps: Count = 800
    """Training steps of each method, and of supervised training."""
    rate: Positive = 2e-3
    """Highest learning rate of AdamW, which rises and falls."""

    weight_decay: ClassVar[float] = 0.01
    clip: ClassVar[float | None] = None
    head_seed: ClassVar[int] = 80
    measures: ClassVar[Mapping[str, tuple[str, float]]] = {
        "digit": ("digit", 100), "validation": ("validation", 100), "place": ("place", 1), "slowness": ("slowness", 1),
        "neighbours": ("neighbours", 100),
    }  # fmt: skip

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "films": 60, "tested": 20, "frames": 3, "side": 16, "maps": (8, 16),
            "projector": (16,), "steps": 5, "batch": 32,
        },
        "gpu": {"films": 7000, "frames": 12, "steps": 20_000, "batch": 512, "maps": (64, 128, 256)},
    }  # fmt: skip

    def run(self, run: Run) -> None:
        held = self.films // 10
        digits = load(self.data).first(train=self.films - held, validation=held, test=self.tested)
        films = film_splits(digits, (self.generator(10 + split) for split in range(3)), self.side, self.frames)
        pairs = tuple(part.to(self.device) for part in films["train"].neighbours)
        teach = partial(fine_tune, **{split: films[split].labelled for split in ("train", "validation")})
        encoders, _, losses = self.compare(run, films, (1, self.side, self.side), pairs, teach)
        run.show(learned=list(METHODS), trained=len(films["train"].frames))
        run.part(self.figures, films["test"], encoders, losses)

    def encoder(self, shape: tuple[int, int, int], generator: torch.Generator) -> ConvNet:
        return ConvNet(shape, self.maps, generator=generator)

    def methods(self, shape: tuple[int, int, int]) -> list[Method]:
        def energy(distance: str, seed: int) -> JointEmbedding:
            encoder, generator = self.encoder(shape, self.generator(seed)), self.generator(50 + seed)
            return JointEmbedding(encoder, self.projector, None, distance, generator=generator)

        return [Method(title, partial(energy, distance), shaping) for title, (shaping, distance) in METHODS.items()]

    def measure(self, encoder: nn.Module, data: Splits) -> dict[str, float]:
        return measure_films(encoder, data)

    def figures(self, run: Run, test: MovingDigits, encoders: Encoders, losses: Any) -> None:
        run.figure("films", mosaic({f"film {number + 1}": film for number, film in enumerate(test.frames[:4])}))
        self.draw(run, encoders, partial(_nearest_frames, test), losses)


def _nearest_frames(test: MovingDigits, encoder: nn.Module, queries: int = 5, k: int = 5) -> Figure:
    """For the first frame of some films the nearest frame of each of the nearest other films."""
    film, frame = nearest_films(represent(encoder, test.flat).unflatten(0, test.frames.shape[:2]), queries, k)
    assert test.labels is not None
    return retrieval(
        test.frames[:queries, 0], test.frames[film, frame], test.labels[film] != test.labels[:queries, None]
    )
