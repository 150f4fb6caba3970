"""The slices of a brain, from a volume of the same format, and phantoms."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from lowland.data.brain import brain, hemispheres, phantom_hemispheres, phantoms
from lowland.errors import OptionError


def test_parts_are_blocks_of_slices_far_apart(tmp_path: Path) -> None:
    """Each slice of the stand-in holds its own number, and row 0 is the front."""
    volume = np.broadcast_to(np.arange(181, dtype=np.float32), (181, 217, 181)).copy()
    volume[:, 215] = 180
    image = nibabel.Nifti1Image(volume.astype(np.uint8), np.eye(4))  # pyright: ignore[reportPrivateImportUsage]
    nibabel.save(image, tmp_path / "ch2.nii.gz")  # pyright: ignore[reportPrivateImportUsage]
    data = brain(tmp_path)
    assert (data.shape, len(data.train), len(data.validation), len(data.test)) == ((1, 216, 180), 80, 8, 20)
    numbers = {part: (180 * getattr(data, part)[:, 0, -1, 0]).round() for part in ("train", "validation", "test")}
    for one in ("train", "validation"):
        apart = (numbers[one][:, None] - numbers["test"]).abs().min()
        assert int(apart) > 8
    assert int((numbers["train"][:, None] - numbers["validation"]).abs().min()) > 8
    assert bool((data.test[:, 0, 0] == 1).all())


def test_phantoms_differ_and_repeat() -> None:
    one, again, other = phantoms(4, 20, 16), phantoms(4, 20, 16), phantoms(4, 20, 16, seed=1)
    assert torch.equal(one.train, again.train)
    assert not torch.equal(one.train, other.train)
    assert not torch.equal(one.train[0], one.train[1])
    assert float(one.train[:, :, 0].max()) == 0


def test_phantoms_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="at least 4"):
        phantoms(3, 20, 16)


def test_hemispheres_have_the_middle_on_the_same_side(tmp_path: Path) -> None:
    """Each voxel of the stand-in holds how far it is from the middle of the head, and 50 more on the right."""
    across = np.abs(np.arange(181) - 89.5) + 50 * (np.arange(181) > 89)
    volume = np.broadcast_to(across[:, None, None], (181, 217, 181)).astype(np.float32)
    image = nibabel.Nifti1Image(volume, np.eye(4))  # pyright: ignore[reportPrivateImportUsage]
    nibabel.save(image, tmp_path / "ch2bet.nii.gz")  # pyright: ignore[reportPrivateImportUsage]
    left, right = hemispheres(tmp_path)
    assert left.shape == right.shape == (76, 92, 36)
    torch.testing.assert_close(right - left, torch.full_like(left, 50 / 112))
    assert bool((left[0, 0].diff() < 0).all())


def test_phantom_hemispheres_have_all_tissues_and_differ() -> None:
    left, right = phantom_hemispheres()
    assert sorted({round(value, 2) for value in left.unique().tolist()}) == [0.0, 0.36, 0.77, 1.0]
    assert not torch.equal(left, right)
    with pytest.raises(OptionError, match="at least 16"):
        phantom_hemispheres((15, 20, 20))
