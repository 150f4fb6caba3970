"""Adversarial shapings: a generator network finds the points at which to push the energy up (systems C2, G1–G3)."""

from __future__ import annotations

import types
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.energies.autoencoder import Autoencoder
from lowland.energies.base import Energy
from lowland.energies.network import NetworkEnergy
from lowland.energies.protocols import offered
from lowland.errors import OptionError
from lowland.nn.layers import mlp
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG


class Adversarial(FreeEnergyShaping):
    """Base of GAN, EBGAN and WGAN: a generator ŷ = G(u), u standard normal, and one loss for each of the two players.

    Both losses come from one forward pass; each is differentiated with respect to its own group only.

    Args:
        network: G, from (B, n_noise) to the shape of y; owned by the shaping.
        n_noise: size of u.
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    Raises:
        OptionError: if n_noise is below 1.
    """

    def __init__(
        self,
        network: nn.Module,
        n_noise: int,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        if n_noise < 1:
            raise OptionError(f"n_noise must be at least 1, but it is {n_noise}.")
        self.network, self.n_noise = network, n_noise

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        return {"energy": energy.parameters(), "generator": self.network.parameters()}

    def generate(self, batch: Batch) -> Tensor:
        """G(u), one point per sample of the batch."""
        return self.network(self.noise(batch.y).normal(self.n_noise))

    def play(self, energy: Energy, batch: Batch, made: Tensor) -> tuple[Tensor, Tensor]:
        """The losses of the energy and of the generator."""
        raise NotImplementedError

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        made = self.generate(batch)
        own, generator = self.play(energy, batch, made)
        spread = made.detach().std(dim=0, correction=min(1, len(made) - 1)).mean()  # 0 for a single point
        return Losses({"energy": own, "generator": generator}, {"generated_spread": spread})


def _points() -> Tensor:
    return 1 + 0.2 * PerSampleRNG(0, torch.arange(32)).normal(2)


@register("shaping")
class GAN(Adversarial):
    """L_F = mean softplus(F(y)) + mean softplus(−F(G(u))) + γ/2 mean ‖∇F(y)‖², L_G = mean softplus(F(G(u))).

    F is minus the logit of the discriminator, D = σ(−F), so that this is Goodfellow et al., "Generative adversarial
    nets" (2014), with the non-saturating loss −log D(G(u)) of the generator. γ > 0 adds the R1 penalty of Mescheder,
    Geiger & Nowozin (2018), without which D carries no information near the data once G matches them.

    Energies: any with a continuous y, one tensor.

    Args:
        network, n_noise, beta, latent_solver, seed: see `Adversarial`.
        penalty: γ ≥ 0.

    >>> case = GAN.reference_case()
    >>> sorted(case.shaping(case.energy, case.batch).losses)
    ['energy', 'generator']
    """

    def __init__(
        self,
        network: nn.Module,
        n_noise: int,
        penalty: float = 0.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(network, n_noise, beta, latent_solver, seed)
        self.penalty = penalty

    def play(self, energy: Energy, batch: Batch, made: Tensor) -> tuple[Tensor, Tensor]:
        fake = self.free(energy, made, batch.x)
        own = functional.softplus(self.free(energy, batch.y, batch.x)).mean() + functional.softplus(-fake).mean()
        if self.penalty:
            _, gradient = self.slope(energy, batch.y, batch.x)
            own = own + 0.5 * self.penalty * gradient.flatten(1).square().sum(dim=1).mean()
        return own, functional.softplus(fake).mean()

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return ShapingCase(cls(mlp(2, 16, 2), 2), NetworkEnergy(2, hidden=(16,)), Batch(_points()))


@register("shaping")
class EBGAN(Adversarial):
    """L_F = mean F(y) + mean [m − F(G(u))]⁺, L_G = mean F(G(u)) + w · PT, with F the error of an auto-encoder.

    PT = 1 / (B (B − 1)) Σ_{i≠j} (s_iᵀ s_j / ‖s_i‖ ‖s_j‖)², s_i = Enc(G(u_i)), repels the codes of generated points from
    each other; its gradient reaches G (nothing is detached). Source: Zhao, Mathieu & LeCun, "Energy-based generative
    adversarial network" (2017), equations 1 and 2, with their w = 0.1.

    Energies: `Autoencoder`.

    Args:
        network, n_noise, seed: see `Adversarial`.
        margin: m > 0, in units of F.
        repel: w ≥ 0, the weight of the pulling-away term.

    Raises:
        OptionError: if the margin is not positive.
        UnsupportedError: if the energy is not an `Autoencoder`.

    >>> case = EBGAN.reference_case()
    >>> sorted(case.shaping(case.energy, case.batch).losses)
    ['energy', 'generator']
    """

    def __init__(
        self, network: nn.Module, n_noise: int, margin: float = 1.0, repel: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__(network, n_noise, seed=seed)
        if not margin > 0:
            raise OptionError(f"margin must be positive, but it is {margin}.")
        self.margin, self.repel = margin, repel

    def play(self, energy: Energy, batch: Batch, made: Tensor) -> tuple[Tensor, Tensor]:
        _, core = offered(energy, Autoencoder, type(self).__name__)
        fake = self.free(energy, made, batch.x)
        own = self.free(energy, batch.y, batch.x).mean() + (self.margin - fake).clamp_min(0).mean()
        return own, fake.mean() + self.repel * pulling_away(core.code(made))

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return ShapingCase(cls(mlp(2, 16, 2), 2), Autoencoder(2, 16, hidden=(16,)), Batch(_points()))


def pulling_away(codes: Tensor) -> Tensor:
    """PT, the mean over pairs i ≠ j of the squared cosine between the codes (B, C) of a batch; a scalar in [0, 1].

    >>> pulling_away(torch.eye(3)), pulling_away(torch.ones(3, 2)).round(decimals=4)
    (tensor(0.), tensor(1.))
    """
    unit = functional.normalize(codes, dim=1)
    count = len(unit)
    squares = (unit @ unit.T).square()
    return (squares.sum() - squares.diagonal().sum()) / (count * (count - 1))


@register("shaping")
class WGAN(Adversarial):
    """L_F = mean F(y) − mean F(G(u)) + λ mean (‖∇F(ȳ)‖ − 1)², L_G = mean F(G(u)), ȳ between y and G(u).

    −F is the critic. Source: Gulrajani et al., "Improved training of Wasserstein GANs" (2017), equation 3, with their
    λ = 10. The paper takes five critic steps per generator step; here both step together, and the generator's lower
    learning rate (`rates`) has the same purpose.

    Energies: any with a continuous y, one tensor.

    Args:
        network, n_noise, beta, latent_solver, seed: see `Adversarial`.
        penalty: λ ≥ 0.

    >>> case = WGAN.reference_case()
    >>> sorted(case.shaping(case.energy, case.batch).losses)
    ['energy', 'generator']
    """

    rates = types.MappingProxyType({"generator": 0.2})

    def __init__(
        self,
        network: nn.Module,
        n_noise: int,
        penalty: float = 10.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(network, n_noise, beta, latent_solver, seed)
        self.penalty = penalty

    def play(self, energy: Energy, batch: Batch, made: Tensor) -> tuple[Tensor, Tensor]:
        fake = self.free(energy, made, batch.x)
        share = self.noise(batch.y).uniform(*[1] * (batch.y.ndim - 1))
        _, gradient = self.slope(energy, share * batch.y + (1 - share) * made, batch.x)
        excess = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        own = self.free(energy, batch.y, batch.x).mean() - fake.mean() + self.penalty * excess
        return own, fake.mean()

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return ShapingCase(cls(mlp(2, 16, 2), 2), NetworkEnergy(2, hidden=(16,)), Batch(_points()))
