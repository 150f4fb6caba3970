"""What the recipes `ssl` and `labels` measure of an encoder that no longer changes, and what they compare it with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.data.images import Images
from lowland.energies.joint_embedding import JointEmbedding
from lowland.evaluation.collapse import rankme
from lowland.evaluation.joint import alignment, pair_gap, spectrum, uniformity
from lowland.evaluation.neighbours import knn, nearest_neighbours
from lowland.evaluation.probe import Labelled, probe
from lowland.evaluation.representations import represent
from lowland.shaping.joint import Views
from lowland.tensors import PerSampleRNG

SHOWN = 2000
"""Validation images that pictures, alignment, uniformity and the gap of pairs are made of: all pairs are looked at."""
QUERIES, FOUND = 6, 7


class Pixels(nn.Module):
    """The image itself, flat, as an encoder."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.size = shape, torch.Size(shape).numel()

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1)


def alone(encoder: nn.Module) -> JointEmbedding:
    """An encoder as an energy of pairs, 1 − cos of the representations: what baselines have instead of a head."""
    return JointEmbedding(encoder, (), distance="cosine")


def part(data: Images, name: str, encoder: nn.Module | None = None) -> Labelled:
    """Images of a split, or their representations, with their labels."""
    images: Tensor = getattr(data, name)
    return images if encoder is None else represent(encoder, images), getattr(data, f"{name}_labels")


def measure(
    energy: JointEmbedding, data: Images, views: Views, neighbours: int, temperature: float, seed: int
) -> dict[str, Any]:
    """Everything that the table, the pictures and the results say of one encoder; test images are looked at once."""
    encoder = energy.branch.encoder
    train, validation, test = (part(data, name, encoder) for name in ("train", "validation", "test"))
    found = probe(train, validation, test)
    shown = data.validation[:SHOWN]
    sample_ids = torch.arange(len(shown))
    first, second = (views(shown, PerSampleRNG(1000 * seed + call, sample_ids)) for call in (1, 2))
    a, b = represent(encoder, first), represent(encoder, second)
    gap, near, far = pair_gap(energy, first, second)
    seen = validation[0][:SHOWN]
    return {
        "probe": found.accuracy,
        "validation": found.validation,
        "decay": found.weight_decay,
        "knn": knn(train, test, neighbours, temperature),
        "rank": rankme(seen),
        "size": seen.shape[1],
        "alignment": alignment(a, b),
        "uniformity": uniformity(a),
        "gap": gap,
        "near": near,
        "far": far,
        "spectrum": spectrum(seen),
        "plane": plane(seen),
        "neighbours": nearest_neighbours(seen[:QUERIES], train[0], FOUND)[1],
    }


def plane(codes: Tensor) -> Tensor:
    """The two principal components of the codes, (N, 2), by scikit-learn."""
    from sklearn.decomposition import PCA

    return torch.from_numpy(PCA(2, svd_solver="full").fit_transform(codes.double().cpu().numpy())).float()


def glance(encoder: nn.Module, data: Images, count: int, seed: int) -> float:
    """An online probe: a linear classifier on some training images, tried on validation images. Never a result."""
    chosen = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))[:count]
    labels = data.train_labels[chosen]
    train = represent(encoder, data.train[chosen]), labels
    held = represent(encoder, data.validation[:count]), data.validation_labels[:count]
    return probe(train, held, weight_decays=(1e-2, 1e-3), max_steps=40).validation
