"""The recipe `jepa`: hidden patches foretold as latents, as pixels, and what an encoder learns from either (row J7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.data.images import Images
from lowland.energies.masked_prediction import MaskedPrediction
from lowland.nn.encoders.vision_transformer import VisionTransformer
from lowland.plots import curves
from lowland.plots.mosaic import mosaic
from lowland.recipes.base import recipe
from lowland.recipes.baselines import RANDOM
from lowland.recipes.predictive import Method, Predictive, against_random, flips, write_neighbours, write_table
from lowland.reports.run import Run
from lowland.shaping.predictive.masked import IJEPA, MAE, Data2Vec
from lowland.shaping.predictive.masks import PatchMasks
from lowland.tensors import PerSampleRNG

SHOWN = 10


@recipe(
    "jepa",
    shows="A transformer foretells the hidden patches of an image: as the latents of a slow copy of itself (I-JEPA, "
    "data2vec), or as pixels (MAE).",
    rows=("J7", "J5"),
    minutes=20,
    title="Foretelling what is hidden",
)
@dataclass(frozen=True)
class JepaRecipe(Predictive):
    """F(x, y, z) = mean over hidden patches of ‖p(h(x ∖ z))_i − t(y)_i‖² by I-JEPA, data2vec and MAE."""

    patch: int = 4
    """Side of a patch, in pixels."""
    width: int = 96
    """Width of the transformer."""
    depth: int = 4
    """Blocks of the transformer."""
    heads: int = 3
    """Heads of its attention."""
    predictor: tuple[int, int] = (48, 2)
    """Width and depth of the predictor."""
    momentum: float = 0.99
    """Of the slow copies; the longer the training, the nearer to 1."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "images": 300, "tested": 100, "steps": 4, "batch": 32, "patch": 2, "width": 12,
            "depth": 1, "predictor": (12, 1),
        },
        "gpu": {
            "images": 50_000, "steps": 40_000, "batch": 512, "width": 192, "depth": 12, "predictor": (96, 4),
            "momentum": 0.998,
        },
    }  # fmt: skip

    def encoder(self, shape: tuple[int, int, int], generator: torch.Generator) -> VisionTransformer:
        return VisionTransformer(shape, self.patch, self.width, self.depth, self.heads, generator)

    def methods(self, shape: tuple[int, int, int]) -> Sequence[Method]:
        def energy(target: str, generator: torch.Generator) -> MaskedPrediction:
            width, depth = self.predictor
            return MaskedPrediction(self.encoder(shape, generator), target, width, depth, self.heads, generator)

        views, slow = flips(shape), self.momentum
        last = max(1, self.depth // 2)
        return (
            Method("I-JEPA", "J7", lambda g: energy("latents", g), lambda s: IJEPA(None, views, slow, s)),
            Method(
                "data2vec", "J7", lambda g: energy("latents", g), lambda s: Data2Vec(None, views, slow, last, seed=s)
            ),
            Method("MAE", "J5", lambda g: energy("normalised", g), lambda s: MAE(None, views, s)),
        )

    def run(self, run: Run) -> None:
        data = self.splits()
        if data.stand_in_for:
            run.stand_in(f"{data.source} stands in for {data.stand_in_for}: figures compare only with others on it.")
        kept = self.compare(run, data)
        run.part(self._write, kept, data)

    def _write(self, run: Run, kept: Mapping[str, Any], data: Images) -> None:
        energies: Mapping[str, MaskedPrediction] = kept["energies"]
        probes = {title: [one["probe"] for one in each] for title, each in kept["measured"].items()}
        run.finding(against_random(probes, len(data.test)))
        run.section("What the encoder is worth")
        seen = self.steps * self.batch / len(data.train)
        run.text(
            "The same images, the same patches hidden, the same encoder: what differs is what the hidden patches are "
            "foretold as. I-JEPA and data2vec foretell **latents**, what a slow copy of the encoder makes of the whole "
            "image, by its last block or several; MAE foretells **pixels**. Each method went through the training "
            f"images {seen:.1f} times, without labels; supervised training did so with them."
        )
        run.part(
            write_table,
            kept["measured"],
            f"a vision transformer of {self.depth} blocks of {self.width}",
            len(data.test),
        )
        run.part(self._write_masks, energies["MAE"], data.test[:SHOWN])
        run.section("What the tokens say")
        run.text(
            "The tokens of an image, one for each patch, as colours: their first three principal components over these "
            "images. Patches of one colour are alike to the encoder."
        )
        encoders: dict[str, nn.Module] = {RANDOM: self.encoder(data.shape, self.generator())}
        encoders |= {name: energy.encoder for name, energy in energies.items()}
        rows = {"image": data.test[:SHOWN].expand(-1, 3, -1, -1)}
        rows |= {name: _coloured(encoder, data.test[:SHOWN]) for name, encoder in encoders.items()}
        run.figure("tokens", mosaic(rows))
        run.section("Neighbours")
        run.text("Test images with the training images whose representations are nearest, by cosine.")
        run.part(write_neighbours, encoders, data)
        run.section("Training")
        lines = {name: kept["curves"][name] for name in energies}
        run.figure("training", curves(lines, xlabel="step", ylabel="loss of a batch, each method's own", log="y"))

    def _write_masks(self, run: Run, energy: MaskedPrediction, test: Tensor) -> None:
        run.section("What is hidden, and what is seen in it")
        run.text(
            "I-JEPA and data2vec hide rectangles, so that most hidden patches have hidden neighbours; MAE hides three "
            "patches in four, scattered. Its guess, with the true mean and contrast of each hidden patch, since it "
            "foretells patches without these, stands beside them. Latents cannot be looked at, which is their point."
        )
        noise = PerSampleRNG(self.seed, torch.arange(len(test)))
        drawn = {name: masks(noise, energy.encoder.grid) for name, masks in _MASKS.items()}
        rows = {"image": test}
        for name, mask in drawn.items():
            z = mask.z()[:, :, None]
            rows[name] = energy.encoder.image(torch.where(z > 0.5, 0.5, energy.encoder.patches(test)))
        with torch.no_grad():
            rows["MAE fills in"] = energy.filled(test, drawn["hidden for MAE"].z())
        run.figure("masks", mosaic(rows))


_MASKS = {
    "hidden for I-JEPA": PatchMasks(),
    "hidden for data2vec": PatchMasks(share=0.6),
    "hidden for MAE": PatchMasks.scattered(),
}


@torch.no_grad()
def _coloured(encoder: nn.Module, image: Tensor) -> Tensor:
    """Three principal components of the tokens as colours, as large as the image."""
    assert isinstance(encoder, VisionTransformer)
    maps = encoder.maps(image)
    token = maps.flatten(2).transpose(1, 2).flatten(0, 1).double()
    axes = torch.linalg.svd(token - token.mean(dim=0), full_matrices=False).Vh[:3]
    colour = (token - token.mean(dim=0)) @ axes.T
    low, high = colour.quantile(0.02, dim=0), colour.quantile(0.98, dim=0)
    colour = ((colour - low) / (high - low).clamp_min(1e-9)).clamp(0, 1).float()
    planes = colour.unflatten(0, (len(image), -1)).transpose(1, 2).unflatten(2, encoder.grid)
    side = encoder.patch
    return planes.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
