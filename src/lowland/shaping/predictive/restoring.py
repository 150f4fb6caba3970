"""Restoring damaged images (system J5): several pretext tasks as one loss."""

from __future__ import annotations

import torch

from lowland.energies.base import Energy
from lowland.energies.protocols import offered
from lowland.energies.restoration import Restoration
from lowland.nn.encoders.convnet import ConvNet
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.shaping.joint import Views
from lowland.tensors import PerSampleRNG


@register("shaping")
class Restoring(Shaping):
    """L = mean over images of E(c(y), y), c(y) a damaged copy of y, drawn anew for each image and step.

    The reconstruction loss of Pathak et al. 2016, equation 1, on the whole image; `lowland.energies.Restoration` names
    the other sources. With `lowland.data.views`, `ImageViews(mask=1, …)` makes it inpainting, `ImageViews(grey=1, …)`
    colourisation, `Damage(hidden=0.75)` masked-patch prediction, and `Damage(shrink=4)` super-resolution.

    Energies: `Restoration`.

    Args:
        damage: c.
        views: augments an image before it is damaged, such as crop and flip; None for no augmentation.
        seed: see `Shaping`.

    Raises:
        UnsupportedError: for an energy that does not restore images.

    >>> case = Restoring.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(self, damage: Views, views: Views | None = None, seed: int = 0) -> None:
        super().__init__(seed)
        self.damage, self.views = damage, views

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        weight, _ = offered(energy, Restoration, type(self).__name__)
        y = batch.y if self.views is None else self.views(batch.y, self.noise(batch.y))
        loss = energy(x=self.damage(y, self.noise(y)), y=y).mean()
        return Losses({"energy": loss}, {"error per pixel": 2 * loss.detach() / (weight * y[0].numel())})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = PerSampleRNG(0, torch.arange(16)).uniform(1, 1, 1).expand(-1, 1, 8, 8)
        energy = Restoration(ConvNet((1, 8, 8), maps=(8, 16), norm=False), decoder=(8,))
        return ShapingCase(cls(lambda sample, noise: sample * (noise.uniform(1, 8, 8) > 0.5)), energy, Batch(y))
