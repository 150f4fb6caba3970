"""Masked images (systems J5, J7): predict the hidden patches as pixels, or as latents of a momentum encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.energies.base import Energy
from lowland.energies.masked_prediction import MaskedPrediction, normalised
from lowland.energies.protocols import offered
from lowland.errors import OptionError, UnsupportedError
from lowland.nn.encoders.vision_transformer import VisionTransformer, picked
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.shaping.joint import Target, Views
from lowland.shaping.predictive.masks import PatchMasks
from lowland.tensors import PerSampleRNG


@register("shaping")
class MAE(Shaping):
    """L = mean over images of F(y, y, z), with hidden patches z drawn anew for each image and step.

    He, Chen, Xie, Li, Dollár & Girshick 2022, "Masked autoencoders are scalable vision learners", section 3: mean
    squared error on the pixels of the hidden patches, which the encoder does not see.

    Energies: `MaskedPrediction` of pixels.

    Args:
        masks: draws z; None for 75 % of the patches, scattered.
        views: augments an image before it is masked, such as crop and flip; None for no augmentation.
        seed: see `Shaping`.

    Raises:
        UnsupportedError: for an energy that predicts latents: with its own encoder as the target it would collapse.

    >>> case = MAE.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    latents = False
    """Whether the energy must predict latents."""

    def __init__(self, masks: PatchMasks | None = None, views: Views | None = None, seed: int = 0) -> None:
        super().__init__(seed)
        self.masks, self.views = masks or PatchMasks.scattered(), views

    def checked(self, energy: Energy) -> tuple[float, MaskedPrediction]:
        """(w, E₀) of an energy w·E₀, where this method can train it."""
        weight, core = offered(energy, MaskedPrediction, type(self).__name__)
        if self.latents != (core.target == "latents"):
            wanted = "'latents'" if self.latents else "'pixels' or 'normalised'"
            raise UnsupportedError(
                f"{type(self).__name__} trains a MaskedPrediction with target={wanted}, not {core.target!r}."
            )
        return weight, core

    def targets(self, energy: MaskedPrediction, y: Tensor) -> Tensor:
        """The prediction targets, (B, N, d)."""
        return energy.targets(y)

    def distance(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The distance between predictions and targets (B, M, d), a scalar."""
        return (predicted - target).square().mean()

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        weight, core = self.checked(energy)
        y = batch.y if self.views is None else self.views(batch.y, self.noise(batch.y))
        mask = self.masks(self.noise(y), core.encoder.grid)
        target = self.targets(core, y)
        loss = weight * self.distance(core.predict(y, *mask), picked(target, mask.hidden))
        # Standard deviation of one patch over the images: 0 if all targets are equal.
        return Losses({"energy": loss}, {"deviation": target.detach().std(dim=0).mean()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        encoder = VisionTransformer((1, 8, 8), patch=2, width=24, depth=1)
        energy = MaskedPrediction(encoder, "latents" if cls.latents else "normalised", width=12, depth=1)
        slope = PerSampleRNG(0, torch.arange(16)).normal(2, 1, 1)
        line = torch.linspace(-1, 1, 8)
        return ShapingCase(cls(), energy, Batch(slope[:, :1] * line[:, None] + slope[:, 1:] * line))


class Tokens(nn.Module):
    """An encoder as a function from an image to its tokens, averaged over the `last` blocks."""

    def __init__(self, encoder: VisionTransformer, last: int) -> None:
        super().__init__()
        self.encoder, self.last = encoder, last

    def forward(self, image: Tensor) -> Tensor:
        return self.encoder.tokens(image, last=self.last)


@register("shaping")
class IJEPA(MAE):
    """L = mean ‖p(h(y ∖ z), i) − h̄(y)_i‖² / D over images and hidden patches i, h̄ a momentum copy of the encoder h.

    Assran et al. 2023, "Self-supervised learning from images with a joint-embedding predictive architecture", section
    3, on targets normalised to mean 0 and standard deviation 1 per patch, as in their code. Here all rectangles of an
    image are predicted in one pass, and all other patches are visible.

    Energies: `MaskedPrediction` of latents.

    Args:
        masks: draws z; None for half of the patches, in four rectangles.
        views: augments an image before it is masked; None for none, as I-JEPA needs no augmentation but crops.
        momentum: of h̄; the paper increases it from 0.996 to 1, over many more steps than a CPU can take.
        seed: see `Shaping`.

    Raises:
        UnsupportedError: for an energy that predicts pixels.

    >>> case = IJEPA.reference_case()
    >>> case.shaping.prepare(case.energy, case.batch)
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    latents = True
    last = 1
    """How many of the last blocks of h̄ are averaged for a target."""

    def __init__(
        self,
        masks: PatchMasks | None = None,
        views: Views | None = None,
        momentum: float = 0.996,
        seed: int = 0,
    ) -> None:
        super().__init__(masks or PatchMasks(), views, seed)
        self.slow = Target(momentum)

    def prepare(self, energy: Energy, data: Batch) -> None:
        super().prepare(energy, data)
        self.slow.start(Tokens(self.checked(energy)[1].encoder, self.last))

    def targets(self, energy: MaskedPrediction, y: Tensor) -> Tensor:
        return normalised(self.slow(Tokens(energy.encoder, self.last), y))

    def after_step(self, energy: Energy, batch: Batch) -> None:
        super().after_step(energy, batch)
        self.slow.follow(Tokens(self.checked(energy)[1].encoder, self.last))


@register("shaping")
class Data2Vec(IJEPA):
    """L = mean of s(p(h(y ∖ z), i) − t_i), t_i the mean of the last K blocks of a momentum copy of h for patch i of y.

    Baevski et al. 2022, "data2vec", section 3.3 for the targets and equation 2 for s: ½ r² / β where |r| ≤ β, else
    |r| − ½ β, elementwise. The paper averages the outputs of the feed-forward parts of the blocks, normalised without
    weights; here the outputs of the blocks after the encoder's last norm are averaged. As in data2vec 2.0 (Baevski et
    al. 2023, section 3) the encoder sees only the visible patches, and a predictor the positions of the others.

    Energies: `MaskedPrediction` of latents.

    Args:
        masks: draws z; None for 60 % of the patches, in four rectangles.
        views: augments an image before it is masked; None for no augmentation.
        momentum: of the momentum copy.
        last: K.
        beta: β > 0, in units of the targets, which have standard deviation 1.
        seed: see `Shaping`.

    Raises:
        OptionError: for K below 1, or β that is not positive.
        UnsupportedError: for an energy that predicts pixels.

    >>> case = Data2Vec.reference_case()
    >>> case.shaping.prepare(case.energy, case.batch)
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(
        self,
        masks: PatchMasks | None = None,
        views: Views | None = None,
        momentum: float = 0.996,
        last: int = 4,
        beta: float = 2.0,
        seed: int = 0,
    ) -> None:
        super().__init__(masks or PatchMasks(share=0.6), views, momentum, seed)
        if last < 1 or not beta > 0:
            raise OptionError(f"last must be at least 1 and beta positive, but they are {last} and {beta}.")
        self.last, self.beta = last, beta

    def distance(self, predicted: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(predicted, target, beta=self.beta)
