"""Solids are closed: each edge belongs to as many faces in one direction as in the other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from lowland.data.solids import KINDS, solid_models


@pytest.mark.parametrize("kind", KINDS)
def test_a_solid_is_closed_and_each_has_its_own_proportions(kind: str) -> None:
    first, second = (model.read() for model in solid_models(2)[kind])
    assert not np.allclose(first.vertices, second.vertices)
    rounded = [tuple(point) for point in first.vertices.round(9).tolist()]
    edges: Counter[tuple[tuple[float, ...], tuple[float, ...]]] = Counter()
    for face in first.faces:
        for begin, end in zip(face, (*face[1:], face[0]), strict=True):
            one, other = rounded[begin], rounded[end]
            if one != other:  # at a pole all vertices of a ring are one point
                edges[one, other] += 1
    assert edges
    assert all(edges[other, one] == count for (one, other), count in edges.items())
