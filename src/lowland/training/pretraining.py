"""Pretraining of an encoder; the amount of data decides method, network and hyper-parameters."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lowland.data.views import ImageViews, SeriesViews, VectorViews
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import LowlandError, OptionError, nearest
from lowland.nn.standardised import Standardised
from lowland.quiet import warnings_from
from lowland.registry import registered
from lowland.shaping.joint import JointShaping, Views
from lowland.training.encoder_files import build_encoder

AUTO = "auto"
LEAST = 8
"""The fewest samples to pretrain on."""
_VIEWS: dict[str, type] = {"images": ImageViews, "series": SeriesViews, "vectors": VectorViews}
_ENCODERS = {"images": "ConvNet", "series": "ResNet1d", "vectors": "Perceptron"}
_USUAL = {"images": (3, 48, 48), "series": (1, 256)}
_MANY = 1_000_000
_BATCH, _SEEN, _FEWEST, _MOST = 128, 50_000, 5, 200
_EMBEDDING = 128


@dataclass(frozen=True)
class Plan:
    """What will be trained, and why.

    Args:
        kind: "images", "series" or "vectors".
        method: name of a shaping.
        encoder: name of an encoder.
        batch: samples per step.
        steps: optimiser steps.
        reasons: a sentence for each choice that was not the user's.
    """

    kind: str
    method: str
    encoder: str
    batch: int
    steps: int
    reasons: tuple[str, ...] = ()


def plan(
    kind: str, count: int, method: str = AUTO, encoder: str = AUTO, batch: int = 0, epochs: int = 0, steps: int = 0
) -> Plan:
    """Fill in what is not given, from the number of samples.

    Args:
        kind: "images", "series" or "vectors".
        count: samples to train on.
        method, encoder: names, or "auto".
        batch, epochs, steps: 0 to choose automatically; steps take precedence over epochs.

    Raises:
        OptionError: for fewer than 8 samples, an unknown method or encoder, a batch of one sample or larger than the
            data, or a negative number.

    >>> chosen = plan("images", 500)
    >>> chosen.method, chosen.batch, chosen.steps
    ('VICReg', 128, 300)
    """
    check_enough(count)
    if min(batch, epochs, steps) < 0:
        raise OptionError("batch, epochs and steps must be positive, or 0 to be chosen.")
    reasons = []
    if method.lower() == AUTO:
        method = "VICReg"
        reasons.append(
            "VICReg: it needs neither negatives nor a second network, so it works with small batches, and the terms of "
            "its loss show what goes wrong."
        )
    if encoder.lower() == AUTO:
        encoder = _ENCODERS[kind]
        reasons.append(f"{encoder}: the small encoder for {kind}, which a CPU trains in minutes.")
    if not batch:
        batch = min(_BATCH, 2 ** int(math.log2(count / 2)))
        reasons.append(f"Batches of {batch}: {_BATCH}, or the power of two below half of the {count:,} samples.")
    if batch > count:
        raise OptionError(f"A batch of {batch} is larger than the {count:,} samples to train on: lower --batch.")
    if batch == 1:
        raise OptionError("A batch of 1 has nothing to compare, and no variance to normalise by: raise --batch.")
    each = max(1, count // batch)
    if not steps:
        if not epochs:
            epochs = max(_FEWEST, min(_MOST, round(_SEEN / count)))
            reasons.append(
                f"{epochs} epochs: until {_SEEN:,} samples have been seen, but {_FEWEST} to {_MOST} epochs in all."
            )
        steps = epochs * each
    method, encoder = _named("method", method, methods()), _named("encoder", encoder, registered("encoder"))
    return Plan(kind, method, encoder, batch, steps, tuple(reasons))


def check_choices(
    kind: str,
    size: int = 0,
    method: str = AUTO,
    encoder: str = AUTO,
    batch: int = 0,
    epochs: int = 0,
    steps: int = 0,
    encoder_options: Mapping[str, Any] | None = None,
    method_options: Mapping[str, Any] | None = None,
    views: str = AUTO,
) -> None:
    """Check early, before the data are read, what `plan` and `build` would reject later.

    Args:
        kind: of the data.
        size: of a sample; 0 if the data decide it, and then encoder options are checked by name and type only.

    Raises:
        OptionError: see `plan` and `build`.

    >>> check_choices("images", encoder="resnet1d")
    Traceback (most recent call last):
    lowland.errors.OptionError: ResNet1d does not take images of 3 × 48 × 48: choose another encoder.
    """
    chosen = plan(kind, _MANY, method, encoder, batch, epochs, steps)
    options = dict(encoder_options or {})
    _check_options(chosen.encoder, registered("encoder")[chosen.encoder], options, ("shape", "generator"))
    usual = _USUAL[kind]
    build(chosen, (usual[0], *(size or side for side in usual[1:])), options if size else {}, method_options, views)


def check_enough(count: int) -> None:
    """Raise an OptionError for fewer samples than pretraining needs."""
    if count < LEAST:
        found = "is one sample" if count == 1 else f"are {count} samples"
        raise OptionError(
            f"There {found} to learn from, but pretraining compares samples with each other and needs at least {LEAST}."
        )


def methods() -> dict[str, type[JointShaping]]:
    """The joint-embedding methods by name.

    >>> "VICReg" in methods(), "MinimumEnergy" in methods()
    (True, False)
    """
    return {name: kind for name, kind in registered("shaping").items() if issubclass(kind, JointShaping)}


def method_class(name: str) -> type[JointShaping]:
    """The method of that name, in any case."""
    return methods()[_named("method", name, methods())]


def _named(what: str, name: str, known: Iterable[str]) -> str:
    """The known name that matches, ignoring case."""
    by_lower = {own.lower(): own for own in known}
    if name.lower() not in by_lower:
        raise OptionError(f"There is no {what} called {name!r}. {nearest(name.lower(), by_lower)}")
    return by_lower[name.lower()]


def views_of(kind: str, name: str = AUTO) -> Views:
    """The views (augmentations) for a kind of data: the default, or a preset by name, such as none or crop_only.

    >>> views_of("series", "none").jitter
    0
    """
    cls = _VIEWS[kind]
    presets = {key: getattr(cls, key) for key, value in vars(cls).items() if isinstance(value, classmethod)}
    if name == AUTO:
        return cls()
    if name.replace("-", "_") not in presets:
        raise OptionError(f"There are no views of {kind} called {name!r}. {nearest(name, [AUTO, *presets])}")
    return presets[name.replace("-", "_")]()


def build(
    chosen: Plan,
    shape: tuple[int, ...],
    encoder_options: Mapping[str, Any] | None = None,
    method_options: Mapping[str, Any] | None = None,
    views: str = AUTO,
    seed: int = 0,
) -> tuple[JointEmbedding, JointShaping, Standardised]:
    """The energy, the shaping that trains it, and the encoder inside the energy.

    Args:
        chosen: from `plan`.
        shape: of a sample.
        encoder_options, method_options: arguments of their constructors.
        views: see `views_of`.
        seed: of initial weights and views.

    Raises:
        OptionError: for an unknown argument of a constructor, a value that is not a number where one is needed, an
            encoder that does not take such samples, or a batch that is too small for the method.

    >>> energy, shaping, encoder = build(plan("vectors", 100), (7,))
    >>> type(shaping).__name__, energy.size, encoder.size
    ('VICReg', 16, 128)
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 1)
    encoder = Standardised(_built(chosen, shape, encoder_options or {}, generator))
    method = method_class(chosen.method)
    # Twice as many samples as dimensions, so that a batch can estimate the covariance of its embeddings.
    embedding = max(8, min(_EMBEDDING, chosen.batch // 2))
    hidden = 2 * embedding
    energy = JointEmbedding(
        encoder, (hidden, embedding), predictor=(hidden,) if method.predicts else None, generator=generator
    )
    options = dict(method_options or {})
    _check_options(chosen.method, method, options, ("views", "seed"))
    shaping = method(views=views_of(chosen.kind, views), seed=seed, **options)
    if chosen.batch < (least := shaping.needed(embedding)):
        raise OptionError(
            f"{chosen.method} needs batches of at least {least} samples, not {chosen.batch}: raise --batch, with more "
            "samples if need be, or take another method."
        )
    return energy, shaping, encoder


def _built(chosen: Plan, shape: tuple[int, ...], options: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
    _check_options(chosen.encoder, registered("encoder")[chosen.encoder], options, ("shape", "generator"))
    try:
        with warnings_from(r"torch\b", "ignore"):  # about empty weights, which are an error below
            encoder = build_encoder(chosen.encoder, shape, {**options, "generator": generator})
        with torch.no_grad():
            encoder.eval()(torch.zeros(2, *shape))
        if not all(weight.numel() for weight in encoder.parameters()):
            raise ValueError("a layer has no weights")
        return encoder.train()
    except LowlandError:
        raise
    except (IndexError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        size = " × ".join(map(str, shape))
        given = ", ".join(f"{name}={value}" for name, value in options.items())
        how = f" with {given}: give other values, or" if given else ":"
        raise OptionError(
            f"{chosen.encoder} does not take {chosen.kind} of {size}{how} choose another encoder."
        ) from error


def _check_options(name: str, owner: type, options: Mapping[str, Any], reserved: tuple[str, ...]) -> None:
    """Raise an OptionError for an unknown option of a class, or for a non-numeric value where it takes a number."""
    known = {key: own for key, own in inspect.signature(owner).parameters.items() if key not in reserved}
    for key, value in options.items():
        if key not in known:
            raise OptionError(f"{name} has no option {key!r}. {nearest(key, known)}")
        usual = known[key].default
        if isinstance(usual, float | int) and not isinstance(value, float | int):
            raise OptionError(f"The option {key} of {name} takes a value such as {usual}, not {value!r}.")


def described(views: Any) -> str:
    """Text that names the settings in which views differ from their defaults.

    >>> described(SeriesViews.crop_only())
    'SeriesViews(warp=0, scale=0, jitter=0)'
    """
    changed = {
        field.name: value
        for field in dataclasses.fields(views)
        if (value := getattr(views, field.name)) != field.default
    }
    return f"{type(views).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


def pace_to(chosen: Plan, minutes: float, seconds: float) -> Plan:
    """The plan with as many steps as fit into `minutes`, at `seconds` per step.

    >>> pace_to(plan("images", 100), minutes=2, seconds=0.1).steps
    1200
    """
    steps = max(1, round(60 * minutes / seconds))
    why = f"{steps:,} steps: about {minutes:g} minutes, at {seconds:.3g} s for each of the first steps."
    kept = tuple(reason for reason in chosen.reasons if " epochs: " not in reason)
    return dataclasses.replace(chosen, steps=steps, reasons=(*kept, why))
