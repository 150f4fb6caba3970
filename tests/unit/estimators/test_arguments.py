"""An argument of the wrong type is one sentence that names it, for every argument of every estimator."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from lowland import estimators
from lowland.errors import OptionError

X = np.random.default_rng(0).normal(size=(20, 3))
CLASSES = [cls for name in estimators.__all__ if inspect.isclass(cls := getattr(estimators, name))]
ARGUMENTS = [(cls, name) for cls in CLASSES for name in inspect.signature(cls).parameters if name != "run"]


@pytest.mark.parametrize(("cls", "name"), ARGUMENTS)
def test_an_argument_of_the_wrong_type_is_named(cls: type[Any], name: str) -> None:
    with pytest.raises(OptionError, match=name):
        cls(**{name: object()}).fit(X)
