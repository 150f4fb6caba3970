"""Representations by self-supervised learning, as a scikit-learn transformer."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from lowland.errors import DomainError, OptionError
from lowland.estimators.arrays import DenseMixin, check_arguments, check_options, check_range, dense, seed_of
from lowland.nn.standardised import Standardised
from lowland.training.fit import fit
from lowland.training.pretraining import AUTO, build, plan
from lowland.training.schedules import warm_cosine

_KINDS = {2: "vectors", 3: "series", 4: "images"}
_AT_ONCE = 256


class Embedder(DenseMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Joint embedding of arrays: `fit` pretrains an encoder without labels, `transform` gives its representations.

    Vectors (N, D) go to a `Perceptron`, series (N, C, T) to a `ResNet1d`, and images (N, C, H, W) in [0, 1] to a
    `ConvNet`; each channel, or feature of a vector, is standardised first. What is not given is chosen by the number of
    samples, as in `lowland pretrain`.

    Args:
        method: name of a training method of joint embedding, such as "vicreg", "simclr" or "byol"; "auto" for VICReg.
        encoder: name of an encoder; "auto" as above.
        views: how samples are changed: "auto", or the name of a preset, such as "none" or "crop_only".
        method_options: arguments of the method, such as {"variance": 10.0}.
        encoder_options: arguments of the encoder.
        epochs: passes through the data.
        batch_size: samples of a step; None for 128, or the power of two below half of the samples.
        lr: highest learning rate of AdamW.
        random_state: seed of first weights, views and the order of the data, a generator of NumPy, or None.

    Attributes:
        energy_: the trained `JointEmbedding`.
        encoder_: the encoder inside of it, which standardises what it is given.
        n_features_in_: of the first axis of a sample.

    Raises:
        OptionError: in `fit`, for unknown names or arguments, fewer than 8 samples, or a batch larger than them.
        DomainError: for images outside [0, 1], such as bytes: views change brightness within these limits.
        CollapseError: in `fit`, where the embeddings of all samples became the same.

    >>> X = np.random.default_rng(0).normal(size=(64, 5))
    >>> Embedder(epochs=2, encoder_options={"size": 8}).fit_transform(X).shape
    (64, 8)
    """

    def __init__(
        self,
        method: str = AUTO,
        encoder: str = AUTO,
        views: str = AUTO,
        *,
        method_options: dict[str, Any] | None = None,
        encoder_options: dict[str, Any] | None = None,
        epochs: int = 20,
        batch_size: int | None = None,
        lr: float = 1e-3,
        random_state: Any = 0,
    ) -> None:
        self.method = method
        self.encoder = encoder
        self.views = views
        self.method_options = method_options
        self.encoder_options = encoder_options
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.three_d_array = True
        return tags

    def fit(self, X: Any, y: Any = None) -> Embedder:
        """Pretrain on X, (N, D), (N, C, T) or (N, C, H, W); y is ignored."""
        check_arguments(self)
        check_options(self, counts=["epochs"], positive=["lr"])
        seed, samples = seed_of(self.random_state), self._samples(X, reset=True)
        kind = _KINDS[samples.ndim]
        chosen = plan(kind, len(samples), self.method, self.encoder, self.batch_size or 0, self.epochs)
        shape = tuple(samples.shape[1:])
        energy, shaping, encoder = build(chosen, shape, self.encoder_options, self.method_options, self.views, seed)
        energy.to(samples.dtype)
        encoder.measure(samples)
        schedule = partial(warm_cosine, chosen.steps)
        fit(
            energy, samples, shaping, chosen.steps, chosen.batch, self.lr, optimiser="adamw", weight_decay=1e-4,
            schedule=schedule, validation=0.0, seed=seed, progress=False,
        )  # fmt: skip
        self.energy_, self.encoder_ = energy.eval(), encoder
        self._n_features_out = encoder.size
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Representations (N, size) of the samples of X, in their precision."""
        check_is_fitted(self)
        samples, encoder = self._samples(X, reset=False), cast(Standardised, self.encoder_)
        if tuple(samples.shape[1:]) != encoder.shape:
            raise OptionError(
                f"The encoder was fitted to samples of the shape {encoder.shape}, not {tuple(samples.shape[1:])}."
            )
        check_range(samples, encoder.mean.dtype)
        parts = samples.to(encoder.mean.dtype).split(_AT_ONCE)
        with torch.no_grad():
            found = torch.cat([encoder(part) for part in parts])
        return found.to(samples.dtype).numpy()

    def _samples(self, X: Any, reset: bool) -> Tensor:
        checked = validate_data(
            self, dense(X), dtype=[np.float64, np.float32], order="C", allow_nd=True, reset=reset, ensure_min_samples=1
        )
        array = cast(np.ndarray, checked)
        if array.ndim not in _KINDS:
            raise OptionError(
                f"X must be vectors (N, D), series (N, C, T) or images (N, C, H, W), but it has {array.ndim} axes."
            )
        if array.ndim == 4 and not (array.min() >= 0 and array.max() <= 1):
            raise DomainError(
                f"X holds images, which must lie in [0, 1], but they go from {array.min():g} to {array.max():g}: "
                "divide bytes by 255."
            )
        # Torch has no read-only tensors; joblib hands out arrays on disk that are.
        found = torch.from_numpy(array if array.flags.writeable else array.copy())
        check_range(found, found.dtype, smallest=reset)
        return found
