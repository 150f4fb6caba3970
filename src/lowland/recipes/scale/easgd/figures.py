"""Pictures of the recipe `easgd`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lowland.evaluation.averaging_stability import published_bound
from lowland.evaluation.virtual_cluster import Course
from lowland.plots import curves
from lowland.plots.averaging import radius_maps
from lowland.recipes.scale.easgd.cases import Case


def eigenvalues(found: Mapping[str, Tensor], rates: Sequence[float], pulls: Sequence[float]) -> Figure:
    """Over (η, ρ)."""
    return radius_maps(found, rates, pulls, "η", "ρ")


def regions(
    found: Mapping[str, Tensor], rates: Sequence[float], elastic: Sequence[float], kinds: Mapping[str, tuple[int, bool]]
) -> Figure:
    """Over (η, α), with the published borders; `kinds` are (p, whether in turns) by title."""
    borders = {title: [published_bound(rate, *kind) for rate in rates] for title, kind in kinds.items()}
    return radius_maps(found, rates, elastic, "η", "α", borders)


def errors(courses: Mapping[Case, Course], cases: Sequence[Case]) -> Figure:
    """Test error over virtual time."""
    lines = {case.key: (courses[case].seconds, courses[case].errors) for case in cases}
    return curves(lines, xlabel="virtual time, s", ylabel="test error, %", log="y", plain=True)
