"""A user's scan: what each format becomes, what is assumed and said, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import torch

from lowland.data.fourier import as_complex, fourier, inverse_fourier
from lowland.data.scans import read_scan
from lowland.errors import DataError, OptionError


def kspace(*shape: int) -> np.ndarray:
    """k-space of random images with a bright middle, so that frequency 0 is the strongest."""
    y = torch.rand(*shape[:-2], 2, *shape[-2:], generator=torch.Generator().manual_seed(0)) + 1
    return as_complex(fourier(y.reshape(-1, 2, *shape[-2:]))).numpy().reshape(shape)


def test_kspace_of_which_columns_were_measured(tmp_path: Path) -> None:
    given = kspace(3, 17, 21)
    given[:, :, ::3] = 0
    np.save(tmp_path / "scan.npy", given)
    scan = read_scan(tmp_path / "scan.npy", slices=2)
    assert (scan.x.shape, scan.rows, scan.truth) == ((2, 3, 17, 21), [0, 2], None)
    assert bool((scan.x[:, 2, :, ::3] == 0).all())
    assert int(scan.x[0, 2].sum()) == 17 * 14
    torch.testing.assert_close(scan.scale * as_complex(scan.x[:, :2]), torch.from_numpy(given[[0, 2]]))
    assert float(torch.linalg.vector_norm(inverse_fourier(scan.x[:, :2]), dim=1).max()) == pytest.approx(1, abs=1e-5)
    assert any("14 of 21 columns were measured" in note for note in scan.notes)


def test_each_slice_has_the_mask_of_what_was_measured_in_it(tmp_path: Path) -> None:
    given = kspace(3, 17, 21)
    given[0, :, ::3] = given[1, :, 1::4] = given[2] = 0
    scan = read_scan(npy(tmp_path, given))
    assert torch.equal(scan.x[:, 2].bool(), torch.from_numpy(given != 0))
    assert any("14 to 16 of 21 columns were measured" in note for note in scan.notes)
    assert scan.truth is None


def test_one_slice_with_a_gap_is_no_scan_in_full(tmp_path: Path) -> None:
    given = kspace(40, 16, 16)
    given[7, :, 3:9:2] = 0
    assert read_scan(npy(tmp_path, given), slices=0).truth is None
    given = kspace(3, 16, 40)
    given[1] = 0
    scan = read_scan(npy(tmp_path, given))
    assert scan.truth is not None
    assert not scan.truth[1].any()


def test_points_in_a_part_of_the_columns(tmp_path: Path) -> None:
    given = kspace(16, 20)
    given[:, ::3] = given[1::4] = 0
    assert torch.equal(read_scan(npy(tmp_path, given)).x[0, 2].bool(), torch.from_numpy(given != 0))


@pytest.mark.parametrize("sides", [(16, 40), (17, 41)])
def test_all_of_kspace_gives_the_image(sides: tuple[int, int], tmp_path: Path) -> None:
    """For both places of frequency 0 and of the origin of the image, the image is as it was."""
    image = np.random.default_rng(0).random((2, *sides), dtype=np.float32)
    pair = torch.from_numpy(image)[:, None] * torch.tensor([1.0, 0.0])[:, None, None]
    scans = [read_scan(npy(tmp_path, made), acceleration=2.0)
             for made in (as_complex(fourier(pair)).numpy(), np.fft.fft2(image, norm="ortho"))]  # fmt: skip
    for scan, corner in zip(scans, (False, True), strict=True):
        assert scan.truth is not None
        torch.testing.assert_close(scan.scale * scan.truth, pair, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scan.x[:, :2], scan.x[:, 2:] * fourier(scan.truth))
        assert any("moved from the corner" in note for note in scan.notes) == corner
        assert sum("quadrants" in note for note in scan.notes) == 1


def test_the_mask_of_a_file_moves_with_frequency_zero(tmp_path: Path) -> None:
    mask = np.arange(18) % 4 != 3
    image = np.random.default_rng(0).random((24, 18), dtype=np.float32)
    given = np.fft.fft2(image, norm="ortho").astype(np.complex64)
    scan = read_scan(h5(tmp_path, kspace=given[None] * mask, mask=mask))
    assert torch.equal(scan.x[0, 2, 0].bool(), torch.from_numpy(np.fft.fftshift(mask)))
    assert torch.equal(scan.x[0, 2].bool(), scan.x[0, :2].norm(dim=0) > 0)


def test_points_that_were_not_measured(tmp_path: Path) -> None:
    given = kspace(16, 20)
    given[::2, ::2] = 0
    given[8, 10] = kspace(16, 20)[8, 10]
    np.save(tmp_path / "scan.npy", given)
    scan = read_scan(tmp_path / "scan.npy")
    assert torch.equal(scan.x[0, 2].bool(), torch.from_numpy(given != 0))


def test_a_file_of_fastmri(tmp_path: Path) -> None:
    given, mask = kspace(2, 1, 24, 18), np.arange(18) % 2 == 1
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"], file["mask"] = given[:, 0] * mask, mask
    scan = read_scan(tmp_path / "scan.h5")
    assert torch.equal(scan.x[0, 2, 0].bool(), torch.from_numpy(mask))
    with h5py.File(tmp_path / "coil.h5", "w") as file:
        file["kspace"] = given
    assert read_scan(tmp_path / "coil.h5").truth is not None


def test_a_volume_is_sliced_along_its_largest_voxels(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).random((20, 5, 24), dtype=np.float32)
    image = nibabel.Nifti1Image(volume, np.diag([1.0, 4.0, 1.0, 1.0]))  # pyright: ignore[reportPrivateImportUsage]
    nibabel.save(image, tmp_path / "scan.nii.gz")  # pyright: ignore[reportPrivateImportUsage]
    scan = read_scan(tmp_path / "scan.nii.gz", noise=0.0)
    assert scan.x.shape == (5, 3, 24, 20)
    assert any("axis 1" in note for note in scan.notes)
    assert any("simulated" in note for note in scan.notes)
    assert scan.truth is not None
    size = scan.scale * torch.linalg.vector_norm(scan.truth, dim=1)
    torch.testing.assert_close(size, torch.from_numpy(volume).permute(1, 2, 0).flip(1), rtol=1e-4, atol=1e-5)


def npy(path: Path, array: Any) -> Path:
    np.save(path / "scan.npy", array)
    return path / "scan.npy"


def h5(path: Path, **parts: Any) -> Path:
    with h5py.File(path / "scan.h5", "w") as file:
        for name, part in parts.items():
            file[name] = part
    return path / "scan.h5"


def nifti(path: Path, shape: tuple[int, ...], size: float = 1.0, kind: Any = np.float32) -> Path:
    image = nibabel.Nifti1Image(np.ones(shape, kind), np.eye(4))  # pyright: ignore[reportPrivateImportUsage]
    image.header["pixdim"][1:4] = size
    payload = bytearray(image.to_bytes())
    (path / "scan.nii").write_bytes(payload)
    return path / "scan.nii"


def text(path: Path, name: str) -> Path:
    (path / name).write_text("no scan")
    return path / name


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: npy(path, kspace(2, 3, 20, 20)), "k-space must be"),
        (lambda path: npy(path, np.ones(40, np.complex64)), "k-space must be"),
        (lambda path: npy(path, kspace(2, 20, 5)), "a side must be from 16"),
        (lambda path: npy(path, np.ones((20, 20, 3))), "a side must be from 16"),
        (lambda path: npy(path, np.zeros((20, 20))), "no signal"),
        (lambda path: npy(path, np.zeros((20, 20), complex)), "no signal"),
        (lambda path: npy(path, np.linspace(-1000, 2000, 400).reshape(20, 20)), "down to -1000.*subtract the smallest"),
        (lambda path: npy(path, np.full((20, 20), np.nan)), "NaN"),
        (lambda path: npy(path, np.full((20, 20), 1e300)), "NaN"),
        (lambda path: npy(path, np.full((20, 20), "a")), "numbers are needed"),
        (lambda path: h5(path, kspace=kspace(2, 4, 20, 20)), "4 coils"),
        (lambda path: h5(path, images=np.ones(3)), "no data set `kspace`, but images"),
        (lambda path: h5(path, kspace=np.ones((2, 20, 20))), "real numbers"),
        (lambda path: h5(path, kspace=kspace(2, 20, 20), mask=np.ones(7)), "mask of 7 columns"),
        (lambda path: nifti(path, (20, 20, 20), size=0.0), "no voxel sizes"),
        (lambda path: nifti(path, (20, 20, 20), size=float("nan")), "no voxel sizes"),
        (lambda path: nifti(path, (20, 20, 20, 3)), "three dimensions"),
        (lambda path: nifti(path, (20, 20, 20), kind=np.complex64), "complex numbers"),
        (lambda path: text(path, "scan.h5"), "no HDF5 file"),
        (lambda path: text(path, "scan.npy"), "no array of NumPy"),
        (lambda path: text(path, "scan.nii"), "no NIfTI volume"),
        (lambda path: text(path, "scan.dcm"), "no scan that can be read"),
        (lambda path: path / "none.npy", "cannot be read"),
        (lambda path: path, "a folder"),
    ],
)
def test_mistakes_are_one_sentence(make: Callable[[Path], Path], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_scan(make(tmp_path))


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="no array of NumPy"):
        read_scan(tmp_path / "scan.npy")


def test_a_volume_without_voxel_sizes_is_read_along_an_axis(tmp_path: Path) -> None:
    assert read_scan(nifti(tmp_path, (17, 20, 3), size=0.0), axis=2).x.shape == (3, 3, 20, 17)


def test_an_axis_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="axis"):
        read_scan(npy(tmp_path, np.ones((20, 20))), axis=3)


def test_an_axis_is_for_images(tmp_path: Path) -> None:
    for path in (npy(tmp_path, kspace(3, 20, 24)), h5(tmp_path, kspace=kspace(3, 20, 24))):
        with pytest.raises(OptionError, match=r"--axis is for images; k-space must be \(N, H, W\)"):
            read_scan(path, axis=0)


def test_slices_are_the_middles_of_equal_parts(tmp_path: Path) -> None:
    path = npy(tmp_path, np.ones((20, 16, 16)))
    assert read_scan(path, slices=4).rows == [2, 7, 12, 17]
    assert read_scan(path, slices=1).rows == [10]
    assert read_scan(path, slices=0).rows == list(range(20))


@pytest.mark.parametrize(("axis", "words"), [(0, "the top is up"), (1, "the top is up"), (2, "the front is up")])
def test_slices_do_not_depend_on_how_a_volume_was_stored(axis: int, words: str, tmp_path: Path) -> None:
    """Stored with its axes to the right, front and up, or back, down and left: the picture is the same."""
    values = np.random.default_rng(0).random((18, 20, 22), dtype=np.float32)
    turned = np.eye(4)[[1, 2, 0, 3]].T * [-1, -1, -1, 1]
    expected = np.moveaxis(values, axis, 0).swapaxes(1, 2)[:, ::-1]
    for stored, affine in ((values, np.eye(4)), (values.transpose(1, 2, 0)[::-1, ::-1, ::-1], turned)):
        image = nibabel.Nifti1Image(stored, affine)  # pyright: ignore[reportPrivateImportUsage]
        nibabel.save(image, tmp_path / "scan.nii")  # pyright: ignore[reportPrivateImportUsage]
        scan = read_scan(tmp_path / "scan.nii", slices=0, axis=axis, noise=0.0)
        assert scan.truth is not None
        size = scan.scale * torch.linalg.vector_norm(scan.truth, dim=1)
        torch.testing.assert_close(size, torch.from_numpy(expected.copy()), rtol=1e-4, atol=1e-5)
        assert any(words in note for note in scan.notes)


def test_voxel_sizes_move_with_the_axes(tmp_path: Path) -> None:
    """The slices of the largest voxels, stored first, lie along the axis that points up."""
    affine = np.eye(4)[[1, 2, 0, 3]] * [5.0, 1.0, 1.0, 1.0]
    image = nibabel.Nifti1Image(np.ones((4, 18, 20), np.float32), affine)  # pyright: ignore[reportPrivateImportUsage]
    nibabel.save(image, tmp_path / "scan.nii")  # pyright: ignore[reportPrivateImportUsage]
    scan = read_scan(tmp_path / "scan.nii")
    assert len(scan.x) == 4
    assert any("axis 2" in note and "1 × 1 × 5 mm" in note for note in scan.notes), scan.notes


def test_a_volume_that_does_not_say_where_its_axes_point_is_not_turned(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.ones((4, 18, 20), np.float32), None)  # pyright: ignore[reportPrivateImportUsage]
    nibabel.save(image, tmp_path / "scan.nii")  # pyright: ignore[reportPrivateImportUsage]
    scan = read_scan(tmp_path / "scan.nii", axis=0)
    assert scan.x.shape == (4, 3, 18, 20)
    assert any("as they were stored" in note for note in scan.notes)
