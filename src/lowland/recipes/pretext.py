"""The recipe `pretext`: an image is damaged and restored, and the encoder learns on the way (row J5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.data.images import Images
from lowland.data.views import Damage, ImageViews
from lowland.energies.restoration import Restoration
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.encoders.resnet18 import ResNet18
from lowland.plots import curves
from lowland.plots.mosaic import mosaic
from lowland.recipes.base import recipe
from lowland.recipes.baselines import RANDOM
from lowland.recipes.predictive import Method, Predictive, against_random, flips, write_neighbours, write_table
from lowland.reports.run import Run
from lowland.shaping.joint import Views
from lowland.shaping.predictive.restoring import Restoring
from lowland.tensors import PerSampleRNG

SHOWN = 10


@recipe(
    "pretext",
    shows="One energy, four kinds of damage: masked patches, a hole, lost colours and lost detail are restored, and "
    "what the encoder learns by it is measured.",
    rows=("J5",),
    minutes=20,
    title="Restoring damaged images",
)
@dataclass(frozen=True)
class PretextRecipe(Predictive):
    """E(x, y) = ½‖D(h(x)) − y‖², x being y damaged in one of four ways."""

    steps: int = 800
    """Updates of each method, and of supervised training."""
    maps: tuple[int, ...] = (64, 128, 256)
    """Feature maps of the stages of the ConvNet; () for a ResNet-18."""
    decoder: tuple[int, ...] = (32, 64)
    """Feature maps between the stages of the decoder."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "images": 300, "tested": 100, "steps": 4, "batch": 32, "maps": (4, 8, 16),
            "decoder": (4, 8),
        },
        "gpu": {"images": 50_000, "steps": 20_000, "batch": 512, "maps": (), "decoder": (64, 128)},
    }  # fmt: skip

    def encoder(self, shape: tuple[int, int, int], generator: torch.Generator) -> nn.Module:
        return ConvNet(shape, self.maps, generator=generator) if self.maps else ResNet18(shape, generator=generator)

    def damages(self, shape: tuple[int, int, int]) -> dict[str, tuple[str, Views]]:
        """What is done to an image, by the name of what then is to be done; with what it looks like."""
        still = {"crop": (1, 1), "flip": 0, "colour": 0}
        hole = ImageViews(**still, grey=0, mask=1, masked=(0.25, 0.4))
        damages: dict[str, tuple[str, Views]] = {
            "masked patches": ("three patches in four hidden", Damage(hidden=0.75, patch=shape[1] // 8)),
            "inpainting": ("a hole", hole),
            "colourisation": ("grey", ImageViews(**still, grey=1)),
            "super-resolution": ("a quarter of the size", Damage(shrink=4)),
        }
        if shape[0] == 1:
            del damages["colourisation"]
        return damages

    def methods(self, shape: tuple[int, int, int]) -> Sequence[Method]:
        def energy(generator: torch.Generator) -> Restoration:
            return Restoration(self.encoder(shape, generator), self.decoder, generator)

        def shaping(damage: Views, seed: int) -> Restoring:
            return Restoring(damage, flips(shape), seed)

        return tuple(
            Method(title, "J5", energy, lambda seed, damage=damage: shaping(damage, seed))
            for title, (_, damage) in self.damages(shape).items()
        )

    def run(self, run: Run) -> None:
        data = self.splits()
        if data.stand_in_for:
            run.stand_in(f"{data.source} stands in for {data.stand_in_for}: figures compare only with others on it.")
        kept = self.compare(run, data)
        rows = self._restore(run, kept["energies"], data)
        run.part(self._write, kept, data, *rows)

    def _restore(
        self, run: Run, energies: Mapping[str, Restoration], data: Images
    ) -> tuple[dict[str, dict[str, Tensor]], list[tuple[str, float, float, float]]]:
        """What is filled in, to be shown, and the errors of all test images, which are results."""
        shown, errors = {}, []
        for number, (title, (name, damage)) in enumerate(self.damages(data.shape).items()):
            noise = PerSampleRNG(1000 * self.seed + number, torch.arange(len(data.test)))
            broken = damage(data.test, noise)
            restored = _restored(energies[title], broken)
            shown[title] = {"image": data.test[:SHOWN], name: broken[:SHOWN], "restored": restored[:SHOWN]}
            before, after = ((part - data.test).square().mean().item() for part in (broken, restored))
            errors.append((title, before, after, (data.train.mean(dim=0) - data.test).square().mean().item()))
            for method, error in ((title, after), (f"{title}: left as it is (baseline)", before)):
                run.result(
                    id="J5", claim="error of a restored test image, mean square of a pixel", method=method,
                    measured=error, seeds=1, data=f"{data.name}: {len(data.test)} test images",
                )  # fmt: skip
        return shown, errors

    def _write(
        self,
        run: Run,
        kept: Mapping[str, Any],
        data: Images,
        shown: Mapping[str, Mapping[str, Tensor]],
        errors: list[tuple[str, float, float, float]],
    ) -> None:
        energies: Mapping[str, Restoration] = kept["energies"]
        probes = {title: [one["probe"] for one in each] for title, each in kept["measured"].items()}
        run.finding(against_random(probes, len(data.test)))
        run.section("What is filled in")
        run.text(
            "Test images, what was done to them, and the y of the least energy E(x, y) = ½‖D(h(x)) − y‖², which is the "
            "answer of the network. It is the mean of all that the rest allows: blurred where that is much."
        )
        panels = [(partial(mosaic, rows), f"**{title}**") for title, rows in shown.items()]
        run.grid("filled", panels, 1)
        run.table(
            ("task", "damaged", "restored", "mean training image"), errors,
            "Mean squared error of a pixel of the test images, from 0 to 1.",
        )  # fmt: skip
        run.section("What the encoder is worth")
        seen = self.steps * self.batch / len(data.train)
        kind = f"a ConvNet of {len(self.maps)} stages" if self.maps else "a ResNet-18"
        run.text(
            "The decoder is thrown away. What the encoder makes of whole images, averaged over places, is given to a "
            f"linear classifier. Each method went through the training images {seen:.1f} times, without labels; "
            "supervised training did so with them."
        )
        run.part(write_table, kept["measured"], kind, len(data.test))
        run.section("Neighbours")
        run.text("Test images with the training images whose representations are nearest, by cosine.")
        encoders: dict[str, nn.Module] = {RANDOM: self.encoder(data.shape, self.generator())}
        encoders |= {name: energy.encoder for name, energy in energies.items()}
        run.part(write_neighbours, encoders, data)
        run.section("Training")
        run.figure("training", curves(kept["curves"], xlabel="step", ylabel="E, mean of a batch", log="y"))


@torch.no_grad()
def _restored(energy: Restoration, damaged: Tensor) -> Tensor:
    return torch.cat([energy.restore(part).clamp(0, 1) for part in damaged.split(500)])
