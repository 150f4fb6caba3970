"""Training of a forward model: unrolled over several steps, with a posterior over the latents and z-dropout.

Shape letters: B samples, T steps, A size of an action, Z of a latent, D features.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lowland.energies.base import Energy
from lowland.energies.protocols import offered
from lowland.errors import OptionError, UnsupportedError
from lowland.nn.layers import mlp
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.tensors import PerSampleRNG, tree_map
from lowland.worlds.base import State, World, standardise
from lowland.worlds.forward import ForwardModel, windows
from lowland.worlds.vector import VectorWorld


class Posterior(nn.Module):
    """q(z[t] | s[t], s[t+1]) = N(μ, σ²) from φ(s[t]), a[t] and the surprise φ(s[t+1]) − φ(g(s[t], a[t], 0)).

    The network sees the prediction error at z = 0, so that it need not learn what the model already predicts. All
    inputs are z-scored at the start of training, since the error is often small against the state. Any module with the
    same call may take its place.

    Args:
        features: D, the size of `world.features(state)`.
        actions: A.
        latents: Z.
        hidden: sizes of the hidden layers.
        generator: draws the weights.

    >>> from lowland.worlds.vector import VectorWorld
    >>> state = {"observation": torch.zeros(5, 3)}
    >>> mean, _ = Posterior(3, 1, latents=2)(VectorWorld(3, 1, latents=2), state, torch.zeros(5, 1), state)
    >>> mean.shape
    torch.Size([5, 2])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        features: int,
        actions: int,
        latents: int,
        hidden: tuple[int, ...] = (128, 128),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.network = mlp(2 * features + actions, *hidden, 2 * latents, generator=generator)
        self.register_buffer("mean", torch.zeros(2 * features + actions))
        self.register_buffer("deviation", torch.ones(2 * features + actions))

    def forward(self, world: World, state: State, action: Tensor, following: State) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z[t], (B, Z) each, for s[t], a[t] and s[t+1]."""
        inputs = (self._inputs(world, state, action, following) - self.mean) / self.deviation
        mean, log_variance = self.network(inputs).chunk(2, dim=1)
        return mean, log_variance

    @torch.no_grad()
    def initialise(self, world: World, state: State, action: Tensor, following: State) -> None:
        """Set the scales of the inputs from data; arguments as of `forward`."""
        source = torch.cat([world.features(state), world.features(following), action], dim=1)
        standardise(self._inputs(world, state, action, following), self.mean, self.deviation, source)

    @torch.no_grad()
    def _inputs(self, world: World, state: State, action: Tensor, following: State) -> Tensor:
        surprise = world.features(following) - world.features(world.step(state, action))
        return torch.cat([world.features(state), surprise, action], dim=1)


@register("shaping")
class ForwardTraining(Shaping):
    """L = mean over data of E(x, y, z) + β Σ_t KL(q(z[t] | s[t], s[t+1]) ‖ N(0, I)) / T, z ∼ q or, dropped, ∼ N(0, I).

    Three methods: without a posterior, the model is deterministic (z = 0); with one, it is a conditional variational
    auto-encoder, unrolled over T steps; with z-dropout, z comes from the prior at randomly chosen steps of each sample,
    which then have no KL term, so that the model learns to predict without the posterior. In a world with dropout every
    step of every sample has its own mask. The posterior sees the logged s[t], in the paper the predicted one. Source:
    Henaff, Canziani & LeCun 2019, section 3.1 and equation 3 (system W5).

    Energies: `ForwardModel`.

    Args:
        posterior: posterior network q, such as `Posterior`, used and trained in training only. None for a deterministic
            model.
        kl: weight β of the KL term; 1e-6 in the paper, whose error is a mean over pixels, not a sum over features.
        z_dropout: probability that z comes from the prior; 0.5 in the paper, 0 for a plain auto-encoder.
        largest: upper bound of log σ²; 4 in the released code.
        seed: of z, z-dropout and the dropout masks.

    Raises:
        OptionError: for a negative β, or a probability that is not in [0, 1).
        UnsupportedError: in training, for an energy that is not a `ForwardModel`, or a posterior without latents.

    >>> import lowland as ll
    >>> from lowland.worlds import ForwardModel, ForwardTraining, Posterior, VectorWorld, windows
    >>> path = {"observation": torch.randn(40, 3, generator=torch.Generator().manual_seed(0)),
    ...         "actions": torch.zeros(39, 1)}
    >>> x, y = windows([path], horizon=4)
    >>> energy = ForwardModel(VectorWorld(3, 1, latents=2), x["state"], horizon=4)
    >>> result = ll.fit(energy, (x, y), ForwardTraining(Posterior(3, 1, latents=2)), max_steps=3)
    >>> result.steps
    3
    """

    def __init__(
        self,
        posterior: nn.Module | None = None,
        kl: float = 1e-3,
        z_dropout: float = 0.5,
        largest: float = 4.0,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if not kl >= 0 or not 0 <= z_dropout < 1:
            raise OptionError(f"kl must not be negative and z_dropout in [0, 1), but they are {kl} and {z_dropout}.")
        self.posterior, self.kl, self.z_dropout, self.largest = posterior, kl, z_dropout, largest

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        own = [] if self.posterior is None else list(self.posterior.parameters())
        return {"energy": [*energy.parameters(), *own]}

    def prepare(self, energy: Energy, data: Batch) -> None:
        """Set the scales of the world from the data, then those of the posterior."""
        super().prepare(energy, data)
        _, core = offered(energy, ForwardModel, type(self).__name__)
        if isinstance(self.posterior, Posterior):
            self.posterior.initialise(core.world, *_steps(data.x, data.y))

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        weight, core = offered(energy, ForwardModel, type(self).__name__)
        world, actions = core.world, batch.x["actions"]
        noise = self.noise(actions)
        mask = world.draw_mask(noise, core.horizon) if world.masked else None
        if self.posterior is None:
            error = core.errors(core.predict(batch.x, None, mask), batch.y).mean()
            return Losses({"energy": weight * error}, {"error": error.detach()})
        if not world.latents:
            raise UnsupportedError(f"There is a posterior, but {type(world).__name__} was made without latents.")
        mean, log_variance = self.infer(world, batch.x, batch.y)
        drawn = noise.normal(core.horizon, world.latents)
        kept = (noise.uniform(core.horizon, 1) >= self.z_dropout).to(drawn.dtype)
        z = kept * (mean + (0.5 * log_variance).exp() * drawn) + (1 - kept) * drawn
        error = core.errors(core.predict(batch.x, z, mask), batch.y).mean()
        divergence = kl_to_normal(mean, log_variance)
        loss = weight * error + self.kl * (kept.squeeze(2) * divergence).mean()
        return Losses({"energy": loss}, {"error": error.detach(), "kl": divergence.detach().mean()})

    def infer(self, world: World, x: Any, y: State) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z[t] | s[t], s[t+1]) for all steps, (B, T, Z) each."""
        assert self.posterior is not None
        steps = x["actions"].shape[1]
        found = self.posterior(world, *_steps(x, y))
        mean, log_variance = (value.unflatten(0, (-1, steps)) for value in found)
        return mean, log_variance.clamp_max(self.largest)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        """A random walk that does not depend on the actions."""
        drawn = torch.Generator().manual_seed(0)
        path = {
            "observation": torch.randn(36, 2, generator=drawn).cumsum(dim=0),
            "actions": torch.randn(35, 1, generator=drawn),
        }
        x, y = windows([path], horizon=4)
        world = VectorWorld(2, 1, latents=2, hidden=16, dropout=0.1)
        batch = Batch(y, x, torch.arange(len(x["actions"])))
        return ShapingCase(cls(Posterior(2, 1, 2, (16,))), ForwardModel(world, x["state"], 4), batch)


@torch.no_grad()
def posterior_futures(world: World, posterior: nn.Module, x: Any, y: State, rows: Tensor, seed: int = 0) -> Tensor:
    """Latents z[t] ∼ q(z[t] | s[t], s[t+1]) of logged transitions, one future for each of B segments, (B, T, Z).

    The counterpart of `worlds.uncertainty.prior_futures`. Such a z knows what the others did when the log's own car
    acted as it did, and a policy that is trained on it acts otherwise. Henaff, Canziani & LeCun (2019) compare the two
    (system W5).

    Args:
        world: with latents.
        posterior: q, trained with this world: see `ForwardTraining`.
        x, y: logged segments, as of `ForwardTraining`: first states with `actions` (B, T, A), and the T states after.
        rows: numbers of the segments, (B,): a segment gets the same z whenever it is drawn.
        seed: of z.

    Raises:
        UnsupportedError: for a world without latents.

    >>> from lowland.worlds.vector import VectorWorld
    >>> x, y = {"state": {"observation": torch.zeros(5, 3)}, "actions": torch.zeros(5, 4, 1)}, torch.zeros(5, 4, 3)
    >>> world, rows = VectorWorld(3, 1, latents=2), torch.arange(5)
    >>> posterior_futures(world, Posterior(3, 1, latents=2), x, {"observation": y}, rows).shape
    torch.Size([5, 4, 2])
    """
    if not world.latents:
        raise UnsupportedError(f"There is a posterior, but {type(world).__name__} was made without latents.")
    mean, log_variance = ForwardTraining(posterior).infer(world, x, y)
    noise = PerSampleRNG(seed, rows.to(mean.device), mean.dtype)
    return mean + (0.5 * log_variance).exp() * noise.normal(*mean.shape[1:])


def _steps(x: Any, y: State) -> tuple[State, Tensor, State]:
    """All steps of all trajectories as rows: s[t], a[t] and s[t+1], (B · T, …) each."""
    path = {name: torch.cat([x["state"][name][:, None], tensor], dim=1) for name, tensor in y.items()}
    before = tree_map(lambda tensor: tensor[:, :-1].flatten(0, 1), path)
    after = tree_map(lambda tensor: tensor[:, 1:].flatten(0, 1), path)
    return before, x["actions"].flatten(0, 1), after


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ (μ² + σ² − log σ² − 1) over the last axis (Kingma & Welling 2014, appendix B).

    >>> kl_to_normal(torch.tensor([[1.0, 1.0]]), torch.zeros(1, 2))
    tensor([1.])
    """
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=-1)
