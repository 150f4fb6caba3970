"""Images equal a slow reference pixel by pixel: every one of the 4 × 4 points of every pixel is asked by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lowland.data.tracks import Tracks
from lowland.envs.picture import Camera
from lowland.envs.replay import Replay
from lowland.envs.scene import Scene
from lowland.errors import OptionError
from lowland.worlds.driving_costs import DrivingCost, PixelDrivingCost


def slowly(camera: Camera, scene: Scene, own: list[float], size: list[float], frame: int, vehicle: int) -> np.ndarray:
    """(3, H, W) by asking of each point, in the road's frame, whether it is covered."""
    x, y, dx, dy, _ = own
    edges, tracks = scene.tracks.road.edges, scene.tracks
    rows = [r for r in range(len(tracks)) if tracks.frame[r] == frame and tracks.vehicle[r] != vehicle]
    table = {int(row): place for place, row in enumerate(scene.row.tolist())}
    cars = [[float(v) for v in scene.table[table[r]]] for r in rows]
    cars = [car for car in cars if math.hypot(car[0] - x, car[1] - y) < 50]
    down, right = (side / 4 for side in camera.pixel)
    count = np.zeros((3, camera.height, camera.width), dtype=int)
    for row in range(4 * camera.height):
        for column in range(4 * camera.width):
            ahead = camera.crop[0] / 2 - (row + 0.5) * down
            left = camera.crop[1] / 2 - (column + 0.5) * right
            px, py = x + ahead * dx - left * dy, y + ahead * dy + left * dx

            def inside(cx: float, cy: float, hx: float, hy: float, length: float, width: float) -> bool:
                along, across = (px - cx) * hx + (py - cy) * hy, (py - cy) * hx - (px - cx) * hy  # noqa: B023
                return abs(along) <= length / 2 + 1e-7 and abs(across) <= width / 2 + 1e-7

            here = (
                any(abs(py - edge) <= camera.pixel[1] / 2 + 1e-7 for edge in edges),
                any(inside(car[0], car[1], car[4], car[5], car[6], car[7]) for car in cars),
                inside(x, y, dx, dy, *size) if camera.third == "own" else py <= edges[0] or py >= edges[-1],
            )
            count[:, row // 4, column // 4] += here
    return np.floor(count * 255 / 16 + 0.5).astype(np.uint8)


@pytest.mark.parametrize(
    ("camera", "x", "y", "angle", "frame"),
    [
        (Camera(), 60.0, 5.55, 0.0, 120),
        (Camera(58, 12), 55.3, 2.1, 0.07, 100),
        (Camera(64, 16), 80.7, 10.4, -0.3, 110),
        (Camera(40, 24, third="own"), 71.9, 7.3, 2.5, 130),
    ],
)
def test_images_equal_a_slow_reference(
    log: Tracks, camera: Camera, x: float, y: float, angle: float, frame: int
) -> None:
    scene = Scene(log)
    own = torch.tensor([[x, y, math.cos(angle), math.sin(angle), 9.0]])
    size = torch.tensor([[4.7, 1.9]])
    at, vehicle = torch.tensor([frame]), torch.tensor([5])
    expected = slowly(camera, scene, own[0].tolist(), size[0].tolist(), frame, 5)
    assert expected[:2].any(axis=(1, 2)).all()
    np.testing.assert_array_equal(camera.draw(scene, own, size, at, vehicle)[0].numpy(), expected)
    np.testing.assert_array_equal(camera._plain(scene, own, size, at, vehicle)[0].numpy(), expected)


def test_both_ways_of_drawing_agree(log: Tracks) -> None:
    scene, camera = Scene(log), Camera(64, 16)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(log), (12,), generator=generator)
    own = scene.own[rows].clone()
    own[:, 1] += torch.randn(12, generator=generator) * 3
    angle = torch.randn(12, generator=generator) * 0.3
    own[:, 2:4] = torch.stack([angle.cos(), angle.sin()], dim=1)
    given = (scene, own, scene.size[rows], scene.frame[rows], scene.vehicle[rows])
    torch.testing.assert_close(camera.draw(*given), camera._plain(*given), rtol=0, atol=0)


def test_images_cost_what_vectors_cost_to_a_pixel(log: Tracks) -> None:
    """The last row of pixels that a car ahead covers in full begins at most one pixel, and its centre lies at most one
    and a half, beyond the car's end; along the road the cost falls by 1 in d_safe."""
    replay = Replay(log, image=(117, 24))
    state = replay.reset()
    # All look along the road from the middle of their lanes, so that only cars ahead or behind count.
    own = state["own"].clone()
    own[:, 1] = (own[:, 1] / 3.7).floor() * 3.7 + 1.85
    own[:, 2:4] = torch.tensor([1.0, 0.0])
    image = Camera().draw(replay.scene, own, state["size"], replay.frame, replay.vehicle)
    state = state | {"own": own, "image": image}
    vectors, pixels = DrivingCost().parts(state)["proximity"], PixelDrivingCost().parts(state)["proximity"]
    assert 0 < float(vectors.max()) < 1
    assert bool(((vectors - pixels).abs() <= 1.5 * 0.6171 / (1.5 * own[:, 4] + 1)).all())


@pytest.mark.parametrize("size", [(117, 0), (3, 24), (5000, 24), (11.5, 4)])
def test_sizes_that_do_not_fit_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match="4 to 1024 pixels"):
        Camera(*size)
