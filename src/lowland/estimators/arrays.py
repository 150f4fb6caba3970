"""Arrays for estimators, tensors for energies, and training between them."""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
import math
import numbers
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any, cast

import numpy as np
import torch
from joblib import effective_n_jobs
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data
from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import DomainError, OptionError, check_number
from lowland.shaping.base import Batch, Shaping
from lowland.solvers.base import Solver
from lowland.training.fit import fit

_DENSE = 2**30
"""Bytes up to which a sparse X is made dense."""


def seed_of(random_state: Any) -> int:
    """A seed from what scikit-learn takes for `random_state`: a whole number, a generator of NumPy, or None.

    A generator gives a new seed at each call, and None one that nobody knows; a number is the seed itself.

    >>> seed_of(7)
    7

    Raises:
        OptionError: for anything else, or a negative number.
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if not isinstance(random_state, Integral) or isinstance(random_state, bool) or random_state < 0:
        raise OptionError(
            "random_state must be a whole number of at least 0, a RandomState or Generator of NumPy, or None, but it "
            f"is {random_state!r}."
        )
    return int(random_state)


def check_arguments(estimator: BaseEstimator) -> None:
    """Raise an OptionError for an argument of an estimator that is of another type than its annotation says.

    Which values make sense is for the estimator itself to say, where it uses them.

    >>> from lowland.estimators import KMeans
    >>> check_arguments(KMeans(max_iter=2.5))
    Traceback (most recent call last):
    lowland.errors.OptionError: max_iter must be a whole number, but it is 2.5.
    """
    for name, parameter in inspect.signature(type(estimator)).parameters.items():
        kind, *others = str(parameter.annotation).split(" | ")
        value = getattr(estimator, name)
        if kind.startswith("Literal["):
            choices = ast.literal_eval(kind.removeprefix("Literal"))
            if value not in choices:
                names = " or ".join(map(repr, choices))
                raise OptionError(f"{name} must be {names}, but it is {repr(value)[:80]}.")
        if kind not in _TYPES or others not in ([], ["None"]) or (value is None and others):
            continue
        types, what = _TYPES[kind]
        if not isinstance(value, types) or (isinstance(value, bool) and kind != "bool"):
            raise OptionError(f"{name} must be {what}{', or None' if others else ''}, but it is {repr(value)[:80]}.")


_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "int": (numbers.Integral, "a whole number"),
    "float": (numbers.Real, "a number"),
    "bool": ((bool, np.bool_), "True or False"),
    "str": (str, "a name"),
    "dict[str, Any]": (Mapping, "a dictionary of arguments"),
    "Solver": (Solver, "a solver"),
    "Shaping": (Shaping, "a shaping"),
    "Energy": (Energy, "an energy"),
}


def numeric(value: Any, name: str) -> np.ndarray:
    """An argument as an array of float64.

    Raises:
        OptionError: if it has anything but numbers in it.

    >>> numeric("a", "init")
    Traceback (most recent call last):
    lowland.errors.OptionError: init must be an array of numbers, but it is 'a'.
    """
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"{name} must be an array of numbers, but it is {repr(value)[:80]}.") from None


def check_options(
    estimator: BaseEstimator, counts: Sequence[str] = (), positive: Sequence[str] = (), others: Sequence[str] = ()
) -> None:
    """Raise an OptionError that names the argument and its value, unless each of these arguments is as it should be.

    Args:
        counts: arguments that are whole numbers of at least 1.
        positive: numbers above 0.
        others: numbers of at least 0.

    >>> check_options(type("Coder", (), {"n_atoms": -1})(), counts=["n_atoms"])
    Traceback (most recent call last):
    lowland.errors.OptionError: n_atoms must be a whole number of at least 1, but it is -1.
    """
    for name in counts:
        check_number(name, getattr(estimator, name), least=1, whole=True)
    for name in positive:
        check_number(name, getattr(estimator, name), above=0)
    for name in others:
        check_number(name, getattr(estimator, name), least=0)


@contextlib.contextmanager
def threads(n_jobs: int | None) -> Iterator[None]:
    """Within it torch and the compiled loops use so many threads; None leaves the number as it is, −1 takes all cores.

    >>> with threads(1):
    ...     torch.get_num_threads()
    1

    Raises:
        OptionError: for n_jobs = 0 or no whole number.
    """
    if n_jobs is None:
        yield
        return
    if not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool) or n_jobs == 0:
        raise OptionError(f"n_jobs must be a whole number of threads, −1 for all cores, or None, but it is {n_jobs!r}.")
    before = torch.get_num_threads()
    torch.set_num_threads(effective_n_jobs(int(n_jobs)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def dense(X: Any) -> Any:
    """X, as a NumPy array where it is sparse.

    Raises:
        OptionError: where that would take more than 1 GiB.
    """
    if not sparse.issparse(X):
        return X
    size = int(np.prod(X.shape, dtype=np.int64)) * X.dtype.itemsize
    if size > _DENSE:
        raise OptionError(
            f"X is sparse, and dense it would take {size / 2**30:.1f} GiB, more than 1: Lowland's estimators compute "
            "with dense arrays. Take fewer rows at a time, or fewer columns, for instance by TruncatedSVD."
        )
    return X.toarray()


class DenseMixin:
    """The tag of estimators that take a sparse X and make it dense (`dense`)."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # pyright: ignore[reportAttributeAccessIssue]  of BaseEstimator
        tags.input_tags.sparse = True
        return tags


def rows(
    estimator: BaseEstimator, X: Any, reset: bool = True, least: int = 1, dtype: torch.dtype | None = None
) -> Tensor:
    """X (N, D) as a tensor that may share its memory, in its own precision or `dtype`, after scikit-learn's checks.

    Raises:
        DomainError: for numbers whose squares that precision does not hold; see `check_range`.

    A sparse X is made dense where the estimator is a `DenseMixin` and that is affordable.

    >>> from sklearn.base import BaseEstimator
    >>> rows(BaseEstimator(), [[1, 2]]).dtype
    torch.float64
    """
    if reset:
        check_arguments(estimator)
    checked = validate_data(
        estimator,
        dense(X) if get_tags(estimator).input_tags.sparse else X,
        dtype=[np.float64, np.float32],
        order="C",
        reset=reset,
        ensure_min_samples=least,
    )
    array = cast(np.ndarray, checked)
    # Torch has no read-only tensors; joblib hands out arrays on disk that are.
    found = torch.from_numpy(array if array.flags.writeable else array.copy())
    check_range(found, dtype or found.dtype, smallest=reset)
    return found if dtype is None else found.to(dtype)


def check_range(values: Tensor, dtype: torch.dtype, smallest: bool = False) -> None:
    """Raise a DomainError where the sum of the squares of X overflows in `dtype`, or, with `smallest`, vanishes.

    Energies are sums of squares, so that numbers far below the largest of a precision are infinite to them already.

    >>> check_range(torch.tensor([[1e30]]), torch.float32)
    Traceback (most recent call last):
    lowland.errors.DomainError: X has numbers of up to 1e+30, whose squares float32 does not hold: scale X.
    """
    low, high = (float(end) for end in values.aminmax())
    size, known = max(-low, high), torch.finfo(dtype)
    if size > (known.max / (4 * values.numel())) ** 0.5 or (smallest and 0 < size < (known.tiny / known.eps) ** 0.5):
        raise DomainError(
            f"X has numbers of up to {size:.3g}, whose squares {str(dtype).removeprefix('torch.')} does not hold: "
            "scale X."
        )


def doubt(y: Tensor) -> Tensor:
    """(D,) what a deviation of a column of y (N, D) must exceed to be more than rounding: 10 ε max |y|.

    >>> doubt(torch.tensor([[1.0, 100.0]])) < torch.tensor([2e-6, 2e-4])
    tensor([True, True])
    """
    return 10 * torch.finfo(y.dtype).eps * y.abs().amax(dim=0)


def check_resolution(values: Tensor, dtype: torch.dtype) -> None:
    """Raise a DomainError for columns of X (N, D) whose variation `dtype` loses: no more than `doubt` in it.

    >>> check_resolution(torch.tensor([[5.4e6], [5.4e6 + 0.02]], dtype=torch.float64), torch.float32)
    Traceback (most recent call last):
    lowland.errors.DomainError: Column 0 of X varies by 0.01 about 5.4e+06, which float32 does not resolve:
    subtract the means, or make the energy double, energy.double().
    """
    wide = values.double()
    mean, deviation = wide.mean(dim=0), wide.std(dim=0, correction=0)
    known = doubt(values)
    lost = (deviation > known) & (deviation <= known * (torch.finfo(dtype).eps / torch.finfo(values.dtype).eps))
    if bool(lost.any()):
        first = int(lost.nonzero()[0])
        raise DomainError(
            f"Column {first} of X varies by {float(deviation[first]):.3g} about {float(mean[first]):.3g}, which "
            f"{str(dtype).removeprefix('torch.')} does not resolve: subtract the means, or make the energy double, "
            "energy.double()."
        )


def points(energy: Energy, array: np.ndarray) -> Tensor:
    """Rows of an array (N, D) in the shape, type and device that the energy's y needs.

    Numbers beyond those of its precision become the largest that it has.

    >>> import lowland as ll
    >>> points(ll.energies.Ellipse(), np.zeros((3, 2))).dtype
    torch.float32
    """
    own = next(iter(energy.parameters()), None)
    dtype, device = (torch.float64, torch.device("cpu")) if own is None else (own.dtype, own.device)
    largest = min(torch.finfo(dtype).max, float(np.finfo(array.dtype).max))
    value = torch.as_tensor(np.clip(array, -largest, largest), dtype=dtype, device=device)
    size = energy.domain("y").size
    return value.reshape(-1, *energy.domain("y").shape) if value.shape[1] == size else value


def train(
    energy: Energy, y: Tensor, shaping: Shaping, max_steps: int, batch_size: int | None, lr: float, seed: int
) -> None:
    """Train in place, silently, on all of y; a shaping without gradient steps sees all of it at each of them."""
    whole = not shaping.trains_by_gradient and batch_size is None
    size = len(y) if whole else min(batch_size or 128, len(y))
    # The shaping has state of its own: a copy makes a second fit equal to the first.
    fit(energy, y, copy.deepcopy(shaping), max_steps, size, lr, validation=0.0, seed=seed, progress=False)


def settle(
    energy: Energy, y: Tensor, shaping: Shaping, max_iter: int, tol: float, start_on: int | None = None
) -> tuple[int, bool]:
    """Updates from all of y, until one lowers the mean free energy by at most `tol`: their number, and whether it did.

    The start is drawn from `start_on` of the samples, or from all.

    Raises:
        OptionError: for max_iter below 1, or a negative tol.
        DomainError: for a free energy that is not finite.

    >>> import lowland as ll
    >>> y = torch.tensor([[0.0], [1.0], [9.0]])
    >>> settle(ll.energies.KMeans(1, 2), y, ll.shaping.ExpectationMaximisation(), max_iter=10, tol=0.0)
    (3, True)
    """
    if max_iter < 1 or not tol >= 0:
        raise OptionError(f"max_iter must be at least 1 and tol at least 0, but they are {max_iter} and {tol}.")
    batch, before = Batch(y), torch.inf
    with torch.no_grad():
        few = len(y) if start_on is None else min(start_on, len(y))
        chosen = torch.randperm(len(y), generator=shaping.generator())[:few].sort().values
        shaping.prepare(energy, batch if few == len(y) else Batch(y[chosen]))
        for step in range(max_iter):
            value = float(shaping.update(energy, batch).losses["energy"])
            shaping.after_step(energy, batch)
            shaping.advance()
            if not math.isfinite(value):
                raise DomainError(
                    f"The free energy of the data under {type(energy).__name__} became {value}: scale the columns of X "
                    "to similar variances, and leave out those that are constant."
                )
            if before - value <= tol:
                return step + 1, True
            before = value
    return max_iter, False
