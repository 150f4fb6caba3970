"""The Fourier transform of complex images whose real and imaginary part are two channels.

Shape letters: B samples, H rows, W columns; channel 0 is the real part and channel 1 the imaginary part.
"""

from __future__ import annotations

import torch
from torch import Tensor


def fourier(image: Tensor) -> Tensor:
    """F y, the orthonormal transform with frequency 0 and the origin of the image in the middle, (B, 2, H, W).

    With this scale F is unitary, ‖F y‖ = ‖y‖. The middle is row H // 2 and column W // 2, as fastMRI has it (Zbontar et
    al. 2018).

    >>> k = fourier(torch.ones(1, 2, 4, 6))
    >>> k[0, :, 2, 3], round(float(k.abs().sum()), 3)
    (tensor([4.8990, 4.8990]), 9.798)
    """
    return _transformed(image, inverse=False)


def inverse_fourier(kspace: Tensor) -> Tensor:
    """Fᴴ k, the inverse of `fourier`: (B, 2, H, W) → (B, 2, H, W).

    >>> image = torch.rand(3, 2, 5, 4)
    >>> torch.allclose(inverse_fourier(fourier(image)), image, atol=1e-6)
    True
    """
    return _transformed(kspace, inverse=True)


def as_complex(pair: Tensor) -> Tensor:
    """(B, 2, H, W) → (B, H, W), complex."""
    return torch.complex(pair[:, 0], pair[:, 1])


def as_pair(value: Tensor) -> Tensor:
    """(B, H, W), complex → (B, 2, H, W)."""
    return torch.stack([value.real, value.imag], dim=1)


def _transformed(pair: Tensor, inverse: bool) -> Tensor:
    if torch.compiler.is_compiling():
        return _by_matrices(pair, inverse)
    if not pair.numel():
        return pair.clone()  # MKL refuses an empty batch
    transform = torch.fft.ifft2 if inverse else torch.fft.fft2
    moved = torch.fft.ifftshift(as_complex(pair), dim=(1, 2))
    return as_pair(torch.fft.fftshift(transform(moved, norm="ortho"), dim=(1, 2)))


def _by_matrices(pair: Tensor, inverse: bool) -> Tensor:
    """The same in real arithmetic, since ONNX and compiled graphs have no complex numbers."""
    (cos_h, sin_h), (cos_w, sin_w) = (_matrix(size, pair, inverse) for size in pair.shape[2:])
    real, imaginary = pair[:, 0], pair[:, 1]
    real, imaginary = cos_h @ real - sin_h @ imaginary, cos_h @ imaginary + sin_h @ real
    return torch.stack([real @ cos_w - imaginary @ sin_w, imaginary @ cos_w + real @ sin_w], dim=1)


def _matrix(size: int, like: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of the unitary matrix of one axis, (size, size), which is symmetric."""
    place = torch.arange(size, dtype=torch.float64, device=like.device) - size // 2
    angle = (2 if inverse else -2) * torch.pi / size * (place[:, None] * place)
    cosine, sine = (part.to(like.dtype) / size**0.5 for part in (angle.cos(), angle.sin()))
    return cosine, sine
