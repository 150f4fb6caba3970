"""Arrays for estimators, tensors for energies, and training between them."""

from __future__ import annotations

import ast
import copy
import inspect
import numbers
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data
from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import DomainError, OptionError, check_number
from lowland.shaping.base import Batch, Shaping
from lowland.solvers.base import Solver
from lowland.training.fit import fit


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
        if name == "seed":
            check_number(name, value, least=0, below=2**40)


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


def rows(estimator: BaseEstimator, X: Any, reset: bool = True, least: int = 1) -> Tensor:
    """X (N, D) as a tensor that may share its memory, in its own precision, after scikit-learn's checks.

    >>> from sklearn.base import BaseEstimator
    >>> rows(BaseEstimator(), [[1, 2]]).dtype
    torch.float64
    """
    if reset:
        check_arguments(estimator)
    checked = validate_data(
        estimator, X, dtype=[np.float64, np.float32], order="C", reset=reset, ensure_min_samples=least
    )
    array = cast(np.ndarray, checked)
    # Torch has no read-only tensors; joblib hands out arrays on disk that are.
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def points(energy: Energy, array: np.ndarray) -> Tensor:
    """Rows of an array (N, D) in the shape, type and device that the energy's y needs.

    >>> import lowland as ll
    >>> points(ll.energies.Ellipse(), np.zeros((3, 2))).dtype
    torch.float32
    """
    own = next(iter(energy.parameters()), None)
    dtype, device = (torch.float64, torch.device("cpu")) if own is None else (own.dtype, own.device)
    value = torch.as_tensor(np.array(array), dtype=dtype, device=device)
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
            if not np.isfinite(value):
                raise DomainError(
                    f"The free energy of the data under {type(energy).__name__} became {value}: scale the columns of X "
                    "to similar variances, and leave out those that are constant."
                )
            if before - value <= tol:
                return step + 1, True
            before = value
    return max_iter, False
