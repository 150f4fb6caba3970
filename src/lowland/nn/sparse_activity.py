"""Products that skip zeros of their input: exact, and faster where few numbers are not zero (system H4).

Shape letters: B samples, K inputs, N outputs, C channels of the input, O of the output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import ShapeError, UnsupportedError
from lowland.nn.sparse_matrix import Places, SparseMatrix


def sparse_product(z: Tensor, rows: Tensor) -> Tensor:
    """Z R = Σ_k z_bk R_k over those k where z_bk is not 0, (B, N): D z for sparse codes z and a dictionary D = Rᵀ.

    Equal to z @ R up to the order of the sum. A row that is not finite is not seen where its z is 0. There are
    derivatives by R, and by those z that are not 0; for the others the derivative is 0, as behind a rectifier.

    Args:
        z: (B, K), mostly zeros.
        rows: R (K, N), of the same type. Contiguous, since each z reads one row of it.

    Raises:
        ShapeError: for shapes or types that do not fit.

    >>> z = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    >>> sparse_product(z, torch.tensor([[1.0, 1.0], [3.0, 4.0], [5.0, 6.0]]))
    tensor([[6., 8.],
            [0., 0.]])
    """
    if z.ndim != 2 or rows.ndim != 2 or z.shape[1] != len(rows) or z.dtype != rows.dtype:
        raise ShapeError(
            f"Codes (B, K) are multiplied by rows (K, N) of the same type, but these are {tuple(z.shape)} of {z.dtype} "
            f"and {tuple(rows.shape)} of {rows.dtype}."
        )
    samples, places = z.nonzero().unbind(dim=1)  # in the order of the samples already
    return SparseMatrix.at(Places(samples, places, (len(z), len(rows))), z[samples, places]) @ rows


class SparseLinear(nn.Module):
    """Y = W x + b that reads only those columns of W whose input is not 0, for a layer behind a rectifier.

    The weight is stored once more, transposed, so that a column is contiguous. It is for inference: later changes of
    the layer are not followed.

    Args:
        layer: a linear layer, whose numbers are copied.

    >>> layer = nn.Linear(4, 2)
    >>> x = torch.tensor([[0.0, 1.0, 0.0, 2.0]])
    >>> torch.allclose(SparseLinear(layer)(x), layer(x))
    True
    """

    rows: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("rows", layer.weight.detach().T.contiguous())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) → (..., N)."""
        found = sparse_product(x.reshape(-1, x.shape[-1]), self.rows).reshape(*x.shape[:-1], self.rows.shape[1])
        return found if self.bias is None else found + self.bias


class SparseConvolution(nn.Module):
    """A convolution over images that leaves out those channels of its input that are 0 everywhere, in all samples.

    At batch 1 behind a rectifier, some channels are. Zeros within a channel are not skipped. The weight is copied, and
    for inference: later changes of the layer are not followed.

    Args:
        layer: a convolution in one group, with zeros as padding.

    Raises:
        UnsupportedError: for a convolution in groups or with another padding.

    >>> layer = nn.Conv2d(3, 2, 3)
    >>> x = torch.rand(1, 3, 5, 5) * torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    >>> torch.allclose(SparseConvolution(layer)(x), layer(x), atol=1e-6)
    True
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        if layer.groups != 1 or layer.padding_mode != "zeros":
            raise UnsupportedError("Channels are skipped only in a convolution of one group with zeros as padding.")
        # Channels first, so that those that are needed are taken as whole blocks.
        self.register_buffer("weight", layer.weight.detach().transpose(0, 1).contiguous())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())
        self.stride, self.padding, self.dilation = layer.stride, layer.padding, layer.dilation

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, O, H', W')."""
        active = (x != 0).any(dim=3).any(dim=2).any(dim=0)
        weight = self.weight
        if not bool(active.all()):
            # No convolution takes an input without channels; one of zeros changes nothing.
            places = active.nonzero()[:, 0] if bool(active.any()) else active.new_zeros(1, dtype=torch.long)
            x, weight = x.index_select(1, places), weight.index_select(0, places)
        return functional.conv2d(x, weight.transpose(0, 1), self.bias, self.stride, self.padding, self.dilation)
