"""The architectural and regularised methods: A1, A2 and A3."""

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
from lowland.shaping.regularised.contraction import Contraction
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.shaping.regularised.natural_gradient import NaturalGradient
from lowland.shaping.regularised.saturation import Saturation
from lowland.shaping.regularised.straight_through import StraightThrough, VectorQuantisation
from lowland.shaping.regularised.variational import VariationalFreeEnergy
from lowland.solvers.lbfgs import LBFGS
from lowland.solvers.proximal import FISTA
from lowland.training.vector_methods.base import Case, Plan, VectorMethod, planned


def _all(steps: int) -> Callable[[Case], Plan]:
    """Updates from sufficient statistics of all the data at once."""
    return lambda case: Plan(steps, batch=len(case.train))


def _columns(name: str) -> Callable[[Energy], Tensor]:
    return lambda energy: getattr(energy, name).detach().T


def _rows(name: str) -> Callable[[Energy], Tensor]:
    return lambda energy: getattr(energy, name).detach()


REGULARISED = [
    VectorMethod(
        name="pca",
        energy=lambda case: PCA(case.n, int(case.choose(1, 20)), generator=case.generator),
        shaping=lambda case: ExpectationMaximisation(seed=case.seed),
        plan=_all(1),
        pictures=_rows("components"),
    ),
    VectorMethod(
        name="kmeans",
        energy=lambda case: KMeans(case.n, int(case.choose(24, 64)), generator=case.generator),
        shaping=lambda case: ExpectationMaximisation(seed=case.seed),
        plan=_all(30),
        pictures=_rows("centres"),
    ),
    VectorMethod(
        name="gaussian-mixture",
        energy=lambda case: GaussianMixture(
            case.n, int(case.choose(16, 10)), floor=case.choose(1e-4, 1e-2), generator=case.generator
        ),
        shaping=lambda case: ExpectationMaximisation(beta=1.0, seed=case.seed),
        plan=_all(40),
        beta=1.0,
    ),
    VectorMethod(
        name="ica",
        energy=lambda case: SquareICA(case.n, generator=case.generator),
        shaping=lambda case: NaturalGradient(step_size=0.1, seed=case.seed),
        plan=planned(300, 500),
    ),
    VectorMethod(
        name="flow",
        energy=lambda case: NormalisingFlow(case.n, n_layers=int(case.choose(8, 6)), generator=case.generator),
        shaping=lambda case: MinimumEnergy(noise=case.choose(0.03, 0.05), seed=case.seed),
        plan=planned(1200, 700, 2e-3, 256, plane_lr=5e-3),
    ),
    VectorMethod(
        name="bottleneck",
        energy=lambda case: Autoencoder(case.n, int(case.choose(1, 12)), generator=case.generator),
        shaping=lambda case: MinimumEnergy(seed=case.seed),
        plan=planned(2500, 1500, 2e-3),
    ),
    VectorMethod(
        name="discrete",
        energy=lambda case: DiscreteAutoencoder(
            case.n, groups=int(case.choose(5, 32)), hidden=(128,), generator=case.generator
        ),
        shaping=lambda case: StraightThrough(seed=case.seed),
        plan=planned(1500, 1500, 2e-3),
    ),
    VectorMethod(
        name="sparse-coding",
        energy=lambda case: SparseCoding(
            case.n, int(case.choose(16, 128)), sparsity=case.choose(0.05, 0.2), positive=True, generator=case.generator
        ),
        shaping=lambda case: MinimumEnergy(solver=FISTA(max_steps=50, tol=1e-3), seed=case.seed),
        solver=lambda case: FISTA(max_steps=200, tol=1e-4),
        plan=planned(300, 400, 5e-3),
        pictures=_columns("dictionary"),
    ),
    VectorMethod(
        name="sparse-autoencoder",
        energy=lambda case: SparseAutoencoder(
            case.n, int(case.choose(16, 128)), sparsity=case.choose(0.05, 0.2), positive=True, generator=case.generator
        ),
        shaping=lambda case: MinimumEnergy(solver=FISTA(max_steps=20, tol=1e-3), seed=case.seed),
        solver=lambda case: FISTA(max_steps=100, tol=1e-3),
        plan=planned(400, 500, 3e-3),
        pictures=_columns("dictionary"),
    ),
    VectorMethod(
        name="vae",
        energy=lambda case: VariationalAutoencoder(case.n, int(case.choose(1, 10)), generator=case.generator),
        shaping=lambda case: VariationalFreeEnergy(seed=case.seed),
        solver=lambda case: LBFGS(max_steps=15, tol=1e-3),
        plan=planned(2500, 1500, 2e-3),
    ),
    VectorMethod(
        name="vqvae",
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
    VectorMethod(
        name="contracting",
        energy=lambda case: Autoencoder(case.n, 64, hidden=(), code="sigmoid", tied=True, generator=case.generator),
        shaping=lambda case: Contraction(weight=case.choose(0.01, 0.05), seed=case.seed),
        plan=planned(2500, 2000, 3e-3, plane_lr=1e-2),
    ),
    VectorMethod(
        name="saturating",
        energy=lambda case: Autoencoder(case.n, 64, hidden=(), code="hardtanh", generator=case.generator),
        shaping=lambda case: Saturation(weight=0.05, seed=case.seed),
        plan=planned(2500, 2000, 3e-3),
    ),
]
