"""Training on simulated k-space: another mask, phase and noise whenever an image is used (system V13)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.data.kspace import simulate_kspace
from lowland.energies.base import Energy
from lowland.energies.learned_reconstruction import LearnedReconstruction
from lowland.errors import CheckpointError
from lowland.files import write_atomically
from lowland.shaping.base import Batch
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.training.export import load_energy
from lowland.training.fit import FitResult, fit
from lowland.training.samples import Lazy
from lowland.training.schedules import warm_cosine


def kspace_batch(images: Tensor, accelerations: Sequence[float], noise: float, seed: int, rows: Tensor) -> Batch:
    """Simulated pairs (x, y): row r is image r mod N, mirrored for every other pass, by an acceleration drawn for it.

    Args:
        images: (N, 1, H, W), magnitudes up to about 1.
        accelerations: to draw from.
        noise: see `simulate_kspace`.
        seed: with the row it decides all that is drawn.
        rows: (B,), of as many as are wanted; the same row always gives the same pair.

    >>> batch = kspace_batch(torch.rand(2, 1, 16, 20), (2.0,), 0.0, 0, torch.tensor([0, 5]))
    >>> batch.x.shape, batch.y.shape
    (torch.Size([2, 3, 16, 20]), torch.Size([2, 2, 16, 20]))
    """
    pairs = []
    for row in rows.tolist():
        draw = torch.Generator().manual_seed(seed * 1_000_003 + row)
        image = images[row % len(images)][None]
        image = image.flip(3) if row // len(images) % 2 else image
        chosen = accelerations[int(torch.randint(len(accelerations), (), generator=draw))]
        pairs.append(simulate_kspace(image, chosen, noise, [draw]))
    x, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return Batch(y, x)


def train_reconstruction(
    energy: Energy,
    images: Tensor,
    accelerations: Sequence[float],
    noise: float,
    steps: int,
    batch: int = 4,
    rate: float = 1e-3,
    seed: int = 0,
    **options: Any,
) -> FitResult:
    """Least squares on simulated pairs: `MinimumEnergy` of ½‖y − U(Fᴴ m k)‖², with Adam.

    Args:
        energy: such as `LearnedReconstruction`; trained in place.
        images, accelerations, noise: see `kspace_batch`.
        steps, batch: of the optimiser, and pairs in each.
        rate: highest learning rate, which rises and falls to 0 (`warm_cosine`).
        seed: of everything drawn.
        options: of `ll.fit`, such as `run` and `resume`.

    >>> from lowland.energies.learned_reconstruction import LearnedReconstruction
    >>> energy = LearnedReconstruction(16, 20, maps=(2, 4))
    >>> train_reconstruction(energy, torch.rand(4, 1, 16, 20), (2.0,), 0.01, steps=2).steps
    2
    """
    draw = partial(kspace_batch, images, tuple(accelerations), noise, seed)
    return fit(
        energy, Lazy(steps * batch, draw, at_once=batch), MinimumEnergy(), steps, batch, rate, clip=5.0,
        schedule=partial(warm_cosine, steps), validation=0.0, seed=seed, progress=False,
        log_every=max(1, steps // 60), **options,
    )  # fmt: skip


def load_reconstruction(run: Path, height: int, width: int) -> LearnedReconstruction:
    """The network of a run of `mri`, for images of any size, since it is made of convolutions.

    Args:
        run: its folder.
        height, width: of the images to reconstruct.

    Raises:
        CheckpointError: if the folder is none of such a run, or its network is damaged.
    """
    place = run / "checkpoints" / "network"
    if not place.is_dir():
        raise CheckpointError(f"{run} has no network: give the folder of a finished run of `lowland run mri`.")
    found = load_energy(place)
    if not isinstance(found, LearnedReconstruction):
        raise CheckpointError(f"{place} holds a {type(found).__name__}, but a LearnedReconstruction is needed.")
    energy = LearnedReconstruction(height, width, found.network.maps)
    energy.load_state_dict(found.state_dict())
    return energy.eval()


def write_images(path: Path, images: Mapping[str, NDArray[Any]], rows: Sequence[int]) -> Path:
    """Write complex images (N, H, W) by name, and the numbers of their slices as `rows`, as an .npz file."""
    file = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(image, np.complex64) for name, image in images.items()}
    np.savez(file, **arrays, rows=np.asarray(rows))
    write_atomically(path, file.getvalue())
    return path
