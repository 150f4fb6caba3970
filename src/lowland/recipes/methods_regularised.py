"""The architectural and regularised methods of the comparison: A1, A2 and A3."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lowland.energies.autoencoder import Autoencoder
from lowland.energies.base import Energy
from lowland.energies.discrete_autoencoder import DiscreteAutoencoder
from lowland.energies.flow import NormalisingFlow
from lowland.energies.ica import SquareICA
from lowland.energies.kmeans import KMeans
from lowland.energies.mixture import GaussianMixture
from lowland.energies.pca import PCA
from lowland.energies.sparse_autoencoder import SparseAutoencoder
from lowland.energies.sparse_coding import SparseCoding
from lowland.energies.vae import VariationalAutoencoder
from lowland.energies.vqvae import VQVAE
from lowland.recipes.methods import Case, Method, Plan, planned
from lowland.shaping.regularised.contraction import Contraction
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.shaping.regularised.natural_gradient import NaturalGradient
from lowland.shaping.regularised.saturation import Saturation
from lowland.shaping.regularised.straight_through import StraightThrough, VectorQuantisation
from lowland.shaping.regularised.variational import VariationalFreeEnergy
from lowland.solvers.lbfgs import LBFGS
from lowland.solvers.proximal import FISTA


def _all(steps: int) -> Callable[[Case], Plan]:
    """Updates from sufficient statistics of all the data at once."""
    return lambda case: Plan(steps, batch=len(case.train))


def _columns(name: str) -> Callable[[Energy], Tensor]:
    return lambda energy: getattr(energy, name).detach().T


def _rows(name: str) -> Callable[[Energy], Tensor]:
    return lambda energy: getattr(energy, name).detach()


REGULARISED = [
    Method(
        name="pca",
        family="A1",
        title="PCA",
        paper="Pearson 1901",
        text="Zero on a subspace, and a parabola away from it. In the plane one component is left: a straight "
        "valley, along which the energy never rises.",
        energy=lambda case: PCA(case.n, int(case.choose(1, 20)), generator=case.generator),
        shaping=lambda case: ExpectationMaximisation(seed=case.seed),
        plan=_all(1),
        pictures=_rows("components"),
        shows="principal components",
    ),
    Method(
        name="kmeans",
        family="A1",
        title="K-means",
        paper="Lloyd 1957",
        text="K bowls, one around each centre; the lowest of them is the energy. K points of zero energy and "
        "nothing else.",
        energy=lambda case: KMeans(case.n, int(case.choose(24, 64)), generator=case.generator),
        shaping=lambda case: ExpectationMaximisation(seed=case.seed),
        plan=_all(30),
        pictures=_rows("centres"),
        shows="centres",
    ),
    Method(
        name="gaussian-mixture",
        family="A1",
        title="Gaussian mixture",
        paper="Dempster 1977",
        text="K blobs that each take their own shape. The integral is one by construction, so that digging here "
        "raises there.",
        energy=lambda case: GaussianMixture(
            case.n, int(case.choose(16, 10)), floor=case.choose(1e-4, 1e-2), generator=case.generator
        ),
        shaping=lambda case: ExpectationMaximisation(beta=1.0, seed=case.seed),
        plan=_all(40),
        beta=1.0,
    ),
    Method(
        name="ica",
        family="A1",
        title="Square ICA",
        paper="Bell & Sejnowski 1995",
        text="A product of peaked densities along directions that it learns: a ridge tent. As many sources as "
        "coordinates, so that the volume is kept by log |det W|.",
        energy=lambda case: SquareICA(case.n, generator=case.generator),
        shaping=lambda case: NaturalGradient(step_size=0.1, seed=case.seed),
        plan=planned(300, 500),
    ),
    Method(
        name="flow",
        family="A1",
        title="Normalising flow",
        paper="Dinh 2017",
        text="Space itself is bent until the data look like one Gaussian. Volume is accounted for point by point, "
        "so that the energy is minus a log-density; thin threads of low energy between parts are the trace of "
        "the bending.",
        energy=lambda case: NormalisingFlow(case.n, n_layers=int(case.choose(8, 6)), generator=case.generator),
        shaping=lambda case: MinimumEnergy(noise=case.choose(0.03, 0.05), seed=case.seed),
        plan=planned(1200, 700, 2e-3, 256, plane_lr=5e-3),
    ),
    Method(
        name="bottleneck",
        family="A1",
        title="Bottleneck auto-encoder",
        paper="Kramer 1991",
        text="PCA that can bend: zero on a curve as thin as the code, which the decoder lays through the data.",
        energy=lambda case: Autoencoder(case.n, int(case.choose(1, 12)), generator=case.generator),
        shaping=lambda case: MinimumEnergy(seed=case.seed),
        plan=planned(2500, 1500, 2e-3),
    ),
    Method(
        name="discrete",
        family="A1",
        title="Discretised auto-encoder",
        paper="straight-through codes; Bengio 2013",
        text="A few switches instead of numbers: as many points of zero energy as there are codes, laid out by the "
        "decoder.",
        energy=lambda case: DiscreteAutoencoder(
            case.n, groups=int(case.choose(5, 32)), hidden=(128,), generator=case.generator
        ),
        shaping=lambda case: StraightThrough(seed=case.seed),
        plan=planned(1500, 1500, 2e-3),
    ),
    Method(
        name="sparse-coding",
        family="A2",
        title="Sparse coding",
        paper="Olshausen & Field 1996",
        text="Many atoms, but each one costs: the energy is low where few of them suffice. In the plane the atoms "
        "are rays from the origin, and the cost of length makes a cone.",
        energy=lambda case: SparseCoding(
            case.n, int(case.choose(16, 128)), sparsity=case.choose(0.05, 0.2), positive=True, generator=case.generator
        ),
        shaping=lambda case: MinimumEnergy(solver=FISTA(max_steps=50, tol=1e-3), seed=case.seed),
        solver=lambda case: FISTA(max_steps=200, tol=1e-4),
        plan=planned(300, 400, 5e-3),
        pictures=_columns("dictionary"),
        shows="atoms of the dictionary",
    ),
    Method(
        name="sparse-autoencoder",
        family="A2",
        title="Sparse auto-encoder",
        paper="Ranzato 2006; Kavukcuoglu 2008",
        text="Sparse coding with an encoder that learns to guess the code; a wrong guess costs as well, which "
        "closes the ground far from the data where the encoder has never been.",
        energy=lambda case: SparseAutoencoder(
            case.n, int(case.choose(16, 128)), sparsity=case.choose(0.05, 0.2), positive=True, generator=case.generator
        ),
        shaping=lambda case: MinimumEnergy(solver=FISTA(max_steps=20, tol=1e-3), seed=case.seed),
        solver=lambda case: FISTA(max_steps=100, tol=1e-3),
        plan=planned(400, 500, 3e-3),
        pictures=_columns("dictionary"),
        shows="atoms of the dictionary",
    ),
    Method(
        name="vae",
        family="A2",
        title="Variational auto-encoder",
        paper="Kingma & Welling 2014",
        text="The code is shaken by noise while it learns, so that each one must fill a ball: only so many balls "
        "fit, and that bounds the volume of low energy.",
        energy=lambda case: VariationalAutoencoder(case.n, int(case.choose(1, 10)), generator=case.generator),
        shaping=lambda case: VariationalFreeEnergy(seed=case.seed),
        solver=lambda case: LBFGS(max_steps=15, tol=1e-3),
        plan=planned(2500, 1500, 2e-3),
    ),
    Method(
        name="vqvae",
        family="A2",
        title="VQ-VAE",
        paper="van den Oord 2017",
        text="The code must be one of a book of entries, and entries that nobody uses move to where somebody is. As"
        " many islands as there are entries.",
        energy=lambda case: VQVAE(
            case.n,
            groups=int(case.choose(1, 8)),
            entries=int(case.choose(32, 16)),
            entry_size=int(case.choose(2, 4)),
            generator=case.generator,
        ),
        shaping=lambda case: VectorQuantisation(seed=case.seed),
        plan=planned(1500, 1500, 2e-3),
    ),
    Method(
        name="contracting",
        family="A3",
        title="Contracting auto-encoder",
        paper="Rifai 2011",
        text="The encoder may not follow y in any direction unless the data make it: across the data the "
        "reconstruction stays put and the energy rises.",
        energy=lambda case: Autoencoder(case.n, 64, hidden=(), code="sigmoid", tied=True, generator=case.generator),
        shaping=lambda case: Contraction(weight=case.choose(0.01, 0.05), seed=case.seed),
        plan=planned(2500, 2000, 3e-3, plane_lr=1e-2),
    ),
    Method(
        name="saturating",
        family="A3",
        title="Saturating auto-encoder",
        paper="Goroshin & LeCun 2013",
        text="Units are pushed into their flat parts, where the code does not move: the reconstruction is constant "
        "in pieces, and the pieces lie on the data.",
        energy=lambda case: Autoencoder(case.n, 64, hidden=(), code="hardtanh", generator=case.generator),
        shaping=lambda case: Saturation(weight=0.05, seed=case.seed),
        plan=planned(2500, 2000, 3e-3),
    ),
]
