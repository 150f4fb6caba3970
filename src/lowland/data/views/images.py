"""Views of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowland.compiled import alone, in_threads, usable
from lowland.data.views.colour import adjust, grey, linear, turn_hue
from lowland.data.views.options import check_probabilities, check_range, check_samples, check_strengths
from lowland.data.views.resample import cells, gaussian, interpolation, resample
from lowland.errors import OptionError, ShapeError
from lowland.tensors import PerSampleRNG

_TRIES = 10
_BLOCK = 2**15
"""Pixels of a channel processed at once: they fit into the CPU cache, and their memory is reused."""
_PIECE = 64
"""Images per task of a thread."""
_DRAWN = (
    "top",
    "left",
    "flip",
    "colour",
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "grey",
    "blur",
    "sigma",
    "solarise",
    "mask",
    "mask_top",
    "mask_left",
)


@dataclass(frozen=True)
class ImageViews:
    """Random crop and resize, flip, colour, grey, blur, solarisation and mask of (B, C, H, W) in [0, 1], in this order.

    The family of Chen et al. 2020 (SimCLR, appendix A) with solarisation as in Grill et al. 2020 (BYOL, appendix B) and
    a masked rectangle as in Zhong et al. 2020 (random erasing). Defaults are those of SimCLR for CIFAR-10 (appendix
    B.9): no blur, half the strength of colour. For images with one channel, saturation, hue and grey have no effect.

    Each step is the usual one, with these differences. A crop may begin between pixels. Brightness, contrast,
    saturation and hue are applied in this order and clipped to [0, 1] once, after the last, as in the pseudo-code of
    SimCLR; Pillow clips and rounds to 1/255 after each. The blur kernel is not truncated.

    Args:
        size: (H, W) of the views; by default that of the images.
        crop: fraction of the area to keep, uniform between the two ends; (1, 1) for no crop.
        ratio: width over height of a crop, log-uniform between the two ends.
        flip: probability of a horizontal flip.
        colour: probability that brightness, contrast, saturation and hue change.
        brightness: b of a factor drawn from [max(0, 1 − b), 1 + b]; likewise `contrast` and `saturation`.
        hue: h of a hue rotation drawn from [−h, h], at most ½, half the circle.
        grey: probability of a grey image.
        blur: probability of a Gaussian blur.
        sigma: its standard deviation in pixels of the view, uniform between the two ends.
        solarise: probability that values from `threshold` up are inverted, x → 1 − x.
        threshold: of solarisation.
        mask: probability that a rectangle is filled with the view's mean colour.
        masked: fraction of the area it covers, uniform between the two ends; its aspect ratio is in `ratio`.

    Raises:
        OptionError: for an invalid probability, strength or range.
        ShapeError: when called with anything but images with one stream each, or with channels other than 1 or 3.

    >>> views = ImageViews(size=(16, 16))
    >>> views(torch.rand(4, 3, 32, 32), PerSampleRNG(0, torch.arange(4))).shape
    torch.Size([4, 3, 16, 16])
    """

    size: tuple[int, int] | None = None
    crop: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    colour: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    grey: float = 0.2
    blur: float = 0.0
    sigma: tuple[float, float] = (0.1, 2.0)
    solarise: float = 0.0
    threshold: float = 0.5
    mask: float = 0.0
    masked: tuple[float, float] = (0.02, 0.33)

    def __post_init__(self) -> None:
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise OptionError(f"size must be a height and a width of at least 1, but it is {self.size}.")
        check_probabilities(
            flip=self.flip, colour=self.colour, grey=self.grey, blur=self.blur, solarise=self.solarise, mask=self.mask
        )
        check_range("crop", self.crop, 1)
        check_range("ratio", self.ratio)
        check_range("sigma", self.sigma)
        check_range("masked", self.masked, 1)
        check_strengths(brightness=self.brightness, contrast=self.contrast, saturation=self.saturation)
        check_strengths(most=0.5, hue=self.hue)

    @classmethod
    def none(cls) -> ImageViews:
        """No augmentation."""
        return cls(crop=(1, 1), flip=0, colour=0, grey=0)

    @classmethod
    def crop_only(cls) -> ImageViews:
        """Only crop and resize."""
        return cls(flip=0, colour=0, grey=0)

    @classmethod
    def simclr(cls) -> ImageViews:
        """The views of SimCLR for small colour images, which are the defaults."""
        return cls()

    @classmethod
    def vicreg(cls) -> ImageViews:
        """Views of VICReg (Bardes et al. 2022, appendix C.1), which BYOL and Barlow Twins share up to asymmetries."""
        return cls(saturation=0.2, blur=0.5, solarise=0.1)

    @classmethod
    def mild(cls) -> ImageViews:
        """For small grey images of centred objects, such as Fashion-MNIST: larger crops, flip, brightness, contrast."""
        return cls(crop=(0.4, 1.0), grey=0)

    @classmethod
    def upright(cls) -> ImageViews:
        """`mild` for objects that all face the same way: no flip, and a masked rectangle with probability ½."""
        return cls(crop=(0.4, 1.0), flip=0, grey=0, mask=0.5)

    @classmethod
    def in_place(cls) -> ImageViews:
        """`upright` without crops, so that nothing moves: for a network that depends on positions."""
        return cls(crop=(1, 1), flip=0, grey=0, mask=0.5)

    @torch.no_grad()
    def __call__(self, samples: Tensor, noise: PerSampleRNG) -> Tensor:
        check_samples(samples, noise, "(B, C, H, W)")
        channels, *shape = samples.shape[1:]
        if (self._recolours or self.grey) and channels not in (1, 3):
            raise ShapeError(
                f"Colour and grey are defined for 1 or 3 channels, but the images have {channels}: switch them off "
                "with colour=0, grey=0."
            )
        if usable(samples):
            with alone():
                drawn = self.draw(noise, (shape[0], shape[1]))
            return self._compiled(samples, drawn)
        return self._plain(samples, self.draw(noise, (shape[0], shape[1])))

    def _compiled(self, samples: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        from lowland.compiled.views import DRAWN, change

        drawn = dict(drawn)
        if self._recolours:
            parts = linear(drawn["brightness"], drawn["contrast"], drawn["saturation"])
            drawn |= zip(("own", "shade", "level"), parts, strict=True)
        table = torch.zeros(len(samples), len(DRAWN), dtype=torch.float64)
        for column, name in enumerate(DRAWN):
            if name in drawn:
                table[:, column] = drawn[name]
        views = samples.new_empty(*samples.shape[:2], *(self.size or samples.shape[2:]))
        images = samples.detach()
        turns = self._turns if self.hue and samples.shape[1] == 3 else 0

        def work(rows: slice) -> None:
            some, chosen = images[rows].contiguous().numpy(), table[rows].numpy()
            change(some, chosen, "tall" in drawn, self._recolours, turns, self.threshold, views[rows].numpy())

        in_threads(work, [slice(first, first + _PIECE) for first in range(0, len(images), _PIECE)])
        return views

    def _plain(self, samples: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """The same with tensor operations: for GPUs, or without numba."""
        channels = samples.shape[1]
        views = self._crop_and_colour(samples, drawn)
        if self.grey and channels == 3:
            _change_some(views, drawn["grey"], lambda some, _: grey(some).expand_as(some))
        if self.blur:
            _change_some(views, drawn["sigma"] > 0, lambda some, rows: _blur(some, drawn["sigma"][rows]))
        if self.solarise:
            _change_some(views, drawn["solarise"], lambda some, _: torch.where(some >= self.threshold, 1 - some, some))
        if self.mask:
            _change_some(views, drawn["mask"], lambda some, rows: _fill(some, drawn, rows))
        return views

    def draw(self, noise: PerSampleRNG, shape: tuple[int, int]) -> dict[str, Tensor]:
        """Random parameters for images of this (H, W): numbers (B,) by the names of the options.

        Positions and lengths are in pixels, and `wide` is negative for flipped images. For unchanged colours factors
        are 1 and hue rotations 0; `sigma` is 0 without blur.
        """
        # One draw for all steps, so that a step does the same whether or not others are switched on.
        numbers = noise.uniform(len(_DRAWN) + 4 * _TRIES)
        u: dict[str, Tensor] = dict(zip(_DRAWN, numbers.unbind(dim=1), strict=False))
        boxes, masks = numbers[:, len(_DRAWN) :].chunk(2, dim=1)
        drawn = self._draw_colour(u) if self._recolours else {}
        if self._places(shape):
            tall, wide = self._box(self.crop, shape, boxes)
            top, left = u["top"] * (shape[0] - tall), u["left"] * (shape[1] - wide)
            flipped = u["flip"] < self.flip
            left, wide = torch.where(flipped, left + wide, left), torch.where(flipped, -wide, wide)
            drawn |= {"top": top, "tall": tall, "left": left, "wide": wide}
        if self.grey:
            drawn["grey"] = u["grey"] < self.grey
        if self.blur:
            drawn["sigma"] = torch.where(u["blur"] < self.blur, _between(self.sigma, u["sigma"]), 0)
        if self.solarise:
            drawn["solarise"] = u["solarise"] < self.solarise
        if self.mask:
            size = self.size or shape
            tall, wide = (side.round() for side in self._box(self.masked, size, masks))
            drawn |= {"mask": u["mask"] < self.mask, "mask_tall": tall, "mask_wide": wide}
            drawn |= {"mask_top": (u["mask_top"] * (size[0] - tall)).round()}
            drawn |= {"mask_left": (u["mask_left"] * (size[1] - wide)).round()}
        return drawn

    @property
    def _recolours(self) -> bool:
        return self.colour > 0 and max(self.brightness, self.contrast, self.saturation, self.hue) > 0

    @property
    def _turns(self) -> int:
        """A hue rotation by more than a third of the circle is done as two halves."""
        return 1 if self.hue <= 1 / 3 else 2

    def _places(self, shape: tuple[int, int]) -> bool:
        return self.crop[0] < 1 or self.flip > 0 or self.size not in (None, shape)

    def _draw_colour(self, u: dict[str, Tensor]) -> dict[str, Tensor]:
        changed, drawn = u["colour"] < self.colour, {}
        for name in ("brightness", "contrast", "saturation"):
            strength = getattr(self, name)
            drawn[name] = torch.where(changed, _between((max(0.0, 1 - strength), 1 + strength), u[name]), 1)
        return drawn | {"hue": torch.where(changed, _between((-self.hue, self.hue), u["hue"]), 0)}

    def _box(self, share: tuple[float, float], shape: tuple[int, int], drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Height and width (B,) of a random rectangle: the first of ten that fits, else the largest in the middle."""
        height, width = shape
        if share[0] == 1:
            return torch.full_like(drawn[:, 0], height), torch.full_like(drawn[:, 0], width)
        area, form = drawn.chunk(2, dim=1)
        area = _between(share, area) * (height * width)
        form = _between((math.log(self.ratio[0]), math.log(self.ratio[1])), form).exp()
        tall, wide = (area / form).sqrt(), (area * form).sqrt()
        fits = (tall <= height) & (wide <= width)
        first, ratio = fits.byte().argmax(dim=1, keepdim=True), min(max(width / height, self.ratio[0]), self.ratio[1])
        some = fits.any(dim=1)
        return (
            torch.where(some, tall.gather(1, first)[:, 0], min(height, width / ratio)),
            torch.where(some, wide.gather(1, first)[:, 0], min(width, height * ratio)),
        )

    def _crop_and_colour(self, samples: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """The steps for all images, block by block."""
        height, width = self.size or samples.shape[2:]
        places: tuple[Tensor, ...] = ()
        factors: tuple[Tensor, ...] = ()
        if "tall" in drawn:
            rows = cells(drawn["top"], drawn["tall"], samples.shape[2], height)
            places = rows + cells(drawn["left"], drawn["wide"], samples.shape[3], width)
        if self._recolours:
            linear_part = linear(drawn["brightness"], drawn["contrast"], drawn["saturation"])
            factors = tuple(each[:, None, None] for each in (*linear_part, drawn["hue"]))
        elif not places:
            return samples.clone()  # the following steps work in place
        views = samples.new_empty(*samples.shape[:2], height, width)
        for rows in _blocks(samples, views):
            images = samples[rows].contiguous().transpose(0, 1)  # products of channels last are slow
            if places:
                here = [each[rows] for each in places]
                images = resample(images, interpolation(*here[:2]), interpolation(*here[2:]))
            if factors:
                images = images if places else images.clone(memory_format=torch.contiguous_format)
                self._recolour(images, [each[rows] for each in factors])
            views[rows] = images.transpose(0, 1)
        return views

    def _recolour(self, images: Tensor, factors: Sequence[Tensor]) -> None:
        *linear_part, turn = factors
        adjust(images, *linear_part)
        if self.hue and len(images) == 3:
            for _ in range(self._turns):
                turn_hue(images, turn / self._turns)
        images.clamp_(0, 1)


def _between(ends: tuple[float, float], share: Tensor) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * share


def _blocks(*images: Tensor) -> Iterator[slice]:
    """Slices of the samples (B, C, H, W) that fit into the CPU cache; on other devices a single slice."""
    pixels = max(each.shape[2] * each.shape[3] for each in images)
    size = max(1, _BLOCK // pixels) if images[0].device.type == "cpu" else max(1, len(images[0]))
    yield from (slice(first, first + size) for first in range(0, len(images[0]), size))


def _change_some(views: Tensor, chosen: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Change only the chosen samples (B,) of images (B, C, H, W), in place."""
    every = chosen.nonzero()[:, 0]
    for block in _blocks(views[: len(every)]):
        rows = every[block]
        views.index_copy_(0, rows, change(views.index_select(0, rows).transpose(0, 1), rows).transpose(0, 1))


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    height, width = images.shape[2:]
    rows = gaussian(sigma, height)
    return resample(images, rows, rows if width == height else gaussian(sigma, width))


def _fill(images: Tensor, drawn: dict[str, Tensor], rows: Tensor) -> Tensor:
    """Fill a rectangle of each image with its mean colour."""

    def along(side: str, length: str, pixels: int) -> Tensor:
        past = torch.arange(pixels, device=images.device) - drawn[side][rows, None]
        return (past >= 0) & (past < drawn[length][rows, None])

    inside = along("mask_top", "mask_tall", images.shape[2])[:, :, None]
    inside = inside & along("mask_left", "mask_wide", images.shape[3])[:, None, :]
    return torch.where(inside, images.mean(dim=(2, 3), keepdim=True), images)
