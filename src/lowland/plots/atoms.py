"""Atoms of dictionaries: what codes decode to, samples as sums of atoms, and the waves among atoms."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.energies.sparse_coding import SparseCoding
from lowland.evaluation.gabor import GaborFit
from lowland.plots.histogram import histogram
from lowland.plots.images import image_rows, images
from lowland.plots.style import BLUE, INK, MUTED, figure


def atom_sheet(atoms: Tensor, title: str | None = None) -> Figure:
    """Atoms or filters, each on its own scale, on a sheet about as wide as high.

    Args:
        atoms: (K, S²), one in each row.
        title: above the sheet.

    >>> atom_sheet(torch.eye(16)).axes[0].get_images()[0].get_array().shape
    (19, 19)
    """
    return images(atoms.detach().cpu(), each=True, columns=round(len(atoms) ** 0.5), title=title)


@torch.no_grad()
def decoded_rows(energy: SparseCoding, y: Tensor, codes: Mapping[str, Tensor]) -> Figure:
    """Patches in a row, and below them what each kind of code decodes to.

    Args:
        energy: decodes.
        y: (N, S²), patches.
        codes: by name, (N, K).

    >>> drawn = decoded_rows(SparseCoding(4, 8), torch.ones(3, 4), {"zero code": torch.zeros(3, 8)})
    >>> [text.get_text() for text in drawn.axes[0].texts]
    ['patch', 'zero code']
    """
    return image_rows({"patch": y} | {name: energy.reconstruct(None, y, code) for name, code in codes.items()})


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
