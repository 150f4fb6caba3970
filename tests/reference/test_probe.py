"""The linear probe against scikit-learn's logistic regression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lowland.data import digits
from lowland.evaluation.probe import logistic_regression, probe

IMAGES = digits()
SPLITS = tuple(
    (getattr(IMAGES, part).flatten(1).double(), getattr(IMAGES, f"{part}_labels"))
    for part in ("train", "validation", "test")
)


@pytest.mark.parametrize("weight_decay", [1.0, 1e-2])
def test_the_minimum_is_that_of_scikit_learn(weight_decay: float) -> None:
    features = torch.from_numpy(StandardScaler().fit_transform(SPLITS[0][0].numpy()))
    labels = SPLITS[0][1]
    at = logistic_regression(features, labels, weight_decay, 10, max_steps=2000, tolerance=1e-9)
    theirs = LogisticRegression(C=1 / (weight_decay * len(labels)), tol=1e-9, max_iter=5000)
    theirs.fit(features.numpy(), labels.numpy())
    # The objective is λ-strongly convex in W, so that gradients of 1e-9 leave W within 1e-9 · √(10 · 65) / λ of the
    # minimum; scikit-learn stops on its own measure, which is worth as much again. The bias is free of decay, which
    # makes it known up to a constant.
    close = 100 * 1e-9 * np.sqrt(650) / weight_decay
    np.testing.assert_allclose(at[:, :-1].numpy(), theirs.coef_, atol=close)
    np.testing.assert_allclose((at[:, -1] - at[:, -1].mean()).numpy(), theirs.intercept_, atol=10 * close)


def test_the_probe_chooses_on_validation_and_counts_on_test() -> None:
    found = probe(*SPLITS, weight_decays=(1.0, 1e-2), max_steps=1000)
    scaler = StandardScaler().fit(SPLITS[0][0].numpy())
    train, validation, test = ((scaler.transform(x.numpy()), y.numpy()) for x, y in SPLITS)
    models = {
        decay: LogisticRegression(C=1 / (decay * len(train[1])), tol=1e-8, max_iter=5000).fit(*train)
        for decay in (1.0, 1e-2)
    }
    # Both are within a rounding of the same minimum: at most one sample may lie on the border between two classes.
    for decay, model in models.items():
        assert found.tried[decay] == pytest.approx(model.score(*validation), abs=1.01 / len(validation[1]))
    assert found.validation == max(found.tried.values()) == found.tried[found.weight_decay]
    assert found.accuracy == pytest.approx(models[found.weight_decay].score(*test), abs=1.01 / len(test[1]))
