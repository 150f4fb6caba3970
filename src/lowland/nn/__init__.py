"""Building blocks of networks, initialised from a generator of their own."""

from __future__ import annotations

from lowland.nn.convolutional import FilmEncoder, FilmEyes, FrameDecoder
from lowland.nn.convolutional_lista import ConvolutionalLinear, ConvolutionalLISTA
from lowland.nn.layers import linear, mlp
from lowland.nn.learned_coordinate_descent import LearnedCoordinateDescent
from lowland.nn.lista import LISTA

__all__ = [
    "LISTA",
    "ConvolutionalLISTA",
    "ConvolutionalLinear",
    "FilmEncoder",
    "FilmEyes",
    "FrameDecoder",
    "LearnedCoordinateDescent",
    "linear",
    "mlp",
]
