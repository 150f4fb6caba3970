"""The report against figures computed by hand, and what it says of encoders that are none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.errors import DomainError, OptionError, ShapeError
from lowland.evaluation import amortisation_gap, error_path, iterates

ENERGY = ll.energies.SparseCoding.reference_case().energy
Y = torch.tensor([[2.0, 0.3, -1.0], [0.1, -0.5, 3.0]])


def test_figures_by_hand() -> None:
    """W = I, λ = ½: z* = (1.5, 0, −0.5) and (0, 0, 2.5) with E = 1.295 and 1.505; E(0) = 2.545 and 4.63."""
    report = amortisation_gap(ENERGY, Y, {"zero": torch.zeros_like}, batch_size=1)
    exact, zero = report["exact"], report["zero"]
    assert (exact.code_error, exact.gap, exact.worst, exact.nonzeros) == (0.0, 0.0, 0.0, 1.5)
    residual = (0.5**2 + 0.3**2 + 0.5**2) + (0.1**2 + 0.5**2 + 0.5**2)
    assert exact.reconstruction == pytest.approx(residual / float(Y.square().sum()), rel=1e-6)
    gaps = (2.545 / 1.295 - 1, 4.63 / 1.505 - 1)
    assert (zero.gap, zero.worst) == (pytest.approx(sum(gaps) / 2, rel=1e-6), pytest.approx(max(gaps), rel=1e-6))
    assert (zero.code_error, zero.reconstruction, zero.nonzeros) == (1.0, 1.0, 0.0)
    assert min(exact.microseconds, zero.microseconds) >= 0


def test_it_prints_as_a_table() -> None:
    head, *lines = str(amortisation_gap(ENERGY, Y, {"zero": torch.zeros_like})).splitlines()
    assert head.split()[0] == "encoder"
    assert [line.split()[0] for line in lines] == ["exact", "zero"]
    assert len({len(line) for line in (head, *lines)}) == 1


def test_an_energy_that_does_not_reconstruct() -> None:
    case = ll.energies.Ellipse.reference_case()
    report = amortisation_gap(case.energy, case.given["y"], {"zero": lambda y: 0 * y[:, :1]})
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
        amortisation_gap(ENERGY, Y, encoders)  # pyright: ignore[reportArgumentType]


def test_no_batch() -> None:
    def encoder(y: Tensor) -> Tensor:
        return y

    with pytest.raises(OptionError, match="batch_size"):
        amortisation_gap(ENERGY, Y, {"same": encoder}, batch_size=0)


def test_a_path_has_the_errors_of_the_solver_stopped_there() -> None:
    """The first code is z = 0; the batch size does not matter."""
    energy = ll.energies.SparseCoding(16, 24, 0.1, generator=torch.Generator().manual_seed(0)).requires_grad_(False)
    y = torch.nn.functional.normalize(torch.randn(30, 16, generator=torch.Generator().manual_seed(1)))
    exact = ll.solvers.ActiveSet(1e-6)
    path = error_path(energy, y, iterates(energy, ll.solvers.FISTA(8, tol=None)), exact, batch_size=7)
    assert len(path.error) == len(path.gap) == 9
    assert path.error[0] == 1
    best = ll.infer(energy, y=y, over="z", solver=exact)
    for count in (1, 7):
        found = ll.infer(energy, y=y, over="z", solver=ll.solvers.FISTA(count, tol=None))
        error = float((found.value - best.value).square().sum() / best.value.square().sum())
        assert path.error[count] == pytest.approx(error, rel=1e-4)
        assert path.gap[count] == pytest.approx(float((found.energy / best.energy - 1).mean()), rel=1e-4)
