"""ONNX graphs in whole numbers of 8 bits, by onnxruntime, and what that costs and gains on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowland.data.folder import read_folder
from lowland.errors import CheckpointError, OptionError, ShapeError, UnsupportedError
from lowland.files import write_atomically
from lowland.quiet import no_records_below_error, warnings_from
from lowland.training.encoder_files import load_encoder

_ROUNDS, _CALLS = 15, 10
"""Measurements of each graph, alternately, and calls in each."""
_SAMPLES = 256


class Int8(NamedTuple):
    """What `export_int8` wrote and measured.

    Attributes:
        path: of the graph of 8 bits.
        difference: ‖int8 − float32‖ / ‖float32‖ over the outputs of samples that calibration did not see.
        bytes: of the file, and of that in float32.
        seconds: median of a call with one sample, and that in float32, one thread each.
    """

    path: Path
    difference: float
    bytes: tuple[int, int]
    seconds: tuple[float, float]

    @property
    def text(self) -> str:
        """The measurements in plain words, which say so where 8 bits are slower.

        >>> print(Int8(Path("a.onnx"), 0.01, (250, 1000), (2e-3, 1e-3)).text)
        outputs differ by 1.0 % of their size; 25 % of the bytes; 2 ms against 1 ms at batch 1: SLOWER than float32 here
        """
        (small, large), (ours, theirs) = self.bytes, self.seconds
        word = "SLOWER than float32 here" if ours > theirs else f"{theirs / ours:.1f} times as fast as float32 here"
        return (
            f"outputs differ by {self.difference:.1%}".replace("%", " %")
            + f" of their size; {small / large:.0%}".replace("%", " %")
            + f" of the bytes; {1e3 * ours:.3g} ms against {1e3 * theirs:.3g} ms at batch 1: {word}"
        )


def export_int8(graph: str | Path, samples: Tensor, path: str | Path | None = None) -> Int8:
    """Quantise an ONNX graph with one input after training, by onnxruntime's static quantisation.

    Weights get 8 bits with sign and a scale for each output channel, activations 8 bits without sign, whose ranges are
    the least and the largest value on three quarters of the samples. On the others the outputs are compared.

    Args:
        graph: file of `export_onnx` in float32, with a dynamic batch axis.
        samples: (N, …), four or more, such as the encoder will see.
        path: where the graph goes; by default beside the other, as NAME.int8.onnx.

    Raises:
        OptionError: if onnxruntime or onnx is missing (`pip install lowland[export]`), or for fewer than four samples.
        CheckpointError: if there is no such graph, or the file cannot be written.
        ShapeError: for samples that the graph does not take.
        UnsupportedError: for a graph with several inputs, or one that onnxruntime cannot quantise.
    """
    try:
        import onnx  # noqa: F401  used by onnxruntime.quantization
        import onnxruntime
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise OptionError(f"Graphs of 8 bits need the package {error.name}: pip install lowland[export]") from error
    graph = Path(graph)
    place = graph.with_suffix(".int8.onnx") if path is None else Path(path)
    if not graph.is_file():
        raise CheckpointError(f"There is no file {graph}: write it with export_onnx first.")
    if len(samples) < 4:
        raise OptionError(f"Calibration needs four or more samples, but there are {len(samples)}.")
    whole = _session(onnxruntime, graph)
    if len(whole.get_inputs()) != 1:
        raise UnsupportedError(f"{graph} has {len(whole.get_inputs())} inputs: only graphs with one are quantised.")
    name, values = whole.get_inputs()[0].name, samples.detach().cpu().numpy()
    seen, held = values[: -(-3 * len(values) // 4)], values[-(-3 * len(values) // 4) :]
    try:
        wanted = whole.run(None, {name: held})[0]
    except Exception as error:
        raise ShapeError(f"{graph} does not take samples {tuple(samples.shape)}: {_first(error)}") from error

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._parts = iter([seen[k : k + 16] for k in range(0, len(seen), 16)])

        def get_next(self) -> Any:
            part = next(self._parts, None)
            return None if part is None else {name: part}

    draft = place.with_name(f"{place.name}.draft")
    try:
        with warnings_from("onnx", "ignore"), no_records_below_error("root", "onnxruntime"):
            quantize_static(
                str(graph), str(draft), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip
        content = draft.read_bytes()
    except Exception as error:
        raise UnsupportedError(f"onnxruntime cannot quantise {graph}: {_first(error)}") from error
    finally:
        draft.unlink(missing_ok=True)
    write_atomically(place, content)
    small = _session(onnxruntime, place)
    difference = np.linalg.norm(small.run(None, {name: held})[0] - wanted) / max(float(np.linalg.norm(wanted)), 1e-30)
    ours, theirs = _race(lambda: small.run(None, {name: held[:1]}), lambda: whole.run(None, {name: held[:1]}))
    return Int8(place, float(difference), (place.stat().st_size, graph.stat().st_size), (ours, theirs))


def export_encoder_int8(encoder: str | Path, graph: str | Path, folder: str | Path) -> Int8:
    """`export_int8` of an encoder's graph, with up to 256 samples of a folder, spread evenly over its files.

    Args:
        encoder: `encoder.safetensors` that `lowland pretrain` wrote.
        graph: what `export_encoder` wrote.
        folder: images or series of the kind that the encoder takes.

    Raises:
        DataError: for a folder without anything that the encoder takes.
        CheckpointError, OptionError, UnsupportedError: see `load_encoder` and `export_int8`.
    """
    _, card = load_encoder(encoder)
    shape = tuple(card["shape"])
    data = read_folder(folder, shape[-1], shape[0], card["kind"], levels=card.get("levels") or ())
    return export_int8(graph, data.take(torch.arange(0, len(data), max(1, len(data) // _SAMPLES))[:_SAMPLES]))


def _session(onnxruntime: Any, path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CheckpointError(f"{path} is no graph that onnxruntime can run: {_first(error)}") from error


def _race(*calls: Callable[[], object]) -> list[float]:
    """Median seconds of a call of each, alternately, so that other load meets both."""
    found: list[list[float]] = [[] for _ in calls]
    for turn in range(_ROUNDS + 1):
        for call, times in zip(calls, found, strict=True):
            start = time.perf_counter()
            for _ in range(_CALLS):
                call()
            if turn:  # the first is warming up
                times.append((time.perf_counter() - start) / _CALLS)
    return [statistics.median(times) for times in found]


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
