"""The contrastive methods of the comparison (C1 to C3), and score matching (A4), which trains the same energies."""

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
from lowland.recipes.methods import Case, Method, Plan, planned
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
    Method(
        name="maximum-likelihood",
        family="C1",
        title="Maximum likelihood",
        paper="log Z exact",
        text="In the plane log Z is summed on a grid, so that every point of it pushes up in proportion to its "
        "probability: steep walls, and high ground that nothing was wasted on. In many dimensions only simple "
        "energies have an exact log Z; on the images this is a Gaussian, one bowl.",
        energy=lambda case: network(case) if case.plane else Gaussian(case.n, mean=case.train.mean(dim=0)),
        shaping=lambda case: MaximumLikelihoodGrid(smoothness=0.01) if case.plane else MaximumLikelihood(),
        plan=lambda case: Plan(int(case.choose(400, 1500)), case.choose(6e-3, 1e-2)),
    ),
    Method(
        name="variational-likelihood",
        family="C1",
        title="Variational likelihood",
        paper="log Z bounded by a flow",
        text="A flow that can be sampled and whose entropy is known bounds log Z from below and chases the energy's"
        " low land; the energy is pushed up wherever the flow goes.",
        energy=confined,
        shaping=lambda case: VariationalLikelihood(
            NormalisingFlow(case.n, n_layers=6, generator=case.generator), seed=case.seed
        ),
        plan=lambda case: Plan(1000) if case.plane else Plan(1500, 2e-3),
    ),
    Method(
        name="cd-langevin",
        family="C2",
        title="Contrastive divergence",
        paper="Hinton 2002; Langevin chains",
        text="Short noisy descents from the data show where the energy would leak, and that is pushed up. What no "
        "chain reaches is never pushed up at all: far from the data the land may lie low.",
        energy=confined,
        shaping=lambda case: ContrastiveDivergence(langevin(case), magnitude=0.01, seed=case.seed),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    Method(
        name="persistent-cd",
        family="C2",
        title="Persistent chains",
        paper="Tieleman 2008; Du & Mordatch 2019",
        text="The chains go on from step to step and roam far, so that false valleys far from the data are found "
        "and filled.",
        energy=confined,
        shaping=lambda case: ContrastiveDivergence(
            langevin(case, temperature=1.0), persistent=True, magnitude=0.01, seed=case.seed
        ),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    Method(
        name="cd-hmc",
        family="C2",
        title="Hamiltonian chains",
        paper="Hinton 2002; Neal 2011",
        text="Contrastive divergence whose chains have momentum: fewer, longer steps, tested by Metropolis, that "
        "cross the land instead of diffusing over it.",
        energy=confined,
        shaping=lambda case: ContrastiveDivergence(
            HMC(step_size=case.choose(0.1, 0.05), n_leapfrog=5, max_steps=3), magnitude=0.01, seed=case.seed
        ),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    Method(
        name="rbm-cd",
        family="C2",
        title="RBM, contrastive divergence",
        paper="Hinton 2002",
        text="Binary hidden units that each add a soft half-space. Points in the plane are given as thermometers of"
        " bits, so that the landscape is built of steps. Gibbs chains from the data give the points to push "
        "up.",
        energy=machine,
        data=binary_data,
        measured=seen,
        shaping=lambda case: ContrastiveDivergence(Gibbs(max_steps=2), seed=case.seed),
        plan=lambda case: Plan(1500, 3e-3) if case.plane else Plan(800, 1e-2),
        beta=1.0,
        pictures=weights,
        shows="weights of the hidden units",
    ),
    Method(
        name="rbm-pcd",
        family="C2",
        title="RBM, persistent chains",
        paper="Tieleman 2008",
        text="The same machine; its Gibbs chains never start again, and see the model rather than the neighbourhood"
        " of the data.",
        energy=machine,
        data=binary_data,
        measured=seen,
        shaping=lambda case: ContrastiveDivergence(Gibbs(max_steps=1), persistent=True, seed=case.seed),
        plan=lambda case: Plan(1500, 3e-3) if case.plane else Plan(1000, 1e-2),
        beta=1.0,
        pictures=weights,
        shows="weights of the hidden units",
        limit="Noise with the right mean in each pixel is not far from what its chains bring up. It is no matter of "
        "size: more hidden units, more Gibbs steps and a slower rate all ended within 0.04 of this figure on digits.",
    ),
    Method(
        name="nce",
        family="C2",
        title="Noise-contrastive estimation",
        paper="Gutmann & Hyvärinen 2010",
        text="Learns to tell data from noise of known density, a mixture of Gaussians fitted to the data; log Z is "
        "learned with the rest. Right where the noise is, free where it never goes.",
        energy=confined,
        shaping=lambda case: NoiseContrastive(components=4, widen=case.choose(1.5, 1.0), seed=case.seed),
        plan=planned(800, 1500, plane_lr=6e-3),
    ),
    Method(
        name="ratio-matching",
        family="C2",
        title="Ratio matching",
        paper="Hyvärinen 2007",
        text="Each bit of the data in turn is flipped, and the flipped one must be less probable. log Z cancels; "
        "only the nearest neighbours of the data on the cube are ever pushed up.",
        energy=machine,
        data=binary_data,
        measured=seen,
        shaping=lambda case: RatioMatching(seed=case.seed),
        plan=lambda case: Plan(800, 3e-3) if case.plane else Plan(600, 1e-2),
        beta=1.0,
        pictures=weights,
        shows="weights of the hidden units",
    ),
    Method(
        name="minimum-probability-flow",
        family="C2",
        title="Minimum probability flow",
        paper="Sohl-Dickstein 2011",
        text="Asks that probability would not flow from the data to their neighbours: an exponential push on every "
        "flipped bit that lies lower than the data.",
        energy=machine,
        data=binary_data,
        measured=seen,
        shaping=lambda case: MinimumProbabilityFlow(seed=case.seed),
        plan=lambda case: Plan(800, 3e-3) if case.plane else Plan(1500, 5e-3, batch=32),
        beta=1.0,
        pictures=weights,
        shows="weights of the hidden units",
    ),
    Method(
        name="pair-simple",
        family="C2",
        title="Simple pair loss",
        paper="Bromley 1993",
        text="Data below zero, the most offending point nearby above a margin; once both hold, nothing moves any "
        "more. Plains with a step at the edge of the data.",
        energy=deep,
        shaping=lambda case: SimplePair(
            descent(case), margin=case.choose(1.0, 10.0), magnitude=case.choose(1e-3, 1e-4), seed=case.seed
        ),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    Method(
        name="pair-hinge",
        family="C2",
        title="Hinge pair loss",
        paper="Altun 2003; Weston 2010",
        text="Only the difference counts: data must lie below their most offending neighbour by a margin, at "
        "whatever height.",
        energy=deep,
        shaping=lambda case: HingePair(descent(case), margin=1.0, magnitude=0.001, seed=case.seed),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    Method(
        name="pair-square",
        family="C2",
        title="Square–square loss",
        paper="Chopra 2005; Hadsell 2006",
        text="Springs instead of hinges: the further a pair is from its place, the harder the pull.",
        energy=deep,
        shaping=lambda case: SquareSquarePair(descent(case), margin=case.choose(1.0, 10.0), seed=case.seed),
        plan=planned(800, 600, plane_lr=6e-3),
    ),
    Method(
        name="nca",
        family="C2",
        title="Neighbourhood components",
        paper="Goldberger 2005",
        text="One data point among several contrastive ones is to be picked out; the push on each is in proportion "
        "to how likely it is to be mistaken.",
        energy=deep,
        shaping=lambda case: NeighbourhoodComponents(descent(case), magnitude=0.001, seed=case.seed),
        plan=planned(800, 400, batch=48, plane_lr=6e-3),
    ),
    Method(
        name="infonce",
        family="C2",
        title="InfoNCE",
        paper="van den Oord 2018",
        text="The logarithm of the same softmax: an implicit, infinite margin. The worst mistakes are pushed hardest.",
        energy=deep,
        shaping=lambda case: InfoNCE(descent(case), magnitude=0.001, seed=case.seed),
        plan=planned(800, 400, batch=48, plane_lr=6e-3),
    ),
    Method(
        name="gan",
        family="C2",
        title="GAN discriminator",
        paper="Goodfellow 2014",
        text="A generator learns where the energy is low and is pushed up there. When the two are done the "
        "discriminator is flat where they meet, and arbitrary where neither has been.",
        energy=lambda case: network(case, hidden=(96, 96, 96)),
        shaping=lambda case: GAN(generator(case), n_noise=int(case.choose(4, 16)), penalty=0.1, seed=case.seed),
        plan=planned(2000, 1500, 5e-4, plane_lr=1e-3),
        limit="A discriminator is only ever pushed up at points that its generator makes, and these soon look much "
        "like data. Noise of single pixels is never among them, so that nothing was learned about it.",
    ),
    Method(
        name="ebgan",
        family="C2",
        title="Energy-based GAN",
        paper="Zhao 2016",
        text="The energy is the reconstruction error of an auto-encoder; what the generator finds is pushed up to a"
        " margin and no further, and its codes repel one another so that it does not collapse.",
        energy=lambda case: Autoencoder(case.n, int(case.choose(8, 32)), generator=case.generator),
        shaping=lambda case: EBGAN(
            generator(case), n_noise=int(case.choose(4, 16)), margin=case.choose(0.5, 3.0), seed=case.seed
        ),
        plan=planned(1500, 1500, 5e-4),
    ),
    Method(
        name="wgan",
        family="C2",
        title="Wasserstein critic",
        paper="Arjovsky 2017; Gulrajani 2017",
        text="A slope of one everywhere between data and generated points: no canyon, a cone that says how far the "
        "data are.",
        energy=network,
        shaping=lambda case: WGAN(generator(case), n_noise=int(case.choose(4, 16)), penalty=1.0, seed=case.seed),
        plan=planned(1500, 1200, 5e-4),
        limit="The critic rises at a slope of one from the data to where the generator now is, and this direction "
        "keeps turning while the generator follows. Directions that the generator has left, or never took, "
        "are free.",
    ),
    Method(
        name="denoising",
        family="C3",
        title="Denoising auto-encoder",
        paper="Vincent 2008",
        text="Learns to pull noisy points back. The error it makes is its energy: small on the data, and a slope "
        "towards them as far as the noise of training reached.",
        energy=lambda case: Autoencoder(case.n, 128, hidden=(256,), generator=case.generator),
        shaping=lambda case: Denoising(spread=case.choose(0.2, 0.3), seed=case.seed),
        plan=planned(2000, 1500, plane_lr=3e-3),
    ),
    Method(
        name="masked",
        family="C3",
        title="Masked auto-encoder",
        paper="Vincent 2008; Devlin 2019",
        text="Parts are hidden and filled in from the rest. The energy is how badly that works, so it is low where "
        "the parts agree with one another. In the plane there are two parts only, and the filling-in is a "
        "regression line each way.",
        energy=lambda case: MaskedAutoencoder(case.n, (256, 256), generator=case.generator),
        shaping=lambda case: Masked(seed=case.seed),
        plan=planned(1000, 1200),
    ),
    Method(
        name="score-matching",
        family="A4",
        title="Score matching",
        paper="Hyvärinen 2005",
        text="Slope zero and curvature large at each sample, nothing else. Between and beyond the samples the land "
        "is what the network makes of it.",
        energy=deep,
        shaping=lambda case: ScoreMatching(smoothing=case.choose(0.05, 0.3), seed=case.seed),
        plan=lambda case: Plan(800, 6e-3) if case.plane else Plan(400, batch=32),
    ),
    Method(
        name="sliced-score-matching",
        family="A4",
        title="Sliced score matching",
        paper="Song 2019",
        text="The same aim with the curvature measured along random directions: cheap in many dimensions, noisier.",
        energy=deep,
        shaping=lambda case: SlicedScoreMatching(smoothing=case.choose(0.05, 0.3), seed=case.seed),
        plan=planned(1000, 800, plane_lr=6e-3),
    ),
    Method(
        name="denoising-score-matching",
        family="A4",
        title="Denoising score matching",
        paper="Vincent 2011",
        text="−∇F must point from a noisy sample back to the clean one: score matching of the data blurred by that "
        "noise.",
        energy=deep,
        shaping=lambda case: DenoisingScoreMatching(spread=case.choose(0.2, 0.3), seed=case.seed),
        plan=planned(1500, 1200, plane_lr=3e-3),
    ),
]
