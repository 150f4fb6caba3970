"""The distance of sounds by their spectra alone (system M11).

Legend: B samples, L samples of a sound, K frequencies, T frames.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Domain, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import OptionError, ShapeError, check_number
from lowland.registry import register


def log_spectra(y: Tensor, window: int = 1024, hop: int = 256, floor: float = 1.0) -> Tensor:
    """log(ε + |STFT(y)|²), (B, L) → (B, K, T) with K = window / 2 + 1 and T = 1 + ⌊L / hop⌋.

    The windows are Hann's, and their middles lie at 0, hop, 2 hop …; silence is around the sound.

    Args:
        y: sounds.
        window, hop: samples of a window, and from one to the next.
        floor: ε, in units of |STFT|²; smaller powers hardly count.

    >>> log_spectra(torch.zeros(2, 2048)).shape
    torch.Size([2, 513, 9])
    """
    # Frames are cut by hand: torch.stft pads by what onnx does not know.
    frames = nn.functional.pad(y, (window // 2, window // 2)).unfold(1, window, hop)
    hann = torch.hann_window(window, dtype=y.dtype, device=y.device)
    waves = frames * hann
    if y.shape[0] == 0:  # which the transform refuses; len(y) would fix the size of exported batches
        return waves[:, :, : window // 2 + 1].transpose(1, 2)
    return (floor + torch.view_as_real(torch.fft.rfft(waves, dim=2)).square().sum(dim=3)).log().transpose(1, 2)


@register("energy")
class SpectralMatch(Energy):
    """E(x, y) = 1/(K T) Σ_kt |log(ε + |STFT(y)|²) − log(ε + |STFT(f(x))|²)|: low where y sounds as f(x) does.

    No phase is compared, since sounds that differ in phase alone are hardly told apart. x is what f takes: the symbols
    of a note, or the sound itself, for an auto-encoder. E is a mean over frequencies and frames, without a unit; at
    E = 1 powers are wrong by a factor of e. Source: Défossez, Zeghidour, Usunier, Bottou & Bach, "SING:
    Symbol-to-instrument neural generator" (2018), section 3.1, where it is a sum, with the same windows and ε = 1.

    Args:
        network: f, from x to (B, L).
        samples: L.
        inputs: the domain of x; by default sounds of L samples.
        window, hop, floor: see `log_spectra`; the window is even.

    Raises:
        OptionError: for a window that is odd or below 2, or a hop or floor of 0 or less.
        ShapeError: if f does not make sounds of L samples.

    >>> energy = SpectralMatch(nn.Identity(), samples=2048)
    >>> y = torch.randn(3, 2048, generator=torch.Generator().manual_seed(0))
    >>> energy(x=y, y=-y).tolist()
    [0.0, 0.0, 0.0]
    """

    def __init__(
        self, network: nn.Module, samples: int, inputs: Domain | None = None, window: int = 1024, hop: int = 256,
        floor: float = 1.0,
    ) -> None:  # fmt: skip
        check_number("window", window, least=2, whole=True)
        check_number("hop", hop, least=1, whole=True)
        check_number("floor", floor, above=0)
        if window % 2:
            raise OptionError(f"The window must be even, but it is {window}.")
        super().__init__(x=Reals(samples) if inputs is None else inputs, y=Reals(samples))
        self.network, self.window, self.hop, self.floor = network, window, hop, float(floor)

    def encode(self, x: Tensor) -> Tensor:
        """f(x), (B, L)."""
        made = self.network(x)
        wanted = self.domain("y").shape
        if tuple(made.shape[1:]) != wanted:
            raise ShapeError(f"The network must make sounds (B, {wanted[0]}), but it made {tuple(made.shape)}.")
        return made

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        first, second = (log_spectra(sound, self.window, self.hop, self.floor) for sound in (y, x))
        return (first - second).abs().mean(dim=(1, 2))

    def reconstruct(self, x: Tensor, y: Any, z: Any) -> Tensor:
        """f(x), (B, L)."""
        return x

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Nothing but silence sounds like silence: the minimum is at 0."""
        energy = cls(nn.Identity(), 6, window=4, hop=2)
        return ReferenceCase(energy, {"x": torch.zeros(2, 6)}, "y", torch.zeros(2), torch.zeros(2, 6))
