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
    # Everything in points from here on: the centre's row and column, and columns for each metre across.
    at, middle = (crop[0] / 2 - ahead) / down - 0.5, (crop[1] / 2 - beside) / right - 0.5
    reach = (abs(cosine) * length + abs(sine) * width) / down
    if abs(beside) - abs(sine) * length - abs(cosine) * width > crop[1] / 2:
        return
    first = max(0, math.ceil(at - reach - _EDGE))
    last = min(4 * height - 1, math.floor(at + reach + _EDGE))
    # |l cosine + c sine| ≤ length and |c cosine − l sine| ≤ width, each solved for c: a band that leans with the rows.
    lean_one = lean_two = 0.0
    half_one = half_two = 1e9
    if sine != 0.0:
        lean_one, half_one = -cosine / sine * down / right, abs(length / sine) / right + _EDGE
    if cosine != 0.0:
        lean_two, half_two = sine / cosine * down / right, abs(width / cosine) / right + _EDGE
    for row in range(first, last + 1):
        one, two = middle + lean_one * (row - at), middle + lean_two * (row - at)
        begin = max(0, math.ceil(max(one - half_one, two - half_two)))
        end = min(4 * columns - 1, math.floor(min(one + half_one, two + half_two)))
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
            if abs(aside) <= (crop[1] / 2 + marking) * abs(dx) + crop[0] / 2 * abs(dy):
                fill(bits[0], aside * dy, aside * dx, dx, -dy, 2 * far, marking, crop)
        if own_car:
            fill(bits[2], 0.0, 0.0, 1.0, 0.0, np.float64(size[b, 0]) / 2, np.float64(size[b, 1]) / 2, crop)
        else:
            for aside in (edges[0] - far - y, edges[-1] + far - y):
                if abs(aside) - far <= crop[1] / 2 * abs(dx) + crop[0] / 2 * abs(dy):
                    fill(bits[2], aside * dy, aside * dx, dx, -dy, 2 * far, far, crop)
        flat, out = bits.ravel(), image[b].ravel()
        for k in range(len(flat)):
            # The number of bits set, by sums of neighbours, in a form that is done for many pixels at once.
            n = flat[k]
            n = np.uint16(n - ((n >> np.uint16(1)) & np.uint16(0x5555)))
            n = np.uint16((n & np.uint16(0x3333)) + ((n >> np.uint16(2)) & np.uint16(0x3333)))
            n = np.uint16((n + (n >> np.uint16(4))) & np.uint16(0x0F0F))
            n = np.uint16((n + (n >> np.uint16(8))) & np.uint16(0x1F))
            out[k] = np.uint8((n * np.uint16(255) + np.uint16(8)) >> np.uint16(4))
