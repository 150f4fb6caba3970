"""Reads NumPy arrays out of a pickle without unpickling: a small machine that knows some harmless instructions.

A pickle is a program, and Python's own loader runs whatever it names. Old data sets are published so all the same.
Here the only names are the three that NumPy's own pickles need, SciPy's matrix of sparse rows, and a dictionary of
lists; an array is made by its type, shape and bytes alone, and anything else is refused before it does something.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from lowland.errors import DataError

_ARRAY, _DTYPE, _CLASS = "numpy.core.multiarray _reconstruct", "numpy dtype", "numpy ndarray"
_ROWS, _LISTS, _LIST = "scipy.sparse.csr csr_matrix", "collections defaultdict", "__builtin__ list"
_KNOWN = (_ARRAY, _DTYPE, _CLASS, _ROWS, _LISTS, _LIST)
_KINDS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")


class _Name(str):
    """A name that the pickle mentions; it stays a text and is never looked up."""


@dataclass
class PickledRows:
    """A matrix of sparse rows as a pickle states it; `matrix` checks it and returns it as SciPy's.

    >>> rows = PickledRows((2, 3), np.array([0, 1, 2]), np.array([2, 0]), np.array([1.0, 5.0]))
    >>> rows.matrix("table").toarray().tolist()
    [[0.0, 0.0, 1.0], [5.0, 0.0, 0.0]]
    """

    shape: Any = None
    indptr: Any = None
    indices: Any = None
    data: Any = None

    def matrix(self, name: str) -> sparse.csr_array:
        """The matrix, if its parts fit each other.

        Raises:
            DataError: otherwise.
        """
        parts = (self.data, self.indices, self.indptr)
        try:
            if not all(isinstance(part, np.ndarray) and part.ndim == 1 for part in parts):
                raise ValueError("a part is no row of numbers")
            made = sparse.csr_array(parts, shape=self.shape)
            made.check_format(full_check=True)
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"{name} is no matrix of sparse rows ({error}): get the published file.") from error
        return made


def read_pickled_arrays(payload: bytes, name: str) -> Any:
    r"""What a pickle of protocol 2 holds: dictionaries, lists, tuples, numbers, bytes and NumPy arrays of numbers.

    A dictionary of lists (`defaultdict`) becomes a plain one, and SciPy's matrix of sparse rows a `PickledRows`.

    Args:
        payload: the file.
        name: of the file, for errors.

    Raises:
        DataError: for a pickle that is damaged, or asks for anything else; nothing of it has been run.

    >>> read_pickled_arrays(b"\x80\x02](K\x01K\x02e.", "numbers")
    [1, 2]
    >>> read_pickled_arrays(b"\x80\x02cos\nsystem\n.", "this")
    Traceback (most recent call last):
    lowland.errors.DataError: this asks for 'os system', but only arrays of numbers are read from pickles.
    """
    try:
        return _run(payload, name)
    except DataError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, MemoryError) as error:
        raise DataError(f"{name} is no complete pickle of arrays ({error}): get the published file.") from error


def _run(payload: bytes, name: str) -> Any:
    stack, marks, memo = list[Any](), list[int](), dict[int, Any]()

    def since_mark() -> list[Any]:
        place = marks.pop()
        found = stack[place:]
        del stack[place:]
        return found

    argument: Any
    for code, argument, _ in pickletools.genops(payload):  # it reads, and runs nothing
        match code.name:
            case "PROTO":
                pass
            case "NONE" | "NEWFALSE" | "NEWTRUE":
                stack.append({"NONE": None, "NEWFALSE": False, "NEWTRUE": True}[code.name])
            case "BININT" | "BININT1" | "BININT2":
                stack.append(argument)
            case "SHORT_BINSTRING" | "BINSTRING":
                stack.append(argument.encode("latin-1"))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(code.name[-1])
                stack[-size:] = [tuple(stack[-size:])]
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "APPEND":
                last = stack.pop()
                stack[-1].extend([last])
            case "APPENDS":
                parts = since_mark()
                stack[-1].extend(parts)
            case "SETITEMS":
                parts = since_mark()
                stack[-1].update(zip(parts[::2], parts[1::2], strict=True))
            case "GLOBAL" if argument in _KNOWN:
                stack.append(_Name(argument))
            case "NEWOBJ" if stack[-2:] == [_ROWS, ()]:
                stack[-2:] = [PickledRows()]
            case "REDUCE":
                given, maker = stack.pop(), stack.pop()
                stack.append(_made(maker, given))
            case "BUILD":
                state = stack.pop()
                _build(stack[-1], state)
            case "STOP":
                if marks or len(stack) != 1:
                    raise ValueError("something is left over at its end")
                return stack.pop()
            case other:
                asked = repr(argument) if other == "GLOBAL" else f"the instruction {other}"
                raise DataError(f"{name} asks for {asked}, but only arrays of numbers are read from pickles.")
    raise ValueError("it has no end")


def _made(maker: Any, given: Any) -> Any:
    """An array to be filled, a type of numbers, or a dictionary."""
    if isinstance(maker, _Name) and maker == _LISTS and given == (_LIST,):
        return {}
    if isinstance(maker, _Name) and maker == _ARRAY and given[0] == _CLASS:
        return np.empty(0)
    if isinstance(maker, _Name) and maker == _DTYPE and given[0].decode() in _KINDS:
        return np.dtype("<" + given[0].decode())
    raise ValueError(f"it makes neither an array nor a type of numbers: {str(maker)[:80]!r}")


def _build(value: Any, state: Any) -> None:
    if isinstance(value, np.dtype) and state[1] in (b"<", b"|"):
        return  # its bytes are in the order that `_made` took for granted
    if isinstance(value, PickledRows) and isinstance(state, dict):
        value.shape, value.indptr, value.indices, value.data = (
            state[part] for part in (b"_shape", b"indptr", b"indices", b"data")
        )
        return
    if not isinstance(value, np.ndarray) or not isinstance(state[2], np.dtype):
        raise ValueError("it changes something that is no array of numbers")
    # Of a type that holds no objects, this checks the shape against the bytes and copies them.
    value.__setstate__(state)
