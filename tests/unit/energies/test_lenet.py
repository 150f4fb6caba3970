"""LeNet-5 as an energy: the distances, losses and images of the paper."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.energies.lenet import LeNet
from lowland.errors import OptionError
from lowland.evaluation.classification import inferred_accuracy, inputs_and_answers
from lowland.nn.lenet import digit_bitmaps
from lowland.shaping.base import Batch


def images(count: int = 4, height: int = 28, width: int = 28) -> Tensor:
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(0))


def test_the_energy_is_the_distance_to_the_bitmap() -> None:
    energy, x = LeNet(), images()
    code = energy.network.maps(energy.image(x))["F6"]
    for k in range(10):
        answer = torch.eye(10)[[k] * 4]
        torch.testing.assert_close(energy(x=x, y=answer), (code - digit_bitmaps()[k]).square().sum(dim=1))


def test_paper_and_ink_have_the_levels_of_the_paper() -> None:
    seen = LeNet((28, 20)).image(torch.ones(1, 1, 28, 20))[0, 0]
    assert seen.shape == (32, 32)
    torch.testing.assert_close(seen[2:30, 6:26], torch.full((28, 20), 1.175))
    seen[2:30, 6:26] = -0.1
    torch.testing.assert_close(seen, torch.full((32, 32), -0.1))
    assert LeNet((31, 29)).image(torch.zeros(1, 1, 31, 29)).shape == (1, 1, 32, 32)


@pytest.mark.parametrize("rubbish", [5.0, None])
def test_likelihood_is_equation_9(rubbish: float | None) -> None:
    energy, x, y = LeNet(rubbish=rubbish), images(), torch.eye(10)[[3, 1, 4, 1]]
    loss = ll.shaping.MaximumLikelihood()(energy, Batch(y, x)).losses["energy"]
    table = torch.stack([energy(x=x, y=one.expand(4, 10)) for one in torch.eye(10)], dim=1).double()
    total = (-table).exp().sum(dim=1) + (0 if rubbish is None else torch.tensor(-rubbish).double().exp())
    expected = ((table * y).sum(dim=1) + total.log()).mean()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)


def test_energies_far_above_that_of_rubbish_are_not_pushed_up() -> None:
    """Each wrong answer is pushed up by its share of e^(−j) + Σ e^(−E)."""
    x, y = images(), torch.eye(10)[[0, 1, 2, 3]]
    for rubbish, pushed in ((1.0, False), (1e4, True)):
        energy = LeNet(rubbish=rubbish)
        table = energy.encode(x).detach().requires_grad_()
        (slope,) = torch.autograd.grad(energy.log_partition(table).sum(), table)
        assert bool((slope.abs().sum(dim=1) > 0.5).all()) is pushed
        assert float(energy(x=x, y=y).detach().min()) > 20


def test_minimum_energy_does_not_collapse() -> None:
    """Equation 8: the bitmaps are fixed, so that two classes keep different codes."""
    x = torch.cat([torch.zeros(8, 1, 28, 28), torch.ones(8, 1, 28, 28)])
    y = torch.eye(10)[[0] * 8 + [1] * 8]
    energy = LeNet()
    ll.fit(
        energy, (x, y), ll.shaping.MinimumEnergy(), max_steps=60, lr=1e-2, validation=0.0, batch_size=16,
        progress=False,
    )  # fmt: skip
    assert inferred_accuracy(energy, x, y) == 1
    assert float(energy(x=x, y=y).detach().max()) < 10


def test_digits_are_learned_by_likelihood() -> None:
    data = ll.data.digits()
    energy = LeNet((8, 8), output="linear", modern=True)
    x, y = inputs_and_answers(energy, data, "train")
    assert x.shape[1:] == (1, 8, 8)
    ll.fit(
        energy, (x[:256], y[:256]), ll.shaping.MaximumLikelihood(), max_steps=40, lr=1e-2, validation=0.0,
        batch_size=24, progress=False,
    )  # fmt: skip
    # The most frequent class is a tenth of the images.
    x, y = inputs_and_answers(energy, data, "validation")
    assert inferred_accuracy(energy, x[:100], y[:100]) > 0.5


def test_bad_options_get_one_sentence() -> None:
    with pytest.raises(OptionError, match="up to 32"):
        LeNet((33, 20))
    with pytest.raises(OptionError, match="rubbish"):
        LeNet(rubbish=float("nan"))
    with pytest.raises(OptionError, match="'rbf' or 'linear'"):
        LeNet(output="softmax")  # type: ignore[arg-type]
