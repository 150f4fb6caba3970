"""Image restoration by a dictionary of windows or by a network: PSNR, the dictionary, the average of all windows.

Shape letters: C channels, H × W pixels, N windows of S × S pixels, K atoms.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.windows import Windows
from lowland.energies.hard_sparse_coding import HardSparseCoding
from lowland.energies.restoration import Restoration
from lowland.inference import infer
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.matching_pursuit import OrthogonalMatchingPursuit
from lowland.training.fit import fit

_AT_ONCE = 20_000
"""Windows coded at once."""


def psnr(picture: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio 10 log₁₀(1 / mean squared error), in dB, of images in [0, 1]; at most 200.

    >>> round(psnr(torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.1)), 3)
    20.0
    """
    return -10 * math.log10(max(float((picture.double() - truth.double()).square().mean()), 1e-20))


def cosine_dictionary(size: int, atoms: int) -> Tensor:
    """An overcomplete cosine basis (S², K) in float64, without the constant; its columns have mean 0 and norm 1.

    The initial dictionary of Elad & Aharon, "Image denoising via sparse and redundant representations over learned
    dictionaries" (2006).

    >>> cosine_dictionary(8, 255).shape
    torch.Size([64, 255])
    """
    waves = math.isqrt(atoms) + 1
    place, wave = torch.arange(size).double() + 0.5, torch.arange(waves).double()
    basis = torch.cos(place[:, None] * wave * math.pi / waves)
    basis[:, 1:] -= basis[:, 1:].mean(dim=0)
    both = torch.kron(basis, basis)[:, 1 : atoms + 1]
    return functional.normalize(both - both.mean(dim=0), dim=0)


def window_dictionary(size: int, atoms: int, nonzeros: int) -> HardSparseCoding:
    """½‖y − W z‖² over ‖z‖₀ ≤ nonzeros, for windows minus their mean; W starts as `cosine_dictionary`.

    >>> window_dictionary(4, 30, 5).dictionary.shape
    torch.Size([16, 30])
    """
    energy = HardSparseCoding(size**2, atoms, nonzeros)
    start = cosine_dictionary(size, atoms)
    energy.dictionary.data[:, : start.shape[1]] = start.to(energy.dictionary)
    return energy


def centred_windows(image: Tensor, windows: Windows) -> Tensor:
    """The windows of every channel minus their means, (C · N, S²).

    >>> centred_windows(torch.ones(3, 5, 5), Windows(5, 5, size=4)).shape
    torch.Size([12, 16])
    """
    return torch.cat([_centred(windows.cut(channel[None]))[0] for channel in image])


def learn_dictionary(energy: HardSparseCoding, signals: Tensor, error: float, rounds: int, seed: int = 0) -> None:
    """Train W in place: each round updates all codes, with as few atoms as bring E to `error`, and then all atoms.

    Atoms hardly used in two rounds are replaced.

    Args:
        energy: see `window_dictionary`.
        signals: (N, S²), windows minus their means.
        error: target for E.
        rounds: number of rounds.
        seed: of the replacement atoms.

    >>> energy, signals = window_dictionary(2, 8, 2), torch.tensor([[1.0, -1.0, 0.0, 0.0]]).repeat(20, 1)
    >>> learn_dictionary(energy, signals, 1e-3, rounds=1)
    """
    shaping = ExpectationMaximisation(OrthogonalMatchingPursuit(error), replace_after=2, initialise=False)
    fit(energy, signals, shaping, max_steps=rounds, batch_size=len(signals), validation=0.0, seed=seed, progress=False)


@torch.no_grad()
def average_windows(energy: HardSparseCoding, image: Tensor, windows: Windows, error: float) -> Tensor:
    """Every pixel as the mean of W z + mean over all windows that contain it, channel by channel, (C, H, W).

    Args:
        energy: see `window_dictionary`.
        image: (C, H, W).
        windows: of the image.
        error: target for E; each code uses as few atoms as possible.

    >>> flat = torch.full((1, 6, 6), 0.5)
    >>> torch.equal(average_windows(window_dictionary(4, 30, 5), flat, Windows(6, 6, size=4), 0.1), flat)
    True
    """
    solver, found = OrthogonalMatchingPursuit(error), []
    for channel in image:
        signals, mean = _centred(windows.cut(channel[None]))
        for part in signals.split(_AT_ONCE):
            code = infer(energy, y=part, over="z", solver=solver).value
            part.copy_(energy.reconstruct(None, None, code))
        found.append(windows.merge(signals + mean)[0])
    return torch.stack(found)


def denoise(
    energy: HardSparseCoding,
    noisy: Tensor,
    error: float,
    rounds: int,
    samples: int,
    generator: torch.Generator,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Denoise a picture by a dictionary that is learned from its own windows (Elad & Aharon 2006).

    Args:
        energy: with the dictionary, see `window_dictionary`; it is trained in place.
        noisy: (C, H, W), a picture in [0, 1] with noise.
        error: E at which a window's code is good enough: ½ S² (g σ)² for noise of σ, with g a little above 1.
        rounds: of codes and atoms, see `learn_dictionary`.
        samples: windows to learn from, at most.
        generator: draws them.
        seed: of the atoms that replace others.

    Returns:
        The picture, in [0, 1], and how well each atom matches the windows, (K,).

    >>> flat = torch.full((1, 6, 6), 0.5)
    >>> clean, use = denoise(window_dictionary(4, 20, 2), flat, 0.1, 1, 50, torch.Generator().manual_seed(0))
    >>> torch.equal(clean, flat), use.shape
    (True, torch.Size([20]))
    """
    windows = Windows(*noisy.shape[1:], size=math.isqrt(len(energy.dictionary)))
    signals = centred_windows(noisy, windows)
    signals = signals[torch.randperm(len(signals), generator=generator)[:samples]]
    learn_dictionary(energy, signals, error, rounds, seed)
    # Pixels are known to lie in [0, 1].
    clean = average_windows(energy, noisy, windows, error).clamp(0, 1)
    return clean, (energy.dictionary.detach().T @ signals.T).abs().mean(dim=1)


def local_mean(picture: Tensor, hidden: Tensor) -> Tensor:
    """An image whose hidden pixels are Gaussian-weighted means of nearby known pixels.

    The width of the Gaussian starts at one pixel and doubles for pixels without a known one in reach.

    Args:
        picture: (C, H, W); values at hidden pixels are ignored.
        hidden: (1, H, W) of booleans, not all of them true.

    >>> hidden = torch.zeros(1, 9, 9, dtype=torch.bool)
    >>> hidden[:, 2:7, 2:7] = True
    >>> float((local_mean(torch.ones(1, 9, 9), hidden) - 1).abs().max()) < 1e-5
    True
    """
    known = (~hidden).to(picture.dtype)
    filled, weight, width = torch.zeros_like(picture), torch.zeros_like(known), 1.0
    while bool((weight < 1e-3).any()):
        reach = int(4 * width)
        bell = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * width**2)).to(picture)

        def blur(image: Tensor, bell: Tensor = bell, reach: int = reach) -> Tensor:
            rows = functional.conv2d(image[:, None], bell[None, None, :, None], padding=(reach, 0))
            return functional.conv2d(rows, bell[None, None, None, :], padding=(0, reach))[:, 0]

        wide, total = blur(picture * known), blur(known)
        fresh = (weight < 1e-3) & (total >= 1e-3)
        filled = torch.where(fresh, wide / total.clamp_min(1e-3), filled)
        weight, width = torch.where(fresh, total, weight), 2 * width
    return torch.where(hidden, filled, picture)


def _centred(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Windows (N, S²) minus their means, and the means (N, 1)."""
    mean = windows.mean(dim=1, keepdim=True)
    return windows - mean, mean


@torch.no_grad()
def restore_images(energy: Restoration, damaged: Tensor, batch_size: int = 500) -> Tensor:
    """The images of least energy for damaged ones, (N, C, H, W) in [0, 1].

    Args:
        energy: ½‖D(h(x)) − y‖².
        damaged: x, (N, C, H, W).
        batch_size: images at once.

    >>> from lowland.nn.encoders.convnet import ConvNet
    >>> energy = Restoration(ConvNet((1, 8, 8), maps=(4, 8)), decoder=(4,))
    >>> restore_images(energy, torch.rand(5, 1, 8, 8), batch_size=2).shape
    torch.Size([5, 1, 8, 8])
    """
    return torch.cat([energy.restore(part).clamp(0, 1) for part in damaged.split(batch_size)])
