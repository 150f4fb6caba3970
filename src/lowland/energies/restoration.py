"""Restoration: an image from a damaged copy (system J5): masked, with missing regions, grey, or too small."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.nn.convolutional import FrameDecoder, stage_sizes
from lowland.nn.encoders.convnet import ConvNet
from lowland.registry import register


@register("energy")
class Restoration(Energy):
    """E(x, y) = ½‖D(h(x)) − y‖², with x a damaged copy of y, h the feature maps of an encoder, and D a decoder.

    The kind of damage defines the pretext task, and so what h must represent: regions for inpainting (Pathak et al.
    2016, equation 1), patches (SimMIM, Xie et al. 2022), colours (Zhang, Isola & Efros 2016, equation 1), detail
    (super-resolution, Dong et al. 2014, equation 2). `Restoring` trains it. Afterwards only the encoder is kept:
    `energy.represent(y)`.

    Args:
        encoder: h, with `shape`, `size` and `maps`: (B, *shape) → (B, size, H / 2ⁿ, W / 2ⁿ).
        decoder: numbers of feature maps between the n transposed convolutions of D, n − 1 in all.
        generator: draws the weights of the decoder.

    Raises:
        OptionError: for an encoder without maps, or a decoder whose output does not have the size of the image.

    >>> energy = Restoration(ConvNet((3, 32, 32), maps=(16, 32, 64)), decoder=(8, 16))
    >>> image = torch.rand(2, 3, 32, 32)
    >>> energy(x=image, y=image).shape, energy.restore(image).shape, energy.represent(image).shape
    (torch.Size([2]), torch.Size([2, 3, 32, 32]), torch.Size([2, 64]))
    """

    views = True

    def __init__(
        self, encoder: nn.Module, decoder: tuple[int, ...] = (32, 64), generator: torch.Generator | None = None
    ) -> None:
        shape, maps = getattr(encoder, "shape", ()), getattr(encoder, "maps", None)
        if maps is None or len(shape) != 3:
            raise OptionError(f"{type(encoder).__name__} has no `shape` and `maps`, from which an image is restored.")
        super().__init__(x=Reals(tuple(shape)), y=Reals(tuple(shape)))
        own = next(encoder.parameters())
        training = encoder.training
        with torch.no_grad():
            found = encoder.eval().maps(torch.zeros(1, *shape).to(own)).shape[1:]  # pyright: ignore[reportCallIssue]
        encoder.train(training)
        wanted = stage_sizes(tuple(shape[1:]), len(decoder) + 1)[-1]
        if tuple(found[1:]) != wanted:
            raise OptionError(
                f"A decoder of {len(decoder) + 1} stages leads from {wanted[0]} × {wanted[1]} to the image, but "
                f"{type(encoder).__name__} ends in {found[1]} × {found[2]}: give decoder= as many numbers as it halves "
                "the image, less one."
            )
        self.encoder = encoder
        self.decoder = FrameDecoder(shape[0], tuple(shape[1:]), (*decoder, found[0]), generator)

    def represent(self, sample: Tensor) -> Tensor:
        """The representation, (B, encoder.size), for downstream tasks."""
        return self.encoder(sample)

    def restore(self, x: Tensor) -> Tensor:
        """D(h(x)), (B, C, H, W): the y of minimum energy."""
        return self.decoder(self.encoder.maps(x))  # pyright: ignore[reportCallIssue]

    def encode(self, x: Tensor) -> Tensor:
        """D(h(x)): everything the energy needs from x."""
        return self.restore(x)

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        return 0.5 * squared_distance(x, y)

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        return Structure(minimiser=lambda: x.flatten(1), lipschitz=1.0, convex=True)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With a decoder that always outputs 1, y = 1 has energy 0."""
        energy = cls(ConvNet((1, 4, 4), maps=(4,), norm=False), decoder=())
        for weights in energy.decoder.parameters():
            weights.data.zero_()
        list(energy.decoder.parameters())[-1].data.fill_(1.0)
        x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        return ReferenceCase(energy, {"x": x}, "y", minimum=torch.zeros(2), minimiser=torch.ones(2, 16))
