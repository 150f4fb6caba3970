"""Spectra of sounds over time, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lowland.energies.spectral_match import log_spectra
from lowland.errors import OptionError, ShapeError
from lowland.plots.style import INK, LAND, MUTED, bare, figure
from lowland.words import plotted


def spectrograms(sounds: Mapping[str, Tensor], names: Sequence[str], rate: int, highest: float | None = None) -> Figure:
    """log(1 + |STFT|²) of sounds, one in each row and each way to make it in a column; dark is loud.

    Colours are of one scale in a row, that of its first sound.

    Args:
        sounds: (N, L) by name of the column.
        names: of the N rows.
        rate: samples per second.
        highest: Hertz at the top; by default half the rate.

    Raises:
        OptionError: without a column.
        ShapeError: unless all columns have a sound for each row.

    >>> import torch
    >>> len(spectrograms({"true": torch.zeros(2, 2048)}, ["a", "b"], 8000).axes)
    2
    """
    if not sounds:
        raise OptionError("Spectrograms need at least one column of sounds.")
    for name, waves in sounds.items():
        if waves.ndim != 2 or len(waves) != len(names):
            raise ShapeError(f"The column {name!r} needs {len(names)} sounds (N, L), but it is {tuple(waves.shape)}.")
    drawn = figure(1.75 * len(sounds) + 0.3, 1.6 * len(names) + 0.3)
    top = (highest or rate / 2) / 1000
    full = {name: log_spectra(waves).numpy() for name, waves in sounds.items()}
    places = drawn.subplots(len(names), len(sounds), squeeze=False)
    first = next(iter(full.values()))
    for row, text in enumerate(names):
        loud = max(float(first[row].max()), 1e-6)
        for column, (name, spectra) in enumerate(full.items()):
            ax, seconds = places[row][column], sounds[name].shape[1] / rate
            bare(ax, name if row == 0 else None, size=9)
            ax.imshow(
                spectra[row], origin="lower", aspect="auto", cmap=LAND.reversed(), vmin=0, vmax=loud,
                extent=(0, seconds, 0, rate / 2000), interpolation="nearest",
            )  # fmt: skip
            ax.set_ylim(0, top)
            if column == 0:
                ax.set_ylabel(plotted(text).replace(", ", "\n"), fontsize=7.5, color=INK)
                ax.set_yticks([0, top], ["0", f"{top:g} kHz"], fontsize=7, color=MUTED)
            if row == len(names) - 1:
                ax.set_xticks([0, seconds], ["0", f"{seconds:.1f} s"], fontsize=7, color=MUTED)
    return drawn
