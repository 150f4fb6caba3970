"""Uncertainty of a forward model against a world whose variance is known."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.domains import Reals
from lowland.evaluation.model_uncertainty import uncertainty_report
from lowland.tensors import PerSampleRNG
from lowland.worlds.base import State, World


class Doubtful(World):
    """s[t+1] = s[t] (1 + m) for a mask m ~ N(0, 1): without a mask 0 is off, so variance and squared error are s²."""

    def __init__(self) -> None:
        super().__init__(Reals(1), dropout=0.5, masked=1)

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        seen = state["observation"]
        return {"observation": seen if mask is None else seen * (1 + mask)}

    def features(self, state: State) -> Tensor:
        return state["observation"]

    def draw_mask(self, noise: PerSampleRNG, *shape: int) -> Tensor:
        return noise.normal(*shape, 1)


def test_it_ranks_errors_and_grows_away_from_the_data() -> None:
    seen = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    x = {"state": {"observation": seen}, "actions": torch.zeros(200, 1, 1)}
    found = uncertainty_report(Doubtful(), x, {"observation": torch.zeros(200, 1, 1)}, masks=200)
    assert found.rank > 0.99
    # Of N(0, 1) and N(0, 10), the medians of the squares are in the ratio 10; 200 samples leave about 3.
    assert 4 < float(found.far.median() / found.near.median()) < 20
    still = uncertainty_report(Doubtful(), x, {"observation": torch.zeros(200, 1, 1)}, moved=0.0, masks=200)
    torch.testing.assert_close(still.near, still.far)
