"""Twelve joint-embedding methods for small images. Each is a setting (shaping, head and learning rate), not a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from lowland.data.views import ImageViews, Jigsaw
from lowland.energies.joint_embedding import JointEmbedding
from lowland.shaping.contrastive.drlim import DrLIM
from lowland.shaping.contrastive.moco import MoCo
from lowland.shaping.contrastive.moco_v3 import MoCoV3
from lowland.shaping.contrastive.nca import NCA
from lowland.shaping.contrastive.pirl import PIRL
from lowland.shaping.contrastive.simclr import SimCLR
from lowland.shaping.distilled.byol import BYOL
from lowland.shaping.distilled.simsiam import SimSiam
from lowland.shaping.joint import JointShaping, Views
from lowland.shaping.regularised.barlow import BarlowTwins
from lowland.shaping.regularised.sigreg import SIGReg
from lowland.shaping.regularised.vicreg import VICReg
from lowland.shaping.regularised.whitening import WMSE


@dataclass(frozen=True)
class JointMethod:
    """One method of a comparison; encoder, views, steps and batch size are the same for all methods.

    Args:
        name: in lower case, as recipes' options take it.
        title: its name in the paper.
        shaping: (views, seed) → the training method.
        projector: widths of its layers; the last is the size of the embedding.
        predictor: widths of its hidden layers, for methods that have one.
        distance: D of the energy, as in the method's loss.
        rate: factor on the comparison's learning rate.

    >>> from lowland.nn.encoders import ConvNet
    >>> JOINT_METHODS["byol"].energy(ConvNet((1, 8, 8), (4, 8)), torch.Generator()).size
    128
    """

    name: str
    title: str
    shaping: Callable[[Views, int], JointShaping]
    projector: tuple[int, ...] = (256, 128)
    predictor: tuple[int, ...] | None = None
    distance: str = "cosine"
    rate: float = 1.0

    def energy(self, encoder: nn.Module, generator: torch.Generator, widen: int = 1) -> JointEmbedding:
        """The joint embedding that the method trains, around an encoder; `widen` multiplies the widths of its head."""
        projector, predictor = (
            None if units is None else tuple(widen * each for each in units)
            for units in (self.projector, self.predictor)
        )
        return JointEmbedding(encoder, projector or (), predictor, self.distance, generator=generator)


PATCHES = Jigsaw(2, ImageViews(crop=(0.8, 1.0), ratio=(1.0, 1.0), flip=0.0, colour=0.0, grey=0.0))
"""Small images have room for four patches only, and cropping those further would lose most of their content."""
JOINT_METHODS = {
    method.name: method
    for method in (
        JointMethod("drlim", "DrLIM", lambda views, seed: DrLIM(views, 10.0, 16, seed=seed), distance="euclidean"),
        JointMethod("simclr", "SimCLR", lambda views, seed: SimCLR(views, temperature=0.2, seed=seed)),
        JointMethod("nca", "NCA", lambda views, seed: NCA(views, temperature=0.2, seed=seed)),
        JointMethod("moco", "MoCo v2", lambda views, seed: MoCo(views, seed=seed)),
        JointMethod("moco-v3", "MoCo v3", lambda views, seed: MoCoV3(views, seed=seed), predictor=(256,)),
        JointMethod("pirl", "PIRL", lambda views, seed: PIRL(views, PATCHES, 0.1, 0.2, seed=seed), rate=2.0),
        JointMethod("vicreg", "VICReg", lambda views, seed: VICReg(views, seed=seed), (256, 256), distance="squared"),
        JointMethod("barlow", "Barlow Twins", lambda views, seed: BarlowTwins(views, seed=seed), (256, 256), rate=2.0),
        JointMethod("sigreg", "SIGReg", lambda views, seed: SIGReg(views, seed=seed), distance="squared"),
        JointMethod("wmse", "W-MSE", lambda views, seed: WMSE(views, seed=seed), (256, 64)),
        JointMethod("byol", "BYOL", lambda views, seed: BYOL(views, seed=seed), predictor=(256,), rate=1.5),
        JointMethod("simsiam", "SimSiam", lambda views, seed: SimSiam(views, seed=seed), predictor=(64,)),
    )
}
"""By name: first methods with negatives, then methods without.

Settings follow the papers, except for the temperature 0.2 of SimCLR and NCA, margin and negatives of DrLIM, weight,
temperature and patches of PIRL, and the rates of PIRL, Barlow Twins and BYOL. These were chosen on validation images of
Fashion-MNIST.
"""
WITH_NEGATIVES = ("drlim", "simclr", "nca", "moco", "moco-v3", "pirl")
"""Methods that push views of different images apart; the others regularise or have a second network."""
