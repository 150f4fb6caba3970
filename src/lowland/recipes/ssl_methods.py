"""The joint-embedding methods that the recipes `ssl` and `labels` compare: a shaping and a head each, not a class."""

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
class Method:
    """One row of the comparison: encoder, views, steps and batches are those of all rows.

    Args:
        name: as an option of the recipes.
        row: id in the list of systems.
        title: on the page.
        shaping: (views, seed) → the training method.
        projector: units of its layers; the last is the size of the embedding.
        predictor: units of its hidden layers, for methods that have one.
        distance: D of the energy, the one that the method's loss speaks of.
        rate: learning rate as a multiple of the recipe's.
    """

    name: str
    row: str
    title: str
    shaping: Callable[[Views, int], JointShaping]
    projector: tuple[int, ...] = (256, 128)
    predictor: tuple[int, ...] | None = None
    distance: str = "cosine"
    rate: float = 1.0

    def energy(self, encoder: nn.Module, generator: torch.Generator, widen: int = 1) -> JointEmbedding:
        """The joint embedding that the method trains, around an encoder; `widen` multiplies the units of its head."""
        projector, predictor = (
            None if units is None else tuple(widen * each for each in units)
            for units in (self.projector, self.predictor)
        )
        return JointEmbedding(encoder, projector or (), predictor, self.distance, generator=generator)


PATCHES = Jigsaw(2, ImageViews(crop=(0.8, 1.0), ratio=(1.0, 1.0), flip=0.0, colour=0.0, grey=0.0))
"""Small images have room for four pieces, of which little is left where they are cropped much."""
METHODS = {
    method.name: method
    for method in (
        Method("drlim", "J1", "DrLIM", lambda views, seed: DrLIM(views, 10.0, 16, seed=seed), distance="euclidean"),
        Method("simclr", "J2", "SimCLR", lambda views, seed: SimCLR(views, temperature=0.2, seed=seed)),
        Method("nca", "J2", "NCA", lambda views, seed: NCA(views, temperature=0.2, seed=seed)),
        Method("moco", "J2", "MoCo v2", lambda views, seed: MoCo(views, seed=seed)),
        Method("moco-v3", "J2", "MoCo v3", lambda views, seed: MoCoV3(views, seed=seed), predictor=(256,)),
        Method("pirl", "J2", "PIRL", lambda views, seed: PIRL(views, PATCHES, 0.1, 0.2, seed=seed), rate=2.0),
        Method("vicreg", "J7", "VICReg", lambda views, seed: VICReg(views, seed=seed), (256, 256), distance="squared"),
        Method("barlow", "J7", "Barlow Twins", lambda views, seed: BarlowTwins(views, seed=seed), (256, 256), rate=2.0),
        Method("sigreg", "J7", "SIGReg", lambda views, seed: SIGReg(views, seed=seed), distance="squared"),
        Method("wmse", "J7", "W-MSE", lambda views, seed: WMSE(views, seed=seed), (256, 64)),
        Method("byol", "J7", "BYOL", lambda views, seed: BYOL(views, seed=seed), predictor=(256,), rate=1.5),
        Method("simsiam", "J7", "SimSiam", lambda views, seed: SimSiam(views, seed=seed), predictor=(64,)),
    )
}
"""All methods by name, those with pairs first, then those with groups, then those without negatives."""
