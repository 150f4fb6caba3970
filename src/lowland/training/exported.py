"""What an exported file computes, read back as another program would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lowland.errors import OptionError


def run_exported(path: str | Path, inputs: Mapping[str, Tensor], threads: int = 1) -> Tensor:
    """The output of a program of `torch.export` (.pt2) or of an ONNX graph (.onnx), for one batch.

    onnxruntime computes the graph; torch takes no part in it.

    Args:
        path: of a file that `export_program` or `export_onnx` wrote.
        inputs: tensors on the CPU by name, in the order of the example that was exported.
        threads: of onnxruntime.

    Raises:
        OptionError: for a file of another kind, or if onnxruntime is missing.

    >>> run_exported("energy.txt", {})
    Traceback (most recent call last):
    lowland.errors.OptionError: energy.txt is neither a program (.pt2) nor an ONNX graph (.onnx).
    """
    path = Path(path)
    if path.suffix == ".pt2":
        with torch.no_grad():
            return torch.export.load(path).module()(*inputs.values())
    if path.suffix != ".onnx":
        raise OptionError(f"{path} is neither a program (.pt2) nor an ONNX graph (.onnx).")
    try:
        import onnxruntime
    except ImportError as error:
        raise OptionError("An ONNX graph needs the package onnxruntime: pip install lowland[export]") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in inputs.items()})[0])
