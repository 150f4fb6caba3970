"""All measures of a joint embedding on labelled images, of the frozen encoder and of the energies of pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lowland.data.images import Images
from lowland.data.views import two_views
from lowland.energies.joint_embedding import JointEmbedding
from lowland.evaluation.collapse import rankme
from lowland.evaluation.frozen import labelled, measure_frozen
from lowland.evaluation.joint import alignment, pair_gap, plane, spectrum, uniformity
from lowland.evaluation.neighbours import nearest_neighbours
from lowland.evaluation.probe import probe
from lowland.evaluation.representations import represent
from lowland.shaping.joint import Views

SHOWN = 2000
"""Validation images for alignment, uniformity, spectrum, plane and the gap of pairs: all pairs are compared."""


def measure_embedding(
    energy: JointEmbedding,
    images: Images,
    views: Views,
    seed: int = 0,
    neighbours: int = 200,
    temperature: float = 0.07,
    retrieved: tuple[int, int] = (6, 7),
) -> dict[str, Any]:
    """Measures of an energy of pairs and of the encoder in it; test images are used once by probe and neighbours.

    Args:
        energy: an encoder alone is `JointEmbedding(encoder, (), distance="cosine")`.
        images: with labels.
        views: of one image, of which two are compared.
        seed: of the views; they are drawn by it and by the next one.
        neighbours, temperature: of `knn`.
        retrieved: validation images to look up, and how many training images for each.

    Returns:
        "probe", "validation", "decay" and "knn", see `measure_frozen`; on up to 2,000 validation images "rank", see
        `rankme`, "size" of a representation, "alignment", "uniformity", "gap", "near" and "far", see `pair_gap`,
        "spectrum" and "plane"; and "neighbours", places of the training images that are nearest.

    >>> from lowland.data import digits
    >>> from lowland.nn.layers import Flat
    >>> images = digits().first(train=300, validation=100, test=100)
    >>> energy = JointEmbedding(Flat(images.shape), (), distance="cosine")
    >>> found = measure_embedding(energy, images, lambda samples, noise: samples, neighbours=20)
    >>> found["alignment"], found["size"], found["neighbours"].shape
    (0.0, 64, torch.Size([6, 7]))
    """
    encoder, (queries, k) = energy.encoder, retrieved
    found = measure_frozen(encoder, images, neighbours, temperature)
    seen = found.codes["validation"][0][:SHOWN]
    first, second = two_views(views, images.validation[:SHOWN], seed)
    a, b = represent(encoder, first), represent(encoder, second)
    gap, near, far = pair_gap(energy, first, second)
    return {
        "probe": found.probe, "validation": found.validation, "decay": found.weight_decay, "knn": found.knn,
        "rank": rankme(seen), "size": seen.shape[1], "alignment": alignment(a, b), "uniformity": uniformity(a),
        "gap": gap, "near": near, "far": far, "spectrum": spectrum(seen), "plane": plane(seen),
        "neighbours": nearest_neighbours(seen[:queries], found.codes["train"][0], k)[1],
    }  # fmt: skip


def online_probe(encoder: nn.Module, images: Images, seed: int = 0, most: int = 5000) -> float:
    """A quick linear probe for learning curves: few steps on some training images, tested on validation images.

    Args:
        encoder: (B, *shape) → (B, D).
        images: with labels.
        seed: of the draw of training images.
        most: training images, and validation images.

    >>> from lowland.data import digits
    >>> online_probe(nn.Flatten(), digits()) > 0.9
    True
    """
    chosen = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(seed))[:most]
    train = represent(encoder, images.train[chosen]), images.train_labels[chosen]
    held = tuple(part[:most] for part in labelled(images, "validation"))
    return probe(train, (represent(encoder, held[0]), held[1]), weight_decays=(1e-2, 1e-3), max_steps=40).validation
