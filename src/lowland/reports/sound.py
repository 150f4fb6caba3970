"""Sounds as files that every browser plays."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from lowland.errors import OptionError, ShapeError

MOST_BYTES = 2**21
"""Of one sound, since a page holds all of them: a quarter of a minute at 44,100 samples per second."""
_FULL = 32767


def wav(waveform: Any, rate: int) -> bytes:
    r"""A waveform (L,) from −1 to 1 as a WAV file of 16 bits, one channel; what is louder is cut at ±1.

    Args:
        waveform: a tensor or an array of finite numbers.
        rate: samples per second.

    Raises:
        ShapeError: unless it has one axis, at least one number, and all are finite.
        OptionError: for a rate that is not from 1,000 to 192,000, or more than 2 MiB.

    >>> wav([0.0, 0.5, -2.0], 8000)[-6:]
    b'\x00\x00\x00@\x01\x80'
    """
    values = np.asarray(waveform, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ShapeError(f"A sound needs finite numbers in one axis, but its shape is {values.shape}.")
    if not 1000 <= rate <= 192_000 or 2 * values.size > MOST_BYTES:
        raise OptionError(
            f"A sound on a page has a rate of 1,000 to 192,000 and at most {MOST_BYTES // 2:,} samples, not {rate:,} "
            f"and {values.size:,}: resample or cut it."
        )
    stored = io.BytesIO()
    with wave.open(stored, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(_FULL * values.clip(-1, 1)).astype("<i2").tobytes())
    return stored.getvalue()
