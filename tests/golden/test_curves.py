"""Short loss curves of a few rows (energy, shaping) at a fixed seed, against those stored beside this file.

A change here means that training gives other numbers than it did: intended or not, it should be noticed. To store new
curves on purpose, run this file as a script.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import lowland as ll
from lowland.training.streams import Order

STORED = Path(__file__).with_name("curves.json")
ROWS = {
    "SparseCoding/MinimumEnergy": lambda: (
        ll.energies.SparseCoding(8, 12, sparsity=0.3),
        ll.shaping.MinimumEnergy(solver=ll.solvers.FISTA(max_steps=20, tol=None)),
    ),
    "NetworkEnergy/DenoisingScoreMatching": lambda: (
        ll.energies.NetworkEnergy(8, hidden=(16,)),
        ll.shaping.DenoisingScoreMatching(),
    ),
    "NetworkEnergy/NoiseContrastive": lambda: (
        ll.energies.NetworkEnergy(8, hidden=(16,)),
        ll.shaping.NoiseContrastive(),
    ),
    "KMeans/ExpectationMaximisation": lambda: (ll.energies.KMeans(8, 5), ll.shaping.ExpectationMaximisation()),
}


def curve(name: str) -> dict[str, list[float]]:
    """All curves of 30 steps; each tenth row and the validations."""
    energy, shaping = ROWS[name]()
    data = torch.randn(120, 8, generator=torch.Generator().manual_seed(0)) @ torch.linspace(-1, 1, 64).reshape(8, 8)
    result = ll.fit(
        energy, data, shaping, max_steps=30, batch_size=20, lr=1e-2, validation=0.2, validate_every=4, log_every=5,
        progress=False,
    )  # fmt: skip
    return {name: curve.values for name, curve in result.history.items()}


@pytest.mark.parametrize("name", ROWS)
def test_a_curve_is_what_it_was(name: str) -> None:
    stored = json.loads(STORED.read_text())[name]
    found = curve(name)
    assert set(found) == set(stored)
    for kind, values in stored.items():
        # Other processors sum float32 in another order: 1e-7 a step, which thirty steps of training amplify.
        assert found[kind] == pytest.approx(values, rel=1e-4, abs=1e-5), kind


def test_the_order_of_the_data_is_what_it_was() -> None:
    """A later version must resume what an earlier one began."""
    order = Order(torch.arange(6), batch_size=3, seed=1)
    assert [order.rows(step).tolist() for step in range(4)] == json.loads(STORED.read_text())["order"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    order = Order(torch.arange(6), batch_size=3, seed=1)
    curves: dict[str, object] = {name: curve(name) for name in ROWS}
    curves["order"] = [order.rows(step).tolist() for step in range(4)]
    STORED.write_text(json.dumps(curves, indent=1) + "\n")
