"""Exported files give the numbers of the energy that they came from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import lowland as ll
from lowland.errors import OptionError
from lowland.training import export_onnx, export_program
from lowland.training.exported import run_exported


@pytest.mark.parametrize(("export", "name"), [(export_program, "energy.pt2"), (export_onnx, "energy.onnx")])
def test_files_agree_with_the_energy(export, name: str, tmp_path: Path) -> None:
    """Sums of a few terms of order 1 in another order, on a batch of another size than the example."""
    energy = ll.energies.Ellipse((2.0, 1.0))
    path = export(energy, {"y": torch.randn(4, 2), "z": torch.rand(4, 1)}, tmp_path / name)
    inputs = {"y": torch.randn(9, 2), "z": torch.rand(9, 1)}
    torch.testing.assert_close(run_exported(path, inputs), energy(**inputs).detach(), rtol=1e-5, atol=1e-5)


def test_without_onnxruntime_a_graph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(OptionError, match="pip install lowland"):
        run_exported(tmp_path / "energy.onnx", {})
