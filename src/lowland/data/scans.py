"""A user's scan: measured k-space of one coil, or a volume of images from which k-space is simulated.

Shape letters: N slices, H rows, W columns.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.bounded import DAMAGED, read_bytes, unzip
from lowland.data.fourier import inverse_fourier
from lowland.data.kspace import column_mask, simulate_kspace
from lowland.errors import DataError, LowlandError, OptionError
from lowland.files import regular

SMALLEST, LARGEST = 16, 2048
"""Rows and columns of a slice."""
_FORMATS = "a .h5 file of fastMRI, a .npy array, or a NIfTI volume (.nii, .nii.gz)"
_FEW = 0.98


class Scan(NamedTuple):
    """N slices that can be reconstructed.

    `x` (N, 3, H, W) is what `lowland.energies.KSpace` takes, divided by `scale`, so that the largest pixel of the
    zero-filled images is 1. `truth` (N, 2, H, W) are the images of all of k-space, on the same scale, None where only a
    part was measured. `rows` are the numbers of the slices, from 0; `notes` sentences that say what was assumed.
    """

    x: Tensor
    truth: Tensor | None
    scale: float
    rows: list[int]
    notes: list[str]


class _Raw(NamedTuple):
    """Slices (N, H, W), complex for k-space and real for images, and the measured columns, if the file says so."""

    slices: NDArray[Any]
    columns: NDArray[np.bool_] | None
    notes: list[str]


def read_scan(
    path: str | Path, slices: int = 16, axis: int = -1, acceleration: float = 4.0, noise: float = 0.02, seed: int = 0
) -> Scan:
    """Read a scan: k-space as fastMRI stores it, complex arrays, or images.

    Complex numbers are k-space, (H, W) or (N, H, W), with the columns as phase encodes. What is 0 was not measured;
    where nothing is, some columns are taken for measured (`column_mask`) and the rest gives the truth. Real numbers are
    images, whose k-space is simulated (`simulate_kspace`).

    Args:
        path: a .h5 file with `kspace` of one coil (fastMRI, Zbontar et al. 2018), a .npy array, or a NIfTI volume.
        slices: at most so many, evenly from all; 0 for all.
        axis: of the slices in a volume of images, 0 to 2, which are left to right, back to front and upwards for a
            NIfTI volume; −1 for the one of its largest voxels, and the first of an array.
        acceleration, noise, seed: of what is simulated; noise in units of the largest pixel.

    Raises:
        DataError: for a file of another kind or that is damaged, a shape that is no stack of slices, several coils,
            numbers that are not finite, negative images, a scan without signal, a volume without voxel sizes, or a
            missing package.
        OptionError: for an axis that is none or is given for k-space, or an acceleration that cannot be.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.ones((3, 24, 32), np.float32))
    ...     scan = read_scan(f"{folder}/images.npy", slices=2)
    >>> scan.x.shape, scan.rows
    (torch.Size([2, 3, 24, 32]), [0, 2])
    """
    path = regular(Path(path))
    if axis not in (-1, 0, 1, 2):
        raise OptionError(f"axis must be 0, 1 or 2, or -1 to choose it, but it is {axis}.")
    name = path.name.lower()
    if name.endswith((".h5", ".hdf5")):
        raw = _fastmri(path, axis)
    elif name.endswith(".npy"):
        raw = _stack(_array(path), path.name, axis)
    elif name.endswith((".nii", ".nii.gz")):
        volume = nifti_volume(read_bytes(path), path.name)
        axis, said = _slice_axis(volume.spacing, path.name, axis)
        raw = _stack(volume.values, path.name, axis)
        raw.notes.append(said)
        raw = _upright(raw, axis) if volume.oriented else raw
        if not volume.oriented:
            raw.notes.append("The file does not say how the head lay: slices are as they were stored.")
    else:
        raise DataError(f"{path} is no scan that can be read: give {_FORMATS}.")
    count = len(raw.slices)
    most = min(slices, count) if slices else count
    # The middles of equal parts, since a volume has air at both ends.
    rows = ((np.arange(most) + 0.5) * count / most).astype(int).tolist()
    if most < count:
        raw.notes.append(f"{most} of {count} slices, evenly from all.")
    chosen = raw._replace(slices=_checked(raw.slices[rows], path.name))
    build = _from_kspace if np.iscomplexobj(chosen.slices) else _from_images
    x, truth = build(chosen, acceleration, noise, seed)
    scale = float(inverse_fourier(x[:, :2]).square().sum(dim=1).amax().sqrt())
    if not scale > 0:
        raise DataError(f"{path.name} has no signal: all that was measured is 0.")
    return Scan(
        torch.cat([x[:, :2] / scale, x[:, 2:]], dim=1), None if truth is None else truth / scale, scale, rows, raw.notes
    )


class Volume(NamedTuple):
    """Values (I, J, K) and the sizes of voxels in mm; if `oriented`, I grows to the right, J to the front and K up."""

    values: NDArray[np.float32]
    spacing: tuple[float, ...]
    oriented: bool


def nifti_volume(payload: bytes, name: str) -> Volume:
    """The volume of a NIfTI file, gzipped or not, its axes permuted and flipped to the closest of right, front and up.

    A file that does not say where its axes point is read as it is, and not `oriented`.

    Raises:
        DataError: for a damaged file or one of another kind, complex numbers, a volume without three dimensions, or
            without nibabel.
    """
    try:
        import nibabel
    except ImportError:
        raise DataError("NIfTI volumes are read by nibabel: pip install 'lowland[medical]'.") from None
    payload = unzip(payload, name)
    second = payload[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    kind: Any = vars(nibabel)["Nifti2Image" if second else "Nifti1Image"]
    with _damage(name, "NIfTI volume"):
        image = kind.from_bytes(payload)
        shape = tuple(image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) != 3:
            raise DataError(f"{name} has the shape {image.shape}: save one volume of three dimensions.")
        if image.get_data_dtype().kind == "c":
            raise DataError(
                f"{name} holds complex numbers, but NIfTI volumes are read as images: save k-space as .npy."
            )
        values = np.asarray(image.dataobj, np.float32).reshape(shape)
        # The header of the image is a mended one, in which a size of 0 is 1.
        header = kind.header_class.from_fileobj(io.BytesIO(payload), check=False)
        spacing = [float(size) for size in header["pixdim"][1:4]]
        places = nibabel.orientations.io_orientation(image.affine)
        if not (int(header["qform_code"]) or int(header["sform_code"])) or not np.isfinite(places).all():
            return Volume(values, tuple(spacing), False)
        order = np.argsort(places[:, 0])
        return Volume(
            nibabel.orientations.apply_orientation(values, places), tuple(spacing[place] for place in order), True
        )


def _upright(raw: _Raw, axis: int) -> _Raw:
    """Slices of an oriented volume as one looks at them: its last axis up, and of axial slices the front."""
    up, side, first = (
        ("top", "front is on the right", "left"), ("top", "left is on the left", "back"),
        ("front", "left is on the left", "bottom"),
    )[axis]  # fmt: skip
    raw.notes.append(
        f"Turned by the directions that the file gives its axes: the {up} is up in the picture, the {side}, and slices "
        f"are counted from the {first}."
    )
    return raw._replace(slices=raw.slices.swapaxes(1, 2)[:, ::-1])


def _slice_axis(spacing: tuple[float, ...], name: str, axis: int) -> tuple[int, str]:
    """The axis of the slices and a sentence that says it; voxel sizes choose it where it is not given."""
    if axis >= 0:
        return axis, f"Slices along axis {axis}, as given."
    if not all(np.isfinite(size) and size > 0 for size in spacing):
        raise DataError(
            f"{name} has no voxel sizes ({', '.join(f'{size:g}' for size in spacing)} mm), which say along which axis "
            "it was sliced: give --axis 0, 1 or 2."
        )
    found = max(range(3), key=lambda place: (spacing[place], place))
    sizes = " × ".join(f"{size:g}" for size in spacing)
    return found, f"Slices along axis {found}, since voxels have {sizes} mm; --axis chooses another."


@contextlib.contextmanager
def _damage(name: str, kind: str) -> Iterator[None]:
    """Turn what reading a damaged file ends in into one sentence."""
    try:
        yield
    except LowlandError:
        raise
    except Exception as error:
        if not isinstance(error, DAMAGED) and not type(error).__module__.startswith("nibabel"):
            raise
        raise DataError(
            f"{name} is no {kind} that can be read: it is truncated, damaged, or of another kind."
        ) from None


def _array(path: Path) -> NDArray[Any]:
    with _damage(path.name, "array of NumPy"):
        return np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)


def _fastmri(path: Path, axis: int) -> _Raw:
    try:
        import h5py
    except ImportError:
        raise DataError("Files of fastMRI are read by h5py: pip install 'lowland[medical]'.") from None
    with _damage(path.name, "HDF5 file"), h5py.File(path, "r") as file:
        found = file.get("kspace")
        if not isinstance(found, h5py.Dataset):
            raise DataError(f"{path.name} has no data set `kspace`, but {', '.join(list(file)[:9]) or 'nothing'}.")
        if found.ndim == 4 and found.shape[1] > 1:
            raise DataError(
                f"{path.name} holds {found.shape[1]} coils, {found.shape}, but one is read: combine them first, or "
                "take the single-coil track of fastMRI."
            )
        if (count := math.prod(found.shape or ())) > 2**28:
            raise DataError(f"{path.name} announces {count:,} numbers, more than are read at once: split the file.")
        kspace = np.asarray(found)
        columns = np.asarray(file["mask"]).astype(bool).ravel() if "mask" in file else None
    raw = _stack(kspace[:, 0] if kspace.ndim == 4 else kspace, path.name, axis)
    if not np.iscomplexobj(raw.slices):
        raise DataError(f"{path.name} has real numbers as `kspace`, but k-space is complex.")
    if columns is not None and len(columns) != raw.slices.shape[2]:
        raise DataError(f"{path.name} has a mask of {len(columns)} columns for k-space of {raw.slices.shape[2]}.")
    return raw._replace(columns=columns)


def _stack(array: NDArray[Any], name: str, axis: int) -> _Raw:
    """(H, W) or (N, H, W) as slices (N, H, W)."""
    if array.dtype.kind not in "fciub":
        raise DataError(f"{name} holds values of type {array.dtype}, but numbers are needed.")
    complex_ = np.iscomplexobj(array)
    what = "k-space" if complex_ else "images"
    stack = array[None] if array.ndim == 2 else array
    if stack.ndim != 3 or not stack.size:
        raise DataError(f"{name} has the shape {array.shape}, but {what} must be (H, W), or (N, H, W) for N slices.")
    if complex_ and axis >= 0:
        raise OptionError(f"--axis is for images; k-space must be (N, H, W), as {name} is: leave --axis out.")
    if axis > 0:
        stack = np.moveaxis(stack, axis, 0)
    sides = stack.shape[1:]
    if min(sides) < SMALLEST or max(sides) > LARGEST:
        more = "" if complex_ else ", and --axis says along which axis the slices lie"
        raise DataError(
            f"{name} has slices of {sides[0]} × {sides[1]}, but a side must be from {SMALLEST} to {LARGEST}: {what} "
            f"are (N, H, W){more}."
        )
    return _Raw(stack, None, [])


def _checked(slices: NDArray[Any], name: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        slices = slices.astype(np.complex64 if np.iscomplexobj(slices) else np.float32)
    if not np.isfinite(slices).all():
        raise DataError(f"{name} contains NaN or infinity, or numbers too large for single precision.")
    if not slices.any():
        raise DataError(f"{name} has no signal: all of it is 0.")
    if not np.iscomplexobj(slices) and slices.min() < 0:
        raise DataError(
            f"{name} has values down to {slices.min():g}, but images must be magnitudes, of at least 0: subtract the "
            "smallest value first, as for Hounsfield units."
        )
    return slices


def _from_images(raw: _Raw, acceleration: float, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(np.ascontiguousarray(raw.slices))[:, None]
    draws = [torch.Generator().manual_seed(seed * 1_000_003 + row) for row in range(len(images))]
    x, truth = simulate_kspace(images, acceleration, noise * float(images.abs().max()), draws)
    raw.notes.append(
        f"These are images: their k-space is simulated, with one coil, a smooth phase, noise of {noise:g} of the "
        f"largest pixel, and {acceleration:g}-fold fewer columns. A real scan is harder."
    )
    return x, truth


def _from_kspace(raw: _Raw, acceleration: float, noise: float, seed: int) -> tuple[Tensor, Tensor | None]:
    kspace, columns, notes = _centred(raw)
    width = kspace.shape[2]
    measured = kspace != 0
    # A slice that is 0 says nothing about which columns were measured.
    some = measured.any(axis=(1, 2))
    mask = np.broadcast_to((measured.any(axis=1) if columns is None else columns[None])[:, None], kspace.shape)
    points = columns is None and bool(measured[mask].mean() <= _FEW)
    mask = measured if points else mask
    pairs = torch.view_as_real(torch.from_numpy(np.ascontiguousarray(kspace))).movedim(3, 1).contiguous()
    truth = None
    if float(mask[some].mean(axis=(1, 2)).min()) > _FEW:
        drawn = column_mask(width, acceleration, torch.Generator().manual_seed(seed))
        mask, truth = np.broadcast_to(drawn.numpy(), kspace.shape), inverse_fourier(pairs)
        notes.append(
            f"All of k-space was measured: {int(drawn.sum())} of {width} columns are used, and the rest is the truth."
        )
    elif points:
        notes.append(f"{float(mask[some].mean()):.0%} of k-space was measured; the rest is 0.")
    else:
        counts = mask[some, 0].sum(axis=1)
        least, most = int(counts.min()), int(counts.max())
        notes.append(f"{least if least == most else f'{least} to {most}'} of {width} columns were measured.")
    known = torch.from_numpy(np.ascontiguousarray(mask)).to(pairs)[:, None]
    return torch.cat([pairs * known, known], dim=1), truth


def _centred(raw: _Raw) -> _Raw:
    """k-space with frequency 0 and the origin of the image in the middle, as `fourier` has it, and its columns."""
    kspace, columns, notes = raw
    sides = height, width = kspace.shape[1:]
    power = np.abs(kspace).sum(axis=0)
    peak = tuple(int(place) for place in np.unravel_index(power.argmax(), power.shape))
    if peak == (0, 0):
        # The origin moves from the first pixel to the middle: a phase at each frequency.
        down, across = (np.exp(2j * np.pi * np.fft.fftfreq(size) * (size // 2)) for size in sides)
        kspace = np.fft.fftshift((kspace * down[:, None] * across).astype(kspace.dtype), axes=(1, 2))
        columns = None if columns is None else np.fft.fftshift(columns)
        notes.append(
            "The strongest coefficient is the first: frequency 0 was moved from the corner to the middle, and the "
            "first pixel is taken for the origin of the image, as numpy.fft.fft2 has it. If the quadrants of the "
            "picture are swapped, the origin is in its middle: give numpy.fft.fftshift(kspace, axes=(-2, -1))."
        )
        return _Raw(kspace, columns, notes)
    notes.append(
        "Frequency 0 and the origin of the image are taken to be in the middle, as fastMRI has them. If the quadrants "
        "of the picture are swapped, the origin is the first pixel: give numpy.fft.ifftshift(kspace, axes=(-2, -1))."
    )
    if abs(peak[0] - height // 2) > height // 8 or abs(peak[1] - width // 2) > width // 8:
        notes.append(f"The strongest coefficient is at {peak}, far from the middle: is this k-space?")
    return raw
