"""Inpainting: hidden pixels are what a dictionary, learned from the known ones, makes of them.

Legend: C channels, H × W pixels, windows of S × S pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lowland.data.windows import Windows
from lowland.energies.hard_sparse_coding import HardSparseCoding
from lowland.evaluation.restoration import average_windows, centred_windows, learn_dictionary, local_mean, psnr


def inpaint(
    energy: HardSparseCoding,
    picture: Tensor,
    hidden: Tensor,
    errors: Sequence[float],
    *,
    samples: int = 10_000,
    step: int = 2,
    judged: Tensor | None = None,
    generator: torch.Generator | None = None,
    seed: int = 0,
) -> tuple[Tensor, list[float]]:
    """Fill hidden pixels in: min over z, W and the hidden part of y of Σ_n ½‖y_n − W z_n‖², y_n the windows of y.

    Each round learns sparse codes and atoms from the picture as it is filled in so far, and fills it in anew. The error
    that is allowed for a window should fall from round to round, so that coarse structure is settled before fine
    detail. The last round averages the windows at all pixels.

    Args:
        energy: with the dictionary, see `restoration.window_dictionary`; it is trained in place.
        picture: (C, H, W) in [0, 1]; what it has at hidden pixels is not used, but where it is judged by them.
        hidden: (1, H, W) of booleans.
        errors: E at which a window's code is good enough, one number for each round.
        samples: windows to learn from in each round, at most.
        step: pixels between windows.
        judged: (1, H, W) of booleans, hidden pixels whose true values `picture` holds: their PSNR after each round is
            returned, and the last round is like the others.
        generator: draws windows and where they lie; by default one with seed 0.
        seed: of the atoms that replace others.

    Returns:
        The picture, and the PSNR after each round where pixels are judged.

    >>> from lowland.evaluation.restoration import window_dictionary
    >>> picture, hidden = torch.full((1, 8, 8), 0.5), torch.zeros(1, 8, 8, dtype=torch.bool)
    >>> hidden[0, 4, 4] = True
    >>> filled, _ = inpaint(window_dictionary(4, 20, 2), picture, hidden, [0.1, 0.01])
    >>> float((filled - picture).abs().max()) < 1e-5
    True
    """
    size, found = math.isqrt(len(energy.dictionary)), []
    generator = generator or torch.Generator().manual_seed(0)
    image = local_mean(picture, hidden)
    for turn, error in enumerate(errors, 1):
        apart = 1 if turn == len(errors) and judged is None else step
        down, across = torch.randint(0, apart, (2,), generator=generator).tolist()
        windows = Windows(*picture.shape[1:], size=size, step=apart, shift=(down, across))
        signals = centred_windows(image, windows)
        few = torch.randperm(len(signals), generator=generator)[:samples]
        learn_dictionary(energy, signals[few], error, 1, seed)
        image = torch.where(hidden, average_windows(energy, image, windows, error).clamp(0, 1), picture)
        if judged is not None:
            found.append(psnr(image[:, judged[0]], picture[:, judged[0]]))
    return image, found
