"""Online dictionary learning: from arrays in memory or on disk, and from streams."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, Dataset

from lowland.checksums import read_json, write_json
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError, ShapeError, check_number
from lowland.estimators.arrays import check_options, rows, seed_of, threads
from lowland.estimators.coding import Coding
from lowland.estimators.sparse_coder import unit_atoms
from lowland.shaping.base import Batch
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.active_set import ActiveSet
from lowland.solvers.base import Solver
from lowland.training.fit import fit
from lowland.training.identity import agree, described


class DictionaryLearning(Coding):
    """A dictionary W of unit-norm atoms that minimises the mean of min_z ½‖y − W z‖² + λ‖z‖₁, batch by batch.

    Each batch is coded exactly; its codes are added to A = Σ z zᵀ and B = Σ y zᵀ, in which older batches fade; and one
    round of block-coordinate descent on ½ tr(WᵀWA) − tr(WᵀB) moves the atoms (Mairal, Bach, Ponce & Sapiro 2010,
    algorithms 1 and 2). An atom that no code uses for `replace_after` batches becomes one of the samples that are coded
    worst. Memory does not grow with the data: W, A, B and one batch.

    X may be an array, an array on disk (`numpy.load(file, mmap_mode="r")`) of which one batch at a time is read, a
    PyTorch Dataset or DataLoader, or any iterable of arrays (N_i, D), which is gone through once. Data are not centred.

    Args:
        n_atoms: K.
        sparsity: λ > 0, in units of X; as scikit-learn's `alpha`.
        positive: codes are not negative.
        dictionary: (K, D) first atoms; None takes samples of the data.
        epochs: times that the data are gone through.
        batch_size: samples of a batch, at most as many as there are. Streams have their own.
        tol: largest relative duality gap of a code in training. On natural patches anything below 0.1 learns a
            dictionary of the same objective.
        forgetting: ρ; at batch t, A and B are weighed by (1 − 1/t)^ρ.
        replace_after: batches that an atom may go unused; None never replaces one.
        solver: for `transform`; by default `ActiveSet`, to 10⁻⁸ in double precision and 10⁻⁵ in single.
        run: folder for checkpoints (safetensors) and curves. A `fit` that finds one there goes on with it, to the
            numbers of a run that was never interrupted; with more `epochs` it trains on. A run of other data or options
            is refused (see `ll.fit` for what is compared). Not for iterables of arrays.
        checkpoint_every: batches between checkpoints.
        n_jobs: threads for codes and training; None for as many as torch uses, −1 for all cores.
        random_state: seed of the first atoms and of the order of the samples, a generator of NumPy, or None.

    Attributes:
        energy_: the trained `SparseCoding`, in the precision of X.
        components_: (K, D), atoms as rows.
        n_steps_: batches seen.
        n_features_in_: D.

    Raises:
        OptionError: in `fit`, for a sparsity that is not positive, or an option out of its range.
        ShapeError, DomainError: for streams of the wrong shape, or that contain NaN.
        CheckpointError: for a folder with the run of other data or options.

    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> learned = DictionaryLearning(n_atoms=6, sparsity=0.5).fit(X)
    >>> learned.transform(X).shape, learned.n_steps_
    ((100, 6), 10)
    """

    def __init__(
        self,
        n_atoms: int = 16,
        sparsity: float = 0.1,
        *,
        positive: bool = False,
        dictionary: Any = None,
        epochs: int = 10,
        batch_size: int = 512,
        tol: float = 0.03,
        forgetting: float = 4.0,
        replace_after: int | None = 20,
        solver: Solver | None = None,
        run: str | Path | None = None,
        checkpoint_every: int = 500,
        n_jobs: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.n_atoms = n_atoms
        self.sparsity = sparsity
        self.positive = positive
        self.dictionary = dictionary
        self.epochs = epochs
        self.batch_size = batch_size
        self.tol = tol
        self.forgetting = forgetting
        self.replace_after = replace_after
        self.solver = solver
        self.run = run
        self.checkpoint_every = checkpoint_every
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> DictionaryLearning:
        """Learn the dictionary.

        Args:
            X: (N, D), or a stream; see the class.
            y: ignored.
        """
        self._check()
        with threads(self.n_jobs):
            return self._learn(X)

    def _check(self) -> None:
        check_options(
            self, counts=("n_atoms", "epochs", "batch_size", "checkpoint_every"), positive=("sparsity", "tol"),
            others=("forgetting",),
        )  # fmt: skip
        check_number("replace_after", self.replace_after, least=1, whole=True, none="replace none")
        self._seed = seed_of(self.random_state)

    def _learn(self, X: Any) -> DictionaryLearning:
        if isinstance(X, np.memmap):
            return self._fit(X, _few(X, self._seed, self._wanted(X)), len(X))
        if isinstance(X, DataLoader):
            return self._fit(X, _first(next(iter(X), None)), None)
        if isinstance(X, Dataset):
            few = min(len(X), self.n_atoms)  # pyright: ignore[reportArgumentType]  as torch documents a Dataset
            return self._fit(X, torch.stack([_first(X[index]) for index in range(few)]), len(X))  # pyright: ignore[reportArgumentType]
        if isinstance(X, Iterable) and not hasattr(X, "__len__") and not sparse.issparse(X):
            return self._stream(X)
        y_ = rows(self, X)
        return self._fit(y_, _few(y_.numpy(), self._seed, self._wanted(y_)), len(y_))

    def _wanted(self, X: Any) -> int:
        if X.ndim != 2 or not len(X):
            raise ShapeError(f"X must be an array (N, D) with at least one row, but its shape is {tuple(X.shape)}.")
        return min(len(X), self.n_atoms)

    def _begin(self, few: Tensor) -> None:
        """The first atoms, from a few samples where they are not given."""
        if few.ndim != 2:
            raise ShapeError(f"Each sample must be a row of numbers, but the shape of one is {tuple(few.shape[1:])}.")
        generator = torch.Generator().manual_seed(self._seed)
        size, few = few.shape[1], few if few.dtype in (torch.float32, torch.float64) else few.double()
        given = None if self.dictionary is None else unit_atoms(self.dictionary, size)
        count = self.n_atoms if given is None else len(given)
        energy = SparseCoding(size, count, self.sparsity, self.positive, generator).to(few.dtype)
        with torch.no_grad():
            usable = few[few.square().sum(dim=1) > 0][:count]
            energy.dictionary[:, : len(usable)] = normalize(usable, dim=1).T
            if given is not None:
                energy.dictionary.copy_(given.T)
        self.energy_ = energy.requires_grad_(False)
        self.n_features_in_, self.n_steps_ = size, 0
        self._shaping = ExpectationMaximisation(
            ActiveSet(self.tol),
            memory=1.0,
            forgetting=self.forgetting,
            replace_after=self.replace_after,
            initialise=False,
            seed=self._seed,
        )

    def _fit(self, data: Any, few: Tensor, count: int | None) -> DictionaryLearning:
        self._begin(few)
        size = None if count is None else min(self.batch_size, count)
        per_epoch = len(data) if size is None or count is None else count // size
        if isinstance(self.run, str | Path):
            self._same_start(Path(self.run))
        found = fit(
            self.energy_,
            data,
            self._shaping,
            max_steps=self.epochs * per_epoch,
            batch_size=size,
            validation=0.0,
            seed=self._seed,
            run=self.run,
            checkpoint_every=self.checkpoint_every,
            resume=self.run is not None,
            progress=False,
        )
        self.n_steps_ = found.steps
        self._publish()
        return self

    def _same_start(self, run: Path) -> None:
        """The first atoms are weights, which a run changes and `fit` does not compare, unless they were given."""
        given = None if self.dictionary is None else np.asarray(self.dictionary)
        record, now = run / "estimator.json", described(given, "dictionary")
        if record.exists() and (run / "checkpoints").is_dir():
            agree(read_json(record), now, run)
        else:
            write_json(record, now)

    def _stream(self, X: Iterable[Any]) -> DictionaryLearning:
        if self.run is not None:
            raise OptionError("A run can go on only with data that can be gone through again: pass a DataLoader.")
        for name in ("energy_", "_shaping"):
            vars(self).pop(name, None)
        for batch in X:
            self.partial_fit(batch)
        if not hasattr(self, "energy_"):
            raise ShapeError("The stream gave no batch: at least one array (N, D) is needed.")
        return self

    def partial_fit(self, X: Any, y: Any = None) -> DictionaryLearning:
        """Learn from one more batch.

        Args:
            X: (N, D). The atoms of the first batch are its samples, if none are given.
            y: ignored.
        """
        first = not hasattr(self, "_shaping")
        y_ = rows(self, X, reset=first, dtype=None if first else self.energy_.dictionary.dtype)
        if first:
            self._check()
            self._begin(_few(y_.numpy(), self._seed, self._wanted(y_)))
        with torch.no_grad(), threads(self.n_jobs):
            self._shaping.update(self.energy_, Batch(y_.to(self.energy_.dictionary.dtype)))
        self._shaping.advance()
        self.n_steps_ += 1
        self._publish()
        return self


def _few(array: np.ndarray, seed: int, count: int) -> Tensor:
    """`count` rows at random; of an array on disk no others are read."""
    chosen = torch.randperm(len(array), generator=torch.Generator().manual_seed(seed))[:count].sort().values
    return torch.from_numpy(np.array(array[chosen.numpy()]))


def _first(item: Any) -> Tensor:
    """Y of what a data set or a loader gives: itself, the only part of a sequence, or what a dictionary calls y."""
    if item is None:
        raise ShapeError("The DataLoader gave no batch: the data are empty, or smaller than one batch.")
    value = item["y"] if isinstance(item, dict) else item[0] if isinstance(item, list | tuple) else item
    return torch.as_tensor(value)
