"""Arrays from old pickles: what is read, and that nothing else is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from lowland.data.pickled import PickledRows, read_pickled_arrays
from lowland.errors import DataError

from .old_pickles import array, listed, named, number, pickled, text  # noqa: TID252  folders of tests are on no path

TABLE = np.arange(6, dtype=np.int64).reshape(2, 3)


def test_arrays_come_out_as_they_went_in() -> None:
    levels = np.linspace(0, 1, 4, dtype=np.float32)
    found = read_pickled_arrays(
        pickled(named({b"table": array(TABLE), b"more": listed([array(levels), number(-7), b"N", text(b"\xff")])})),
        "old",
    )
    assert set(found) == {b"table", b"more"}
    assert found[b"table"].dtype == np.int64
    assert np.array_equal(found[b"table"], TABLE)
    assert np.array_equal(found[b"more"][0], levels)
    assert found[b"more"][1:] == [-7, None, b"\xff"]


def test_a_value_that_is_mentioned_twice_is_one() -> None:
    found = read_pickled_arrays(pickled(b"](" + array(TABLE) + b"q\x01h\x01e"), "old")
    assert found[0] is found[1]
    found[0][0, 0] = 9
    assert found[1][0, 0] == 9


class Harmful:
    def __reduce__(self):
        return print, ("this must not be said",)


def test_nothing_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    for protocol in (0, 1, 2, 4):
        with pytest.raises(DataError, match="only arrays of numbers are read"):
            read_pickled_arrays(pickle.dumps(Harmful(), protocol), "bad")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (pickled(b"cos\nsystem\n" + text(b"true") + b"\x85R"), "asks for 'os system', but only arrays"),
        (pickled(b"cnumpy\nload\n"), "asks for 'numpy load'"),
        (pickled(array(TABLE, kind=b"O8")), "neither an array nor a type of numbers"),
        (pickled(array(TABLE, kind=b"i4")), "is no complete pickle of arrays"),  # bytes and shape do not fit
        (pickled(b"cnumpy\ndtype\ncnumpy\nndarray\n\x85R"), "is no complete pickle"),
        (pickled(b"](" + array(TABLE)), "is no complete pickle"),  # a list without an end
        (pickled(b"]N" + b"b"), "changes something that is no array"),
        (pickled(b"h\x05"), "is no complete pickle"),
        (pickled(array(TABLE))[:-1], "is no complete pickle"),
        (pickled(array(TABLE))[:40], "is no complete pickle"),
        (b"", "is no complete pickle"),
        (b'{"not": "a pickle"}', "is no complete pickle"),
        (pickled(b"\x8f"), "asks for the instruction EMPTY_SET"),
        (pickled(b"ccollections\ndefaultdict\ncos\nsystem\n\x85R"), "asks for 'os system'"),
        (pickled(b"ccollections\ndefaultdict\ncnumpy\ndtype\n\x85R"), "neither an array"),
        (pickled(b"cscipy.sparse.csr\ncsr_matrix\n(K\x01t\x81"), "asks for the instruction NEWOBJ"),
        (pickled(b"c__builtin__\nlist\n)\x81"), "asks for the instruction NEWOBJ"),
        (pickled(b"c__builtin__\nlist\n)R"), "neither an array"),
        (pickled(b"cscipy.sparse.csr\ncsr_matrix\n)\x81}b"), "is no complete pickle"),
        (pickled(b"cscipy.sparse.csr\ncsr_matrix\n)\x81K\x01a"), "is no complete pickle"),
    ],
    ids=range(20),
)
def test_other_pickles_are_refused(payload: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_pickled_arrays(payload, "bad")


def test_rows_that_do_not_fit_are_refused() -> None:
    good = {"shape": (2, 3), "indptr": np.array([0, 1, 2]), "indices": np.array([2, 0]), "data": np.array([1.0, 5.0])}
    assert PickledRows(**good).matrix("table").toarray().tolist() == [[0, 0, 1], [5, 0, 0]]
    for change in (
        {"indices": np.array([3, 0])}, {"indptr": np.array([0, 1, 3])}, {"indptr": np.array([0, 2, 1])},
        {"shape": (3, 3)}, {"shape": b"no"}, {"data": 7}, {"data": np.ones((2, 1))}, {"indices": np.array([-1, 0])},
    ):  # fmt: skip
        with pytest.raises(DataError, match="table is no matrix of sparse rows"):
            PickledRows(**(good | change)).matrix("table")
