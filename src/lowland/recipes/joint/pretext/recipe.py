"""An image is damaged and restored, and the encoder learns on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.data.images import Images
from lowland.data.views import pretext_tasks
from lowland.energies.restoration import Restoration
from lowland.evaluation import restore_images
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.encoders.resnet18 import ResNet18
from lowland.plots import mosaic, nearest_images
from lowland.recipes.base import Count, recipe
from lowland.recipes.joint.common import Encoders, Energies, Method, Predictive, crops_and_flips
from lowland.reports.run import Run
from lowland.shaping.joint import Views
from lowland.shaping.predictive.restoring import Restoring
from lowland.tensors import PerSampleRNG

SHOWN = 10


@recipe
@dataclass(frozen=True)
class PretextRecipe(Predictive):
    """E(x, y) = ½‖D(h(x)) − y‖², x being y damaged in one of four ways."""

    steps: Count = 800
    """Training steps of each method, and of supervised training."""
    maps: tuple[Count, ...] = (64, 128, 256)
    """Feature maps of the stages of the ConvNet; () for a ResNet-18."""
    decoder: tuple[Count, ...] = (32, 64)
    """Feature maps between the stages of the decoder."""

    loss: ClassVar[str] = "E, mean of a batch"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "images": 300, "tested": 100, "steps": 4, "batch": 32, "maps": (4, 8, 16),
            "decoder": (4, 8),
        },
        "gpu": {"images": 50_000, "steps": 20_000, "batch": 512, "maps": (), "decoder": (64, 128)},
    }  # fmt: skip

    def encoder(self, shape: tuple[int, int, int], generator: torch.Generator) -> nn.Module:
        return ConvNet(shape, self.maps, generator=generator) if self.maps else ResNet18(shape, generator=generator)

    def methods(self, shape: tuple[int, int, int]) -> Sequence[Method]:
        def energy(seed: int) -> Restoration:
            generator = self.generator(seed)
            return Restoration(self.encoder(shape, generator), self.decoder, generator)

        def shaping(damage: Views, seed: int) -> Restoring:
            return Restoring(damage, crops_and_flips(shape), seed)

        tasks = pretext_tasks(shape)
        return tuple(Method(title, energy, partial(shaping, damage)) for title, (_, damage) in tasks.items())

    def run(self, run: Run) -> None:
        data, encoders, energies, losses = self.compare_on(run)
        shown = self._restore(run, energies, data)
        run.part(self.figures, data, encoders, losses, shown)

    def _restore(self, run: Run, energies: Energies, data: Images) -> dict[str, dict[str, Tensor]]:
        """Measures errors on all test images, and returns some of them to be shown."""
        shown: dict[str, dict[str, Tensor]] = {}
        mean = (data.train.mean(dim=0) - data.test).square().mean().item()
        for number, (title, (name, damage)) in enumerate(pretext_tasks(data.shape).items()):
            noise = PerSampleRNG(1000 * self.seed + number, torch.arange(len(data.test)))
            broken = damage(data.test, noise)
            restored = restore_images(energies[title], broken)
            shown[title] = {"image": data.test[:SHOWN], name: broken[:SHOWN], "restored": restored[:SHOWN]}
            before, after = ((part - data.test).square().mean().item() for part in (broken, restored))
            run.measured.add({title: {"error": after, "damaged": before, "mean image": mean}})
            run.measured.add({f"{title}: damaged": {"error": before}})
        return shown

    def figures(
        self, run: Run, data: Images, encoders: Encoders, losses: Any, shown: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        run.grid("filled", [(partial(mosaic, rows), f"**{title}**") for title, rows in shown.items()], 1)
        self.draw(run, encoders, partial(nearest_images, data), losses)
