"""U-Nets that label the voxels of sparse volumes: one that computes at the voxels alone, and the same one made dense.

Shape letters: B volumes, N voxels, C channels, K classes.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from lowland.errors import DataError, OptionError
from lowland.nn.sparse_volumes import InverseConvolution, SparseVolume, StridedConvolution, SubmanifoldConvolution


class SparseBlock(nn.Module):
    """So many times a submanifold convolution, a batch norm over voxels and a rectifier.

    Args:
        inputs, outputs: channels.
        depth: convolutions.
        kernel: side of their cubes.
        generator: draws the weights; by default one with seed 0.

    >>> volume = SparseVolume(torch.tensor([[0, 0, 1, 2], [0, 1, 1, 2]]), torch.rand(2, 5), (4, 4, 4))
    >>> SparseBlock(5, 3)(volume).features.shape
    torch.Size([2, 3])
    """

    def __init__(
        self, inputs: int, outputs: int, depth: int = 2, kernel: int = 3, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        sizes = [inputs] + depth * [outputs]
        self.layers = nn.ModuleList(
            SubmanifoldConvolution(*pair, kernel, bias=False, generator=generator) for pair in itertools.pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(outputs) for _ in range(depth))

    def forward(self, volume: SparseVolume) -> SparseVolume:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            volume = layer(volume).map(norm).map(torch.relu)
        return volume


class SparseUNet(nn.Module):
    """A class for each voxel, (N, K) scores, from features on several scales, each joined to the same scale before.

    A block on each scale; a strided convolution from each to the next, of twice as large voxels, and an inverse one
    back, whose answer is joined to what the block found on the way down. Source: the U-Net of Graham, Engelcke &
    van der Maaten (2018), section 4, with rectified norms after the convolutions and without residual connections.

    Args:
        channels: C.
        classes: K.
        maps: channels of each scale, the finest first.
        depth: convolutions of a block.
        generator: draws the weights; by default one with seed 0.

    Raises:
        OptionError: for no scale, or one without channels.

    >>> volume = SparseVolume(torch.tensor([[0, 0, 1, 2], [0, 3, 1, 2]]), torch.rand(2, 5), (4, 4, 4))
    >>> SparseUNet(5, 7, maps=(4, 8))(volume).shape
    torch.Size([2, 7])
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        maps: tuple[int, ...] = (8, 16, 32),
        depth: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        draw = _checked(maps, generator)
        pairs = list(itertools.pairwise(maps))
        self.blocks = nn.ModuleList(
            SparseBlock(inputs, size, depth, generator=draw)
            for inputs, size in zip((channels, *maps[1:]), maps, strict=True)
        )
        self.down = nn.ModuleList(StridedConvolution(*pair, bias=False, generator=draw) for pair in pairs)
        self.up = nn.ModuleList(InverseConvolution(low, high, bias=False, generator=draw) for high, low in pairs)
        self.joined = nn.ModuleList(SparseBlock(2 * high, high, depth, generator=draw) for high, _ in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for pair in pairs for size in reversed(pair))
        self.last = SubmanifoldConvolution(maps[0], classes, 1, generator=draw)

    def forward(self, volume: SparseVolume) -> Tensor:
        seen = [self.blocks[0](volume)]
        for scale, layer in enumerate(self.down):
            coarse = layer(seen[-1]).map(self.norms[2 * scale]).map(torch.relu)
            seen.append(self.blocks[scale + 1](coarse))
        found = seen.pop()
        for scale in reversed(range(len(self.up))):
            before = seen.pop()
            found = self.up[scale](found, before).map(self.norms[2 * scale + 1]).map(torch.relu)
            found = self.joined[scale](before.with_features(torch.cat([found.features, before.features], dim=1)))
        return self.last(found).features


class DenseUNet(nn.Module):
    """`SparseUNet` of the same shape with dense convolutions: it computes everywhere, and is read at the voxels.

    Args: as `SparseUNet`.

    Raises:
        OptionError: as there.
        DataError: in use, for a side that cannot be halved so often.

    >>> volume = SparseVolume(torch.tensor([[0, 0, 1, 2], [0, 3, 1, 2]]), torch.rand(2, 5), (4, 4, 4))
    >>> DenseUNet(5, 7, maps=(4, 8))(volume).shape
    torch.Size([2, 7])
    >>> [sum(p.numel() for p in net(5, 7).parameters()) for net in (SparseUNet, DenseUNet)]
    [108615, 108615]
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        maps: tuple[int, ...] = (8, 16, 32),
        depth: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        draw = _checked(maps, generator)
        pairs = list(itertools.pairwise(maps))
        self.blocks = nn.ModuleList(
            _dense_block(inputs, size, depth, draw) for inputs, size in zip((channels, *maps[1:]), maps, strict=True)
        )
        self.down = nn.ModuleList(
            nn.Sequential(
                _drawn(nn.Conv3d(*pair, 2, 2, bias=False, device="meta"), draw), nn.BatchNorm3d(pair[1]), nn.ReLU()
            )
            for pair in pairs
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                _drawn(nn.ConvTranspose3d(low, high, 2, 2, bias=False, device="meta"), draw),
                nn.BatchNorm3d(high),
                nn.ReLU(),
            )
            for high, low in pairs
        )
        self.joined = nn.ModuleList(_dense_block(2 * high, high, depth, draw) for high, _ in pairs)
        self.last = _drawn(nn.Conv3d(maps[0], classes, 1, device="meta"), draw)

    def forward(self, volume: SparseVolume) -> Tensor:
        step = 2 ** len(self.down)
        if any(side % step for side in volume.geometry.sides):
            raise DataError(f"A dense U-Net of {len(self.blocks)} scales needs sides that are multiples of {step}.")
        seen = [self.blocks[0](volume.dense())]
        for layer, block in zip(self.down, list(self.blocks)[1:], strict=True):
            seen.append(block(layer(seen[-1])))
        found = seen.pop()
        for scale in reversed(range(len(self.up))):
            found = self.joined[scale](torch.cat([self.up[scale](found), seen.pop()], dim=1))
        return volume.read(self.last(found)).features


class NeighbourClassifier(nn.Module):
    """Scores (N, K) that are linear in the features of a cube of voxels around each, as in logistic regression.

    Args:
        channels, classes: C and K.
        kernel: side of the cube, odd.

    >>> volume = SparseVolume(torch.tensor([[0, 0, 1, 2], [0, 3, 1, 2]]), torch.rand(2, 5), (4, 4, 4))
    >>> NeighbourClassifier(5, 7)(volume).shape
    torch.Size([2, 7])
    """

    def __init__(self, channels: int, classes: int, kernel: int = 5) -> None:
        super().__init__()
        self.layer = SubmanifoldConvolution(channels, classes, kernel)
        nn.init.zeros_(self.layer.weight)

    def forward(self, volume: SparseVolume) -> Tensor:
        return self.layer(volume).features


def _checked(maps: tuple[int, ...], generator: torch.Generator | None) -> torch.Generator:
    if not maps or min(maps) < 1:
        raise OptionError(f"A U-Net needs at least one scale, with a channel or more each, but maps is {maps}.")
    return generator or torch.Generator().manual_seed(0)


def _dense_block(inputs: int, outputs: int, depth: int, generator: torch.Generator) -> nn.Sequential:
    made: list[nn.Module] = []
    for pair in itertools.pairwise([inputs] + depth * [outputs]):
        layer = _drawn(nn.Conv3d(*pair, 3, padding=1, bias=False, device="meta"), generator)
        made += [layer, nn.BatchNorm3d(outputs), nn.ReLU()]
    return nn.Sequential(*made)


def _drawn(layer: nn.Conv3d | nn.ConvTranspose3d, generator: torch.Generator) -> nn.Module:
    """Weights of He et al. (2015), and no bias."""
    read = layer.weight[0].numel() if isinstance(layer, nn.Conv3d) else layer.in_channels
    layer.to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.normal_(0, (2 / read) ** 0.5, generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer
