"""The networks of SING: symbols of a note to codes of frames, and codes to a waveform and back (system M11).

Legend: B notes, L samples of each, T frames, D numbers of a code, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from lowland.errors import OptionError
from lowland.nn.translation import lstm

M = TypeVar("M", bound=nn.Module)
WINDOW, HOP = 1024, 256
"""Samples that a frame reaches over, and from one frame to the next."""
_NEAR = 9
"""Frames that the decoder sees for each one."""


def frames_of(samples: int) -> int:
    """T = L / 256.

    Raises:
        OptionError: unless L is a positive multiple of 256.

    >>> frames_of(8192)
    32
    """
    if samples < HOP or samples % HOP:
        raise OptionError(f"The samples of a note must be a multiple of {HOP}, but they are {samples}.")
    return samples // HOP


class NoteEncoder(nn.Module):
    """y (B, L) → codes (B, T, D): a convolution over 1024 samples, every 256, one over channels, and one over 9 frames.

    The first filters begin as waves under Hann's window, from the lowest frequency to the highest.

    Args:
        codes: D.
        channels: C.
        generator: draws the weights.

    >>> NoteEncoder(8, 16)(torch.zeros(2, 2048)).shape
    torch.Size([2, 8, 8])
    """

    def __init__(self, codes: int, channels: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.layers = nn.Sequential(
            _windowed(nn.Conv1d(1, channels, WINDOW, HOP, (WINDOW - HOP) // 2, device="meta"), generator),
            nn.ReLU(), *_mixing(channels, generator),
            _drawn(nn.Conv1d(channels, codes, _NEAR, padding=_NEAR // 2, device="meta"), channels * _NEAR, generator),
        )  # fmt: skip

    def forward(self, y: Tensor) -> Tensor:
        return self.layers(y[:, None]).transpose(1, 2)


class NoteDecoder(nn.Module):
    """Codes (B, T, D) → y (B, L): the layers of `NoteEncoder` backwards; frames of 1024 samples overlap and add up.

    Source: Défossez et al. (2018), section 3.2, with 4096 channels there, and codes of 128 numbers.

    Args:
        codes: D.
        channels: C.
        generator: draws the weights.

    >>> NoteDecoder(8, 16)(torch.zeros(2, 8, 8)).shape
    torch.Size([2, 2048])
    """

    def __init__(self, codes: int, channels: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.layers = nn.Sequential(
            _drawn(nn.Conv1d(codes, channels, _NEAR, padding=_NEAR // 2, device="meta"), codes * _NEAR, generator),
            nn.ReLU(), *_mixing(channels, generator),
            _windowed(nn.ConvTranspose1d(channels, 1, WINDOW, HOP, (WINDOW - HOP) // 2, device="meta"), generator),
        )  # fmt: skip

    def forward(self, codes: Tensor) -> Tensor:
        return self.layers(codes.transpose(1, 2))[:, 0]


class NoteSequence(nn.Module):
    """Symbols (B, 3) → codes (B, T, D): an LSTM over frames, to which each symbol and the frame give a vector.

    c_t = A h_t + M(h_t) p_t, with h_t the state of the LSTM, M linear in it, and p_t = (cos 2πk f t, sin 2πk f t) for
    the first harmonics k of the pitch f in the middle of frame t. A decoder that does not know the time must be told
    how far each wave has turned since the last frame; a network as large as the paper's learns that, and p_t saves it.

    Source: Défossez et al. (2018), section 3.2, there with three layers of 1024 units and c_t = A h_t. The pitch has 8
    numbers, instruments 16, the velocity 2 and the frame 4, as there.

    Args:
        sizes: how many instruments, pitches and velocities there are.
        frames: T.
        codes: D.
        hidden: units of the LSTM.
        turns: periods of each pitch from one frame to the next, one for each pitch.
        harmonics: in p_t; 0 for c_t = A h_t.
        generator: draws the weights.

    Raises:
        OptionError: unless there is a number of periods for each pitch.

    The symbols are whole numbers of any type, 0 for the first instrument, pitch or velocity.

    >>> NoteSequence((3, 2, 2), 8, codes=4, hidden=6, turns=(4.2, 4.4))(torch.tensor([[2, 1, 1]])).shape
    torch.Size([1, 8, 4])
    """

    phases: Tensor

    def __init__(
        self, sizes: Sequence[int], frames: int, codes: int, hidden: int, turns: Sequence[float], harmonics: int = 8,
        generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(turns) != sizes[1]:
            raise OptionError(f"Each of {sizes[1]} pitches needs its periods of a frame, but there are {len(turns)}.")
        generator = generator or torch.Generator().manual_seed(0)
        widths = (16, 8, 2)
        self.symbols = nn.ParameterList(_vectors(*pair, generator) for pair in zip(sizes, widths, strict=True))
        self.time = _vectors(frames, 4, generator)
        self.layer = lstm(sum(widths) + 4, hidden, generator)
        self.out = _drawn(nn.Linear(hidden, codes, device="meta"), hidden, generator)
        self.mixed = None
        if harmonics:
            self.mixed = _drawn(nn.Linear(hidden, 2 * harmonics * codes, device="meta"), hidden, generator)
        angle = torch.tensor(turns, dtype=torch.float64)[:, None, None] * torch.arange(1, harmonics + 1)
        angle = 2 * torch.pi * angle * (torch.arange(frames)[:, None] + 0.5)
        phases = torch.cat([angle.cos(), angle.sin()], dim=2).to(torch.get_default_dtype())
        self.register_buffer("phases", phases, persistent=False)

    def forward(self, symbols: Tensor) -> Tensor:
        of_note = [table[symbols[:, place].long()] for place, table in enumerate(self.symbols)]
        note = torch.cat(of_note, dim=1)[:, None].expand(-1, len(self.time), -1)
        time = self.time.expand(len(symbols), -1, -1)
        state = self.layer(torch.cat([note, time], dim=2))[0]
        if self.mixed is None:
            return self.out(state)
        phase = self.phases[symbols[:, 1].long()]
        turned = self.mixed(state).unflatten(2, (self.out.out_features, -1)) @ phase[:, :, :, None]
        return self.out(state) + turned[:, :, :, 0]


def _vectors(count: int, width: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(count, width, generator=generator))


def _mixing(channels: int, generator: torch.Generator) -> list[nn.Module]:
    return [_drawn(nn.Conv1d(channels, channels, 1, device="meta"), channels, generator), nn.ReLU()]


def _drawn(layer: M, fan: int, generator: torch.Generator) -> M:
    layer.to_empty(device="cpu")
    bound = math.sqrt(6 / fan)
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.ndim == 1:
                parameter.zero_()
            else:
                parameter.uniform_(-bound, bound, generator=generator)
    return layer


def _windowed(layer: nn.Conv1d | nn.ConvTranspose1d, generator: torch.Generator) -> nn.Module:
    """A layer from or to samples, whose filters begin as waves of all frequencies and random phases under a window."""
    layer.to_empty(device="cpu")
    channels = max(layer.in_channels, layer.out_channels)
    turns = torch.linspace(0.5, WINDOW / 2 - 0.5, channels)[:, None] * torch.arange(WINDOW) / WINDOW
    phase = torch.rand(channels, 1, generator=generator)
    waves = torch.hann_window(WINDOW) * torch.cos(2 * torch.pi * (turns + phase)) / math.sqrt(WINDOW)
    with torch.no_grad():
        layer.weight.copy_(waves.reshape(layer.weight.shape))
        for bias in [layer.bias] if layer.bias is not None else []:
            bias.zero_()
    return layer
