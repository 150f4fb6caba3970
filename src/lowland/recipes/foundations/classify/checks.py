"""What the energy of a classifier must agree with: torch's cross-entropy, and its own exported files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from lowland.data.images import Images
from lowland.energies.classifier import Classifier
from lowland.errors import OptionError
from lowland.evaluation.classification import inputs_and_answers
from lowland.inference import infer
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.training.export import export_onnx, export_program
from lowland.training.exported import run_exported


def cross_entropy_gap(energy: Classifier, data: Images) -> float:
    """Largest difference between MaximumLikelihood and torch's cross-entropy: the loss and its gradient."""
    x, y = inputs_and_answers(energy, data, "test")
    ours = MaximumLikelihood()(energy, Batch(y, x)).losses["energy"]
    theirs = functional.cross_entropy(energy.network(x), y.argmax(dim=1))
    mine, other = (torch.autograd.grad(loss, list(energy.parameters())) for loss in (ours, theirs))
    gaps = [(a - b).abs().max() for a, b in zip((ours, *mine), (theirs, *other), strict=True)]
    return max(gap.item() for gap in gaps)


def export_all(energies: Mapping[str, Classifier], data: Images, folder: Path, threads: int) -> dict[str, Any]:
    """Each energy as a program and, where its packages are there, as ONNX: energies of all answers, and sizes."""
    found: dict[str, Any] = {"missing": None}
    x = data.test.flatten(1)
    for method, energy in energies.items():
        path = folder / f"{method.replace(' ', '-')}.pt2"
        answers = energy.domain("y").elements()
        pairs = {"x": x.repeat_interleave(len(answers), dim=0), "y": answers.repeat(len(x), 1)}
        # A program keeps its example inputs in the file, so these are few, and no view of many.
        example = {name: value[:20].clone() for name, value in pairs.items()}
        files = {"torch.export": export_program(energy, example, path)}
        try:
            files["ONNX"] = export_onnx(energy, example, path.with_suffix(".onnx"))
        except OptionError as error:
            found["missing"] = str(error)
        with torch.no_grad():
            own, inferred = energy(**pairs), infer(energy, x=x, over="y").value.argmax(dim=1)
        found[method] = {}
        for name, file in files.items():
            other = run_exported(file, pairs, threads)
            found[method][name] = {
                "difference": (other - own).abs().max().item(),
                "otherwise": int((other.reshape(len(x), -1).argmin(dim=1) != inferred).sum()),
                "size": round(file.stat().st_size / 1024),
            }
    return found
