"""The contrastive methods (C1 to C3), and score matching (A4), which trains the same energies."""

from __future__ import annotations

from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.autoencoder import Autoencoder
from lowland.energies.base import Energy
from lowland.energies.compose import Thermometer, Transformed
from lowland.energies.flow import NormalisingFlow
from lowland.energies.gaussian import Gaussian
from lowland.energies.masked_autoencoder import MaskedAutoencoder
from lowland.energies.network import NetworkEnergy
from lowland.energies.rbm import RBM
from lowland.nn.layers import mlp
from lowland.shaping.contrastive.adversarial import EBGAN, GAN, WGAN
from lowland.shaping.contrastive.binary import MinimumProbabilityFlow, RatioMatching
from lowland.shaping.contrastive.denoising import Denoising, Masked
from lowland.shaping.contrastive.divergence import ContrastiveDivergence
from lowland.shaping.contrastive.group import InfoNCE, NeighbourhoodComponents
from lowland.shaping.contrastive.likelihood import MaximumLikelihood, MaximumLikelihoodGrid
from lowland.shaping.contrastive.noise_contrastive import NoiseContrastive
from lowland.shaping.contrastive.pair import HingePair, SimplePair, SquareSquarePair
from lowland.shaping.contrastive.points import ShortRun
from lowland.shaping.contrastive.variational_likelihood import VariationalLikelihood
from lowland.shaping.score.matching import DenoisingScoreMatching, ScoreMatching, SlicedScoreMatching
from lowland.solvers.gibbs import Gibbs
from lowland.solvers.hmc import HMC
from lowland.solvers.langevin import Langevin
from lowland.training.vector_methods.base import Case, Plan, VectorMethod, planned

LOW, HIGH = -2.2, 2.2
"""Ends of the thermometer that turns a coordinate in the plane into bits, in units of the data."""
LEVELS = 24


def network(case: Case, confinement: float | None = None, hidden: tuple[int, ...] = (128, 128)) -> NetworkEnergy:
    """The network that most of these methods share; `confinement` keeps exp(−F) integrable where that is needed."""
    return NetworkEnergy(
        case.n, hidden if case.plane else (256, 256), confinement=confinement, generator=case.generator
    )


def confined(case: Case) -> NetworkEnergy:
    """The shared network in a wide bowl."""
    return network(case, confinement=case.choose(2.0, 1.0))


def deep(case: Case) -> NetworkEnergy:
    """The same with one layer more in the plane, for methods whose points or slopes see only what is near the data."""
    return network(case, confinement=case.choose(2.0, 1.0), hidden=(96, 96, 96))


def langevin(case: Case, temperature: float = 0.2) -> Langevin:
    """Short chains; on images the temperature makes their noise small against the data."""
    return Langevin(step_size=case.choose(0.02, 0.005), temperature=case.choose(1.0, temperature), max_steps=20)


def descent(case: Case) -> ShortRun:
    """Contrastive points: where a short noisy descent ends that started near the data."""
    solver = Langevin(step_size=case.choose(0.05, 0.02), temperature=case.choose(0.05, 0.01), max_steps=10)
    return ShortRun(solver, spread=case.choose(0.5, 0.3))


def generator(case: Case) -> nn.Module:
    """U → ŷ, from 16 (plane: 4) noise units."""
    return mlp(int(case.choose(4, 16)), 128, 128, case.n, activation=nn.ReLU, generator=case.generator)


def bits(case: Case) -> Thermometer:
    """Both coordinates of the plane as columns of bits."""
    return Thermometer(case.n, LEVELS, LOW, HIGH)


def binary_data(case: Case) -> Tensor:
    """Bits of points in the plane; grey levels of images as they are, as probabilities."""
    return bits(case)(case.train) if case.plane else case.train


def machine(case: Case) -> RBM:
    """A restricted Boltzmann machine on those bits."""
    return RBM(case.n * LEVELS if case.plane else case.n, int(case.choose(64, 128)), generator=case.generator)


def seen(case: Case, energy: Energy) -> Energy:
    """The machine as an energy of points in the plane, its thermometers made smooth so that they can be followed."""
    smooth = Thermometer(case.n, LEVELS, LOW, HIGH, width=0.05)
    return Transformed(energy, smooth, y=Reals(2)) if case.plane else energy


def weights(energy: Energy) -> Tensor | None:
    """What each hidden unit looks at."""
    return energy.weight.detach().T if isinstance(energy, RBM) else None


CONTRASTIVE = [
    VectorMethod(
        name="maximum-likelihood",
        energy=lambda case: network(case) if case.plane else Gaussian(case.n, mean=case.train.mean(dim=0)),
        shaping=lambda case: MaximumLikelihoodGrid(smoothness=0.01) if case.plane else MaximumLikelihood(),
        plan=lambda case: Plan(int(case.choose(400, 1500)), case.choose(6e-3, 1e-2)),
    ),
    VectorMethod(
        name="variational-likelihood",
        energy=confined,
        shaping=lambda case: VariationalLikelihood(
            NormalisingFlow(case.n, n_layers=6, generator=case.generator), seed=case.seed
        ),
        plan=lambda case: Plan(1000) if case.plane else Plan(1500, 2e-3),
    ),
    VectorMethod(
        name="cd-langevin",
        energy=confined,
        shaping=lambda case: ContrastiveDivergence(langevin(case), magnitude=0.01, seed=case.seed),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    VectorMethod(
        name="persistent-cd",
        energy=confined,
        shaping=lambda case: ContrastiveDivergence(
            langevin(case, temperature=1.0), persistent=True, magnitude=0.01, seed=case.seed
        ),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    VectorMethod(
        name="cd-hmc",
        energy=confined,
        shaping=lambda case: ContrastiveDivergence(
            HMC(step_size=case.choose(0.1, 0.05), n_leapfrog=5, max_steps=3), magnitude=0.01, seed=case.seed
        ),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    VectorMethod(
        name="rbm-cd",
        energy=machine,
        data=binary_data,
        measured=seen,
        shaping=lambda case: ContrastiveDivergence(Gibbs(max_steps=2), seed=case.seed),
        plan=lambda case: Plan(1500, 3e-3) if case.plane else Plan(800, 1e-2),
        beta=1.0,
        pictures=weights,
    ),
    VectorMethod(
        name="rbm-pcd",
        energy=machine,
        data=binary_data,
        measured=seen,
        shaping=lambda case: ContrastiveDivergence(Gibbs(max_steps=1), persistent=True, seed=case.seed),
        plan=lambda case: Plan(1500, 3e-3) if case.plane else Plan(1000, 1e-2),
        beta=1.0,
        pictures=weights,
    ),
    VectorMethod(
        name="nce",
        energy=confined,
        shaping=lambda case: NoiseContrastive(components=4, widen=case.choose(1.5, 1.0), seed=case.seed),
        plan=planned(800, 1500, plane_lr=6e-3),
    ),
    VectorMethod(
        name="ratio-matching",
        energy=machine,
        data=binary_data,
        measured=seen,
        shaping=lambda case: RatioMatching(seed=case.seed),
        plan=lambda case: Plan(800, 3e-3) if case.plane else Plan(600, 1e-2),
        beta=1.0,
        pictures=weights,
    ),
    VectorMethod(
        name="minimum-probability-flow",
        energy=machine,
        data=binary_data,
        measured=seen,
        shaping=lambda case: MinimumProbabilityFlow(seed=case.seed),
        plan=lambda case: Plan(800, 3e-3) if case.plane else Plan(1500, 5e-3, batch=32),
        beta=1.0,
        pictures=weights,
    ),
    VectorMethod(
        name="pair-simple",
        energy=deep,
        shaping=lambda case: SimplePair(
            descent(case), margin=case.choose(1.0, 10.0), magnitude=case.choose(1e-3, 1e-4), seed=case.seed
        ),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    VectorMethod(
        name="pair-hinge",
        energy=deep,
        shaping=lambda case: HingePair(descent(case), margin=1.0, magnitude=0.001, seed=case.seed),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    VectorMethod(
        name="pair-square",
        energy=deep,
        shaping=lambda case: SquareSquarePair(descent(case), margin=case.choose(1.0, 10.0), seed=case.seed),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    VectorMethod(
        name="nca",
        energy=deep,
        shaping=lambda case: NeighbourhoodComponents(descent(case), magnitude=0.001, seed=case.seed),
        plan=planned(800, 400, batch=48, plane_lr=6e-3),
    ),
    VectorMethod(
        name="infonce",
        energy=deep,
        shaping=lambda case: InfoNCE(descent(case), magnitude=0.001, seed=case.seed),
        plan=planned(800, 400, batch=48, plane_lr=6e-3),
    ),
    VectorMethod(
        name="gan",
        energy=lambda case: network(case, hidden=(96, 96, 96)),
        shaping=lambda case: GAN(generator(case), n_noise=int(case.choose(4, 16)), penalty=0.1, seed=case.seed),
        plan=planned(2000, 1500, 5e-4, plane_lr=1e-3),
    ),
    VectorMethod(
        name="ebgan",
        energy=lambda case: Autoencoder(case.n, int(case.choose(8, 32)), generator=case.generator),
        shaping=lambda case: EBGAN(
            generator(case), n_noise=int(case.choose(4, 16)), margin=case.choose(0.5, 3.0), seed=case.seed
        ),
        plan=planned(1500, 1500, 5e-4),
    ),
    VectorMethod(
        name="wgan",
        energy=network,
        shaping=lambda case: WGAN(generator(case), n_noise=int(case.choose(4, 16)), penalty=1.0, seed=case.seed),
        plan=planned(1500, 1200, 5e-4),
    ),
    VectorMethod(
        name="denoising",
        energy=lambda case: Autoencoder(case.n, 128, hidden=(256,), generator=case.generator),
        shaping=lambda case: Denoising(spread=case.choose(0.2, 0.3), seed=case.seed),
        plan=planned(2000, 1500, plane_lr=3e-3),
    ),
    VectorMethod(
        name="masked",
        energy=lambda case: MaskedAutoencoder(case.n, (256, 256), generator=case.generator),
        shaping=lambda case: Masked(seed=case.seed),
        plan=planned(1000, 1200),
    ),
    VectorMethod(
        name="score-matching",
        energy=deep,
        shaping=lambda case: ScoreMatching(smoothing=case.choose(0.05, 0.3), seed=case.seed),
        plan=lambda case: Plan(800, 6e-3) if case.plane else Plan(400, batch=32),
    ),
    VectorMethod(
        name="sliced-score-matching",
        energy=deep,
        shaping=lambda case: SlicedScoreMatching(smoothing=case.choose(0.05, 0.3), seed=case.seed),
        plan=planned(1000, 800, plane_lr=6e-3),
    ),
    VectorMethod(
        name="denoising-score-matching",
        energy=deep,
        shaping=lambda case: DenoisingScoreMatching(spread=case.choose(0.2, 0.3), seed=case.seed),
        plan=planned(1500, 1200, plane_lr=3e-3),
    ),
]
