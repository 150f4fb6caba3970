"""Recipes of sparse coding: they measure what they claim, take a user's picture, and say what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.data.pictures import decode, picture, pictures
from lowland.data.windows import Windows
from lowland.errors import CheckpointError, DataError, OptionError, ShapeError
from lowland.evaluation.gabor import gabor_fit
from lowland.recipes.base import execute, load, start
from lowland.recipes.sparse.common import PictureRecipe
from lowland.reports.run import Run

RANDOM = np.random.default_rng(0)


def run(name: str, folder: Path, **options: Any) -> list[dict[str, Any]]:
    cls = load(name)
    config = cls.from_options({**cls.presets["smoke"], **options})
    return execute(config, start(config, folder, "smoke")).results


def saved(folder: Path, pixels: np.ndarray, name: str = "mine.png") -> str:
    Image.fromarray(pixels).save(folder / name)
    return str(folder / name)


def test_windows_cover_a_picture_and_agree_on_it() -> None:
    image = torch.from_numpy(RANDOM.random((2, 17, 13)))
    for step, shift in ((1, (0, 0)), (3, (2, 1)), (5, (0, 4))):
        windows = Windows(17, 13, size=5, step=step, shift=shift)
        assert windows.cut(image).shape == (len(windows), 50)
        torch.testing.assert_close(windows.merge(windows.cut(image)), image)
    weights = torch.rand(len(windows), generator=torch.Generator().manual_seed(0)).double() + 0.1
    torch.testing.assert_close(windows.merge(windows.cut(image), weights), image)
    with pytest.raises(ShapeError, match="no windows of 9 × 9"):
        Windows(8, 20, size=9)
    with pytest.raises(ShapeError, match="step"):
        Windows(8, 20, size=3, step=4)


def test_six_pictures_are_those_that_were_published() -> None:
    found = pictures()
    assert list(found) == ["camera", "coins", "brick", "grass", "gravel", "moon"]
    assert all(pixels.shape[0] == 1 and pixels.min() >= 0 and pixels.max() <= 1 for pixels in found.values())


def test_a_picture_keeps_its_colours(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = saved(tmp_path, pixels)
    torch.testing.assert_close(picture(path), torch.from_numpy(pixels).permute(2, 0, 1) / 255)
    assert picture(path, grey=True).shape == (1, 5, 7)
    assert picture(saved(tmp_path, pixels[..., 0], "grey.png")).shape == (1, 5, 7)
    with pytest.raises(DataError, match="no picture at"):
        picture(tmp_path / "none.png")
    with pytest.raises(DataError, match="damaged"):
        decode(b"not a picture", "mine.png")


def test_denoising_lowers_the_error(smoke: Callable[[str], Run]) -> None:
    found = smoke("denoise").measured
    noisy, other, ours = (found.each(name, "psnr") for name in ("noisy", "non-local means", "learned dictionary"))
    assert len(noisy) == 2
    assert all(own > before + 3 for own, before in zip(ours, noisy, strict=True))
    assert all(own > before for own, before in zip(other, noisy, strict=True))


def test_denoising_a_noisy_picture_of_ones_own(tmp_path: Path) -> None:
    """In colour; there is nothing to measure, and nothing is."""
    path = saved(tmp_path, RANDOM.integers(100, 140, (24, 20, 3), dtype=np.uint8))
    assert run("denoise", tmp_path, image=path, noisy=True, crop=0) == []
    page = json.loads((tmp_path / "denoise" / "latest" / "page.json").read_text())
    assert [element["kind"] for element in page["elements"]].count("figure") == 3
    assert (tmp_path / "denoise" / "latest" / "figures" / "denoised.png").is_file()


def test_inpainting_beats_the_local_mean_and_uses_a_mask(tmp_path: Path) -> None:
    waves = 127 + 100 * np.sin(np.arange(40) * 1.3)[:, None] * np.ones(40)
    path = saved(tmp_path, waves.astype(np.uint8))
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[RANDOM.random((40, 40)) < 0.3] = 255
    options = {"image": path, "mask": saved(tmp_path, mask, "mask.png"), "crop": 0, "rounds": 8, "names": ()}
    found = {row["method"]: row["measured"] for row in run("inpaint", tmp_path, **options) if "mean" in row["claim"]}
    assert found["learned dictionary"] > found["local mean (learns nothing)"] + 3


def test_a_picture_of_sixteen_bits_is_read_as_it_is(tmp_path: Path) -> None:
    """A ramp over all levels has a mean of one half, and a sentence says which level is white."""
    ramp = np.linspace(0, 4095, 24 * 20).reshape(24, 20)
    path = saved(tmp_path, ramp.astype(np.uint16), "ramp.png")
    pictures_, note = PictureRecipe(image=path).originals()
    # Levels were rounded down to whole ones: half a level of 4095 on average.
    assert pictures_["ramp"].mean().item() == pytest.approx(0.5, abs=1 / 4095)
    assert "4,095 for white" in note
    doubled, _ = PictureRecipe(image=path, levels=(0.0, 8190.0)).originals()
    torch.testing.assert_close(doubled["ramp"], pictures_["ramp"] / 2)
    bytes_ = saved(tmp_path, ramp.astype(np.uint8), "bytes.png")
    with pytest.raises(OptionError, match="leave out levels"):
        PictureRecipe(image=bytes_, levels=(0.0, 8190.0)).originals()
    with pytest.raises(OptionError, match="name it with --image"):
        PictureRecipe(names=("camera",), levels=(0.0, 1.0)).originals()


def test_the_page_says_how_levels_were_read(tmp_path: Path) -> None:
    ramp = np.linspace(0, 4095, 24 * 20).reshape(24, 20)
    run("denoise", tmp_path, image=saved(tmp_path, ramp.astype(np.uint16), "ramp.png"), noisy=True, crop=0)
    page = json.loads((tmp_path / "denoise" / "latest" / "page.json").read_text())
    assert "4,095 for white" in page["elements"][0]["markdown"]


def test_a_run_is_not_resumed_with_other_photographs(tmp_path: Path) -> None:
    """Those of `data_dir`: what was learned from the first would stand beside what is measured on the second."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    saved(folder, RANDOM.integers(0, 256, (48, 96), dtype=np.uint8))
    cls = load("sparse-patches")
    config = cls.from_options({**cls.presets["smoke"], "data_dir": str(folder), "samples": 200, "tested": 50})
    run_ = execute(config, start(config, tmp_path / "runs", "smoke"))
    saved(folder, RANDOM.integers(0, 256, (48, 96), dtype=np.uint8))
    with pytest.raises(CheckpointError, match=r"--data_dir.* has changed"):
        execute(config, start(config, tmp_path / "runs", "smoke", resume=run_.folder))
    assert "data_dir" in load("conv-psd").files


def test_a_picture_whose_windows_do_not_fit_into_memory() -> None:
    PictureRecipe().cropped({"a": torch.zeros(1, 1).expand(1, 2048, 2048)})
    with pytest.raises(DataError, match="use its middle with --crop 1182"):
        PictureRecipe().cropped({"a": torch.zeros(1, 1).expand(3, 2048, 2048)})


@pytest.mark.parametrize("filled", [0, 255])
def test_a_mask_that_hides_everything_or_nothing(filled: int, tmp_path: Path) -> None:
    image = saved(tmp_path, RANDOM.integers(0, 256, (20, 20), dtype=np.uint8))
    mask = saved(tmp_path, np.full((20, 20), filled, dtype=np.uint8), "mask.png")
    with pytest.raises(DataError, match="Some pixels must be known"):
        run("inpaint", tmp_path, image=image, mask=mask, crop=0)


def test_pictures_that_do_not_fit(tmp_path: Path) -> None:
    small = saved(tmp_path, RANDOM.integers(0, 256, (6, 30), dtype=np.uint8))
    for name in ("denoise", "inpaint"):
        with pytest.raises(DataError, match="smaller than a window of 8 × 8"):
            run(name, tmp_path, image=small)
        with pytest.raises(OptionError, match="camera, coins"):
            run(name, tmp_path, names=("tiger",))
    mask = saved(tmp_path, np.zeros((9, 9), dtype=np.uint8), "mask.png")
    image = saved(tmp_path, RANDOM.integers(0, 256, (20, 20), dtype=np.uint8), "other.png")
    with pytest.raises(DataError, match="mask is 9 × 9"):
        run("inpaint", tmp_path, image=image, mask=mask, crop=0)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("denoise", {"sigma": 0.0}, "sigma must be a number above 0"),
        ("denoise", {"noisy": True}, "--image"),
        ("denoise", {"rounds": 0}, "rounds must be a whole number of at least 1"),
        ("inpaint", {"missing": 1.0}, "missing"),
        ("inpaint", {"last": 40.0}, "last must be at most first"),
        ("inpaint", {"mask": "mask.png"}, "--image"),
        ("inpaint", {"nonzeros": 500}, "at most atoms"),
        ("sparse-patches", {"atoms": 0}, "atoms"),
        ("sparse-patches", {"fit_steps": 0}, "at least 1"),
        ("sparse-patches", {"atoms": 30, "samples": 20}, "at most samples"),
        ("sparse-digits", {"data": "digit"}, "data must be one of mnist10k, digits"),
        ("sparse-digits", {"epochs": 0}, "at least 1"),
    ],
)
def test_options_out_of_range(name: str, options: dict[str, Any], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        load(name).from_options(options)


def test_gabor_functions_are_found_again() -> None:
    """Atoms that are Gabor functions are explained fully; noise is not."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 144, generator=generator)
    place = torch.arange(12) - 5.5
    bell = torch.exp(-(place[:, None].square() + place.square()) / 10)
    angles = torch.tensor([0.0, 0.6, -1.2])
    waves = [torch.cos(1.4 * (place * a.cos() + place[:, None] * a.sin()) + 0.4) for a in angles]
    atoms = torch.cat([torch.stack([bell * wave for wave in waves]).flatten(1), noise])
    found = gabor_fit(atoms)
    assert bool((found.explained[:3] > 0.99).all())
    assert bool((found.explained[3:] < 0.5).all())
    torch.testing.assert_close(found.angle[:3], angles.double(), rtol=0, atol=0.05)
    with pytest.raises(ShapeError, match="square"):
        gabor_fit(torch.zeros(2, 10))


def test_sparse_patches_and_digits_beat_atoms_that_learned_nothing(smoke: Callable[[str], Run]) -> None:
    free = {row["method"]: row["measured"] for row in smoke("sparse-patches").results if "energy" in row["claim"]}
    assert free["learned"] < min(free["noise (learns nothing)"], free["patches (learns nothing)"])
    digits = smoke("sparse-digits").results
    error = {row["method"]: row["measured"] for row in digits if "squared error" in row["claim"]}
    assert error["sparse coding"] < error["mean image (learns nothing)"]
