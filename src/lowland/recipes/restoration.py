"""What `denoise` and `inpaint` share: a dictionary learned from the damaged picture, and the way back from codes.

Legend: C channels, H × W pixels, N windows of S × S pixels, K atoms.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.pictures import picture, pictures, scale
from lowland.data.pixels import check_levels
from lowland.data.windows import Windows
from lowland.energies.hard_sparse_coding import HardSparseCoding
from lowland.errors import DataError, OptionError
from lowland.evaluation.verdict import Verdict
from lowland.inference import infer
from lowland.reports.run import Run
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.matching_pursuit import OrthogonalMatchingPursuit
from lowland.training.fit import fit
from lowland.words import escaped

_log = logging.getLogger(__name__)
LARGEST = 255.0
"""Grey levels of a picture file: noise is given in these, as is usual, though pictures lie in [0, 1]."""
MOST = 2**22
"""Values of the largest picture."""
_HELD = 20_000


def originals(
    run: Run, image: str, names: tuple[str, ...], least: int, levels: tuple[float, ...] = ()
) -> dict[str, Tensor]:
    """The user's picture by its name, or some of those in scikit-image's wheel, (C, H, W) each.

    The scale of a picture of more than eight bits is said on the page.
    """
    if image:
        path = Path(image)
        chosen, note = scale({path.name: path}, check_levels(levels))
        if note:
            _log.warning("%s", note)
            run.text(note)
        found = {escaped(path.stem): picture(path, levels=chosen)}
    elif levels:
        raise OptionError("--levels is for a picture of your own: name it with --image.")
    else:
        known = pictures()
        unknown = sorted(set(names) - set(known))
        if unknown or not names:
            raise OptionError(f"There is no picture called {', '.join(unknown) or 'nothing'}: {', '.join(known)}.")
        found = {name: known[name] for name in names}
    for name, pixels in found.items():
        if min(pixels.shape[1:]) < least:
            height, width = pixels.shape[1:]
            raise DataError(
                f"The picture {name} is {height} × {width} pixels, smaller than a window of {least} × {least}."
            )
    return found


def check_size(pictures: dict[str, Tensor]) -> None:
    """Raise a DataError for a picture whose windows would not fit into memory, about a kilobyte for each value."""
    for name, pixels in pictures.items():
        if pixels.numel() > MOST:
            raise DataError(
                f"The picture {name} has {sides(pixels)} pixels in {len(pixels)} channels, more than the {MOST:,} "
                f"values whose windows fit into memory: take its middle with --crop {math.isqrt(MOST // len(pixels))}."
            )


def psnr(picture: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio 10 log₁₀(1 / mean squared error), in dB, of pictures in [0, 1]."""
    return -10 * math.log10(max(float((picture.double() - truth.double()).square().mean()), 1e-20))


def cosines(size: int, atoms: int) -> Tensor:
    """The first dictionary (S², K): an overcomplete cosine basis without the constant, where most means are removed.

    >>> cosines(8, 255).shape
    torch.Size([64, 255])
    """
    waves = math.isqrt(atoms) + 1
    place, wave = torch.arange(size).double() + 0.5, torch.arange(waves).double()
    basis = torch.cos(place[:, None] * wave * math.pi / waves)
    basis[:, 1:] -= basis[:, 1:].mean(dim=0)
    both = torch.kron(basis, basis)[:, 1 : atoms + 1]
    return functional.normalize(both - both.mean(dim=0), dim=0)


def dictionary(size: int, atoms: int, nonzeros: int) -> HardSparseCoding:
    """½‖y − W z‖² over ‖z‖₀ ≤ k, for windows less their mean; W starts as `cosines`."""
    energy = HardSparseCoding(size**2, atoms, nonzeros)
    start = cosines(size, atoms)
    energy.dictionary.data[:, : start.shape[1]] = start.to(energy.dictionary)
    return energy


def learn(energy: HardSparseCoding, signals: Tensor, error: float, rounds: int, seed: int) -> None:
    """Codes of all signals (N, S²), each of as few atoms as bring E below `error`, and atoms, in turn."""
    shaping = ExpectationMaximisation(OrthogonalMatchingPursuit(error), replace_after=2, initialise=False)
    fit(energy, signals, shaping, max_steps=rounds, batch_size=len(signals), validation=0.0, seed=seed, progress=False)


def centred(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Windows (N, S²) less their mean, and the means (N, 1)."""
    mean = windows.mean(dim=1, keepdim=True)
    return windows - mean, mean


@torch.no_grad()
def agree(energy: HardSparseCoding, image: Tensor, windows: Windows, error: float) -> Tensor:
    """The mean over each pixel of W z of all windows over it, channel by channel, (C, H, W)."""
    solver, found = OrthogonalMatchingPursuit(error), []
    for channel in image:
        signals, mean = centred(windows.cut(channel[None]))
        for part in signals.split(_HELD):
            code = infer(energy, y=part, over="z", solver=solver).value
            part.copy_(energy.reconstruct(None, None, code))
        found.append(windows.merge(signals + mean)[0])
    return torch.stack(found)


def best(candidates: dict[str, Callable[[], Tensor]], truth: Tensor) -> tuple[Tensor, str]:
    """The picture among candidates that is closest to the truth, and the settings that made it.

    Rivals get their settings this way, judged by the very picture that they are to find: no user could do better.
    """
    made = {settings: make() for settings, make in candidates.items()}
    chosen = max(made, key=lambda settings: psnr(made[settings], truth))
    return made[chosen], chosen


def sides(image: Tensor) -> str:
    """Height and width, to be shown."""
    return f"{image.shape[1]} × {image.shape[2]}"


def crop(image: Tensor, side: int = 160) -> Tensor:
    """The middle of a picture."""
    top, left = ((length - min(length, side)) // 2 for length in image.shape[1:])
    return image[:, top : top + side, left : left + side]


WORDS = "more", "less"


def in_words(rival: str, told: Verdict) -> str:
    """The difference of PSNR to a rival, with its 95 % interval over pictures."""
    value, low, high = told.difference
    known = f", 95 % interval {low:+.1f} to {high:+.1f}" if math.isfinite(low) else " on the only picture"
    return f"**{value:+.1f} dB** against {rival} ({told.word}{known})"
