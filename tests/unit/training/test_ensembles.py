"""Members of an ensemble learn the same data, each from its own weights and in its own order."""

from __future__ import annotations

import torch

from lowland.training.ensembles import fit_ensemble
from lowland.training.schedules import cosine, warm_cosine
from lowland.worlds import VectorWorld
from lowland.worlds.uncertainty import Ensemble, usual_spread


def test_members_learn_and_differ_less_than_before() -> None:
    generator = torch.Generator().manual_seed(0)
    actions = torch.rand(200, 1, generator=generator) * 2 - 1
    path = {"observation": torch.cat([torch.zeros(1, 1), actions]).cumsum(dim=0), "actions": actions}
    made = [VectorWorld(1, 1, hidden=16, generator=torch.Generator().manual_seed(n)) for n in range(2)]
    ensemble = Ensemble(made)
    state = {"observation": path["observation"][:-2]}
    before = usual_spread(ensemble, state, actions[:-1, None], None, 2)
    after = fit_ensemble(ensemble, [path], horizon=2, steps=60)
    assert float(after.mean) < 0.5 * float(before.mean)
    assert not torch.equal(*(next(member.parameters()) for member in ensemble.members))
    torch.testing.assert_close(after.mean, usual_spread(ensemble, state, actions[:-1, None], None, 2).mean)


def test_rates_fall_to_zero() -> None:
    assert [round(cosine(4, step), 3) for step in range(5)] == [1.0, 0.854, 0.5, 0.146, 0.0]
    assert warm_cosine(100, 100) == cosine(90, 90) == 0.0
    assert max(warm_cosine(100, step) for step in range(100)) == warm_cosine(100, 10) == 1.0
