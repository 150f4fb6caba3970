"""Methods of policies: which energy each of them lowers."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.planning.energy import square_cost
from lowland.planning.policy_methods import METHODS, MPUR, PLAIN
from lowland.worlds import VectorWorld
from lowland.worlds.uncertainty import prior_futures, usual_spread


def test_the_uncertainty_cost_is_z_scored_on_the_log_with_futures_from_the_prior() -> None:
    world = VectorWorld(3, 1, latents=2, dropout=0.1, generator=torch.Generator().manual_seed(0))
    log = {"observation": torch.randn(9, 3, generator=torch.Generator().manual_seed(1))}, torch.zeros(9, 6, 1)
    plan = METHODS[MPUR].plan(world, square_cost, 4, log, uncertainty=2.0, hinge=None, masks=3)
    usual = usual_spread(world, log[0], log[1][:, :4], prior_futures(world, 9, 4), 3)
    assert plan.usual is not None
    torch.testing.assert_close(plan.usual.flatten().sort().values, torch.cat([*usual]).sort().values)
    assert (plan.uncertainty, plan.hinge, plan.masks, plan.futures) == (2.0, None, 3, 1)
    assert METHODS[PLAIN].plan(world, square_cost, 4, log, uncertainty=2.0).usual is None
    with pytest.raises(OptionError, match="needs logged states"):
        METHODS[MPUR].plan(world, square_cost, 4)
