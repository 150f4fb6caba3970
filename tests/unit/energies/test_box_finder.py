"""The energy of boxes: its cost cell by cell, what it is least at, and how it grows with the errors of an answer."""

from __future__ import annotations

import math

import pytest
import torch

import lowland as ll
from lowland.energies.box_finder import BoxFinder
from lowland.energies.masks import Masks
from lowland.errors import OptionError


def answers(finder: BoxFinder, *boxes: list[list[float]]) -> dict[str, torch.Tensor]:
    painted = [finder.cells.paint(torch.tensor(own)) for own in boxes]
    return {
        "heat": torch.stack([heat for heat, _ in painted]), "numbers": torch.stack([rest for _, rest in painted])
    }  # fmt: skip


def small() -> BoxFinder:
    return BoxFinder(32, 1, widths=(4, 8, 8), features=8).eval()


def test_the_cost_is_that_of_each_cell() -> None:
    finder, image = small(), torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    y = answers(finder, [[4.0, 4, 20, 24], [22.0, 2, 30, 12]])
    with torch.no_grad():
        told, cost = finder.encode(image), 0.0
        for cell in range(finder.cells.count):
            h, heat = float(told["logits"][0, cell].sigmoid()), float(y["heat"][0, cell])
            cost += (heat - h) ** 2 * -(heat * math.log(h) + (1 - heat) * math.log(1 - h))
            cost += 0.3 * heat * float((y["numbers"][0, :, cell] - told["numbers"][0, :, cell]).abs().sum())
        assert float(finder(image, y)) == pytest.approx(cost, rel=1e-5)


def test_the_least_energy_is_zero_at_what_the_network_tells() -> None:
    finder, image = small(), torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = ll.infer(finder, x=image, over="y")
    assert bool(found.exact.all())
    assert torch.equal(found.energy, torch.zeros(3))
    read = finder.cells.read(found.value["heat"], found.value["numbers"])
    for one, other in zip(read, finder.find(image), strict=True):
        torch.testing.assert_close(one.boxes, other.boxes)
        torch.testing.assert_close(one.scores, other.scores)


def test_training_makes_right_boxes_cheaper_than_wrong_ones() -> None:
    """On one image with a bright square; then a box moved, left out or added costs more, and `find` finds it."""
    finder = BoxFinder(32, 1, widths=(4, 8, 8), features=8)
    image = torch.zeros(2, 1, 32, 32)
    image[0, 0, 6:18, 8:20] = 1.0
    image[1, 0, 14:26, 4:16] = 1.0
    right = [[[8.0, 6, 20, 18]], [[4.0, 14, 16, 26]]]
    ll.fit(
        finder, (image, answers(finder, *right)), ll.shaping.MinimumEnergy(), 150, lr=1e-2, validation=0.0,
        progress=False,
    )  # fmt: skip
    finder.eval()
    wrong = {
        "moved": [[[14.0, 12, 26, 24]], [[10.0, 8, 22, 20]]],
        "too large": [[[3.0, 1, 25, 23]], [[0.0, 10, 20, 30]]],
        "one more": [[*right[0], [22.0, 22, 32, 32]], [*right[1], [20.0, 0, 32, 12]]],
    }
    with torch.no_grad():
        least = finder(image, answers(finder, *right))
        for name, boxes in wrong.items():
            assert bool((finder(image, answers(finder, *boxes)) > 2 * least).all()), name
        none = {"heat": torch.zeros(2, finder.cells.count), "numbers": torch.zeros(2, 4, finder.cells.count)}
        assert bool((finder(image, none) > 2 * least).all())
    for found, own in zip(finder.find(image, least=0.5), right, strict=True):
        # A tenth of a cell, after so few steps.
        torch.testing.assert_close(found.boxes, torch.tensor(own), atol=1.5, rtol=0)


def test_find_leaves_modes_and_random_state_alone() -> None:
    finder, state = small().train(), torch.get_rng_state()
    before = {name: value.clone() for name, value in finder.state_dict().items()}
    finder.find(torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert finder.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in finder.state_dict().items())


def test_finders_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="balance must be above 0"):
        BoxFinder(32, balance=0.0)
    with pytest.raises(OptionError, match="divide the side 40"):
        BoxFinder(40)


def test_log_z_of_masks_is_the_sum_over_all_masks() -> None:
    energy = Masks(2, 2, 3).double()
    x = torch.rand(3, 2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    every = energy.domain("y").elements(torch.float64).reshape(-1, 2, 2)
    with torch.no_grad():
        table = torch.stack([energy(x, mask.expand(3, -1, -1)) for mask in every], dim=1)
        torch.testing.assert_close(energy.log_partition(energy.encode(x)), torch.logsumexp(-table, dim=1))
        found = ll.infer(energy, x=x, over="y")
    torch.testing.assert_close(found.energy, table.amin(dim=1))
