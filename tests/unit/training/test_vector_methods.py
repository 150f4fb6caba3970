"""Every method has words and parts that fit each other, in the plane and on images."""

from __future__ import annotations

import pytest
import torch

from lowland.data import digits, toy
from lowland.evaluation import scores
from lowland.training.vector_methods import FAMILIES, VECTOR_METHODS, Case


def test_every_method_has_words_and_a_family() -> None:
    for name, method in VECTOR_METHODS.items():
        assert name == method.name
        assert method.family in FAMILIES
        assert method.title
        assert method.paper
        assert method.text
    assert len({method.title for method in VECTOR_METHODS.values()}) == len(VECTOR_METHODS)
    order = [method.family for method in VECTOR_METHODS.values()]
    assert list(dict.fromkeys(order)) == list(FAMILIES)
    assert order == sorted(order, key=list(FAMILIES).index)


@pytest.mark.parametrize("name", ["pca", "rbm-cd", "sparse-coding", "pair-square"])
@pytest.mark.parametrize("plane", [True, False])
def test_a_trained_method_measures_points_of_its_data(name: str, plane: bool) -> None:
    """One training step: what comes back takes the data as they are, whatever the method was trained on."""
    method = VECTOR_METHODS[name]
    case = Case(toy("spiral", 150) if plane else digits().train[:150].flatten(1), seed=0, plane=plane)
    energy = method.train(case, effort=1e-6)
    assert not energy.training
    value = scores(energy, case.train[:10], beta=method.beta, solver=method.solver(case))
    assert value.shape == (10,)
    assert bool(torch.isfinite(value).all())
    pictures = method.pictures(energy)
    assert pictures is None or plane or pictures.shape[1] == 64


def test_effort_scales_the_training() -> None:
    """K-means with all its steps is closer to the data than with one."""
    case = Case(toy("spiral", 300), seed=0, plane=True)
    kmeans = VECTOR_METHODS["kmeans"]
    short, whole = (float(scores(kmeans.train(case, effort), case.train).mean()) for effort in (1e-6, 1.0))
    assert whole < short
