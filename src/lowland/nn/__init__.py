"""Building blocks of networks, initialised from a generator of their own."""

from __future__ import annotations

from lowland.nn.connections import RadialBasis, TableConvolution, count_connections
from lowland.nn.convolutional import FilmEncoder, FilmEyes, FrameDecoder
from lowland.nn.convolutional_lista import ConvolutionalLinear, ConvolutionalLISTA
from lowland.nn.factor_network import FactorNetwork
from lowland.nn.layers import linear, mlp
from lowland.nn.learned_coordinate_descent import LearnedCoordinateDescent
from lowland.nn.lista import LISTA
from lowland.nn.pooling import LogSumExpPool, LpPool, Subsampling
from lowland.nn.stage import (
    DivisiveNormalisation,
    ScaledTanh,
    Shrinkage,
    SubtractiveNormalisation,
)

__all__ = [
    "LISTA",
    "ConvolutionalLISTA",
    "ConvolutionalLinear",
    "DivisiveNormalisation",
    "FactorNetwork",
    "FilmEncoder",
    "FilmEyes",
    "FrameDecoder",
    "LearnedCoordinateDescent",
    "LogSumExpPool",
    "LpPool",
    "RadialBasis",
    "ScaledTanh",
    "Shrinkage",
    "Subsampling",
    "SubtractiveNormalisation",
    "TableConvolution",
    "count_connections",
    "linear",
    "mlp",
]
