"""Convolutional sparse coding (systems S9, S10): a whole image is a sum of filters convolved with sparse maps.

Shape letters: B samples, C channels, H height, W width, K filters, h side of a filter. `_f` marks a real Fourier
transform over (H, W), in which a circular convolution is a product: at each frequency the filters are a matrix of C
rows, so Dᴴ D is K × K but has rank C.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.structure import Penalty, Structure
from lowland.errors import DomainError, OptionError
from lowland.nn.convolutional_lista import ConvolutionalLISTA, gather, spread
from lowland.registry import register
from lowland.tensors import PerSampleRNG


@register("energy")
class ConvolutionalSparseCoding(Energy):
    """E(y, z) = ½‖y − Σ_k W_k ∗ z_k‖² + λ Σ_k ‖z_k‖₁ [+ (α/2)‖z − Enc(y)‖²], with filters W_k of unit norm.

    Convolution is circular: a filter that leaves the image at one side comes back at the other. A masked energy takes
    x, the weight of each pixel's squared error: ½ Σ_p x_p (y − W ∗ z)²_p + …. Weight 0 marks unknown pixels, which are
    filled in (inpainting). A margin of h − 1 unknown pixels leaves the borders of an image free.

    Source: Zeiler, Krishnan, Taylor & Fergus, "Deconvolutional networks" (2010); with an encoder, Kavukcuoglu et al.,
    "Learning convolutional feature hierarchies for visual recognition" (2010). `ll.solvers.ADMM` solves it in the
    Fourier domain (Wohlberg 2016); `ll.solvers.FISTA` also solves the masked energy. Train it with
    `ll.shaping.MinimumEnergy(solver=...)`.

    Args:
        shape: (C, H, W) of y; z is (K, H, W).
        n_filters: K.
        size: h, the side of a filter in pixels.
        sparsity: λ > 0, in units of y.
        masked: whether it takes x (1, H, W), with non-negative weights.
        prediction: α ≥ 0, weight of the distance between code and encoder output; with 0 there is no encoder.
        shrinkages: iterations of the encoder, a `ConvolutionalLISTA` initialised as ISTA for the initial filters.
        generator: draws the initial filters from the normal distribution.

    Raises:
        OptionError: if λ is not positive, α is negative, or the image is smaller than a filter.
        DomainError: when used with a mask that hides everything or has negative weights.

    >>> energy = ConvolutionalSparseCoding((1, 8, 8), n_filters=2, size=3)
    >>> energy(y=torch.ones(1, 1, 8, 8), z=torch.zeros(1, 2, 8, 8)).detach()
    tensor([32.])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        n_filters: int,
        size: int = 12,
        sparsity: float = 0.1,
        masked: bool = False,
        prediction: float = 0.0,
        shrinkages: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        if not sparsity > 0 or not prediction >= 0:
            raise OptionError(
                f"sparsity must be positive and prediction at least 0, but they are {sparsity} and {prediction}."
            )
        if len(shape) != 3 or not 1 <= size <= min(shape[1:]):
            raise OptionError(
                f"Filters of {size} × {size} do not fit into images of shape (C, H, W) = {tuple(shape)}: take smaller "
                "filters or pad the images."
            )
        channels, height, width = shape
        domains = {"x": Reals(1, height, width)} if masked else {}
        super().__init__(**domains, y=Reals(tuple(shape)), z=Reals(n_filters, height, width))
        self.sparsity, self.masked, self.prediction = sparsity, masked, prediction
        start = torch.randn(n_filters, channels, size, size, generator=generator or torch.Generator().manual_seed(0))
        self.filters = nn.Parameter(start)
        with torch.no_grad():
            self.constrain()
            bound = float(self._curvature()) if prediction else 1.0
        self.encoder = ConvolutionalLISTA(self.filters, sparsity, bound, shrinkages) if prediction else None

    def encode(self, x: Tensor) -> Tensor:
        """The mask itself; a DomainError if it hides all of a sample."""
        if torch.compiler.is_compiling():
            return x
        flat = x.flatten(1)
        if bool((flat < 0).any()):
            raise DomainError("The mask x has negative weights: give 1 for known pixels and 0 for hidden ones.")
        hidden = (flat.amax(dim=1) <= 0).nonzero()[:, 0]
        if len(hidden):
            raise DomainError(f"The mask x hides every pixel of sample {int(hidden[0])}, so its code is unknown.")
        return x

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        error = (y - self.reconstruct(x, y, z)).square()
        value = 0.5 * (error if x is None else x * error).flatten(1).sum(dim=1)
        if self.encoder is not None:
            value = value + 0.5 * self.prediction * squared_distance(z, self.code(y, x))
        return value + self.sparsity * z.flatten(1).abs().sum(dim=1)

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """Σ_k W_k ∗ z_k, (B, C, H, W): hidden pixels included."""
        if torch.compiler.is_compiling():
            return spread(z, self.filters)  # ONNX and compiled graphs have no complex numbers
        return _inverse(apply(self._transform(), _fourier(z)), z.shape[-2:])

    def code(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        """Enc(y), a fast approximation of the code, (B, K, H, W); hidden pixels count as 0."""
        if self.encoder is None:
            raise OptionError("This energy has no encoder: make it with prediction > 0.")
        return self.encoder(y if x is None else x * y)

    def without_encoder(self) -> ConvolutionalSparseCoding:
        """A copy with the same filters and α = 0, by which the codes of encoders are judged."""
        shape, (count, _, size, _) = self.domain("y").shape, self.filters.shape
        bare = ConvolutionalSparseCoding((shape[0], shape[1], shape[2]), count, size, self.sparsity, self.masked)
        bare.load_state_dict({"filters": self.filters.detach()})
        return bare.to(self.filters)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("z",):
            return Structure()
        predicted = None if self.encoder is None else self.code(y, x).flatten(1)
        return Structure(
            penalty=Penalty(
                self._penalty,
                self._shrink,
                lambda u_j, step, j: self._shrink(u_j, step),
                self.filters.new_full((1,), self.sparsity),
            ),
            lipschitz=functools.cache(functools.partial(self.curvature_bound, x)),
            warm_start=None if predicted is None else predicted.detach,
            smooth_prox=None if x is not None else _SmoothProx(self, y, predicted),
            convex=True,
        )

    @torch.no_grad()
    def curvature_bound(self, x: Tensor | None = None) -> Tensor:
        """A bound on the curvature in z, one number or (B,) for masks x, with a margin for rounding and with α."""
        heaviest = 1 if x is None else x.flatten(1).amax(dim=1)
        return (1 + 1e-5) * (self._curvature() * heaviest + self.prediction)

    def _penalty(self, u: Tensor) -> Tensor:
        return self.sparsity * u.abs().sum(dim=1)

    def _shrink(self, u: Tensor, step: Tensor) -> Tensor:
        """sign(u) [|u| − step·λ]⁺; for a single image in one pass, since its code may be large."""
        threshold = step * self.sparsity
        if len(u) == 1 and u.device.type == "cpu" and not torch.compiler.is_compiling():
            return functional.softshrink(u, float(threshold))
        return u - torch.maximum(torch.minimum(u, threshold), -threshold)

    def _transform(self) -> Tensor:
        """D, the filters' Fourier transform, (K, C, H, W // 2 + 1)."""
        return torch.fft.rfft2(self.filters, s=self.domain("y").shape[1:])

    def _curvature(self) -> Tensor:
        """The largest eigenvalue of Dᴴ D over all frequencies."""
        d_f = self._transform()
        if d_f.shape[1] == 1:
            return power(d_f).sum(dim=0).amax()
        return torch.linalg.matrix_norm(d_f.permute(2, 3, 0, 1), ord=2).amax().square()

    def initialise(self, x: Any, y: Any, noise: PerSampleRNG) -> None:
        """Filters start as image patches: for each filter four patches are drawn, and the largest norms are kept.

        The encoder starts as ISTA for these filters. If all patches are flat, the filters stay as they are.
        """
        count, _, size, _ = self.filters.shape
        draws = noise.uniform(-(-4 * count // len(y)), 2).reshape(-1, 2)
        corners = (draws * (torch.tensor(y.shape[-2:]).to(draws) - size + 1)).long()
        rows = torch.arange(len(y), device=y.device).repeat_interleave(len(draws) // len(y))
        steps = torch.arange(size, device=y.device)
        down, across = corners[:, :1] + steps, corners[:, 1:] + steps
        pieces = (y if x is None else x * y)[rows[:, None, None], :, down[:, :, None], across[:, None, :]]
        strength = pieces.flatten(1).norm(dim=1)
        best = strength.topk(count).indices
        if bool((strength[best] > 1e-6).all()):
            self.filters.copy_(pieces[best].permute(0, 3, 1, 2))
            self.constrain()
        if self.encoder is not None:
            self.encoder.start(self.filters, self.sparsity, float(self._curvature()))

    def constrain(self) -> None:
        """Normalise the filters; otherwise small codes with large filters would evade λ‖z‖₁."""
        self.filters.copy_(functional.normalize(self.filters.flatten(1), dim=1).reshape_as(self.filters))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With one-pixel filters, one per channel, the code is shrink_λ(y)."""
        energy = cls((2, 2, 3), n_filters=2, size=1, sparsity=0.5)
        energy.filters.data = torch.eye(2)[:, :, None, None]
        y = torch.tensor([[2.0, 0.3, -1.0, 0.1, -0.5, 3.0], [0.0, 0.7, -0.2, 1.0, -4.0, 0.6]]).reshape(1, 2, 2, 3)
        code = y.sign() * (y.abs() - 0.5).clamp_min(0)
        minimum = 0.5 * squared_distance(y, code) + 0.5 * code.abs().flatten(1).sum(dim=1)
        return ReferenceCase(energy, {"y": y}, "z", minimum=minimum, minimiser=code.flatten(1))


class _SmoothProx:
    """v, ρ ↦ u − v for u = argmin f(u) + (ρ/2)‖u − v‖², and f there, f(u) = ½‖y − D u‖² + (α/2)‖u − g‖², by Fourier.

    With v′ = (α g + ρ v) / (α + ρ) and r = (α + ρ + D Dᴴ)⁻¹ (y − D v′), the answer is u = v′ + Dᴴ r and y − D u =
    (α + ρ) r: the identity of Sherman, Morrison and Woodbury, with a system of C equations at each frequency.
    """

    def __init__(self, energy: ConvolutionalSparseCoding, y: Tensor, predicted: Tensor | None) -> None:
        self.shape, self.alpha, self.predicted = energy.domain("z").shape, energy.prediction, predicted
        self.filters, self.d_f, self.y_f = energy.filters, energy._transform(), _fourier(y)
        self.spectrum: tuple[Tensor, ...] | None = None
        channels = self.d_f.permute(2, 3, 1, 0)
        # D Dᴴ: at each frequency a number for one channel, a matrix for more.
        self.outer = channels @ channels.mH if y.shape[1] > 1 else power(self.d_f).sum(dim=0)[0]

    def __call__(self, v: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        total = (self.alpha + rho)[..., None, None]
        near = v if self.predicted is None else (self.alpha * self.predicted + rho * v) / (self.alpha + rho)
        error_f = self.y_f - apply(self.d_f, _fourier(near.reshape(len(near), *self.shape)))
        r = _inverse(self._resolve(error_f, total), self.shape[1:])
        # The filters are small: Dᴴ r is cheaper as a convolution in space than by an inverse transform.
        move = gather(r, self.filters).flatten(1)
        value = 0.5 * (total * r).square().flatten(1).sum(dim=1)
        if self.predicted is None:
            return move, value
        u = near + move
        return u - v, value + 0.5 * self.alpha * (u - self.predicted).square().sum(dim=1)

    def _resolve(self, error_f: Tensor, total: Tensor) -> Tensor:
        """(α + ρ + D Dᴴ)⁻¹ at each frequency."""
        if error_f.shape[1] == 1:
            return error_f / (total + self.outer)
        right = error_f.permute(0, 2, 3, 1)[..., None]
        if self.outer.requires_grad:  # eigenvectors of a repeated eigenvalue have no derivative
            ridge = total[..., None] * torch.eye(error_f.shape[1]).to(self.outer)
            return torch.linalg.solve(self.outer + ridge, right)[..., 0].permute(0, 3, 1, 2)
        values, vectors = self.spectrum = self.spectrum or tuple(torch.linalg.eigh(self.outer))
        found = vectors @ ((vectors.mH @ right) / (total + values)[..., None])
        return found[..., 0].permute(0, 3, 1, 2)


def _fourier(image: Tensor) -> Tensor:
    """The Fourier transform over the last two axes; also accepts an empty batch, which MKL refuses."""
    return torch.fft.rfft2(image) if len(image) else torch.fft.rfft2(image.new_zeros(1, *image.shape[1:]))[:0]


def _inverse(image_f: Tensor, size: Sequence[int]) -> Tensor:
    """The inverse of `_fourier`, for images of that size."""
    one = image_f if len(image_f) else image_f.new_zeros(1, *image_f.shape[1:])
    return torch.fft.irfft2(one, s=tuple(size))[: len(image_f)]


def power(d_f: Tensor) -> Tensor:
    """|d|² without the square root of `abs`."""
    return torch.view_as_real(d_f).square().sum(dim=-1)


def apply(d_f: Tensor, z_f: Tensor) -> Tensor:
    """D z at each frequency: (K, C, …) and (B, K, …), which may be overwritten, → (B, C, …)."""
    if d_f.shape[1] == 1 and not (d_f.requires_grad or z_f.requires_grad):
        return z_f.mul_(d_f[:, 0]).sum(dim=1, keepdim=True)
    return torch.stack([(d_f[:, c] * z_f).sum(dim=1) for c in range(d_f.shape[1])], dim=1)
