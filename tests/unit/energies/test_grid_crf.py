"""The field of labels against sums over all labelings of small grids, and what training takes of it."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

import lowland as ll
from lowland.energies.grid_crf import GridCRF, contrast_weights
from lowland.errors import OptionError, ShapeError, UnsupportedError
from lowland.nn.parsing import PointwiseScores
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihood

SIDE = 3


def field(classes: int, smoothness: float, seed: int = 0, scale: float = 1.0) -> tuple[GridCRF, Tensor]:
    """A field on 3 × 3 pixels in float64, and two images."""
    generator = torch.Generator().manual_seed(seed)
    network = PointwiseScores((2, SIDE, SIDE), classes)
    for parameter in network.parameters():
        parameter.data.copy_(scale * torch.randn(parameter.shape, generator=generator))
    x = torch.randn(2, 2, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return GridCRF(network.double(), smoothness), x


def all_labels(classes: int) -> Tensor:
    """(K^9, 3, 3)."""
    return torch.tensor(list(itertools.product(range(classes), repeat=SIDE**2))).reshape(-1, SIDE, SIDE)


def by_hand(energy: GridCRF, image: Tensor, labels: Tensor) -> float:
    """E pixel by pixel and pair by pair."""
    with torch.no_grad():
        scores = energy.network(image[None])[0]
    places = list(itertools.product(range(SIDE), repeat=2))
    near = [(p, q) for p, q in itertools.combinations(places, 2) if max(abs(p[0] - q[0]), abs(p[1] - q[1])) == 1]
    squares = {(p, q): float((image[:, p[0], p[1]] - image[:, q[0], q[1]]).square().sum()) for p, q in near}
    mean = sum(squares.values()) / len(squares)
    total = -sum(float(scores[labels[p], p[0], p[1]]) for p in places)
    for p, q in near:
        if labels[p] != labels[q]:
            total += energy.smoothness * math.exp(-squares[p, q] / (2 * mean)) / math.dist(p, q)
    return total


@pytest.mark.parametrize("classes", [2, 3])
def test_the_energy_is_the_sum_over_pixels_and_pairs(classes: int) -> None:
    energy, x = field(classes, 0.7)
    labels = torch.randint(classes, (2, SIDE, SIDE), generator=torch.Generator().manual_seed(1))
    found = energy(x=x, y=energy.one_hot(labels))
    wanted = torch.tensor([by_hand(energy, *pair) for pair in zip(x, labels, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(found.detach(), wanted, rtol=1e-12, atol=1e-12)
    assert torch.equal(energy.labels(energy.one_hot(labels)), labels)


def test_an_image_of_one_colour_has_the_weights_of_distances_alone() -> None:
    weight = contrast_weights(torch.ones(1, 3, 2, 2))
    assert float(weight.sum()) == pytest.approx(4 + 2 / math.sqrt(2))


def test_without_smoothness_labels_and_log_z_are_exact() -> None:
    energy, x = field(2, 0.0)
    every = all_labels(2)
    values = torch.stack([energy(x=x, y=energy.one_hot(each[None].expand(2, -1, -1))) for each in every], dim=1)
    found = ll.infer(energy, x=x, over="y")
    torch.testing.assert_close(found.energy, values.amin(dim=1), rtol=1e-12, atol=1e-12)
    assert bool(found.exact.all())
    log_partition = energy.log_partition(energy.encode(x))
    assert log_partition is not None
    torch.testing.assert_close(log_partition, torch.logsumexp(-values, dim=1), rtol=1e-12, atol=1e-12)


def test_pixels_without_a_label_are_summed_over() -> None:
    energy, x = field(2, 0.0)
    labels = torch.randint(2, (2, SIDE, SIDE), generator=torch.Generator().manual_seed(1))
    labels[:, 0, :2] = -1
    every = [labels.clone() for _ in range(4)]
    for number, each in enumerate(every):
        each[:, 0, 0], each[:, 0, 1] = number // 2, number % 2
    whole = torch.stack([energy.log_likelihood(energy.encode(x), energy.one_hot(each)) for each in every])
    partial = energy.log_likelihood(energy.encode(x), energy.one_hot(labels))
    torch.testing.assert_close(partial, torch.logsumexp(whole, dim=0), rtol=1e-12, atol=1e-12)


def test_maximum_likelihood_is_the_cross_entropy_of_pixels() -> None:
    energy, x = field(3, 0.0)
    labels = torch.randint(-1, 3, (2, SIDE, SIDE), generator=torch.Generator().manual_seed(1))
    loss = MaximumLikelihood()(energy, Batch(energy.one_hot(labels), x)).losses["energy"]
    wanted = nn.functional.cross_entropy(energy.network(x), labels, ignore_index=-1, reduction="sum") / 2
    torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=1e-12)


def test_the_default_is_a_search_of_all_labelings_where_these_are_few() -> None:
    energy, x = field(2, 0.9, seed=3)
    values = [[by_hand(energy, image, labels) for labels in all_labels(2)] for image in x]
    found = ll.infer(energy, x=x, over="y")
    torch.testing.assert_close(found.energy, torch.tensor(values).double().amin(dim=1), rtol=1e-6, atol=1e-6)
    assert bool(found.exact.all())


def test_conditional_modes_end_where_no_pixel_would_change() -> None:
    energy, x = field(2, 0.9, seed=4)
    found = ll.infer(energy, x=x, over="y", solver=ll.solvers.Gibbs(temperature=0.0, tol=0.0))
    assert bool(found.converged.all())
    start = ll.infer(field(2, 0.0, seed=4)[0], x=x, over="y").value
    assert bool((found.energy <= energy(x=x, y=start) + 1e-12).all())
    for row, labels in enumerate(energy.labels(found.value)):
        for p in itertools.product(range(SIDE), repeat=2):
            other = labels.clone()
            other[p] = 1 - other[p]
            assert by_hand(energy, x[row], other) >= float(found.energy[row].detach()) - 1e-12


def test_gibbs_draws_one_hot_groups_with_their_probabilities() -> None:
    """Shares of 4,000 independent chains of 30 sweeps: four standard errors are 4 · √(¼ / 4000) = 0.032."""
    network = PointwiseScores((1, 1, 2), 2)
    network.weight.data.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1))
    energy, count = GridCRF(network, smoothness=1.0), 4000
    x = torch.tensor([[[[0.5, -0.2]]]]).expand(count, -1, -1, -1)
    found = ll.infer(energy, x=x, over="y", solver=ll.solvers.Gibbs(max_steps=30))
    states = energy.labels(found.value).flatten(1) @ torch.tensor([2, 1])
    every = energy.one_hot(torch.tensor([[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]]))
    wanted = torch.softmax(-energy(x=x[:4], y=every), dim=0)
    torch.testing.assert_close(torch.bincount(states, minlength=4) / count, wanted.detach(), rtol=0, atol=0.032)


def test_what_cannot_be_is_refused() -> None:
    energy, x = field(2, 0.5)
    with pytest.raises(UnsupportedError, match="smoothness above 0"):
        energy.log_likelihood(energy.encode(x), energy.one_hot(torch.zeros(2, SIDE, SIDE).long()))
    assert energy.log_partition(energy.encode(x)) is None
    for labels in (torch.zeros(2, 2, 2).long(), torch.full((2, SIDE, SIDE), 2), torch.zeros(2, SIDE, SIDE)):
        with pytest.raises(ShapeError, match="Labels must"):
            energy.one_hot(labels)
    with pytest.raises(OptionError, match="smoothness"):
        GridCRF(PointwiseScores((1, 2, 2), 2), smoothness=-1.0)
    with pytest.raises(OptionError, match="must state its input shape"):
        GridCRF(nn.Identity())
    energy.network.slices = 2
    with pytest.raises(UnsupportedError, match="volumes as slices"):
        energy.encode(x)
    energy.network = PointwiseScores((2, SIDE, SIDE), 5).double()
    with pytest.raises(ShapeError, match="gave scores"):
        energy(x=x, y=energy.one_hot(torch.zeros(2, SIDE, SIDE).long()))


def test_blocks_of_a_sum_stay_if_they_are_the_same() -> None:
    energy, x = field(2, 0.5)
    encoded = energy.encode(x)
    own = energy.structure(("y",), encoded, None, None)
    assert len((own + own).blocks) == len(own.blocks) == 4
    rbm = ll.energies.RBM(9, 9)
    assert (own + rbm.structure(("y", "z"), None, None, None)).blocks == ()
