"""Rendered models: what a file says, where a model stands, and that two eyes see it from two sides."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lowland.data.renderer import AZIMUTHS, LIGHTS, Mesh, View, read_obj, render
from lowland.errors import DataError, UnsupportedError

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 2 0\nv 0 2 0\nvt 0 0\nvn 0 0 1\nusemtl red\nf 1/1/1 2//1 3/1 -1\n"


def slab(width: float) -> Mesh:
    """A board across the third axis, seen as a bar from the front and from the side."""
    return Mesh(
        np.array([[x, y, z] for x in (-1, 1) for y in (-width, width) for z in (-0.05, 0.05)]),
        [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)],
    )


def inked(pairs: np.ndarray) -> np.ndarray:
    return pairs < 250


def test_a_file_is_read_and_put_upright() -> None:
    mesh = read_obj(SQUARE, "square")
    assert mesh.faces == [(0, 1, 2, 3)]
    assert mesh.vertices[2].tolist() == [1, 0, 2]  # the second axis of the file is the third of the world
    placed = mesh.placed().vertices
    assert np.allclose(placed.min(axis=0) + placed.max(axis=0), 0)
    assert np.isclose(np.linalg.norm(np.ptp(placed, axis=0)), 1)


def test_numbers_below_zero_count_back_from_their_line() -> None:
    """Two triangles, each right behind its own three vertices."""
    triangle = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n"
    assert read_obj(2 * triangle, "two").faces == [(0, 1, 2), (3, 4, 5)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("v 0 0 0\nv 1 0 0\nv 1 1 0\n", "has no faces"),
        ("v 0 0 0\nf 1 2 3\n", "faces of vertices that are not there"),
        ("v 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2\n", "has no faces"),
        ("v 0 0 nan\nv 1 0 0\nv 1 1 0\nf 1 2 3\n", "has no faces"),
        ("v 0 zero 0\nf 1 1 1\n", "is no readable OBJ file"),
        ("v 0 0\nv 1 0\nv 1 1\nf 1 2 2\n", "has a vertex of 2 numbers, where three are needed"),
        ("v\t\nv 1 0 0\nf 1 1 1\n", "has a vertex of 0 numbers"),
        ("v 0 0 0\nv 1 0 0\nf 0 1 2\nv 1 1 0\n", "faces of vertices that are not there"),
    ],
)
def test_damaged_files_are_named(text: str, words: str) -> None:
    with pytest.raises(DataError, match=f"bad .*({words})"):
        read_obj(text, "bad")


def test_a_board_is_as_wide_as_geometry_says() -> None:
    """From 30° above, a board of length 1 in the distance 2 spans 1 / (2 · 2 · tan 15°) of a view of 30°."""
    pairs = render(slab(0.05), [View(0, 30, 4), View(180, 30, 4)], 64)
    assert pairs.shape == (2, 2, 64, 64)
    columns = inked(pairs).any(axis=2).sum(axis=2)
    length = 2 / np.linalg.norm([2, 0.1, 0.1])
    assert np.allclose(columns, 64 * length / (4 * np.tan(np.radians(15))), atol=2)  # perspective: a pixel at each end
    assert pairs[0, 0, 0, 0] == 255


def test_two_eyes_are_five_degrees_apart() -> None:
    """The right eye at azimuth 0 stands where the left one does at 5, and all images are drawn anew alike."""
    mesh = slab(0.6)
    pairs = render(mesh, [View(20, 40, 0), View(25, 40, 0), View(20, 40, 0)], 32)
    assert np.array_equal(pairs[0, 1], pairs[1, 0])
    assert np.array_equal(pairs[0], pairs[2])
    assert not np.array_equal(pairs[0, 0], pairs[0, 1])


def test_lights_differ() -> None:
    pairs = render(slab(0.6), [View(AZIMUTHS[2], 40, light) for light in range(len(LIGHTS))], 32)
    levels = {tuple(np.unique(pair[inked(pair)])) for pair in pairs}
    assert len(levels) == len(LIGHTS)


def test_without_pybullet_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pybullet", None)
    with pytest.raises(UnsupportedError, match="run `pip install pybullet`"):
        render(slab(0.6), [View(0, 30, 0)], 16)
