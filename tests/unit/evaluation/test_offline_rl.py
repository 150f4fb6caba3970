"""The rivals of d3rlpy train on a log, leave random states alone, and repeat themselves."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from lowland.data.gym_record import record_gym_log
from lowland.errors import OptionError
from lowland.evaluation import offline_rl
from lowland.evaluation.offline_rl import RIVALS, offline_policy, rivals_here

needs_d3rlpy = pytest.mark.skipif(not rivals_here(), reason="d3rlpy is not installed")


@needs_d3rlpy
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_acts_within_bounds_repeats_itself_and_leaves_random_states_alone(name: str) -> None:
    log = record_gym_log("Pendulum-v1", 300, outcomes=True)
    torch.manual_seed(3)
    before, drawn = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    found = [offline_policy(name, log.paths, updates=2, seed=1, batch=16)[0] for _ in range(2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (np.random.get_state()[1] == drawn).all()  # noqa: NPY002
    state = {"observation": torch.randn(5, 3, generator=torch.Generator().manual_seed(0))}
    one, other = (policy(state) for policy in found)
    assert one.shape == (5, 1)
    assert bool((one.abs() <= 1).all())
    assert torch.equal(one, other)


def test_an_unknown_rival_is_refused() -> None:
    with pytest.raises(OptionError, match="no rival called 'CQI'"):
        offline_policy("CQI", [], 1)


def test_without_d3rlpy_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline_rl, "rivals_here", lambda: False)
    with pytest.raises(OptionError, match="pip install"):
        offline_policy("IQL", [], 1)
    assert "d3rlpy" not in sys.modules or rivals_here()
