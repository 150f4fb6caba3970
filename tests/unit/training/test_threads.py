"""Several threads train at the same time: each as if it were alone, and without a warning."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch

import lowland as ll


def test_two_threads_train_many_times_without_a_warning(bowl, mean, points):
    """Warnings are errors in the tests, also in threads; the numbers are those of one thread alone."""

    def trained(seed: int) -> torch.Tensor:
        energy = bowl()
        ll.fit(energy, points, mean(), max_steps=2, seed=seed, progress=False)
        return energy.centre.detach()

    def many(start: int) -> list[torch.Tensor]:
        together.wait()
        return [trained(start + number) for number in range(40)]

    together = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        found = [centre for centres in pool.map(many, (0, 40)) for centre in centres]
    for seed in (0, 39, 40, 79):
        assert torch.equal(found[seed], trained(seed))
