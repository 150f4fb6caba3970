"""Trains networks that depend on a code, on many functions at once (system M9)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from lowland.data.sine_tasks import SineTasks
from lowland.energies.base import Energy
from lowland.energies.few_shots import FewShots
from lowland.energies.prediction import Prediction
from lowland.nn.hypernetwork import Conditional, OwnWeights
from lowland.shaping.base import Shaping
from lowland.shaping.regularised.learned_latents import LearnedLatents
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.gradient_descent import GradientDescent
from lowland.training.fit import FitResult, fit
from lowland.training.schedules import falling


class AtZero(nn.Module):
    """A network of one input and output at the code 0, (B, S) → (B, S): the same function for all samples."""

    def __init__(self, network: Conditional) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x[:, :, None], x.new_zeros(len(x), self.network.code))[:, :, 0]


def train_conditional(
    network: Conditional, tasks: SineTasks, steps: int = 4000, batch: int = 64, rate: float = 0.003,
    prior: float = 0.1, code_rate: float = 0.01, seed: int = 0,
) -> FitResult:  # fmt: skip
    """Train a network in place: each function has its own code, which moves with the weights.

    The codes are `LearnedLatents` of the energy `FewShots` with all points of a function. `OwnWeights` have no code in
    training: one network learns all functions at once by least squares, and is tuned to one of them later.

    Args:
        tasks: functions with points.
        steps, batch: updates, and functions of each.
        rate: of Adam for the weights at the start; it falls to 0.
        prior: λ.
        code_rate: size of a step of descent for the codes, in units of z² per unit of E. A step that would raise E is
            not taken, since weights that grow make E steep in z.
        seed: of the codes and the order of functions.
    """
    points = tasks.x.shape[1]
    energy: Energy
    shaping: Shaping
    if isinstance(network, OwnWeights):
        energy = Prediction(points, points, hidden=())
        energy.network = AtZero(network)
        shaping = MinimumEnergy()
    else:
        energy = FewShots(network, points, prior)
        mover = GradientDescent(code_rate, max_steps=1, monotone=True, tol=None, check_every=1)
        shaping = LearnedLatents(mover, seed=seed)
    return fit(
        energy, (tasks.x, tasks.y), shaping, steps, min(batch, len(tasks.x)), rate, validation=0.0, seed=seed,
        progress=False, log_every=max(1, steps // 60), schedule=partial(falling, steps),
    )  # fmt: skip
