"""The joint-embedding energy: how far apart the representations of two inputs are (systems J1, J2, J3, J7)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.errors import OptionError, nearest
from lowland.nn.encoders.perceptron import Perceptron
from lowland.nn.layers import linear
from lowland.registry import register

_TINY = 1e-12
DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": squared_distance,
    "euclidean": lambda a, b: (squared_distance(a, b) + _TINY).sqrt(),
    "cosine": lambda a, b: 1 - functional.cosine_similarity(a, b),
}
"""D(a, b), (B,), of two embeddings (B, D), by name; euclidean is √(‖a − b‖² + 10⁻¹²), which is differentiable at 0."""


class Branch(nn.Module):
    """The network for both inputs: an encoder, which gives the representation, and a projector to the embedding."""

    def __init__(self, encoder: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector

    def forward(self, sample: Tensor) -> Tensor:
        return self.projector(self.encoder(sample))


@register("energy")
class JointEmbedding(Energy):
    """F(x, y) = D(p(h(x)), h(y)), with h an encoder followed by a projector, and p a predictor or the identity.

    It is low if y is another view of what x shows. Nothing in the energy keeps it from being low everywhere (collapse);
    the shaping must prevent that. After training only the encoder is kept: `energy.represent(x)`. Sources: Bromley et
    al. 1993 for two copies of one network; Grill et al. 2020 for the predictor.

    Args:
        encoder: (B, *shape) → (B, size), from `lowland.nn.encoders` or any module with these two attributes.
        projector: widths of its layers, the last being the embedding size, with batch normalisation and ReLU between
            them; () for none.
        predictor: widths of its hidden layers, likewise; its output has the embedding size. None for none.
        distance: D, a key of `DISTANCES`: squared, euclidean, or cosine (1 − cos, in [0, 2]).
        norm: whether projector and predictor have batch normalisation.
        generator: draws the weights.

    Raises:
        OptionError: for an unknown distance, or an encoder without `shape` and `size`.

    >>> energy = JointEmbedding(Perceptron((8,)), projector=(64, 32))
    >>> energy(x=torch.zeros(5, 8), y=torch.zeros(5, 8)).shape, energy.represent(torch.zeros(5, 8)).shape
    (torch.Size([5]), torch.Size([5, 128]))
    """

    views = True

    def __init__(
        self,
        encoder: nn.Module,
        projector: tuple[int, ...] = (256, 128),
        predictor: tuple[int, ...] | None = None,
        distance: str = "squared",
        norm: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        shape, size = getattr(encoder, "shape", None), getattr(encoder, "size", None)
        if shape is None or not isinstance(size, int):
            raise OptionError(
                f"{type(encoder).__name__} has no `shape` and `size`: an encoder must state its input shape and "
                "output size."
            )
        if distance not in DISTANCES:
            raise OptionError(f"There is no distance {distance!r}. {nearest(distance, DISTANCES)}")
        super().__init__(x=Reals(tuple(shape)), y=Reals(tuple(shape)))
        generator = generator or torch.Generator().manual_seed(0)
        self.distance, self.size = distance, (size, *projector)[-1]
        self.branch = Branch(encoder, head((size, *projector), norm, generator))
        self.predictor = None if predictor is None else head((self.size, *predictor, self.size), norm, generator)

    @property
    def encoder(self) -> nn.Module:
        """The part that is kept."""
        return self.branch.encoder

    def represent(self, sample: Tensor) -> Tensor:
        """The representation, (B, encoder.size), for downstream tasks."""
        return self.branch.encoder(sample)

    def embed(self, sample: Tensor) -> Tensor:
        """h, the embedding in which distances are measured, (B, size)."""
        return self.branch(sample)

    def predict(self, embedding: Tensor) -> Tensor:
        """p(h); without a predictor the embedding itself."""
        return embedding if self.predictor is None else self.predictor(embedding)

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """D(a, b) of embeddings (B, D), (B,)."""
        return DISTANCES[self.distance](a, b)

    def encode(self, x: Tensor) -> Tensor:
        """p(h(x)), (B, size)."""
        return self.predict(self.embed(x))

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        return self.between(x, self.embed(y))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Without a predictor F(x, x) = 0, the minimum of every distance."""
        noise = torch.Generator().manual_seed(0)
        energy = cls(Perceptron((3,), hidden=(8,), size=6), projector=(8, 4), norm=False)
        x = torch.randn(4, 3, generator=noise)
        return ReferenceCase(energy, {"x": x}, "y", minimum=torch.zeros(4), start=x)


def head(sizes: tuple[int, ...], norm: bool, generator: torch.Generator) -> nn.Sequential:
    """Linear layers, with batch normalisation and ReLU between them; fewer than two sizes give the identity."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        if number:
            layers += [nn.BatchNorm1d(inputs)] if norm else []
            layers += [nn.ReLU()]
        layers.append(linear(inputs, outputs, generator))
    return nn.Sequential(*layers)
