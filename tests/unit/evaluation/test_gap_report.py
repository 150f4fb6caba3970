"""The report against figures computed by hand, and what it says of encoders that are none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.errors import DomainError, OptionError, ShapeError
from lowland.evaluation import gap_report

ENERGY = ll.energies.SparseCoding.reference_case().energy
Y = torch.tensor([[2.0, 0.3, -1.0], [0.1, -0.5, 3.0]])


def test_figures_by_hand() -> None:
    """W = I, λ = ½: z* = (1.5, 0, −0.5) and (0, 0, 2.5) with E = 1.295 and 1.505; E(0) = 2.545 and 4.63."""
    report = gap_report(ENERGY, Y, {"zero": torch.zeros_like}, batch_size=1)
    exact, zero = report["exact"], report["zero"]
    assert (exact.code_error, exact.gap, exact.worst, exact.nonzeros) == (0.0, 0.0, 0.0, 1.5)
    residual = (0.5**2 + 0.3**2 + 0.5**2) + (0.1**2 + 0.5**2 + 0.5**2)
    assert exact.reconstruction == pytest.approx(residual / float(Y.square().sum()), rel=1e-6)
    gaps = (2.545 / 1.295 - 1, 4.63 / 1.505 - 1)
    assert (zero.gap, zero.worst) == (pytest.approx(sum(gaps) / 2, rel=1e-6), pytest.approx(max(gaps), rel=1e-6))
    assert (zero.code_error, zero.reconstruction, zero.nonzeros) == (1.0, 1.0, 0.0)
    assert min(exact.microseconds, zero.microseconds) >= 0


def test_it_prints_as_a_table() -> None:
    head, *lines = str(gap_report(ENERGY, Y, {"zero": torch.zeros_like})).splitlines()
    assert head.split()[0] == "encoder"
    assert [line.split()[0] for line in lines] == ["exact", "zero"]
    assert len({len(line) for line in (head, *lines)}) == 1


def test_an_energy_that_does_not_reconstruct() -> None:
    case = ll.energies.Ellipse.reference_case()
    report = gap_report(case.energy, case.given["y"], {"zero": lambda y: 0 * y[:, :1]})
    assert report["zero"].reconstruction is None or report["zero"].reconstruction >= 0
    assert report["zero"].gap >= 0


@pytest.mark.parametrize(
    ("encoders", "error", "words"),
    [
        ({"exact": torch.zeros_like}, OptionError, 'No encoder may be called "exact"'),
        ({"short": lambda y: y[:, :2]}, ShapeError, "'short' must return codes of shape"),
        ({"broken": lambda y: y / 0}, DomainError, "'broken' returned codes that are not finite"),
    ],
)
def test_bad_input(encoders: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        gap_report(ENERGY, Y, encoders)  # pyright: ignore[reportArgumentType]


def test_no_batch() -> None:
    def encoder(y: Tensor) -> Tensor:
        return y

    with pytest.raises(OptionError, match="batch_size"):
        gap_report(ENERGY, Y, {"same": encoder}, batch_size=0)
