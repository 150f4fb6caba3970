"""Pair, group, binary and adversarial losses against independent formulations, one sample at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.nn import mlp
from lowland.shaping import Batch, Shaping
from lowland.shaping.contrastive.adversarial import pulling_away
from lowland.shaping.contrastive.pair import DistanceMargin

SIZE, COUNT = 6, 3


def points(count: int = SIZE, seed: int = 0) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fixed(shaping: Shaping, energy: ll.energies.NetworkEnergy, batch: Batch, count: int) -> Tensor:
    return points(SIZE * count, seed=1)


def network() -> ll.energies.NetworkEnergy:
    return ll.energies.NetworkEnergy(2, hidden=(8,)).double()


def value(energy: torch.nn.Module, y: Tensor) -> float:
    return float(energy(y=y[None]).detach())


def relu(number: float) -> float:
    return max(number, 0.0)


PAIRS = {
    "SimplePair": lambda data, negative, m: relu(data) + relu(m - negative),
    "HingePair": lambda data, negative, m: relu(data - negative + m),
    "SquareSquarePair": lambda data, negative, m: relu(data) ** 2 + relu(m - negative) ** 2,
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("margin", [0.7, DistanceMargin(0.5)])
def test_pair_losses_by_loops(name: str, margin: float | DistanceMargin) -> None:
    energy, y, negatives = network(), points(), points(SIZE * COUNT, seed=1)
    shaping = getattr(ll.shaping, name)(fixed, margin=margin, count=COUNT, magnitude=0.1)
    total = 0.0
    for b in range(SIZE):
        for n in range(COUNT):
            other = negatives[b * COUNT + n]
            m = margin if isinstance(margin, float) else 0.5 * math.dist(y[b].tolist(), other.tolist())
            data, negative = value(energy, y[b]), value(energy, other)
            total += PAIRS[name](data, negative, m) + 0.1 * (data**2 + negative**2)
    assert float(shaping(energy, Batch(y)).losses["energy"].detach()) == pytest.approx(total / (SIZE * COUNT))


@pytest.mark.parametrize("name", ["InfoNCE", "NeighbourhoodComponents"])
def test_group_losses_by_loops(name: str) -> None:
    energy, y, negatives, temperature = network(), points(), points(SIZE * COUNT, seed=1), 0.3
    shaping = getattr(ll.shaping, name)(fixed, count=COUNT, temperature=temperature)
    total = 0.0
    for b in range(SIZE):
        weights = [math.exp(-value(energy, y[b]) / temperature)]
        weights += [math.exp(-value(energy, negatives[b * COUNT + n]) / temperature) for n in range(COUNT)]
        share = weights[0] / sum(weights)
        total += -math.log(share) if name == "InfoNCE" else -share
    assert float(shaping(energy, Batch(y)).losses["energy"].detach()) == pytest.approx(total / SIZE)


def binary() -> tuple[ll.energies.RBM, Tensor]:
    energy = ll.energies.RBM(5, 3, scale=1.0).double()
    y = (torch.rand(12, 5, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    y[1] = y[0]
    y[1, 2] = 1 - y[1, 2]
    return energy, y


def free(energy: ll.energies.RBM, y: Tensor) -> float:
    return float(energy.marginal(None, y[None], 1.0).detach())


def flipped(y: Tensor, i: int) -> Tensor:
    other = y.clone()
    other[i] = 1 - other[i]
    return other


def test_ratio_matching_by_loops() -> None:
    energy, y = binary()
    total = 0.0
    for row in y:
        for i in range(5):
            ratio = math.exp(free(energy, flipped(row, i)) - free(energy, row))  # p(y) / p(flipped y)
            total += (1 / (1 + ratio)) ** 2
    assert float(ll.shaping.RatioMatching()(energy, Batch(y)).losses["energy"].detach()) == pytest.approx(
        total / len(y)
    )


def test_minimum_probability_flow_by_loops() -> None:
    energy, y = binary()
    total, skipped = 0.0, 0
    for row in y:
        for i in range(5):
            other = flipped(row, i)
            if any(torch.equal(other, sample) for sample in y):
                skipped += 1
                continue
            total += math.exp(0.5 * (free(energy, row) - free(energy, other)))
    assert skipped >= 2
    loss = ll.shaping.MinimumProbabilityFlow()(energy, Batch(y)).losses["energy"]
    assert float(loss.detach()) == pytest.approx(total / len(y))


@pytest.mark.parametrize("name", ["RatioMatching", "MinimumProbabilityFlow"])
def test_grey_samples_are_read_as_probabilities(name: str) -> None:
    """The loss of a grey batch is the mean over binary draws of it; here grey values are 0, 1 and ½."""
    energy, y = binary()
    grey = y.clone()
    grey[:, 0] = 0.5
    shaping = getattr(ll.shaping, name)()
    ones, zeros = grey.clone(), grey.clone()
    ones[:, 0], zeros[:, 0] = 1.0, 0.0
    one = shaping(energy, Batch(grey[:1].repeat(4000, 1))).losses["energy"].detach()
    expected = [float(shaping(energy, Batch(part[:1])).losses["energy"].detach()) for part in (ones, zeros)]
    if name == "RatioMatching":
        error = 4 * 0.5 * abs(expected[0] - expected[1]) / math.sqrt(4000)
        assert float(one) == pytest.approx(sum(expected) / 2, abs=error + 1e-9)
    else:
        assert float(one) < max(expected), "flips from one draw to the other are no loss"


def test_the_pulling_away_term_by_loops() -> None:
    codes = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                cosine = float(codes[i] @ codes[j] / (codes[i].norm() * codes[j].norm()))
                total += cosine**2
    assert float(pulling_away(codes)) == pytest.approx(total / 20, rel=1e-5)


def test_the_pulling_away_term_reaches_the_generator() -> None:
    energy = ll.energies.Autoencoder(2, 4, hidden=(8,))
    loud, quiet = (ll.shaping.EBGAN(mlp(2, 8, 2), 2, repel=weight) for weight in (1.0, 0.0))
    y = points().float()
    losses = [shaping(energy, Batch(y)).losses["generator"] for shaping in (loud, quiet)]
    one, other = (
        torch.autograd.grad(loss, list(shaping.network.parameters()))
        for loss, shaping in zip(losses, (loud, quiet), strict=True)
    )
    assert any(not torch.allclose(a, b) for a, b in zip(one, other, strict=True))


def generated(shaping: ll.shaping.Adversarial) -> Tensor:
    """What the first step generates: the first call of `noise` at step 0."""
    made = shaping.generate(Batch(points().float())).detach()
    shaping._calls = 0
    return made


def test_ebgan_by_loops() -> None:
    energy, y = ll.energies.Autoencoder(2, 4, hidden=(8,)), points().float()
    shaping = ll.shaping.EBGAN(mlp(2, 8, 2), 2, margin=1.5, repel=0.1)
    made = generated(shaping)
    losses = shaping(energy, Batch(y)).losses
    data, fake = [value(energy, row) for row in y], [value(energy, row) for row in made]
    assert float(losses["energy"].detach()) == pytest.approx(
        sum(data) / SIZE + sum(relu(1.5 - f) for f in fake) / SIZE, rel=1e-5
    )
    repelled = 0.1 * float(pulling_away(energy.code(made)).detach())
    assert float(losses["generator"].detach()) == pytest.approx(sum(fake) / SIZE + repelled, rel=1e-5)


def test_gan_is_the_cross_entropy_of_the_discriminator() -> None:
    energy, y = ll.energies.NetworkEnergy(2, hidden=(8,)), points().float()
    shaping = ll.shaping.GAN(mlp(2, 8, 2), 2)
    made = generated(shaping)
    losses = shaping(energy, Batch(y)).losses

    def probability(row: Tensor) -> float:
        return 1 / (1 + math.exp(value(energy, row)))  # D = σ(−F)

    own = -sum(math.log(probability(row)) for row in y) - sum(math.log(1 - probability(row)) for row in made)
    assert float(losses["energy"].detach()) == pytest.approx(own / SIZE, rel=1e-5)
    assert float(losses["generator"].detach()) == pytest.approx(
        -sum(math.log(probability(row)) for row in made) / SIZE, rel=1e-5
    )


def test_the_gradient_penalties_on_a_linear_energy() -> None:
    """F = w·y + b has the slope w everywhere: R1 adds γ/2 ‖w‖², WGAN's adds λ (‖w‖ − 1)²."""
    energy, y = ll.energies.NetworkEnergy(2, hidden=()), points().float()
    norm = next(energy.parameters()).detach().norm()
    plain, penalised = (ll.shaping.GAN(mlp(2, 2), 2, penalty=p)(energy, Batch(y)).losses["energy"] for p in (0.0, 3.0))
    torch.testing.assert_close(penalised - plain, 1.5 * norm**2)
    plain, penalised = (ll.shaping.WGAN(mlp(2, 2), 2, penalty=p)(energy, Batch(y)).losses["energy"] for p in (0.0, 3.0))
    torch.testing.assert_close(penalised - plain, 3.0 * (norm - 1) ** 2)


def test_wgan_is_the_difference_of_means() -> None:
    energy, y = ll.energies.NetworkEnergy(2, hidden=(8,)), points().float()
    shaping = ll.shaping.WGAN(mlp(2, 8, 2), 2, penalty=0.0)
    made = generated(shaping)
    losses = shaping(energy, Batch(y)).losses
    torch.testing.assert_close(losses["energy"], energy(y=y).mean() - energy(y=made).mean())
    torch.testing.assert_close(losses["generator"], energy(y=made).mean())


def test_masked_loss_by_loops() -> None:
    energy = ll.energies.MaskedAutoencoder(4, hidden=(8,), n_masks=4)
    y = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    expected = []
    for row in y:
        errors = []
        for mask in energy.masks:
            filled = energy.network(torch.cat([mask * row, mask])[None])[0]
            hidden = [float((row[i] - filled[i]).detach() ** 2) for i in range(4) if mask[i] == 0]
            errors.append(sum(hidden) * 4 / len(hidden))
        expected.append(sum(errors) / len(errors))
    torch.testing.assert_close(energy(y=y).detach(), torch.tensor(expected))
    assert torch.equal(energy.masks.sum(dim=0), torch.full((4,), 2.0)), "every coordinate is hidden half the time"


def test_denoising_is_the_error_of_the_restored_sample() -> None:
    """An auto-encoder that returns its input leaves the corruption, whose mean square is s² D."""
    energy = ll.energies.Autoencoder(2, 2, hidden=(), tied=True)
    energy.weight.data = torch.eye(2)
    loss = ll.shaping.Denoising(0.5)(energy, Batch(torch.zeros(20000, 2))).losses["energy"]
    # ‖s e‖² has mean 0.5 and deviation 0.5.
    assert float(loss.detach()) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(20000))
