"""Rectangles overlap as their outlines do."""

from __future__ import annotations

import torch

from lowland.envs.boxes import overlap


def test_rectangles_overlap_as_their_outlines_do() -> None:
    generator = torch.Generator().manual_seed(0)
    angle = torch.rand(400, 2, generator=generator) * 6.3
    centre = torch.rand(400, 2, 2, generator=generator) * 6
    size = torch.rand(400, 2, 2, generator=generator) * 4 + 0.5
    box = torch.cat([centre, angle.cos()[..., None], angle.sin()[..., None]], dim=-1)
    found = overlap(box[:, 0], size[:, 0], box[:, 1], size[:, 1])
    grid = torch.stack(torch.meshgrid(*[torch.linspace(-0.5, 0.5, 60)] * 2, indexing="ij"), -1).reshape(-1, 2)
    local = grid[None] * size[:, 0, None]
    d = box[:, 0, None, 2:]
    points = box[:, 0, None, :2] + torch.stack(
        [local[..., 0] * d[..., 0] - local[..., 1] * d[..., 1], local[..., 0] * d[..., 1] + local[..., 1] * d[..., 0]],
        -1,
    )
    e, way = box[:, 1, None, 2:], points - box[:, 1, None, :2]
    along = (way[..., 0] * e[..., 0] + way[..., 1] * e[..., 1]).abs() <= size[:, 1, None, 0] / 2
    across = (way[..., 1] * e[..., 0] - way[..., 0] * e[..., 1]).abs() <= size[:, 1, None, 1] / 2
    sampled = (along & across).any(dim=1)
    assert bool((found | ~sampled).all())  # a common point is an overlap
    assert int((found & ~sampled).sum()) <= 8  # and only slivers between the points of the grid are missed
