"""Views are functions of a sample and its stream alone, and refuse options and samples that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor

from lowland.data.views import Distortions, ImageViews, Jigsaw, SeriesViews, VectorViews, changed_options, two_views
from lowland.errors import OptionError, ShapeError
from lowland.tensors import PerSampleRNG

pytestmark = pytest.mark.usefixtures("means")

EVERYTHING: dict[str, Any] = {"blur": 0.5, "solarise": 0.5, "mask": 0.5}
CASES: dict[str, tuple[Callable[[Tensor, PerSampleRNG], Tensor], tuple[int, ...]]] = {
    "colour": (ImageViews(**EVERYTHING), (3, 12, 10)),
    "grey": (ImageViews(**EVERYTHING), (1, 12, 10)),
    "other size": (ImageViews(size=(6, 14), hue=0.5, **EVERYTHING), (3, 12, 10)),
    "mild": (ImageViews.mild(), (1, 8, 8)),
    "vicreg": (ImageViews.vicreg(), (3, 8, 8)),
    "five channels": (ImageViews(colour=0, grey=0), (5, 8, 8)),
    "crop only": (ImageViews.crop_only(), (3, 8, 8)),
    "colour alone": (ImageViews(crop=(1, 1), flip=0), (3, 8, 8)),
    "jigsaw": (Jigsaw(), (3, 10, 8)),
    "distortions": (Distortions(), (2, 28, 20)),
    "series": (SeriesViews(mask=0.5), (2, 40)),
    "series of one": (SeriesViews(mask=0.5), (1, 1)),
    "series crop": (SeriesViews.crop_only(), (2, 40)),
    "vectors": (VectorViews(), (7,)),
}


def samples(shape: tuple[int, ...], dtype: torch.dtype, count: int = 9) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def streams(count: int = 9, seed: int = 5, dtype: torch.dtype = torch.float32) -> PerSampleRNG:
    return PerSampleRNG(seed, torch.arange(count), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_a_row_is_a_function_of_its_sample_and_its_stream(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is its rows one by one, whatever the blocks: matrix products of other batches may round otherwise."""
    views, shape = CASES[name]
    batch = samples(shape, dtype)
    before, state = batch.clone(), torch.get_rng_state()
    together = views(batch, streams(dtype=dtype))
    assert torch.equal(together, views(batch, streams(dtype=dtype))), "the same streams give the same views"
    assert together.dtype == dtype
    assert together.is_contiguous()
    assert torch.equal(batch, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(together, views(batch, streams(seed=6, dtype=dtype)))
    rows = torch.tensor([7, 2, 3])
    monkeypatch.setattr("lowland.data.views.images._BLOCK", 1)
    alone = views(batch[rows], PerSampleRNG(5, rows, dtype))
    roundings = 100 * torch.finfo(dtype).eps
    torch.testing.assert_close(together[rows], alone, rtol=0, atol=roundings)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", [name for name, (views, _) in CASES.items() if isinstance(views, ImageViews)])
@pytest.mark.parametrize("means", ["compiled"], indirect=True)
def test_compiled_code_does_the_same(name: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For images that lie in memory in any order, and for those that gradients are wanted of, which there are none."""
    views, shape = CASES[name]
    batch = samples(shape, torch.float32).to(memory_format=torch.channels_last).requires_grad_()
    monkeypatch.setattr("lowland.data.views.images._PIECE", 2)  # so that there is a piece for each thread
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = views(batch, streams())
    finally:
        torch.set_num_threads(before)
    assert not found.requires_grad
    assert torch.equal(found, views(batch, streams()))
    monkeypatch.setattr("lowland.data.views.images.usable", lambda *tensors: False)
    torch.testing.assert_close(found, views(batch, streams()).detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_mixed_precision_is_not_for_views(name: str) -> None:
    views, shape = CASES[name]
    batch = samples(shape, torch.float32)
    expected = views(batch, streams())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(views(batch, streams()), expected)


@pytest.mark.parametrize("views", [ImageViews(**EVERYTHING), ImageViews.vicreg(), Jigsaw()], ids=["all", "vicreg", "j"])
def test_images_stay_in_range(views: Callable[[Tensor, PerSampleRNG], Tensor]) -> None:
    """Weights sum to one up to roundings."""
    seen = views(samples((3, 9, 9), torch.float32, 64).round(), streams(64))
    assert -1e-6 <= seen.min() <= seen.max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("views", "shape"), [(ImageViews.none(), (5, 8, 8)), (SeriesViews.none(), (2, 9)), (VectorViews.none(), (4,))]
)
def test_no_augmentation_changes_nothing(
    views: Callable[[Tensor, PerSampleRNG], Tensor], shape: tuple[int, ...]
) -> None:
    batch = samples(shape, torch.float32)
    assert torch.equal(views(batch, streams()), batch)


def test_crop_only_keeps_colours() -> None:
    plain = torch.full((9, 3, 8, 8), 0.25)
    torch.testing.assert_close(ImageViews.crop_only()(plain, streams()), plain)


def test_steps_that_are_switched_off_leave_the_others_as_they_were() -> None:
    """One draw for all, so that an ablation sees the same crops."""
    batch = samples((3, 8, 8), torch.float32)
    whole, crops = ImageViews(**EVERYTHING), ImageViews.crop_only()
    first, second = (views.draw(streams(), (8, 8)) for views in (whole, crops))
    assert torch.equal(first["top"], second["top"])
    assert torch.equal(first["tall"], second["tall"])
    assert crops(batch, streams()).shape == batch.shape


def test_an_empty_batch_gives_an_empty_batch() -> None:
    assert ImageViews(**EVERYTHING)(torch.zeros(0, 3, 8, 8), streams(0)).shape == (0, 3, 8, 8)
    assert SeriesViews()(torch.zeros(0, 3, 8), streams(0)).shape == (0, 3, 8)


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        (ImageViews, {"flip": 1.5}, "flip is a probability"),
        (ImageViews, {"blur": float("nan")}, "blur is a probability"),
        (ImageViews, {"crop": (0.5, 0.2)}, "crop must be two numbers above zero in ascending order"),
        (ImageViews, {"crop": (0.5, 2)}, "crop .* at most 1"),
        (ImageViews, {"sigma": (0, 1)}, "sigma"),
        (ImageViews, {"hue": 0.6}, "hue must be at least 0 and at most 0.5"),
        (ImageViews, {"contrast": -1}, "contrast must be at least 0"),
        (ImageViews, {"size": (0, 3)}, "size must be"),
        (SeriesViews, {"knots": 1}, "at least 2 knots"),
        (SeriesViews, {"warp": -0.1}, "warp"),
        (SeriesViews, {"masked": (0.2, 0.1)}, "masked"),
        (VectorViews, {"drop": -0.1}, "drop is a probability"),
        (VectorViews, {"noise": float("inf")}, "noise"),
        (Jigsaw, {"grid": 1}, "at least 2 patches"),
        (Jigsaw, {"patch": ImageViews(size=(3, 3))}, "keep their size"),
    ],
)
def test_options_that_cannot_be(family: Callable[..., object], options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        family(**options)


@pytest.mark.parametrize(
    ("views", "batch", "words"),
    [
        (ImageViews(), torch.zeros(9, 8, 8), r"take floating-point samples \(B, C, H, W\)"),
        (ImageViews(), torch.zeros(9, 3, 8, 8, dtype=torch.uint8), "uint8"),
        (ImageViews(), torch.zeros(4, 3, 8, 8), "4 samples and 9 streams"),
        (ImageViews(), torch.zeros(9, 4, 8, 8), "1 or 3 channels, but the images have 4"),
        (SeriesViews(), torch.zeros(9, 8), r"\(B, C, T\)"),
        (SeriesViews(), torch.zeros(9, 2, 0), r"\(B, C, T\)"),
        (VectorViews(), torch.zeros(9, 2, 2), r"\(B, D\)"),
        (Jigsaw(), torch.zeros(9, 2), r"\(B, C, H, W\)"),
    ],
)
def test_samples_that_cannot_be(views: Callable[[Tensor, PerSampleRNG], Tensor], batch: Tensor, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        views(batch, streams())


def test_the_two_views_of_a_sample_are_those_of_two_seeds_in_turn() -> None:
    x, ids = torch.rand(5, 3), torch.arange(5)
    a, b = two_views(VectorViews(), x, 7)
    assert torch.equal(a, VectorViews()(x, PerSampleRNG(7, ids)))
    assert torch.equal(b, VectorViews()(x, PerSampleRNG(8, ids)))


def test_changed_options_say_what_differs_also_inside_of_a_jigsaw() -> None:
    assert changed_options(SeriesViews.none(), SeriesViews.none()) == "none"
    jigsaw = Jigsaw(2, ImageViews(**{**asdict(ImageViews.none()), "flip": 0.5, "crop": (0.25, 1)}))
    assert changed_options(jigsaw, ImageViews.none()) == "grid 2, patch (crop 0.25 to 1, flip 0.5)"
