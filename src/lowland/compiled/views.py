"""The views of `lowland.data.views.images`, image by image: all that happens to one while it lies in the cache.

Legend: B images of C channels, H × W pixels, of which views of h × w are made. Within, columns come before rows where
that lets an inner loop run along what lies together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

jit = njit(nogil=True, cache=True, error_model="numpy")
DRAWN = (
    "top", "tall", "left", "wide", "own", "shade", "level", "hue", "grey", "sigma", "solarise",
    "mask", "mask_top", "mask_tall", "mask_left", "mask_wide",
)  # fmt: skip
"""Columns of what `change` takes, in this order, each as `ImageViews.draw` or `lowland.data.views.colour` names it."""


@jit
def mix(source: Any, weights: Any, low: int, high: int, total: float, made: Any) -> None:
    """Rows of the source summed, Σ w_i source_i / total, i from low to high, into `made`."""
    weight = weights[low] / weights.dtype.type(total)
    for n in range(len(made)):
        made[n] = weight * source[low, n]
    for i in range(low + 1, high + 1):
        weight = weights[i] / weights.dtype.type(total)
        for n in range(len(made)):
            made[n] += weight * source[i, n]


@jit
def cut(source: Any, first: float, span: float, weights: Any, made: Any) -> None:
    """The interval [first, first + span] of the rows of `source`, in as many rows as `made` has."""
    inputs, outputs = len(source), len(made)
    cell = span / outputs
    reach = max(1.0, abs(cell))
    for o in range(outputs):
        centre = first + cell * (o + 0.5) - 0.5
        low, high = max(0, math.ceil(centre - reach)), min(inputs - 1, math.floor(centre + reach))
        total = 0.0
        for i in range(low, high + 1):
            weights[i] = max(0.0, 1.0 - abs(i - centre) / reach)
            total += weights[i]
        mix(source, weights, low, high, total, made[o])


@jit
def blur(source: Any, sigma: float, weights: Any, made: Any) -> None:
    """Rows blurred by a Gaussian of deviation `sigma`, as far as its weights are more than a rounding."""
    pixels = len(source)
    far = math.sqrt(2.0 * (4.0 - math.log(np.finfo(weights.dtype).eps))) * sigma
    reach = min(pixels - 1, math.floor(far))
    bell = np.empty(reach + 1, weights.dtype)
    for i in range(reach + 1):
        bell[i] = math.exp(-0.5 * (i / sigma) ** 2)
    for o in range(pixels):
        low, high = max(0, o - reach), min(pixels - 1, o + reach)
        total = 0.0
        for i in range(low, high + 1):
            weights[i] = bell[abs(i - o)]
            total += weights[i]
        mix(source, weights, low, high, total, made[o])


@jit
def flip_axes(source: Any, made: Any) -> None:
    """The transpose."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            made[j, i] = source[i, j]


@jit
def average(values: Any) -> float:
    """The mean of (N,), summed without the roundings of its own precision."""
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


@jit
def luma(image: Any, made: Any) -> None:
    """The grey of each pixel, (C, N) to (N,): `LUMA` of `lowland.data.views.colour`, which lies above this folder."""
    if len(image) == 1:
        made[:] = image[0]
        return
    red, green, blue = image.dtype.type(0.299), image.dtype.type(0.587), image.dtype.type(0.114)
    for n in range(len(made)):
        made[n] = red * image[0, n] + green * image[1, n] + blue * image[2, n]


@jit
def turn_hue(image: Any, turn: float) -> None:
    """`lowland.data.views.colour.turn_hue` of (3, N), in place."""
    kind = image.dtype.type
    # Constants of the image's own type: with Python's numbers all would be computed in double precision.
    two, three, tiny, sixths = kind(2), kind(3), kind(1e-19), kind(6 * turn)
    for n in range(image.shape[1]):
        red, green, blue = image[0, n], image[1, n], image[2, n]
        top, low = max(red, green, blue), min(red, green, blue)
        chroma = top - low
        e, q = top - red, green - blue
        angle = math.copysign(three * e, q) + q - two * e * q / max(chroma, tiny) + sixths * chroma
        most = two * chroma
        image[0, n] = min(max(abs(abs(angle) - three * chroma), chroma), most) + low - chroma
        image[1, n] = min(max(abs(abs(angle - most) - three * chroma), chroma), most) + low - chroma
        image[2, n] = min(max(abs(abs(angle + most) - three * chroma), chroma), most) + low - chroma


@jit
def change(
    samples: Any,  # (B, C, H, W)
    drawn: Any,  # (B, 16) float64, in the order of DRAWN
    places: bool,  # whether there is a crop, a flip or another size
    recolours: bool,
    turns: int,  # of the hue, each by its share
    threshold: float,
    views: Any,  # (B, C, h, w), written
) -> None:
    """All steps of `ImageViews`, in their order."""
    channels, height, width = samples.shape[1:]
    tall, wide = views.shape[2:]
    kind = samples.dtype
    rows, across = np.empty((tall, width), kind), np.empty((width, tall), kind)
    image, turned = np.empty((channels, wide, tall), kind), np.empty((wide, tall), kind)
    other, shades = np.empty((tall, wide), kind), np.empty(wide * tall, kind)
    weights = np.empty(max(height, width, tall, wide), kind)
    pixels = image.reshape(channels, wide * tall)
    none, one = kind.type(0), kind.type(1)
    for b in range(len(samples)):
        top, length, left, breadth = drawn[b, 0], drawn[b, 1], drawn[b, 2], drawn[b, 3]
        grey, sigma, solarised, masked = drawn[b, 8] > 0, drawn[b, 9], drawn[b, 10] > 0, drawn[b, 11] > 0
        for c in range(channels):
            if places:
                cut(samples[b, c], top, length, weights, rows)
                flip_axes(rows, across)
                cut(across, left, breadth, weights, image[c])
            else:
                flip_axes(samples[b, c], image[c])
        if recolours:
            luma(pixels, shades)
            own, shade = kind.type(drawn[b, 4]), kind.type(drawn[b, 5])
            level = kind.type(drawn[b, 6] * average(shades))
            for c in range(channels):
                for n in range(wide * tall):
                    pixels[c, n] = own * pixels[c, n] + (shade * shades[n] + level)
            hue = drawn[b, 7]
            for _ in range(turns):
                turn_hue(pixels, hue / turns)
            for c in range(channels):
                for n in range(wide * tall):
                    pixels[c, n] = min(max(pixels[c, n], none), one)
        if grey and channels == 3:
            luma(pixels, shades)
            for c in range(channels):
                pixels[c] = shades
        for c in range(channels):
            made = views[b, c]
            if sigma > 0:
                blur(image[c], sigma, weights, turned)
                flip_axes(turned, other)
                blur(other, sigma, weights, made)
            else:
                flip_axes(image[c], made)
            if solarised:
                for i in range(tall):
                    for j in range(wide):
                        made[i, j] = one - made[i, j] if made[i, j] >= threshold else made[i, j]
            if masked:
                mask_top, mask_left = int(drawn[b, 12]), int(drawn[b, 14])
                total = 0.0
                for i in range(tall):
                    total += average(made[i])
                mask_tall, mask_wide = int(drawn[b, 13]), int(drawn[b, 15])
                made[mask_top : mask_top + mask_tall, mask_left : mask_left + mask_wide] = kind.type(total / tall)
