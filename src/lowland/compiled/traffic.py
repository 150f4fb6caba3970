"""Drawing of the images of `lowland.envs.picture`, scan line by scan line.

A pixel of a channel is a number of 16 bits, one for each of its 4 × 4 points, so that rectangles that overlap are
not counted twice. Legend: B images, R rows of the table, E boundaries of lanes, H × W pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

jit = njit(nogil=True, cache=True, error_model="numpy")
_EDGE = 1e-6  # in points: one that lies on the outline belongs to the rectangle, however it is rounded


@jit
def fill(
    bits: Any, ahead: float, beside: float, cosine: float, sine: float, length: float, width: float, crop: Any
) -> None:
    """Set the points of a rectangle (half length, half width) that is turned against the image by (cosine, sine)."""
    height, columns = bits.shape
    down, right = crop[0] / (4 * height), crop[1] / (4 * columns)
    reach = abs(cosine) * length + abs(sine) * width
    first = max(0, math.ceil((crop[0] / 2 - ahead - reach) / down - 0.5 - _EDGE))
    last = min(4 * height - 1, math.floor((crop[0] / 2 - ahead + reach) / down - 0.5 + _EDGE))
    by_sine = 1.0 / sine if sine != 0.0 else 0.0
    by_cosine = 1.0 / cosine if cosine != 0.0 else 0.0
    for row in range(first, last + 1):
        way = crop[0] / 2 - (row + 0.5) * down - ahead
        # |l cosine + c sine| ≤ length and |c cosine − l sine| ≤ width, each solved for c.
        low, high = -1e9, 1e9
        if sine != 0.0:
            middle, half = -way * cosine * by_sine, abs(length * by_sine)
            low, high = middle - half, middle + half
        if cosine != 0.0:
            middle, half = way * sine * by_cosine, abs(width * by_cosine)
            low, high = max(low, middle - half), min(high, middle + half)
        begin = max(0, math.ceil((crop[1] / 2 - beside - high) / right - 0.5 - _EDGE))
        end = min(4 * columns - 1, math.floor((crop[1] / 2 - beside - low) / right - 0.5 + _EDGE))
        if begin > end:
            continue
        pixel, shift = row >> 2, 4 * (row & 3)
        left, stop = begin >> 2, end >> 2
        head, tail = (0xF << (begin & 3)) & 0xF, 0xF >> (3 - (end & 3))
        if left == stop:
            bits[pixel, left] |= np.uint16((head & tail) << shift)
            continue
        bits[pixel, left] |= np.uint16(head << shift)
        for column in range(left + 1, stop):
            bits[pixel, column] |= np.uint16(0xF << shift)
        bits[pixel, stop] |= np.uint16(tail << shift)


@jit
def draw(
    own: Any,  # (B, 5) float32
    size: Any,  # (B, 2) float32, drawn in place of the off-road channel if `own_car`
    frame: Any,  # (B,) int64
    vehicle: Any,  # (B,) int64, not drawn among the others
    table: Any,  # (R, 8) float32: x, y, vx, vy, heading, length, width
    owner: Any,  # (R,) int64
    offset: Any,  # of the first row of each frame
    count: Any,
    edges: Any,  # (E,) float64
    crop: Any,  # (2,) float64
    own_car: bool,
    shade: Any,  # (65536,) uint8, brightness by bits
    image: Any,  # (B, 3, H, W) uint8, written
) -> None:
    """Draw all images: lane markings, other cars, and what is not road or the own car."""
    height, width = image.shape[2:]
    bits = np.zeros((3, height, width), np.uint16)
    far, marking = math.hypot(crop[0], crop[1]), crop[1] / width / 2
    for b in range(len(own)):
        bits[:] = 0
        x, y = np.float64(own[b, 0]), np.float64(own[b, 1])
        dx, dy = np.float64(own[b, 2]), np.float64(own[b, 3])
        for row in range(offset[frame[b]], offset[frame[b]] + count[frame[b]]):
            way_x, way_y = table[row, 0] - x, table[row, 1] - y
            if owner[row] == vehicle[b] or abs(way_x) > far or abs(way_y) > far:
                continue
            hx, hy = np.float64(table[row, 4]), np.float64(table[row, 5])
            fill(
                bits[1], way_x * dx + way_y * dy, way_y * dx - way_x * dy, hx * dx + hy * dy, hy * dx - hx * dy,
                np.float64(table[row, 6]) / 2, np.float64(table[row, 7]) / 2, crop,
            )  # fmt: skip
        for edge in edges:
            aside = edge - y
            if abs(aside) <= far:
                fill(bits[0], aside * dy, aside * dx, dx, -dy, 2 * far, marking, crop)
        if own_car:
            fill(bits[2], 0.0, 0.0, 1.0, 0.0, np.float64(size[b, 0]) / 2, np.float64(size[b, 1]) / 2, crop)
        else:
            for aside in (edges[0] - far - y, edges[-1] + far - y):
                if abs(aside) <= 2 * far:
                    fill(bits[2], aside * dy, aside * dx, dx, -dy, 2 * far, far, crop)
        for channel in range(3):
            for i in range(height):
                for j in range(width):
                    image[b, channel, i, j] = shade[bits[channel, i, j]]
