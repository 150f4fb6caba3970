"""Atoms of dictionaries: samples as sums of them, and the directions and frequencies of those that are waves."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.evaluation.gabor import GaborFit
from lowland.plots.histogram import histogram
from lowland.plots.images import images
from lowland.plots.style import BLUE, INK, MUTED, figure


def sums_of_atoms(
    atoms: Tensor, codes: Tensor, y: Tensor, shape: tuple[int, int] | None = None, parts: int = 10
) -> Figure:
    """Each sample in a row of its own: the sample, W z, and the largest of the z_k w_k that it is the sum of.

    Args:
        atoms: (K, H · W), the columns w_k of the dictionary.
        codes: (N, K), with z ≥ 0.
        y: (N, H · W), the samples, in [0, 1].
        shape: (H, W); by default images are taken for squares.
        parts: atoms in each row.

    >>> drawn = sums_of_atoms(torch.eye(4), torch.ones(2, 4), torch.ones(2, 4), parts=3)
    >>> drawn.axes[0].get_images()[0].get_array().shape
    (5, 14)
    """
    rows = []
    for code, sample in zip(codes, y, strict=True):
        largest = code.argsort(descending=True)[:parts]
        whole = (atoms.T @ code)[None].clamp(0, 1)
        rows.append(torch.cat([sample[None], whole, (atoms.T[:, largest] * code[largest]).T.clamp_min(0)]))
    return images(torch.cat(rows), shape, columns=len(rows[0]), signed=False, each=False)


def wave_vectors(fits: GaborFit, good: float = 0.5) -> Figure:
    """The wave vectors of atoms that are Gabor functions, in the half plane, and the distribution of r² of all atoms.

    Args:
        fits: see `lowland.evaluation.gabor.gabor_fit`.
        good: r² above which an atom counts as a Gabor function; it is marked in the distribution.

    >>> from lowland.evaluation.gabor import gabor_fit
    >>> len(wave_vectors(gabor_fit(torch.rand(9, 16), max_steps=2)).axes)
    2
    """
    chosen = fits.explained > good
    drawn = figure(9, 3.8)
    polar = drawn.add_subplot(1, 2, 1, projection="polar")
    polar.scatter(fits.angle[chosen], fits.frequency[chosen], s=10, color=BLUE, alpha=0.7, linewidths=0)
    polar.set(thetamin=-90, thetamax=90, rmax=0.6, rticks=[0.1, 0.2, 0.3, 0.4, 0.5])
    polar.set_title("Direction of each wave, and cycles per pixel", fontsize=11, color=INK)
    polar.tick_params(labelsize=8, colors=MUTED)
    title = "Share of an atom that its Gabor function explains"
    share = drawn.add_subplot(1, 2, 2)
    return histogram(fits.explained, good, limits=(0, 1), title=title, xlabel="r²", ylabel="atoms", ax=share)
