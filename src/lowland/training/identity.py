"""The identity of a run of `fit`: data by content, energy, shaping, optimiser and options, each by name.

A resume compares these settings and is refused if one differs. Of the weights only the shapes count, because training
changes the values.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import math
import sys
import types
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lowland.errors import CheckpointError
from lowland.files import fingerprint
from lowland.training.data import Prepared
from lowland.training.stepper import Stepper

_OPAQUE = {*sys.stdlib_module_names, "torch", "numpy", "lightning"}
_DEEPEST = 8
_NAMED = 3


def settings_of(stepper: Stepper, prepared: Prepared, options: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that must stay the same for a resumed run to get the numbers of an unbroken one.

    `FitRecorder.restore` compares the schedule, by the rates of the steps taken.

    Args:
        options: other arguments of `fit` that affect the numbers.
    """
    by_name = isinstance(stepper.optimiser, str)
    return {
        **described(stepper.energy, "energy"),
        **described(stepper.shaping, "shaping"),
        "samples": -1 if prepared.samples is None else len(prepared.samples),
        "training samples": len(prepared.train),
        "batch_size": prepared.batch_size,
        "lr": float(stepper.lr),
        "optimiser": stepper.optimiser if by_name else "function",
        **({} if by_name else described(stepper.optimiser, "optimiser function")),
        "weight_decay": float(stepper.weight_decay),
        "clip": None if stepper.clip is None else float(stepper.clip),
        **{name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()},
        "data": prepared.content(),
    }


def described(value: Any, name: str) -> dict[str, Any]:
    """Plain values by dotted name: the class of an object, its public attributes, and those of its parts.

    Tensors and arrays are described by shape and fingerprint, functions by name, constants and closure. Attributes that
    begin with an underscore are state and are left out.

    >>> from lowland.energies import SparseCoding
    >>> found = described(SparseCoding(4, 6, sparsity=0.3), "energy")
    >>> found["energy"], found["energy.sparsity"], found["energy.dictionary"]
    ('SparseCoding', 0.3, '(4, 6) of torch.float32')
    """
    found: dict[str, Any] = {}
    _walk(value, name, found, ())
    return found


def agree(before: Mapping[str, Any], now: Mapping[str, Any], whose: Path, known: bool = True) -> None:
    """Raise a CheckpointError that names what differs.

    Args:
        before: the stored settings; now: the current ones.
        whose: the run or the file that was made with `before`.
        known: whether `before` should have every name of `now`; records of earlier versions do not.

    >>> agree({"lr": 0.1}, {"lr": 0.2}, Path("runs/mine"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lowland.errors.CheckpointError: runs/mine was made with lr = 0.1, but now it is 0.2. ...
    """
    names = [*before, *(name for name in now if known and name not in before)]
    differing = [name for name in names if before.get(name, "absent") != now.get(name, "absent")]
    if not differing:
        return
    first, *others = sorted(differing, key=lambda name: name == "data")
    what = (
        "other data"
        if first == "data"
        else f"{first} = {before.get(first, 'absent')!r}, but now it is {now.get(first, 'absent')!r}"
    )
    more = f" {', '.join(others[:_NAMED])}{' and more' if len(others) > _NAMED else ''} differ, too." if others else ""
    raise CheckpointError(f"{whose} was made with {what}.{more} Pass what it was made with, or choose another folder.")


def _walk(value: Any, where: str, found: dict[str, Any], above: tuple[int, ...]) -> None:
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, enum.Enum)):
        found[where] = value
    elif isinstance(value, float):
        found[where] = float(value) if math.isfinite(value) else repr(value)
    elif isinstance(value, enum.Enum | Path | complex | bytes | torch.dtype | range | slice):
        found[where] = str(value)
    elif isinstance(value, np.generic):
        _walk(value.item(), where, found, above)
    elif isinstance(value, type):
        found[where] = value.__qualname__
    elif isinstance(value, Tensor | np.ndarray):
        found[where] = f"{tuple(value.shape)} of {value.dtype}, {_content(value)}"
    elif isinstance(value, torch.device | torch.Generator | types.ModuleType):
        return  # where it runs, and state
    elif len(above) > _DEEPEST or id(value) in above:
        found[where] = type(value).__name__
    else:
        _parts(value, where, found, (*above, id(value)))


def _parts(value: Any, where: str, found: dict[str, Any], above: tuple[int, ...]) -> None:
    def each(pairs: Any) -> None:
        for name, part in pairs:
            _walk(part, f"{where}.{name}", found, above)

    if isinstance(value, Mapping):
        found[where] = len(value)
        each(value.items())
    elif isinstance(value, Set):
        found[where] = repr(sorted(map(repr, value)))
    elif isinstance(value, Sequence):
        found[where] = len(value)
        each(enumerate(value))
    elif isinstance(value, functools.partial):
        _walk(value.func, where, found, above)
        each([*enumerate(value.args), *value.keywords.items()])
    elif isinstance(value, types.MethodType):
        _walk(value.__func__, where, found, above)
        each([("self", value.__self__)])
    elif isinstance(value, types.FunctionType):
        found[where] = value.__qualname__
        each([*enumerate(_constants(value.__code__)), *enumerate(value.__defaults__ or (), 100)])
        each(_closure(value))
    elif isinstance(value, nn.Module):
        _module(value, where, found, above)
    else:
        found[where] = getattr(value, "__qualname__", type(value).__name__)
        if dataclasses.is_dataclass(value):
            each((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        elif type(value).__module__.split(".")[0] not in _OPAQUE:
            each(_public(value))


def _module(value: nn.Module, where: str, found: dict[str, Any], above: tuple[int, ...]) -> None:
    found[where] = type(value).__name__
    if type(value).__module__.startswith("torch."):
        found[where] += f"({value.extra_repr()})"
    else:
        for name, part in _public(value):
            if name != "training":
                _walk(part, f"{where}.{name}", found, above)
    for name, parameter in value.named_parameters(recurse=False):
        frozen = "" if parameter.requires_grad else ", frozen"
        found[f"{where}.{name}"] = f"{tuple(parameter.shape)} of {parameter.dtype}{frozen}"
    for name, child in value.named_children():
        _walk(child, f"{where}.{name}", found, above)


def _public(value: Any) -> list[tuple[str, Any]]:
    return [(name, part) for name, part in getattr(value, "__dict__", {}).items() if not name.startswith("_")]


def _constants(code: types.CodeType) -> list[Any]:
    """Constants and names in a function and its inner functions, without the docstring."""
    own = code.co_consts[1:] if code.co_consts and isinstance(code.co_consts[0], str) else code.co_consts
    inner = [part for const in own if isinstance(const, types.CodeType) for part in _constants(const)]
    return [repr(code.co_names), *(const for const in own if not isinstance(const, types.CodeType)), *inner]


def _closure(function: types.FunctionType) -> list[tuple[str, Any]]:
    found = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a name that is not bound yet
            found.append((name, cell.cell_contents))
    return found


def _content(value: Tensor | np.ndarray) -> str:
    try:
        return fingerprint(value)[:16]
    except (TypeError, RuntimeError):  # an array of objects, or a tensor without plain bytes
        return "unread"
