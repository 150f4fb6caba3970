from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import lowland as ll
from lowland.errors import DomainError, LowlandError, OptionError, ShapeError
from lowland.shaping.base import Batch
from lowland.training.batches import as_batch
from lowland.training.data import prepare
from lowland.training.samples import Lazy
from lowland.training.streams import LoaderStream, Order, Stream


def rows_of(stream, last):
    return [batch.index.tolist() for batch in stream][:last]


def test_order_is_a_function_of_seed_epoch_and_step():
    forward = Order(torch.arange(10), 3, seed=5)
    seen = [forward.rows(step).tolist() for step in range(12)]
    backward = Order(torch.arange(10), 3, seed=5)
    assert [backward.rows(step).tolist() for step in reversed(range(12))] == seen[::-1]
    assert seen != [Order(torch.arange(10), 3, seed=6).rows(step).tolist() for step in range(12)]


def test_an_epoch_sees_no_sample_twice():
    order = Order(torch.arange(10), 3, seed=0)
    for epoch in range(4):
        rows = torch.cat([order.rows(3 * epoch + place) for place in range(3)])
        assert len(rows.unique()) == 9


def test_a_stream_that_starts_later_goes_on_where_the_other_is(bowl, points):
    ready = prepare(points, bowl(), 8, 0.1, seed=1)
    whole, late = (Stream(ready.samples, Order(ready.train, 8, 1), first, 90) for first in (0, 41))
    assert rows_of(late, 90) == rows_of(whole, 90)[41:]
    assert len(list(whole)) == 90


def test_held_out_rows_are_never_trained_on(bowl, points):
    ready = prepare(points, bowl(), None, 0.2, seed=0)
    assert len(ready.held_out) == 20
    assert sorted([*ready.held_out.tolist(), *ready.train.tolist()]) == list(range(100))
    again = prepare(points, bowl(), None, 0.2, seed=0)
    assert torch.equal(ready.held_out, again.held_out)


@pytest.mark.parametrize("kind", ["tensor", "array", "array64", "named", "dataset", "batch", "lazy"])
def test_every_kind_of_data_gives_the_same_batches(kind, bowl, points):
    data = {
        "tensor": points,
        "array": points.numpy(),
        "array64": points.double().numpy(),
        "named": {"y": points},
        "dataset": TensorDataset(points),
        "batch": Batch(points),
        "lazy": Lazy(len(points), lambda rows: Batch(points[rows])),
    }[kind]
    ready = prepare(data, bowl(), 4, 0.0, seed=0)
    batch = ready.samples.take(torch.tensor([3, 1]))
    assert torch.equal(batch.y, points[[3, 1]])
    assert batch.index.tolist() == [3, 1]


def test_pairs_are_x_then_y(bowl, points):
    energy = bowl(conditional=True)
    for data in ((points + 1, points), TensorDataset(points + 1, points), {"x": points + 1, "y": points}):
        batch = prepare(data, energy, 4, 0.0, seed=0).samples.take(torch.tensor([7]))
        assert torch.equal(batch.y, points[7:8])
        assert torch.equal(batch.x, points[7:8] + 1)


def test_a_dictionary_is_y_itself_for_a_composite_y(points):
    class Two(ll.energies.Energy):
        def __init__(self):
            super().__init__(y=ll.domains.Product({"a": ll.domains.Reals(2), "b": ll.domains.Reals(2)}))

    ready = prepare({"a": points, "b": points}, Two(), 4, 0.0, seed=0)
    assert set(ready.samples.take(torch.tensor([0])).y) == {"a", "b"}


def test_images_bring_their_own_validation(bowl):
    digits = ll.data.digits()
    ready = prepare(digits, bowl(64), 16, 0.1, seed=0)
    assert (len(ready.train), len(ready.held_out)) == (len(digits.train), len(digits.validation))
    assert torch.equal(ready.samples.take(ready.held_out[:2]).y, digits.validation[:2].flatten(1))


def test_a_loader_is_repeated_and_skipped(bowl, points):
    loader = DataLoader(TensorDataset(points), batch_size=30)
    sizes = [len(batch.y) for batch in LoaderStream(loader, bowl(), 3, 6)]
    assert sizes == [10, 30, 30]


class Broken(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, row):
        return torch.full((2,), float("nan") if row == 5 else 1.0)


BAD = {
    "nan": (lambda p: torch.where(torch.arange(100)[:, None] == 7, torch.nan, p), DomainError, "sample 7"),
    "infinity": (lambda p: p / 0, DomainError, "infinity"),
    "rank": (lambda p: p[:, 0], ShapeError, "y has shape"),
    "width": (lambda p: torch.cat([p, p], dim=1), ShapeError, "y has shape"),
    "integers": (lambda p: p.long(), ShapeError, "int64"),
    "double": (lambda p: p.double(), ShapeError, "float64"),
    "scalar": (lambda p: p[0, 0], ShapeError, "batch axis"),
    "empty": (lambda p: p[:0], ShapeError, "empty"),
    "empty data set": (lambda p: TensorDataset(p[:0]), ShapeError, "empty"),
    "text": (lambda p: "digits", ShapeError, "a str"),
    "none": (lambda p: None, ShapeError, "NoneType"),
    "objects": (lambda p: np.array([[None, "a"]]), ShapeError, "object"),
    "triple": (lambda p: (p, p, p), ShapeError, "3 parts"),
    "labels": (lambda p: (p, p), ShapeError, "takes no x"),
    "unequal": (lambda p: {"y": p, "x": p[:5]}, ShapeError, "Batch sizes differ"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_gives_one_clear_error(case, bowl, points):
    make, kind, words = BAD[case]
    with pytest.raises(kind, match=words) as caught:
        prepare(make(points), bowl(), 4, 0.1, seed=0)
    assert isinstance(caught.value, LowlandError)
    assert "\n" not in str(caught.value)


def test_a_bad_item_of_a_data_set_is_named_when_it_is_read(bowl):
    ready = prepare(Broken(), bowl(), 2, 0.0, seed=0)
    with pytest.raises(DomainError, match="NaN"):
        ready.samples.take(torch.tensor([4, 5]))


@pytest.mark.parametrize(
    ("size", "share"), [(91, 0.1), (101, 0.0), (0, 0.1), (-3, 0.1), (2.5, 0.1), (4, 1.0), (4, -0.1)]
)
def test_batch_size_and_validation_are_checked(size, share, bowl, points):
    with pytest.raises(OptionError, match=r"batch_size|validation"):
        prepare(points, bowl(), size, share, seed=0)


def test_an_empty_loader_says_so(bowl, points):
    with pytest.raises(ShapeError, match="gave no batch"):
        list(LoaderStream(DataLoader(TensorDataset(points[:0])), bowl(), 0, 3))


def test_a_batch_passes_through(bowl, points):
    batch = Batch(points)
    assert as_batch(batch, bowl()) is batch


def test_few_are_computed_to_prepare_on(bowl, points):
    ready = prepare(Lazy(len(points), lambda rows: Batch(points[rows]), at_once=6), bowl(), 4, 0.0, seed=0)
    assert len(Stream(ready.samples, Order(ready.train, 4, 0), 0, 9).sample(4096).y) == 6
