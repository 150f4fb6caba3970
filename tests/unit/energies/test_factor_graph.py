"""The factor graph: independent of names, of one weight at every size, and able to say what a task needs."""

from __future__ import annotations

import pytest
import torch

from lowland.data.problems import additions, inverse_columns
from lowland.energies.factor_graph import FactorGraph
from lowland.errors import OptionError
from lowland.training.export import load_energy, save_energy


def test_renamed_unknowns_have_the_same_energy() -> None:
    x, y = inverse_columns(3, 5, 0.5, torch.Generator().manual_seed(0))
    order = torch.tensor([3, 0, 4, 1, 2])
    renamed = torch.cat([x[:, :5][:, order], x[:, 5:].reshape(-1, 5, 5)[:, order][:, :, order].flatten(1)], dim=1)
    energy = FactorGraph("linear_system", 5)
    torch.testing.assert_close(energy(x=renamed, y=y[:, order]), energy(x=x, y=y), rtol=1e-4, atol=1e-5)


def test_it_can_be_the_energy_whose_minimum_solves_the_system() -> None:
    """½ yᵀ A y − bᵀ y, with A y as a difference of two units: σ(s) − σ(−s) = s."""
    energy = FactorGraph("linear_system", 4, channels=2, hidden=1).double()
    for parameter in energy.parameters():
        parameter.data.zero_()
    energy.weigh.weight.data[:, 0] = torch.tensor([1.0, -1.0])
    energy.see_free.weight.data[:, 0] = torch.tensor([1.0, -1.0])
    # t = [Σ A σ(y), −Σ A σ(−y), b, y]: their sum is A y.
    energy.quadratic.weight.data[3] = torch.tensor([0.5, 0.5, -1.0, 0.0])
    x, y = (part.double() for part in inverse_columns(5, 4, 0.5, torch.Generator().manual_seed(0)))
    y = y + torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    matrix, b = x[:, 4:].reshape(-1, 4, 4), x[:, :4]
    expected = 0.5 * torch.einsum("bi,bij,bj->b", y, matrix, y) - (b * y).sum(dim=1)
    torch.testing.assert_close(energy(x=x, y=y), expected)


def test_a_copy_of_another_size_has_the_same_weights_and_its_own_domain() -> None:
    energy = FactorGraph("addition", 6, channels=3, hidden=5, generator=torch.Generator().manual_seed(1)).double()
    x, y = additions(2, 9, 1.0, torch.Generator().manual_seed(0))
    large = energy.resized(9)
    assert large(x=x.double(), y=y.double()).shape == (2,)
    for own, other in zip(energy.parameters(), large.parameters(), strict=True):
        assert torch.equal(own, other)


def test_it_is_saved_and_loaded(tmp_path) -> None:
    energy = FactorGraph("addition", 5, channels=3, hidden=4, generator=torch.Generator().manual_seed(2))
    x, y = additions(2, 5, 1.0, torch.Generator().manual_seed(0))
    again = load_energy(save_energy(energy, tmp_path / "energy"))
    assert torch.equal(again(x=x, y=y), energy(x=x, y=y))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "chess", "size": 4}, "kind of problem"),
        ({"kind": "linear_system", "size": 0}, "size"),
        ({"kind": "linear_system", "size": 4, "channels": 0}, "channels"),
        ({"kind": "linear_system", "size": 4, "scale": 0.0}, "scale"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        FactorGraph(**options)  # pyright: ignore[reportArgumentType]
