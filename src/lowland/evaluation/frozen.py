"""Measures of a frozen encoder on labelled images: a linear probe and nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from lowland.data.images import Images
from lowland.evaluation.neighbours import knn
from lowland.evaluation.probe import Labelled, probe
from lowland.evaluation.representations import represent


class Frozen(NamedTuple):
    """Measures of one encoder.

    Attributes:
        probe: test accuracy of the linear probe.
        validation: its validation accuracy, by which the weight decay was chosen.
        weight_decay: of the probe.
        knn: test accuracy of the nearest-neighbour vote.
        codes: representations and labels by split.
    """

    probe: float
    validation: float
    weight_decay: float
    knn: float
    codes: dict[str, Labelled]


def labelled(images: Images, split: str, encoder: nn.Module | None = None) -> Labelled:
    """The images of a split, or their representations, with their labels.

    >>> from lowland.data import digits
    >>> [part.shape for part in labelled(digits(), "test", nn.Flatten())]
    [torch.Size([300, 64]), torch.Size([300])]
    """
    given = getattr(images, split)
    return given if encoder is None else represent(encoder, given), getattr(images, f"{split}_labels")


def measure_frozen(encoder: nn.Module, images: Images, neighbours: int = 200, temperature: float = 0.07) -> Frozen:
    """Linear probe (`probe`) and nearest neighbours (`knn`) of a frozen encoder; each uses the test images once.

    Args:
        encoder: (B, *shape) → (B, D).
        images: with labels; the probe's weight decay is chosen on the validation images.
        neighbours, temperature: of `knn`.

    >>> from lowland.data import digits
    >>> measure_frozen(nn.Flatten(), digits(), neighbours=20).knn > 0.9
    True
    """
    codes = {split: labelled(images, split, encoder) for split in ("train", "validation", "test")}
    found = probe(codes["train"], codes["validation"], codes["test"])
    assert found.accuracy is not None
    votes = knn(codes["train"], codes["test"], neighbours, temperature)
    return Frozen(found.accuracy, found.validation, found.weight_decay, votes, codes)
