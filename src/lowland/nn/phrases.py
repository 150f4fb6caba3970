"""Networks that say how well phrases fit an image, and what the parts of a caption or of a description cost.

Legend: B samples, F maps, P places, K phrases, V words, C cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowland.errors import ShapeError
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.layers import linear
from lowland.tensors import soft_minimum


class PhraseScores(nn.Module):
    """f_k(x) = log mean_p exp Σ_w n_kw (v_w·h_p(x) + b_w): how well each phrase fits an image, (B, K).

    h_p are the maps of a ConvNet at place p, v_w a vector of word w, and n_kw how often word w is in phrase k: a
    bilinear score of image and phrase, whose vector is the sum of those of its words (Lebret, Pinheiro & Collobert
    2015). Where a phrase is, p, is a latent that is summed over, so that all words of a phrase must fit the same place.
    Without `places`, h is the mean over the image instead.

    Args:
        network: pooled; its maps before that are h.
        words: n, (K, V); the identity gives each phrase a vector of its own.
        places: whether a phrase is at a place.
        generator: draws the vectors.

    Raises:
        ShapeError: for words that are not (K, V).

    >>> network = ConvNet((3, 16, 16), (4, 8))
    >>> PhraseScores(network, torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))(torch.zeros(5, 3, 16, 16)).shape
    torch.Size([5, 2])
    """

    words: Tensor

    def __init__(
        self, network: ConvNet, words: Tensor, places: bool = True, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if words.ndim != 2 or not words.numel():
            raise ShapeError(f"The words of phrases are counts (K, V), not {tuple(words.shape)}.")
        self.network, self.places, self.shape = network, places, network.shape
        self.register_buffer("words", words.float())
        self.vectors = linear(network.size, words.shape[1], generator)

    def of(self, phrases: Tensor) -> PhraseScores:
        """The scores of some of the phrases, given as a mask or by number, with the same weights."""
        found = PhraseScores(self.network, self.words[phrases], self.places)
        found.vectors = self.vectors
        return found

    def at_places(self, image: Tensor) -> Tensor:
        """The score of each phrase at each place, (B, P, K), or of the whole image, (B, 1, K)."""
        maps = self.network.maps(image).flatten(2)
        maps = maps if self.places else maps.mean(dim=2, keepdim=True)
        return self.vectors(maps.transpose(1, 2)) @ self.words.T

    def forward(self, image: Tensor) -> Tensor:
        return soft_minimum(self.at_places(image).transpose(1, 2), -1.0)


class PhraseCosts(nn.Module):
    """Costs (B, C, K + 1) of saying each phrase, −f_k(x) in any cell, and of saying nothing, 0.

    Args:
        scores: f, see `PhraseScores`.
        cells: C, the most phrases of a caption.

    >>> scores = PhraseScores(ConvNet((3, 16, 16), (4, 8)), torch.eye(3))
    >>> PhraseCosts(scores, cells=6)(torch.zeros(5, 3, 16, 16)).shape
    torch.Size([5, 6, 4])
    """

    def __init__(self, scores: PhraseScores, cells: int) -> None:
        super().__init__()
        self.scores, self.cells, self.shape = scores, cells, scores.shape

    def forward(self, image: Tensor) -> Tensor:
        found = -self.scores(image)
        return torch.cat([found, found.new_zeros(len(found), 1)], dim=1)[:, None].expand(-1, self.cells, -1)


class SlotCosts(nn.Module):
    """Costs (B, C, K) of labels for each of C slots, each by a linear layer on all of an image's maps.

    Args:
        network: a ConvNet that is not pooled.
        slots: C.
        labels: K.
        generator: draws the weights.

    >>> SlotCosts(ConvNet((3, 16, 16), (4, 8), pooled=False), slots=5, labels=4)(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, network: ConvNet, slots: int, labels: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.network, self.slots, self.shape = network, slots, network.shape
        self.read = linear(network.size, slots * labels, generator)

    def forward(self, image: Tensor) -> Tensor:
        return -self.read(self.network(image)).unflatten(1, (self.slots, -1))
