"""Starts of the exact coder: what zero and the exact code itself are worth, and what is dropped before."""

from __future__ import annotations

import pytest
import torch

import lowland as ll
from lowland.errors import OptionError
from lowland.evaluation.warm_start import DROPS, PERFECT, warm_start_times

ENERGY = ll.energies.SparseCoding(16, 24, 0.1, generator=torch.Generator().manual_seed(0))
Y = torch.nn.functional.normalize(torch.randn(60, 16, generator=torch.Generator().manual_seed(1)))


def test_starts_from_zero_an_encoder_and_the_exact_code() -> None:
    """One look at the correlations certifies the exact code, and its support is the right one by definition."""
    found = warm_start_times(ENERGY, Y, {"LISTA": ll.nn.LISTA(ENERGY.dictionary, 0.1)}, Y)
    assert list(found) == ["zero", "LISTA", PERFECT]
    assert found[PERFECT].checks == 1 < found["zero"].checks
    # A certificate of 1e-4 and one of 1e-6 may differ by units whose coefficients are almost zero.
    assert min(found[PERFECT].recall, found[PERFECT].precision) > 0.9
    assert found["zero"].recall == found["zero"].encoder == 0
    assert found["LISTA"].drop in DROPS
    assert found["LISTA"].encoder > 0


def test_wrong_units_are_dropped() -> None:
    """An encoder that adds 0.03 to every unit of the exact code is worth most without what is below 0.05."""

    def encoder(y: torch.Tensor) -> torch.Tensor:
        z = ll.infer(ENERGY, y=y, over="z").value
        return torch.where(z == 0, 0.03, z)

    found = warm_start_times(ENERGY, Y, {"noisy": encoder}, Y)["noisy"]
    assert found.drop == 0.05
    assert found.precision == 1


@pytest.mark.parametrize(("encoders", "drops"), [({"zero": torch.zeros_like}, DROPS), ({}, ())])
def test_bad_input(encoders: dict[str, object], drops: tuple[float, ...]) -> None:
    with pytest.raises(OptionError):
        warm_start_times(ENERGY, Y, encoders, Y, drops=drops)  # pyright: ignore[reportArgumentType]
