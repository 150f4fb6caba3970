"""Maximum likelihood with a variational bound on log Z (system C1)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from lowland.energies.base import Energy
from lowland.energies.flow import NormalisingFlow
from lowland.energies.network import NetworkEnergy
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG


@register("shaping")
class VariationalLikelihood(FreeEnergyShaping):
    """min_θ max_q mean F(y) + H(q) − E_q F(ŷ): log Z = max_q H(q) − E_q F replaces log Z in the likelihood.

    q is a normalising flow, which gives samples and their log-density, so that L_q = E_q [F + log q] has an exact
    gradient through the samples ŷ. The bound is tight at q = exp(−F) / Z; while q lags behind, the likelihood is
    overestimated. Source: the variational principle of Gibbs; with a learned sampler, Kim & Bengio, "Deep directed
    generative models with energy-based probability estimation" (2016).

    Energies: any with a continuous y, one vector.

    Args:
        proposal: q, owned by the shaping and trained as the separate group "proposal".
        penalty: γ ≥ 0, adds γ/2 mean ‖∇F‖² at the data, which keeps F from changing faster than q (as R1 does in
            adversarial training).
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    Raises:
        OptionError: for a negative γ, or a proposal that is not a NormalisingFlow.

    >>> case = VariationalLikelihood.reference_case()
    >>> sorted(case.shaping(case.energy, case.batch).losses)
    ['energy', 'proposal']
    """

    def __init__(
        self,
        proposal: NormalisingFlow,
        penalty: float = 0.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        if not penalty >= 0:
            raise OptionError(f"penalty must be at least 0, but it is {penalty}.")
        if not isinstance(proposal, NormalisingFlow):
            raise OptionError(f"The proposal must be a NormalisingFlow, not a {type(proposal).__name__}.")
        self.proposal, self.penalty = proposal, penalty

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        return {"energy": energy.parameters(), "proposal": self.proposal.parameters()}

    def prepare(self, energy: Energy, data: Batch) -> None:
        """Initialise the energy and q from the data."""
        super().prepare(energy, data)
        with torch.no_grad():
            self.proposal.initialise(None, data.y, self.noise(data.y))

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        made = self.proposal.generate(self.noise(batch.y).normal(batch.y.shape[1]))
        fake, log_q = self.free(energy, made, batch.x).mean(), -self.proposal(y=made).mean()
        data = self.free(energy, batch.y, batch.x).mean()
        own = data - fake
        if self.penalty:
            _, gradient = self.slope(energy, batch.y, batch.x)
            own = own + 0.5 * self.penalty * gradient.square().sum(dim=1).mean()
        bound = -(log_q + fake).detach()
        return Losses({"energy": own, "proposal": fake + log_q}, {"log_partition": bound, "nll": data.detach() + bound})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = 1 + 0.2 * PerSampleRNG(0, torch.arange(32)).normal(2)
        energy = NetworkEnergy(2, hidden=(16,), confinement=1.0)
        return ShapingCase(cls(NormalisingFlow(2, n_layers=2, width=8)), energy, Batch(y))
