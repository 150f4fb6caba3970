"""The driving test, fixed before any policy was trained: hard without learning, and never by its own fault."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.data.traffic import TEST_SEEDS, traffic
from lowland.envs.drivers import human, no_action
from lowland.envs.replay import Replay


@pytest.mark.parametrize("which", range(len(TEST_SEEDS)))
def test_nobody_gets_through_without_acting_and_the_human_always_does(which):
    """On all 2,090 episodes: human 100 %, no action 10.3 % (paper: 16.2 %); asked are 95 % and 30 %."""
    log = traffic("test")[which]
    replay = Replay(log)
    assert len(replay) > 1000
    assert log.road.length_to - log.road.length_from >= 200
    chosen = torch.linspace(0, len(replay) - 1, 120).long()
    rates = [np.mean([row["success"] for row in replay.run(driver, chosen)]) for driver in (human, no_action)]
    assert rates[0] >= 0.95
    assert rates[1] <= 0.3
