"""What stands at each place of a picture, and answers to questions about it: the networks beside those of programs.

Legend: N pictures or questions, G columns and rows of places, C pixels of a place, K labels, S words, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.nn.convolutional import convolution
from lowland.nn.layers import linear, mlp
from lowland.nn.translation import lstm


class PlaceScores(nn.Module):
    """Scores of what stands at each place, (N, 3 · C², G, G) → (N, K, G, G), by three convolutions of stride 2.

    Its pictures have the C × C pixels of a place as channels (`pixel_unshuffle`), so that it is a network of a
    `GridCRF` with a label for each place. The score of a kind of thing is the sum of scores of its values; 0 is the
    score of an empty place.

    Args:
        places: G.
        sizes: how many values each attribute has; K is 1 + their product.
        maps: of the convolutions.
        generator: draws the weights.

    >>> PlaceScores(4, (2, 3))(torch.zeros(1, 192, 4, 4)).shape
    torch.Size([1, 7, 4, 4])
    """

    def __init__(
        self, places: int, sizes: Sequence[int], maps: tuple[int, int, int] = (16, 32, 48),
        generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.cell, self.sizes = 8, tuple(sizes)
        self.shape = 3 * self.cell**2, places, places
        self.classes = 1 + int(torch.tensor(self.sizes).prod())
        first, second, third = maps
        self.layers = nn.Sequential(
            convolution(3, first, generator, kernel=4, stride=2, padding=1), nn.ReLU(),
            convolution(first, second, generator, kernel=4, stride=2, padding=1), nn.ReLU(),
            convolution(second, third, generator, kernel=4, stride=2, padding=1), nn.ReLU(),
            convolution(third, sum(self.sizes) + 1, generator, kernel=1),
        )  # fmt: skip

    def forward(self, places: Tensor) -> Tensor:
        image = functional.pixel_shuffle(places, self.cell)
        something, *values = self.layers(4 * image - 2).split([1, *self.sizes], dim=1)
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
