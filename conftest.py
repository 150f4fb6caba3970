"""Pytest settings for tests and doctests alike: one thread, no display, the same random numbers in every run."""

from __future__ import annotations

import os

# Read when torch and matplotlib are imported, so they come first.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import random

import hypothesis
import numpy as np
import pytest
import torch

torch.set_num_threads(1)
hypothesis.settings.register_profile("lowland", deadline=None, derandomize=True)
hypothesis.settings.load_profile("lowland")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Seeds the global generators, which initial weights of torch layers are drawn from."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
