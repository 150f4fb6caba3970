"""Classifiers of pixels that need no network: a linear one, nearest neighbours, and a support vector machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from lowland.data.images import Images

COMPONENTS = 95
"""Principal components, as in LeCun, Huang & Bottou (2004)."""
_STRENGTHS, _NEIGHBOURS = (10.0, 100.0, 1e3, 1e4), (1, 3, 5, 10, 18)
_COSTS, _SHARPER = (1.0, 10.0, 100.0), (0.3, 1.0, 3.0)


def pixel_classifiers(data: Images) -> dict[str, dict[str, Any]]:
    """Errors in percent of classifiers of pixels, each with a setting that the validation images choose.

    They are "most frequent", the class that is there most often, "linear", least squares with a penalty, "neighbours",
    the vote of the nearest, "components + neighbours", the same on 95 principal components, and "components + SVM", a
    support vector machine with kernels exp(−γ‖x − x'‖²), γ in units of one over the summed variances σ², and a pair of
    classes each. Source of the comparison: LeCun, Huang &
    Bottou, "Learning methods for generic object recognition with invariance to pose and lighting" (2004).

    Returns:
        by name, "error" on test images, "validation" on those that chose the setting, "chosen" the setting in words,
        and "seconds" of the processor.

    >>> from lowland.data import digits
    >>> found = pixel_classifiers(digits().first(train=200, validation=100, test=100))
    >>> found["linear"]["error"] < found["most frequent"]["error"]
    True
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    parts = ("train", "validation", "test")
    pixels = {part: getattr(data, part).flatten(1).numpy() for part in parts}
    labels = {part: getattr(data, f"{part}_labels").numpy() for part in parts}
    whitener = PCA(min(COMPONENTS, *pixels["train"].shape), whiten=True, svd_solver="randomized", random_state=0)
    whitener.fit(pixels["train"])
    codes = {part: whitener.transform(own) * np.sqrt(whitener.explained_variance_) for part, own in pixels.items()}
    neighbours = {f"neighbours: {k}": KNeighborsClassifier(k) for k in _NEIGHBOURS if k <= len(data.train)}
    usual = 1 / codes["train"][0].size / codes["train"].var()  # the width that scikit-learn takes by itself
    machines = {
        f"C = {cost:g}, γ = {sharper:g}/σ²": SVC(C=cost, gamma=sharper * usual)
        for cost in _COSTS for sharper in _SHARPER
    }  # fmt: skip
    lines = {f"penalty: {strength:g}": RidgeClassifier(strength) for strength in _STRENGTHS}
    common = np.bincount(labels["train"]).argmax()
    found = {"most frequent": {
        "error": 100 * float((data.test_labels != int(common)).double().mean()), "chosen": data.classes[common],
        "validation": 100 * float((data.validation_labels != int(common)).double().mean()), "seconds": 0.0,
    }}  # fmt: skip
    for name, models, inputs in (
        ("linear", lines, pixels), ("neighbours", neighbours, pixels),
        ("components + neighbours", neighbours, codes), ("components + SVM", machines, codes),
    ):  # fmt: skip
        found[name] = _best(models, inputs, labels)
    return found


def _best(models: Mapping[str, Any], inputs: Mapping[str, Any], labels: Mapping[str, Any]) -> dict[str, Any]:
    errors, began = {}, time.process_time()
    for name, model in models.items():
        model.fit(inputs["train"], labels["train"])
        errors[name] = 100 * float(np.mean(model.predict(inputs["validation"]) != labels["validation"]))
    chosen = min(errors, key=errors.__getitem__)
    # Neighbours of two inputs share their models: fit the chosen one again.
    answers = models[chosen].fit(inputs["train"], labels["train"]).predict(inputs["test"])
    return {
        "error": 100 * float(np.mean(answers != labels["test"])), "validation": errors[chosen], "chosen": chosen,
        "seconds": time.process_time() - began,
    }  # fmt: skip
