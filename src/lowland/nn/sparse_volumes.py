"""Convolution in volumes that are mostly empty: at the occupied voxels alone, with gradients of any order.

Source: Graham, Engelcke & van der Maaten, "3D Semantic Segmentation with Submanifold Sparse Convolutional Networks"
(2018), section 3.

Shape letters: N voxels, C channels, D channels of the answer, K offsets of a kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import DataError, OptionError, ShapeError, check_number
from lowland.nn.sparse_geometry import Geometry, Rules


class SparseVolume:
    """A batch of volumes with features at some voxels, and zero elsewhere.

    Args:
        coordinates: (N, 4) whole numbers, the sample, x, y and z, in any order; or the geometry of another volume,
            with what is known of it.
        features: (N, C).
        sides: voxels along x, y and z.
        samples: B; by default one more than the last sample that has a voxel.

    Raises:
        ShapeError, OptionError, DataError: as `Geometry`, and for features that are not (N, C) on the same device.

    >>> volume = SparseVolume(torch.tensor([[0, 0, 1, 2], [1, 3, 3, 3]]), torch.ones(2, 5), (4, 4, 4))
    >>> volume.dense().shape
    torch.Size([2, 5, 4, 4, 4])
    """

    def __init__(
        self,
        coordinates: Tensor | Geometry,
        features: Tensor,
        sides: tuple[int, int, int] | None = None,
        samples: int | None = None,
    ) -> None:
        if isinstance(coordinates, Tensor):
            coordinates = Geometry(coordinates, sides or (), samples)  # pyright: ignore[reportArgumentType]
        places = coordinates.coordinates
        if features.ndim != 2 or len(features) != len(places) or features.device != places.device:
            raise ShapeError(
                f"{len(places)} voxels on {places.device} need features ({len(places)}, C) there, but these are "
                f"{tuple(features.shape)} on {features.device}."
            )
        self.geometry, self.features = coordinates, features

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) the sample, x, y and z."""
        return self.geometry.coordinates

    def with_features(self, features: Tensor) -> SparseVolume:
        """Other features (N, D) at the same voxels."""
        return SparseVolume(self.geometry, features)

    def map(self, function: Callable[[Tensor], Tensor]) -> SparseVolume:
        """The same voxels with features f(x), such as those of a batch norm or a rectifier."""
        return self.with_features(function(self.features))

    def dense(self) -> Tensor:
        """The volumes with their zeros, (B, C, X, Y, Z)."""
        shape = (self.geometry.samples, *self.geometry.sides, self.features.shape[1])
        filled = self.features.new_zeros(shape).index_put(tuple(self.coordinates.unbind(dim=1)), self.features)
        return filled.movedim(-1, 1)

    def read(self, dense: Tensor) -> SparseVolume:
        """These voxels with the features that dense volumes (B, D, X, Y, Z) have there."""
        sample, x, y, z = self.coordinates.unbind(dim=1)
        return self.with_features(dense[sample, :, x, y, z])


class _SparseConvolution(nn.Module):
    """Weights (K, C, D) of a cube of offsets, x outermost, and a bias (D,); `read` voxels are read for an answer."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, bias: bool, generator: torch.Generator | None, read: float = 0
    ) -> None:
        super().__init__()
        for name, value in {"inputs": inputs, "outputs": outputs, "kernel": kernel}.items():
            check_number(name, value, least=1, whole=True)
        self.inputs, self.outputs, self.kernel = inputs, outputs, kernel
        generator = generator or torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(kernel**3, inputs, outputs, generator=generator))
        with torch.no_grad():
            # A surface fills roughly a third of a cube around a place on it.
            self.weight *= math.sqrt(2 / (inputs * max(1, read or kernel**3 / 3)))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def cube(self) -> Tensor:
        """The weights (C, D, k, k, k): those of `conv_transpose3d`; of `conv3d` after `.transpose(0, 1)`."""
        return self.weight.movedim(0, 2).unflatten(2, (self.kernel,) * 3)

    def _convolve(self, volume: SparseVolume, rules: Rules) -> Tensor:
        features = volume.features
        if features.shape[1] != self.inputs or features.dtype != self.weight.dtype:
            raise ShapeError(
                f"{type(self).__name__} takes {self.inputs} channels of {self.weight.dtype}, but the volume has "
                f"{features.shape[1]} of {features.dtype}."
            )
        found: Any = _Convolve.apply(features, self.weight, rules)
        return found if self.bias is None else found + self.bias

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.outputs}, kernel={self.kernel}"


class SubmanifoldConvolution(_SparseConvolution):
    """y_p = b + Σ_k x_(p + k) W_k at the voxels that are there, so that a surface stays one; others count as zero.

    Equal to the dense convolution of the volume with its zeros, read at its voxels.

    Args:
        inputs, outputs: C and D.
        kernel: side of the cube, odd.
        bias: whether there is b.
        generator: draws the weights; by default one with seed 0.

    Raises:
        OptionError: for an even kernel.
        ShapeError: in use, for a volume with other channels or of another type.

    >>> volume = SparseVolume(torch.tensor([[0, 0, 1, 2], [0, 1, 1, 2]]), torch.ones(2, 5), (4, 4, 4))
    >>> layer = SubmanifoldConvolution(5, 3)
    >>> dense = functional.conv3d(volume.dense(), layer.cube().transpose(0, 1), layer.bias, padding=1)
    >>> torch.allclose(layer(volume).features, volume.read(dense).features, atol=1e-6)
    True
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, bias: bool = True, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(inputs, outputs, kernel, bias, generator)
        if kernel % 2 == 0:
            raise OptionError(
                f"A submanifold convolution needs a voxel in the middle: kernel must be odd, not {kernel}."
            )

    def forward(self, volume: SparseVolume) -> SparseVolume:
        return volume.with_features(self._convolve(volume, volume.geometry.near(self.kernel)))


class StridedConvolution(_SparseConvolution):
    """y_q = b + Σ_k x_(s q − padding + k) W_k at each q that sees a voxel: fewer and larger voxels.

    Equal to the dense convolution with that stride, read at the places that see a voxel.

    Args:
        inputs, outputs: C and D.
        kernel: side of the cube.
        stride: s.
        padding: empty voxels around the volume.
        bias: whether there is b.
        generator: draws the weights; by default one with seed 0.

    Raises:
        OptionError: for a stride below 1 or a padding below 0.
        ShapeError: in use, for a volume with other channels or of another type.
        DataError: in use, if no voxel is seen, as where a side is not a multiple of the stride.

    >>> volume = SparseVolume(torch.tensor([[0, 0, 1, 2], [0, 3, 1, 2]]), torch.ones(2, 5), (4, 4, 4))
    >>> StridedConvolution(5, 3)(volume).coordinates.tolist()
    [[0, 0, 0, 1], [0, 1, 0, 1]]
    """

    _back = False

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 2,
        stride: int = 2,
        padding: int = 0,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        check_number("stride", stride, least=1, whole=True)
        check_number("padding", padding, least=0, whole=True)
        super().__init__(inputs, outputs, kernel, bias, generator, (kernel / stride) ** 3 if self._back else 0)
        self.step = kernel, stride, padding

    def forward(self, volume: SparseVolume) -> SparseVolume:
        coarse, rules = volume.geometry.strided(*self.step)
        return SparseVolume(coarse, self._convolve(volume, rules))


class InverseConvolution(StridedConvolution):
    """y_p = b + Σ x_q W_k over all q and k with s q − padding + k = p: back to where a `StridedConvolution` came from.

    Equal to the dense transposed convolution, read at those voxels.

    Args: as `StridedConvolution`, of whose kernel, stride and padding they must be.

    Raises:
        OptionError, ShapeError: as there.
        DataError: in use, if the volume does not come from the voxels that it shall return to.

    >>> volume = SparseVolume(torch.tensor([[0, 0, 1, 2], [0, 3, 1, 2]]), torch.ones(2, 5), (4, 4, 4))
    >>> back = InverseConvolution(3, 4)(StridedConvolution(5, 3)(volume), volume)
    >>> back.geometry is volume.geometry, back.features.shape
    (True, torch.Size([2, 4]))
    """

    _back = True

    def forward(self, volume: SparseVolume, before: SparseVolume) -> SparseVolume:  # pyright: ignore[reportIncompatibleMethodOverride]
        coarse, rules = before.geometry.strided(*self.step)
        if volume.geometry is not coarse:
            raise DataError(
                "An inverse convolution returns to the voxels from which a strided one of the same kernel, stride and "
                "padding made its volume, but this volume has another origin."
            )
        return before.with_features(self._convolve(volume, rules.turned))


class _Convolve(torch.autograd.Function):
    """y_o = Σ x_i W_k over the pairs (i, o) of each offset k. Both gradients are sums of the same kind again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rules: Rules) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.rules = rules
        middle = rules.middle
        found = x.new_zeros(rules.shape[0], weight.shape[2]) if middle is None else x @ weight[middle]
        if not len(rules.inputs):
            return found
        products = x.new_empty(len(rules.inputs), weight.shape[2])
        read = x.index_select(0, rules.inputs).split(rules.counts)
        for some, into, one in zip(read, products.split(rules.counts), weight, strict=True):
            torch.mm(some, one, out=into)
        order, starts = rules.bags
        # It sums the rows that an answer names, and is the fastest of torch's ways to do so.
        return found.add_(functional.embedding_bag(order, products, starts, mode="sum", include_last_offset=True))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _Convolve.apply(grads[0], weight.transpose(1, 2), ctx.rules.turned)
        if ctx.needs_input_grad[1]:
            of_weight = _Correlate.apply(x, grads[0], ctx.rules)
        return of_x, of_weight, None


class _Correlate(torch.autograd.Function):
    """V_k = Σ x_iᵀ g_o over the pairs (i, o) of each offset k: the gradient of the weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor, rules: Rules) -> Tensor:
        ctx.save_for_backward(x, grad)
        ctx.rules = rules
        read = x.index_select(0, rules.inputs).split(rules.counts)
        written = grad.index_select(0, rules.outputs).split(rules.counts)
        found = torch.stack([one.T @ other for one, other in zip(read, written, strict=True)])
        if rules.middle is not None:
            found[rules.middle] = x.T @ grad
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, grad = ctx.saved_tensors
        of_x = of_grad = None
        if ctx.needs_input_grad[0]:
            of_x = _Convolve.apply(grad, grads[0].transpose(1, 2), ctx.rules.turned)
        if ctx.needs_input_grad[1]:
            of_grad = _Convolve.apply(x, grads[0], ctx.rules)
        return of_x, of_grad, None
