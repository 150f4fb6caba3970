"""Before training LISTA is ISTA and learned coordinate descent is coordinate descent; what bad input says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.errors import OptionError, ShapeError
from lowland.nn.lista import shrink


def _problem(positive: bool = False) -> tuple[ll.energies.SparseCoding, Tensor]:
    """20 signals for 12 atoms in 6 dimensions, in double precision, so that rounding is below 1e-12."""
    generator = torch.Generator().manual_seed(0)
    energy = ll.energies.SparseCoding(6, 12, 0.2, positive, generator).double().requires_grad_(False)
    return energy, torch.randn(20, 6, generator=generator).double()


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shrinkages", [1, 2, 5])
def test_untrained_lista_is_ista(positive: bool, tied: bool, shrinkages: int) -> None:
    """The step size of ISTA is 1e-6 below 1 / L, and so are codes of order 1 up to a few times that."""
    energy, y = _problem(positive)
    encoder = ll.nn.LISTA(energy.dictionary, energy.sparsity, shrinkages, tied, positive)
    ista = ll.infer(energy, y=y, over="z", solver=ll.solvers.ISTA(max_steps=shrinkages, tol=None)).value
    torch.testing.assert_close(encoder(y), ista, rtol=0, atol=2e-5)


@pytest.mark.parametrize("positive", [False, True])
def test_untrained_coordinate_descent_lowers_the_energy_to_its_minimum(positive: bool) -> None:
    """Greedy steps are exact minimisations over one unit: each lowers E, and many reach the minimum."""
    energy, y = _problem(positive)
    exact = ll.infer(energy, y=y, over="z", solver=ll.solvers.FISTA(max_steps=5000, tol=1e-9))
    energies = []
    for steps in (400, 2000):
        # shrink_θ(b) is a sweep over all units at once, which need not lower E before the end.
        code = ll.nn.LearnedCoordinateDescent(energy.dictionary, energy.sparsity, steps, positive)(y)
        energies.append(energy(y=y, z=code))
    assert (energies[1] - exact.energy).abs().max() < 1e-9
    assert bool((energies[0] - exact.energy < 1e-3).all())


def _by_the_rule(encoder: ll.nn.LearnedCoordinateDescent, y: Tensor) -> Tensor:
    """The published rule, sample by sample, for autograd to differentiate."""
    codes = []
    for b in y @ encoder.filters.T:
        z = torch.zeros_like(b)
        for _ in range(encoder.steps):
            moved = shrink(b[None], encoder.thresholds, encoder.positive)[0]
            k = int((moved - z).abs().argmax())
            change = moved[k] - z[k]
            b = b + encoder.inhibition[k] * change
            z = torch.where(torch.arange(len(z)) == k, moved, z)
        codes.append(shrink(b[None], encoder.thresholds, encoder.positive)[0])
    return torch.stack(codes)


@pytest.mark.parametrize("positive", [False, True])
def test_coordinate_descent_follows_the_rule_with_its_derivative(positive: bool) -> None:
    energy, y = _problem(positive)
    encoder = ll.nn.LearnedCoordinateDescent(energy.dictionary, energy.sparsity, 7, positive)
    y.requires_grad_()
    generator, found = torch.Generator().manual_seed(1), []
    weight = torch.randn(20, 12, generator=generator).double()
    for function in (encoder, lambda signal: _by_the_rule(encoder, signal)):
        code = function(y)
        found.append([code, *torch.autograd.grad((code * weight).sum(), [y, *encoder.parameters()])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_the_derivative_of_the_shrinkage() -> None:
    u = torch.tensor([[-2.0, 0.3, 0.7], [1.0, 0.1, -0.4]], dtype=torch.float64, requires_grad=True)
    threshold = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(shrink, (u, threshold))
    assert torch.autograd.gradgradcheck(shrink, (u, threshold))


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.9])
def test_a_share_of_the_inhibition(kept: float) -> None:
    """The share is rounded up to whole entries, and the diagonal is among them."""
    energy, y = _problem()
    encoder = ll.nn.LISTA(energy.dictionary, 0.2, 3, kept=kept)
    assert encoder.mask is not None
    count = int(encoder.mask.sum())
    assert count == max(12, -int(-kept * 144 // 1))
    assert bool((encoder.mask.diagonal() == 1).all())
    assert encoder.multiplications == 6 * 12 + 2 * count
    before = encoder.inhibition[0].detach().clone()
    encoder(y).square().sum().backward()
    torch.optim.SGD(encoder.parameters(), lr=0.1).step()
    changed = encoder.inhibition[0] != before
    assert bool(changed.any())
    assert not bool((changed & (encoder.mask == 0)).any())


def test_full_rank_is_the_whole_matrix() -> None:
    """A dictionary of 6 features has a Gram matrix of rank 6: with that rank nothing is lost."""
    energy, y = _problem()
    whole, low = (ll.nn.LISTA(energy.dictionary, 0.2, 3, rank=rank) for rank in (None, 6))
    torch.testing.assert_close(whole(y), low(y), rtol=1e-10, atol=1e-12)
    assert low.multiplications == 6 * 12 + 2 * 2 * 12 * 6


@pytest.mark.parametrize("options", [{}, {"kept": 0.3}, {"rank": 4}])
def test_a_longer_encoder_begins_with_a_shorter_one(options: dict[str, float]) -> None:
    """With tied weights, the shorter encoder run on for the further steps is the same encoder made longer."""
    energy, y = _problem()
    shorter = ll.nn.LISTA(energy.dictionary, 0.2, 2, **options)  # pyright: ignore[reportArgumentType]
    for tied in (True, False):
        longer = ll.nn.LISTA(energy.dictionary, 0.5, 4, tied, **options)  # pyright: ignore[reportArgumentType]
        longer.begin_with(shorter)
        wanted = ll.nn.LISTA(energy.dictionary, 0.2, 4, **options)  # pyright: ignore[reportArgumentType]
        torch.testing.assert_close(longer(y), wanted(y), rtol=1e-12, atol=1e-12)
    with pytest.raises(OptionError, match="at least 2 shrinkages"):
        shorter.begin_with(ll.nn.LISTA(energy.dictionary, 0.2, 1))


def test_a_start_from_learned_filters() -> None:
    """z₁ = shrink_θ(W_e y), z₂ = shrink_θ(W_e y + z₁ − ρ W_e W z₁), written out."""
    energy, y = _problem()
    generator = torch.Generator().manual_seed(2)
    filters, theta = torch.randn(12, 6, generator=generator).double(), torch.rand(12, generator=generator).double()
    encoder = ll.nn.LISTA(energy.dictionary, 0.2, 2, filters=filters, thresholds=theta, relaxation=0.3)
    first = shrink(y @ filters.T, theta)
    second = shrink(y @ filters.T + first - 0.3 * first @ (filters @ energy.dictionary).T, theta)
    torch.testing.assert_close(encoder(y), second, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        encoder.filters.zero_()
    assert bool((filters != 0).all())


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda w: ll.nn.LISTA(w, 0.0), OptionError, "sparsity must be positive"),
        (lambda w: ll.nn.LISTA(w, 0.1, 0), OptionError, "shrinkages of at least 1"),
        (lambda w: ll.nn.LISTA(w, 0.1, kept=0.0), OptionError, r"kept in \(0, 1\]"),
        (lambda w: ll.nn.LISTA(w, 0.1, rank=13), OptionError, "rank from 1 to 12"),
        (lambda w: ll.nn.LISTA(w, 0.1, rank=2, kept=0.5), OptionError, "not both"),
        (lambda w: ll.nn.LISTA(w, 0.1, relaxation=0.0), OptionError, r"relaxation must be in \(0, 1\]"),
        (lambda w: ll.nn.LISTA(w, 0.1, filters=w), ShapeError, r"filters must be \(12, 6\)"),
        (lambda w: ll.nn.LISTA(w[:, 0], 0.1), ShapeError, "one atom in each column"),
        (lambda w: ll.nn.LISTA(w * torch.nan, 0.1), ShapeError, "finite"),
        (lambda w: ll.nn.LISTA(torch.cat([w, 0 * w], 1), 0.1), OptionError, r"Atom 12 .* zero \(12 such\)"),
        (lambda w: ll.nn.LearnedCoordinateDescent(w, 0.1, -1), OptionError, "steps must be a whole number"),
        (lambda w: ll.nn.LearnedCoordinateDescent(2 * w, 0.1), OptionError, "norm 1"),
    ],
)
def test_bad_input_is_named(make: Callable[[Tensor], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(_problem()[0].dictionary)
