"""Views of images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lowland.data.views.colour import adjust, mix, turn_hue
from lowland.data.views.options import check_probabilities, check_range, check_samples, check_strengths
from lowland.data.views.resample import apply, gaussian, interpolation
from lowland.errors import OptionError, ShapeError
from lowland.tensors import RowNoise

_TRIES = 10


@dataclass(frozen=True)
class ImageViews:
    """Random crop and resize, flip, colour, grey, blur, solarisation and mask of (B, C, H, W) in [0, 1], in this order.

    The family of Chen et al. 2020 (SimCLR, appendix A) with solarisation as in Grill et al. 2020 (BYOL, appendix B) and
    a rectangle that is masked as in Zhong et al. 2020 (random erasing). Defaults are those of SimCLR for CIFAR-10
    (appendix B.9): no blur, half the strength of colour. Of images with one channel saturation, hue and grey change
    nothing.

    Each step is the usual one, with these differences. A crop begins anywhere, not at whole pixels. Brightness,
    contrast, saturation and hue come in this order, and are clipped to [0, 1] once, after the last, as in the
    pseudo-code of SimCLR; Pillow clips and rounds to 1/255 after each. A blur is a whole Gaussian, not a cut one.

    Args:
        size: (H, W) of the views; by default that of the images.
        crop: share of the area that is kept, drawn between the two ends; (1, 1) for no crop.
        ratio: width over height of a crop, its logarithm drawn between the two ends.
        flip: probability of a horizontal flip.
        colour: probability that brightness, contrast, saturation and hue change.
        brightness: b of a factor drawn from [max(0, 1 − b), 1 + b]; `contrast` and `saturation` alike.
        hue: h of a turn of the hue drawn from [−h, h], at most ½, half the circle.
        grey: probability of a grey image.
        blur: probability of a Gaussian blur.
        sigma: its deviation in pixels of the view, drawn between the two ends.
        solarise: probability that values from `threshold` up are inverted, x → 1 − x.
        threshold: of solarisation.
        mask: probability that a rectangle is filled with the mean colour of the view.
        masked: share of the area that it covers, drawn between the two ends; its sides are in `ratio`.

    Raises:
        OptionError: for a probability, strength or range that cannot be.
        ShapeError: when called with other than images, one stream for each, or with colours that are not three.

    >>> views = ImageViews(size=(16, 16))
    >>> views(torch.rand(4, 3, 32, 32), RowNoise(0, torch.arange(4))).shape
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
        """No augmentation: the images as they are."""
        return cls(crop=(1, 1), flip=0, colour=0, grey=0)

    @classmethod
    def crop_only(cls) -> ImageViews:
        """Crop and resize alone."""
        return cls(flip=0, colour=0, grey=0)

    @classmethod
    def simclr(cls) -> ImageViews:
        """Those of SimCLR for small colour images, which are the defaults."""
        return cls()

    @classmethod
    def vicreg(cls) -> ImageViews:
        """Those of VICReg (Bardes et al. 2022, appendix C.1), which BYOL and Barlow Twins share up to asymmetries."""
        return cls(saturation=0.2, blur=0.5, solarise=0.1)

    @classmethod
    def mild(cls) -> ImageViews:
        """For small grey images of centred things, such as Fashion-MNIST: larger crops, flip, brightness, contrast."""
        return cls(crop=(0.4, 1.0), grey=0)

    @torch.no_grad()
    def __call__(self, samples: Tensor, noise: RowNoise) -> Tensor:
        check_samples(samples, noise, "(B, C, H, W)")
        coloured = self.colour > 0 and max(self.brightness, self.contrast, self.saturation, self.hue) > 0
        if (coloured or self.grey) and samples.shape[1] not in (1, 3):
            raise ShapeError(
                f"Colour and grey are defined for 1 or 3 channels, but the images have {samples.shape[1]}: switch them "
                "off with colour=0, grey=0."
            )
        # One draw for all, so that a row's numbers do not depend on which steps are switched on.
        drawn = noise.uniform(20 + 4 * _TRIES)
        view = self._place(samples, drawn)
        if coloured:
            view = self._colour(view, drawn)
        if self.grey and view.shape[1] == 3:
            kept = (drawn[:, 9] >= self.grey).to(view)
            view = (mix(kept, view) @ view.flatten(2)).view_as(view)
        if self.blur:
            view = self._blur(view, drawn)
        if self.solarise:
            turned = (drawn[:, 12] < self.solarise)[:, None, None, None] & (view >= self.threshold)
            view = torch.where(turned, 1 - view, view)
        if self.mask:
            view = self._mask(view, drawn)
        return view

    def _place(self, image: Tensor, drawn: Tensor) -> Tensor:
        """Crop, resize and flip in one."""
        height, width = image.shape[2:]
        size = self.size or (height, width)
        if self.crop[0] == 1 and not self.flip and size == (height, width):
            return image
        tall, wide = self._box(self.crop, height, width, drawn[:, 20 : 20 + 2 * _TRIES])
        top, left = drawn[:, 0] * (height - tall), drawn[:, 1] * (width - wide)
        flipped = drawn[:, 2] < self.flip
        left, wide = torch.where(flipped, left + wide, left), torch.where(flipped, -wide, wide)
        return apply(image, interpolation(top, tall, height, size[0]), interpolation(left, wide, width, size[1]))

    def _box(self, share: tuple[float, float], height: int, width: int, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Height and width (B,) of a random rectangle: the first of ten that fits, else the largest in the middle."""
        if share[0] == 1:
            return torch.full_like(drawn[:, 0], height), torch.full_like(drawn[:, 0], width)
        area, form = drawn.chunk(2, dim=1)
        area = (share[0] + (share[1] - share[0]) * area) * (height * width)
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        form = torch.exp(low + (high - low) * form)
        tall, wide = (area / form).sqrt(), (area * form).sqrt()
        fits = (tall <= height) & (wide <= width)
        first = fits.byte().argmax(dim=1, keepdim=True)
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        none = ~fits.any(dim=1)
        return (
            torch.where(none, min(height, width / ratio), tall.gather(1, first)[:, 0]),
            torch.where(none, min(width, height * ratio), wide.gather(1, first)[:, 0]),
        )

    def _colour(self, view: Tensor, drawn: Tensor) -> Tensor:
        changed = drawn[:, 3] < self.colour

        def factor(column: int, strength: float) -> Tensor:
            low = max(0.0, 1 - strength)
            return torch.where(changed, low + (1 + strength - low) * drawn[:, column], 1)

        view = adjust(view, factor(4, self.brightness), factor(5, self.contrast), factor(6, self.saturation))
        if self.hue and view.shape[1] == 3:
            view = turn_hue(view, torch.where(changed, self.hue * (2 * drawn[:, 7] - 1), 0))
        return view.clamp_(0, 1)

    def _blur(self, view: Tensor, drawn: Tensor) -> Tensor:
        rows = (drawn[:, 10] < self.blur).nonzero()[:, 0]
        if not len(rows):
            return view
        sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * drawn[rows, 11]
        height, width = view.shape[2:]
        blurred = apply(view[rows], gaussian(sigma, height), gaussian(sigma, width))
        return view.index_copy(0, rows, blurred)

    def _mask(self, view: Tensor, drawn: Tensor) -> Tensor:
        height, width = view.shape[2:]
        tall, wide = self._box(self.masked, height, width, drawn[:, 20 + 2 * _TRIES :])
        inside = (drawn[:, 13] < self.mask)[:, None, None]
        for axis, (share, length, whole) in enumerate(((drawn[:, 14], tall, height), (drawn[:, 15], wide, width))):
            first = (share * (whole - length)).round()
            place = torch.arange(whole, device=view.device)
            along = (place >= first[:, None]) & (place < (first + length.round())[:, None])
            inside = inside & (along[:, :, None] if axis == 0 else along[:, None, :])
        return torch.where(inside[:, None], view.mean(dim=(2, 3), keepdim=True), view)
