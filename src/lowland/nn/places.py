"""What stands at each place of a picture, and answers to questions about it: the networks beside those of programs.

Legend: N pictures or questions, G columns and rows of places, C pixels of a place, K labels, S words, D width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.nn.convolutional import convolution
from lowland.nn.layers import linear, mlp
from lowland.nn.translation import lstm


class PlaceScores(nn.Module):
    """Scores of what stands at each place, (N, 3 · C², G, G) → (N, K, G, G), by a perceptron of the pixels of a place.

    Its pictures have the C × C pixels of a place as channels (`pixel_unshuffle`), so that it is a network of a
    `GridCRF` with a label for each place. The score of a kind of thing is the sum of scores of its values; 0 is the
    score of an empty place.

    Args:
        places: G.
        sizes: how many values each attribute has; K is 1 + their product.
        hidden: units of the two hidden layers.
        generator: draws the weights.

    >>> PlaceScores(4, (2, 3))(torch.zeros(1, 192, 4, 4)).shape
    torch.Size([1, 7, 4, 4])
    """

    def __init__(
        self,
        places: int,
        sizes: Sequence[int],
        hidden: tuple[int, int] = (128, 64),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.sizes, self.shape = tuple(sizes), (3 * 8**2, places, places)
        self.classes = 1 + math.prod(self.sizes)
        self.layers = nn.Sequential(
            convolution(self.shape[0], hidden[0], generator, kernel=1),
            nn.ReLU(),
            convolution(hidden[0], hidden[1], generator, kernel=1),
            nn.ReLU(),
            convolution(hidden[1], sum(self.sizes) + 1, generator, kernel=1),
        )

    def forward(self, places: Tensor) -> Tensor:
        something, *values = self.layers(4 * places - 2).split([1, *self.sizes], dim=1)
        total = something
        for own in values:
            total = (total[:, :, None] + own[:, None]).flatten(1, 2)
        return torch.cat([torch.zeros_like(something), total], dim=1)


class DirectAnswer(nn.Module):
    """Scores of answers from a question and a table of things, without a program, (N, S + M · F) → (N, K).

    An LSTM reads the words; each thing, with the question beside it, goes through a perceptron, and the sum over these,
    again with the question, through another (Zaheer et al., "Deep sets", 2017).

    Args:
        words: how many there are; the number `words` − 1 is the blank.
        prompt: S.
        sizes: F, how many values each number of a thing may have; −1 is none.
        answers: K.
        width: D.
        generator: draws the weights.

    >>> DirectAnswer(5, 4, (2, 3), answers=6)(torch.zeros(2, 4 + 3 * 2)).shape
    torch.Size([2, 6])
    """

    def __init__(
        self, words: int, prompt: int, sizes: Sequence[int], answers: int, width: int = 64,
        generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.prompt, self.sizes, self.blank = prompt, tuple(sizes), words - 1
        self.words = nn.Parameter(torch.randn(words, width, generator=generator) * 0.3)
        self.reader = lstm(width, width, generator)
        self.things = mlp(sum(sizes) + width, width, width, activation=nn.ReLU, generator=generator)
        self.answer = nn.Sequential(nn.ReLU(), mlp(2 * width, width, answers, activation=nn.ReLU, generator=generator))
        self.ask = linear(width, width, generator)

    def forward(self, given: Tensor) -> Tensor:
        words, table = given[:, : self.prompt].long(), given[:, self.prompt :].unflatten(1, (-1, len(self.sizes)))
        length = (words != self.blank).sum(dim=1).clamp_min(1)
        states, _ = self.reader(self.words[words][:, : int(length.max())])
        asked = self.ask(states[torch.arange(len(words)), length - 1])
        there = table[:, :, :1] >= 0
        parts = [
            functional.one_hot(table[:, :, place].long().clamp_min(0), size) for place, size in enumerate(self.sizes)
        ]
        things = torch.cat([*parts, asked[:, None].expand(-1, table.shape[1], -1)], dim=2)
        return self.answer(torch.cat([(self.things(things.to(asked)) * there).sum(dim=1), asked], dim=1))
