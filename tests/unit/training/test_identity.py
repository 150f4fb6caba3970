"""A run goes on only to what an unbroken one would have given: what differs is named."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset, TensorDataset

import lowland as ll
from lowland.checksums import read_tensors
from lowland.errors import CheckpointError, OptionError, TrainingError
from lowland.estimators import DictionaryLearning
from lowland.registry import registered
from lowland.shaping.base import Batch
from lowland.tensors import batch_size
from lowland.training.checkpoints import Checkpoints, read_checkpoint, write_checkpoint
from lowland.training.identity import described

Y = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))


def sgd(momentum: float, parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr, momentum=momentum)


def falling(most: float, step: int) -> float:
    return max(0.0, most - step / 100)


def fit(run: Path, steps: int = 6, sparsity: float = 0.1, data: Any = Y, **options: Any) -> ll.energies.SparseCoding:
    energy = ll.energies.SparseCoding(4, 6, sparsity=sparsity, generator=torch.Generator().manual_seed(1))
    shaping = options.pop("shaping", ll.shaping.MinimumEnergy())
    given = {"batch_size": 10, "lr": 0.01, "clip": 1.0, "progress": False} | options
    ll.fit(energy, data, shaping, steps, run=run, resume=True, **given)
    return energy


CHANGES = {
    "sparsity": ({"sparsity": 0.2}, r"energy\.sparsity = 0\.1, but now it is 0\.2"),
    "data": ({"data": Y + torch.eye(60, 4)}, "made with other data"),
    "weight_decay": ({"weight_decay": 0.5}, r"weight_decay = 0\.0, but now it is 0\.5"),
    "clip": ({"clip": None}, r"clip = 1\.0, but now it is None"),
    "lr": ({"lr": 0.02}, r"lr = 0\.01"),
    "validation": ({"validation": 0.102}, r"validation = 0\.1"),
    "patience": ({"patience": 2}, "patience"),
    "schedule": ({"schedule": partial(falling, 2.0)}, "other learning rates for the first 6 steps"),
    "shaping": ({"shaping": ll.shaping.MinimumEnergy(ll.solvers.ISTA())}, r"shaping\.solver"),
    "optimiser": ({"optimiser": partial(sgd, 0.5)}, "optimiser = 'adam', but now it is 'function'"),
    "two": ({"lr": 0.02, "clip": 2.0}, r"lr = 0\.01, but now it is 0\.02\. clip differ, too"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    fit(run, schedule=partial(falling, 1.0))
    return run


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_is_named(change: str, made: Path) -> None:
    options, words = CHANGES[change]
    before = {path: path.read_bytes() for path in (made / "checkpoints").iterdir()}
    with pytest.raises(CheckpointError, match=words):
        fit(made, 9, **{"schedule": partial(falling, 1.0), **options})
    assert {path: path.read_bytes() for path in (made / "checkpoints").iterdir()} == before


def test_a_function_is_known_by_what_it_closes_over(tmp_path: Path) -> None:
    fit(tmp_path, optimiser=partial(sgd, 0.9))
    fit(tmp_path, 8, optimiser=partial(sgd, 0.9))
    with pytest.raises(CheckpointError, match=r"optimiser function\.0 = 0\.9, but now it is 0\.8"):
        fit(tmp_path, 9, optimiser=partial(sgd, 0.8))
    rate = 0.5
    inner = [described(lambda p, lr: (p, lr, rate), "f"), described(lambda p, lr: (p, lr, rate), "f")]
    assert inner[0] == inner[1]
    assert inner[0] != described(lambda p, lr: (p, lr, 2 * rate), "f")


def test_a_schedule_that_agrees_on_the_steps_taken_goes_on(tmp_path: Path) -> None:
    """An unbroken run with the new schedule would have been where the old one is."""
    fit(tmp_path / "broken", 4, schedule=lambda step: 1.0)
    later = lambda step: 1.0 if step < 4 else 0.25  # noqa: E731
    found, whole = fit(tmp_path / "broken", 8, schedule=later), fit(tmp_path / "whole", 8, schedule=later)
    assert torch.equal(found.dictionary, whole.dictionary)


def test_equal_runs_leave_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        fit(tmp_path / name, schedule=partial(falling, 1.0))
    one, two = (Checkpoints(tmp_path / name / "checkpoints").all()[0].read_bytes() for name in ("one", "two"))
    assert one == two


class Items(Dataset):
    """Items of a tensor; noisy where each is another at each look."""

    def __init__(self, y: torch.Tensor, noisy: bool = False) -> None:
        self.y, self.noisy = y, noisy

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.noisy:
            random.random()
        return self.y[index] + (torch.randn(()) if self.noisy else 0)


@pytest.mark.parametrize("kind", ["TensorDataset", "Dataset", "DataLoader", "memmap", "pair"])
def test_every_kind_of_data_is_known_by_its_content(kind: str, tmp_path: Path) -> None:
    def data(y: torch.Tensor) -> Any:
        if kind == "memmap":
            np.save(tmp_path / "y.npy", y.numpy())
            return np.load(tmp_path / "y.npy", mmap_mode="r")
        made = {"TensorDataset": TensorDataset, "Dataset": Items, "DataLoader": lambda y: DataLoader(Items(y), 10)}
        return made[kind](y)

    if kind == "pair":
        classify = partial(ll.energies.Classifier, 4, 2)

        def train(x: torch.Tensor, steps: int) -> None:
            y = torch.eye(2).repeat(30, 1)
            ll.fit(classify(), (x, y), ll.shaping.MaximumLikelihood(), steps, run=tmp_path / "run", resume=True)
    else:

        def train(x: torch.Tensor, steps: int) -> None:
            fit(tmp_path / "run", steps, data=data(x))

    train(Y, 4)
    train(Y.clone(), 6)
    other = Y.clone()
    other[17, 2] += 1e-3
    with pytest.raises(CheckpointError, match="made with other data"):
        train(other, 8)


def test_a_look_at_data_changes_no_random_numbers(tmp_path: Path) -> None:
    """Data that are drawn anew at each look are known by their size; the numbers are those of a fit without files."""
    found = []
    for run in (None, tmp_path / "run"):
        torch.manual_seed(3)
        random.seed(3)
        energy = ll.energies.SparseCoding(4, 6, generator=torch.Generator().manual_seed(1))
        ll.fit(energy, Items(Y, noisy=True), ll.shaping.MinimumEnergy(), 5, batch_size=10, run=run, progress=False)
        found.append((energy.dictionary.detach().clone(), random.random()))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    torch.manual_seed(4)
    again = ll.energies.SparseCoding(4, 6)
    shaping = ll.shaping.MinimumEnergy()
    ll.fit(again, Items(Y, noisy=True), shaping, 7, 10, run=tmp_path / "run", resume=True, progress=False)


@pytest.mark.parametrize("name", sorted(registered("shaping")))
def test_training_does_not_change_what_a_run_is_known_by(name: str) -> None:
    """Whatever training changes is a parameter, a buffer or private, so that the same objects can go on."""
    case = registered("shaping")[name].reference_case()
    before = {**described(case.energy, "energy"), **described(case.shaping, "shaping")}
    rows, data = batch_size(y=case.batch.y, x=case.batch.x), Batch(case.batch.y, case.batch.x)
    ll.fit(case.energy, data, case.shaping, 2, rows, 1e-6, validation=0, progress=False)
    assert {**described(case.energy, "energy"), **described(case.shaping, "shaping")} == before


def test_a_dictionary_goes_on_with_its_own_data_and_options_alone(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(64, 4))
    first = np.eye(6, 4) + 0.1

    def learn(X: np.ndarray = X, epochs: int = 2, **options: Any) -> DictionaryLearning:
        given = {
            "n_atoms": 6,
            "sparsity": 0.3,
            "batch_size": 16,
            "run": tmp_path / "run",
            "dictionary": first,
        } | options
        return DictionaryLearning(epochs=epochs, **given).fit(X)

    learn()
    longer = learn(epochs=3)
    assert np.array_equal(longer.components_, learn(epochs=3, run=tmp_path / "whole").components_)
    for change, words in (
        ({"X": X[::-1].copy()}, "other data"),
        ({"sparsity": 0.2}, r"energy\.sparsity = 0\.3, but now it is 0\.2"),
        ({"forgetting": 2.0}, r"shaping\.forgetting"),
        ({"dictionary": first[::-1]}, "dictionary"),
        ({"dictionary": None}, "dictionary"),
    ):
        with pytest.raises(CheckpointError, match=words):
            learn(epochs=4, **change)


def test_a_run_of_an_earlier_version_goes_on_and_says_what_was_not_compared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its record has the numbers of a run, but neither its data nor its energy, and no checksum."""
    fit(tmp_path / "run", 4)
    (path,) = Checkpoints(tmp_path / "run" / "checkpoints").all()
    tree = read_checkpoint(path)
    known = ("samples", "training samples", "batch_size", "lr", "optimiser", "seed")
    settings = tree["recorder"]["settings"]
    tree["recorder"]["settings"] = {name: settings[name] for name in known}
    write_checkpoint(tree, path)
    tensors, header = read_tensors(path)
    save_file(tensors, path, header)
    assert torch.equal(fit(tmp_path / "run", 6).dictionary, fit(tmp_path / "whole", 6).dictionary)
    assert "could not be checked" in caplog.text
    with pytest.raises(CheckpointError, match=r"lr = 0\.01"):
        fit(tmp_path / "run", 8, lr=0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": "a"}, "lr must be a number above 0, but it is 'a'"),
        ({"lr": True}, "lr must be"),
        ({"batch_size": True}, "batch_size must be a whole number of at least 1, or None to choose it, but it is True"),
        ({"batch_size": "a"}, "batch_size must be"),
        ({"max_steps": float("nan")}, "max_steps must be a whole number of at least 1, but it is nan"),
        ({"max_steps": float("inf")}, "max_steps must be"),
        ({"max_steps": "a"}, "max_steps must be"),
        ({"max_steps": None}, "max_steps must be"),
        ({"clip": "a"}, "clip must be a number above 0, or None to clip nothing, but it is 'a'"),
        ({"optimiser": 5}, "optimiser must be the name of one or a function"),
        ({"weight_decay": "a"}, "weight_decay must be"),
        ({"weight_decay": float("nan")}, "weight_decay must be"),
        ({"schedule": 0.5}, "schedule must be a function"),
        ({"validation": "a"}, "validation must be a number of at least 0 and below 1"),
        ({"validate_every": 0}, "validate_every must be"),
        ({"validate_every": "a"}, "validate_every must be"),
        ({"patience": 0.5}, "patience must be"),
        ({"seed": "a"}, "seed must be"),
        ({"seed": 2**80}, "seed must be"),
        ({"run": 5}, "run must be the path of a folder"),
        ({"checkpoint_every": "a"}, "checkpoint_every must be"),
        ({"log_every": 0}, "log_every must be"),
        ({"devices": "a"}, "devices must be"),
        ({"precision": 16}, "precision must be one of"),
        ({"accelerator": 5}, "accelerator must be a name"),
        ({"loggers": "a"}, "loggers must be a list"),
    ],
)
def test_an_argument_that_cannot_be_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ll.fit(ll.energies.SparseCoding(4, 6), Y, ll.shaping.MinimumEnergy(), **{"max_steps": 2, **options})


def test_numbers_of_numpy_and_whole_floats_are_numbers() -> None:
    energy = ll.energies.SparseCoding(4, 6)
    found = ll.fit(
        energy, Y, ll.shaping.MinimumEnergy(), np.int64(2), np.int32(10), np.float32(0.01), clip=np.float64(1),
        validation=np.float32(0.5), progress=False,
    )  # fmt: skip
    assert found.steps == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, "a", None])
def test_a_schedule_that_gives_no_rate_stops_the_training(value: Any) -> None:
    energy = ll.energies.SparseCoding(4, 6, generator=torch.Generator().manual_seed(1))
    with pytest.raises(TrainingError, match=r"schedule\(2\) must be a number of at least 0, but it is") as caught:
        ll.fit(
            energy, Y, ll.shaping.MinimumEnergy(), 5, schedule=lambda step: value if step == 2 else 1.0, progress=False
        )
    assert isinstance(caught.value.result, ll.training.FitResult)
    assert caught.value.result.steps == 2
    assert bool(energy.dictionary.isfinite().all())


def test_a_rank_in_the_environment_of_one_process_silences_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "1")
    fit(tmp_path)
    assert (tmp_path / "metrics.csv").is_file()
    assert Checkpoints(tmp_path / "checkpoints").all()
