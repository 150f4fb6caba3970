"""Dictionary learning from arrays, files and streams: the same numbers from all of them, and only a batch in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import DictionaryLearning as Theirs
from torch.utils.data import DataLoader, TensorDataset

import lowland as ll
from lowland.errors import CheckpointError, DomainError, OptionError, ShapeError, UnsupportedError
from lowland.estimators import DictionaryLearning, SparseCoder


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    """Sparse sums of 12 directions in 8 dimensions."""
    generator = np.random.default_rng(0)
    codes = generator.normal(size=(600, 12)) * (generator.random((600, 12)) < 0.15)
    return codes @ generator.normal(size=(12, 8)) + 0.01 * generator.normal(size=(600, 8))


def learner(**options: Any) -> DictionaryLearning:
    return DictionaryLearning(**{"n_atoms": 12, "sparsity": 0.2, "batch_size": 50, "epochs": 3, **options})


def test_it_learns_as_well_as_scikit_learn_on_all_the_data(X: np.ndarray) -> None:
    """Both find local minima; ours sees batches of 50 and gains at least nine tenths of what scikit-learn gains."""
    theirs = Theirs(12, alpha=0.2, fit_algorithm="lars", max_iter=20, tol=1e-8, random_state=0).fit(X)
    reached = SparseCoder(sparsity=0.2, dictionary=theirs.components_).fit(X).score(X)
    ours = learner(epochs=30).fit(X)
    start = SparseCoder(sparsity=0.2, dictionary=X[:12]).fit(X).score(X)
    assert ours.score(X) > reached - 0.1 * (reached - start)
    assert np.allclose(np.linalg.norm(ours.components_, axis=1), 1)


def test_first_step_by_hand(X: np.ndarray) -> None:
    """One batch: exact codes, then each atom in turn to its optimum given the others, at unit norm."""
    start = X[:5] / np.linalg.norm(X[:5], axis=1, keepdims=True)
    found = DictionaryLearning(sparsity=0.2, dictionary=start, tol=1e-9, replace_after=None).partial_fit(X[:40])
    codes = SparseCoder(sparsity=0.2, dictionary=start).fit(X).transform(X[:40])
    atoms, a, b = start.copy(), codes.T @ codes, codes.T @ X[:40]
    for k in range(5):
        moved = atoms[k] + (b[k] - a[k] @ atoms) / a[k, k]
        atoms[k] = moved / np.linalg.norm(moved)
    assert np.allclose(found.components_, atoms, atol=1e-6)


def test_older_batches_fade(X: np.ndarray) -> None:
    """At step t the sums so far are weighed by (1 − 1/t)^ρ."""
    energy = ll.energies.SparseCoding(8, 12, 0.2).double()
    shaping = ll.shaping.ExpectationMaximisation(memory=1.0, forgetting=2.0, initialise=False)
    expected = torch.zeros(12, 12).double()
    for step, batch in enumerate(torch.from_numpy(X).split(200), start=1):
        codes = ll.infer(energy, y=batch, over="z").value.detach()
        expected = (1 - 1 / step) ** 2 * expected + codes.T @ codes
        shaping.update(energy, ll.shaping.Batch(batch))
        shaping.advance()
    assert torch.allclose(shaping.sums[:144].reshape(12, 12), expected, rtol=1e-9)


def test_only_some_energies_can_replace_what_is_unused() -> None:
    shaping = ll.shaping.ExpectationMaximisation(replace_after=1)
    with pytest.raises(UnsupportedError, match="`replace`"):
        shaping.update(ll.energies.PCA(2, 1), ll.shaping.Batch(torch.zeros(3, 2)))


def test_an_unused_atom_becomes_a_sample(X: np.ndarray) -> None:
    wide = np.concatenate([X, np.zeros((600, 1))], axis=1)
    start = np.concatenate([wide[:3], np.eye(9)[8:]])  # no sample has anything along the fourth atom
    kept = learner(dictionary=start, replace_after=None).fit(wide)
    assert np.array_equal(kept.components_[3], start[3])
    replaced = learner(dictionary=start, replace_after=5).fit(wide)
    assert replaced.components_[3, 8] == 0
    assert (replaced.transform(wide)[:, 3] != 0).any()
    assert replaced.score(wide) > kept.score(wide)


class Watched(np.memmap):
    """An array on disk that notes how many rows are read at a time, and refuses to be read as a whole."""

    read: list[int]

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        self.read.append(len(found))
        return found

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise AssertionError("read as a whole")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_an_array_on_disk_one_batch_at_a_time_is_read(X: np.ndarray, tmp_path: Path, dtype: type) -> None:
    """Besides the first atoms, two rows to check and the 4,096 that any shaping may prepare on."""
    X = np.tile(X, (10, 1)).astype(dtype)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r").view(Watched)
    mapped.read = []
    found, expected = (learner(epochs=1, batch_size=500).fit(data) for data in (mapped, X))
    assert mapped.read == [12, 2, 4096] + [500] * 12
    assert found.n_features_in_ == 8
    assert found.components_.dtype == dtype
    assert np.array_equal(found.components_, expected.components_)
    assert found.transform(np.load(tmp_path / "x.npy", mmap_mode="r")).shape == (6000, 12)


def test_streams(X: np.ndarray) -> None:
    data = torch.from_numpy(X)
    expected = learner(n_atoms=12)
    for batch in X.reshape(12, 50, 8):
        expected.partial_fit(batch)
    found = learner().fit(batch for batch in X.reshape(12, 50, 8))
    assert found.n_steps_ == expected.n_steps_ == 12
    assert np.array_equal(found.components_, expected.components_)
    start = expected.components_
    by_loader = learner(dictionary=start).fit(DataLoader(TensorDataset(data), batch_size=50))
    by_parts = learner(dictionary=start)
    for batch in [*X.reshape(12, 50, 8)] * 3:
        by_parts.partial_fit(batch)
    assert by_loader.n_steps_ == by_parts.n_steps_ == 36
    assert np.allclose(by_loader.components_, by_parts.components_, atol=1e-12)
    by_set = learner().fit(TensorDataset(data))
    assert by_set.n_steps_ == 36
    assert by_set.transform(X).shape == (600, 12)


def test_a_run_goes_on_where_it_was(X: np.ndarray, tmp_path: Path) -> None:
    once = learner(epochs=4).fit(X)
    first = learner(epochs=2, run=tmp_path / "run", checkpoint_every=10).fit(X)
    second = learner(epochs=4, run=tmp_path / "run", checkpoint_every=10).fit(X)
    assert (first.n_steps_, second.n_steps_) == (24, 48)
    assert np.array_equal(second.components_, once.components_)
    assert list((tmp_path / "run" / "checkpoints").rglob("*.safetensors"))
    with pytest.raises(CheckpointError):
        learner(run=tmp_path / "run").fit(X[:300])


def test_positive_codes_and_constant_samples(X: np.ndarray) -> None:
    found = learner(positive=True).fit(X)
    assert (found.transform(X) >= 0).all()
    blank = learner().fit(np.zeros((60, 8)))
    assert not blank.transform(np.zeros((2, 8))).any()
    assert np.allclose(np.linalg.norm(blank.components_, axis=1), 1)
    mixed = np.where(np.arange(600)[:, None] % 2 == 0, 0.0, X)
    assert np.isfinite(learner().fit(mixed).components_).all()


def test_a_second_fit_forgets_the_first(X: np.ndarray) -> None:
    found = learner().fit(X)
    first = found.components_
    assert np.array_equal(found.fit(X).components_, first)
    found.partial_fit(X[:50])
    assert found.n_steps_ == 37


def test_without_compiled_code_the_numbers_are_the_same(X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = learner(tol=1e-9).fit(X).components_
    for module in ("energies.sparse_coding", "energies.kmeans", "solvers.active_set"):
        monkeypatch.setattr(f"lowland.{module}.usable", lambda *tensors: False)
    slow = learner(tol=1e-9).fit(X).components_
    # Codes differ by the square root of their gaps, 3e-5, which 36 steps of learning may amplify.
    assert np.allclose(slow, fast, atol=1e-2)
    y, centres = torch.from_numpy(X), torch.from_numpy(X[:9])
    index, distance = ll.energies.kmeans.nearest(y, centres)
    exact = torch.cdist(y, centres).min(dim=1)
    assert torch.equal(index, exact.indices)
    assert torch.allclose(distance, exact.values.square(), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sparsity": 0.0}, "sparsity"),
        ({"dictionary": np.zeros((2, 8))}, "zero norm"),
        ({"dictionary": np.full((2, 8), np.nan)}, "NaN"),
        ({"dictionary": np.eye(4)}, "8 numbers"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"replace_after": 0}, "replace_after"),
        ({"forgetting": -1.0}, "forgetting"),
    ],
)
def test_bad_options(X: np.ndarray, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        learner(**options).fit(X)
    if "dictionary" in options:
        with pytest.raises(OptionError, match=words):
            SparseCoder(dictionary=options["dictionary"]).fit(X)


def test_bad_data(X: np.ndarray, tmp_path: Path) -> None:
    broken = np.where(np.arange(600)[:, None] == 300, np.nan, X)
    with pytest.raises(ValueError, match="NaN"):
        learner().fit(broken)
    np.save(tmp_path / "x.npy", broken)
    with pytest.raises(DomainError, match="NaN"):
        learner().fit(np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.save(tmp_path / "flat.npy", X.ravel())
    with pytest.raises(ShapeError, match="at least one row"):
        learner().fit(np.load(tmp_path / "flat.npy", mmap_mode="r"))
    with pytest.raises(ShapeError, match="row of numbers"):
        learner().fit(TensorDataset(torch.zeros(4, 2, 2)))
    with pytest.raises(ShapeError, match="no batch"):
        learner().fit(iter([]))
    with pytest.raises(OptionError, match="DataLoader"):
        learner(run=tmp_path / "run").fit(iter([X]))
