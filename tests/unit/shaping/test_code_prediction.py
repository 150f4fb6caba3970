"""`CodePrediction` trains the encoder and nothing else, with codes that it infers or is given."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.errors import ShapeError


def _problem() -> tuple[ll.energies.SparseCoding, Tensor, ll.nn.LISTA]:
    generator = torch.Generator().manual_seed(0)
    energy, y = ll.energies.SparseCoding(6, 12, 0.2, generator=generator), torch.randn(64, 6, generator=generator)
    return energy, y, ll.nn.LISTA(energy.dictionary, 0.2)


def test_only_the_encoder_learns_and_gets_closer() -> None:
    energy, y, encoder = _problem()
    before = energy.dictionary.detach().clone()
    report = ll.evaluation.amortisation_gap(energy, y, {"before": encoder})
    shaping = ll.shaping.CodePrediction(encoder)
    ll.fit(energy, y, shaping, max_steps=60, lr=0.01, validation=0.0, progress=False)
    after = ll.evaluation.amortisation_gap(energy, y, {"after": encoder})
    assert torch.equal(energy.dictionary, before)
    assert after["after"].code_error < 0.5 * report["before"].code_error


def test_given_codes_are_those_that_would_be_inferred() -> None:
    energy, y, encoder = _problem()
    solver = ll.solvers.FISTA(max_steps=500)
    codes = ll.infer(energy, y=y, over="z", solver=solver).value
    batch = ll.shaping.Batch(y[[5, 3]], index=torch.tensor([5, 3]))
    given = ll.shaping.CodePrediction(encoder, codes=codes)(energy, batch).losses["encoder"]
    inferred = ll.shaping.CodePrediction(encoder, solver)(energy, batch).losses["encoder"]
    # A batch stops when its rows have converged, at the same steps alone and together: float32 rounding remains.
    torch.testing.assert_close(given, inferred, rtol=1e-5, atol=1e-6)


def test_the_objective_is_the_energy_of_the_prediction() -> None:
    energy, y, encoder = _problem()
    found = ll.shaping.CodePrediction(encoder, objective=True)(energy, ll.shaping.Batch(y))
    assert torch.equal(found.losses["encoder"], energy(y=y, z=encoder(y)).mean())


@pytest.mark.parametrize("index", [None, torch.tensor([0, 64])])
def test_a_sample_without_a_code_is_an_error(index: Tensor | None) -> None:
    energy, y, encoder = _problem()
    shaping = ll.shaping.CodePrediction(encoder, codes=torch.zeros(64, 12))
    with pytest.raises(ShapeError, match="There are 64 codes"):
        shaping(energy, ll.shaping.Batch(y[:2], index=index))
