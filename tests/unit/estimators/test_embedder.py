"""Representations of arrays of every rank, by the training that the command line has."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.errors import CollapseError, DomainError, OptionError
from lowland.estimators import Embedder


@pytest.mark.parametrize(
    ("shape", "options", "size"),
    [((6,), {"hidden": (8,), "size": 5}, 5), ((2, 24), {"maps": (4, 8)}, 8), ((3, 16, 16), {"maps": (4, 8)}, 8)],
    ids=["vectors", "series", "images"],
)
def test_arrays_of_every_rank(shape: tuple[int, ...], options: dict[str, object], size: int) -> None:
    X = np.random.default_rng(0).uniform(size=(24, *shape)).astype(np.float32)
    embedder = Embedder(epochs=2, encoder_options=options)
    found = embedder.fit(X).transform(X)
    assert (found.shape, found.dtype) == ((24, size), np.float32)
    assert np.array_equal(found, embedder.fit(X).transform(X)), "a second fit begins anew"
    with torch.no_grad():
        assert np.allclose(found, embedder.encoder_(torch.from_numpy(X)).numpy())
    with pytest.raises((OptionError, ValueError)):
        embedder.transform(X[..., :-1])


def test_names_are_checked_when_it_is_fitted() -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    for wrong in ({"method": "vicregg"}, {"encoder": "mlp"}, {"views": "loud"}, {"batch_size": 21}, {"epochs": -1}):
        with pytest.raises(OptionError):
            Embedder(**wrong).fit(X)
    with pytest.raises(OptionError, match="5 axes"):
        Embedder().fit(np.zeros((20, 3, 2, 2, 2)))


def test_images_of_bytes_are_refused() -> None:
    X = np.random.default_rng(0).integers(0, 256, (20, 3, 16, 16))
    with pytest.raises(DomainError, match="divide bytes by 255"):
        Embedder().fit(X)


def test_a_collapse_is_an_error() -> None:
    X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    options = {"variance": 0.0, "alarm": 20}
    with pytest.raises(CollapseError, match="collapsed"):
        Embedder(epochs=200, lr=0.01, method_options=options, encoder_options={"hidden": (8,), "size": 8}).fit(X)
