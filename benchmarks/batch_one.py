"""Latency of one sample at a time: 8 bits in onnxruntime against float32 there, and against torch.

    python benchmarks/batch_one.py [--quick] [--json FILE] [--models NAME ...]

LeNet-5 trained on digits of MNIST, ResNet-18 at 224 × 224, the vision transformer at 32 × 32, and the driving policy VG
that comes with the package. Each runs eagerly in torch, as a program of `torch.export`, as an ONNX graph of float32 in
onnxruntime, and as one of 8 bits (static quantisation, `lowland.training.int8`), all in one process and alternately:
processor time with one thread, wall time with two. A ratio above 1 means that 8 bits are faster. The aim is a ratio
of 2; the remark says what was reached. Where there are labels, the errors on test images are those of 8 bits and of the
competitor, in %; for the others the remark says by how much the outputs differ.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from core import contest, device, race, table, versions
from report import write
from torch import Tensor, nn

from lowland.data.catalogue import load
from lowland.energies.lenet import LeNet
from lowland.evaluation.classification import fit_by_validation
from lowland.evaluation.cost_files import networks_in
from lowland.nn.classics import classic
from lowland.nn.encoders.vision_transformer import VisionTransformer
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.training.export import export_onnx, export_program, exportable
from lowland.training.int8 import export_int8
from lowland.training.schedules import falling

AIM, USABLE, BATCH, KNOWN, ROUNDS = 2.0, 0.1, 64, 256, 15


class Model(NamedTuple):
    """A network of one input, samples (N, …) to calibrate with, and test samples with labels or none."""

    name: str
    module: nn.Module
    samples: Tensor
    test: Tensor | None = None
    labels: Tensor | None = None


class Answers(nn.Module):
    """The scores of a classifier: `encode` gives the energy of each answer, and the least is the answer."""

    def __init__(self, energy: LeNet) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, image: Tensor) -> Tensor:
        return -self.energy.encode(image)


class Flat(nn.Module):
    """A network of several inputs that are given as one vector, since `export_int8` takes graphs of one input."""

    def __init__(self, module: nn.Module, values: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.module, self.shapes = module, [value.shape[1:] for value in values]

    def forward(self, row: Tensor) -> Tensor:
        parts = row.split([shape.numel() for shape in self.shapes], dim=1)
        return self.module(*(part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)))


def lenet5(quick: bool) -> Model:
    data = load("digits" if quick else "mnist10k")
    energy = LeNet(data.shape[1:], output="linear", modern=True, generator=torch.Generator().manual_seed(0))
    steps = (8 if not quick else 2) * -(-len(data.train) // BATCH)
    fit_by_validation(energy, data, MaximumLikelihood(seed=0), (steps,), BATCH, 0, 0.002, partial(falling, steps))
    return Model(f"LeNet-5, {data.name}", Answers(energy), data.train[:KNOWN], data.test, data.test_labels)


def resnet18(quick: bool) -> Model:
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(8 if quick else 16, 3, 224, 224, generator=draw)
    return Model("ResNet-18, 224 × 224, random weights", classic("resnet18", generator=draw), images)


def transformer(quick: bool) -> Model:
    draw = torch.Generator().manual_seed(0)
    network = VisionTransformer((3, 32, 32), depth=2 if quick else 12, generator=draw)
    return Model("vision transformer, 32 × 32, random weights", network, torch.rand(32, 3, 32, 32, generator=draw))


def policy(quick: bool) -> Model:
    (kept,) = (one for one in networks_in("shipped", {}) if one.name == "VG")
    assert kept.module is not None
    module, values, _ = exportable(kept.module.eval(), kept.example)
    draw = torch.Generator().manual_seed(0)
    rows = [torch.rand(8 if quick else 64, *value.shape[1:], generator=draw).flatten(1) for value in values]
    return Model("driving policy VG, random inputs", Flat(module, values), torch.cat(rows, dim=1))


MODELS = {"lenet5": lenet5, "resnet18": resnet18, "transformer": transformer, "policy": policy}


def session(path: Path, threads: int) -> Callable[[Tensor], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    made = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = made.get_inputs()[0].name
    return lambda x: made.run(None, {name: x.numpy()})[0]


def error(run: Callable[[Tensor], Any], model: Model) -> float | None:
    """Test samples that are answered wrongly, in %."""
    if model.test is None or model.labels is None:
        return None
    found = torch.cat([torch.as_tensor(run(part)) for part in model.test.split(500)])
    return 100 * float((found.argmax(dim=1) != model.labels).double().mean())


def compare(model: Model, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Rows of one model: 8 bits against each of the others, for one and two threads."""
    network = model.module.eval()
    graph = export_onnx(network, model.samples[:2], folder / "model.onnx", tolerance=1e-3)
    program = torch.export.load(export_program(network, model.samples[:2], folder / "model.pt2")).module()
    made = export_int8(graph, model.samples)
    one, rows = model.samples[:1].contiguous(), []
    for threads in (1, 2):
        field: dict[str, Callable[[Tensor], Any]] = {
            "onnxruntime, 8 bits": session(made.path, threads),
            "onnxruntime, float32": session(graph, threads),
            "torch, eager": network,
            "torch.export": program,
        }
        once = statistics.median(race({"": lambda: network(one)}, 5, threads)[""])
        calls = max(1, min(100, round((0.01 if rounds < ROUNDS else 0.05) / max(once, 1e-6))))

        def repeated(run: Callable[[Tensor], Any], calls: int = calls) -> Callable[[], object]:
            return lambda: [run(one) for _ in range(calls)]

        times = race({name: repeated(run) for name, run in field.items()}, rounds, threads)
        errors = {name: error(run, model) for name, run in field.items()}
        ours, *others = field
        for rival in others:
            seconds = [[each / calls for each in times[name]] for name in (ours, rival)]
            row = contest(f"{model.name}, 8 bits at batch 1", seconds[0], rival, seconds[1], threads)
            lost = None if errors[ours] is None else errors[ours] - errors[rival]
            useless = " of their size, TOO MUCH to use" if made.difference > USABLE else " of their size"
            what = (
                f"outputs differ by {100 * made.difference:.2g} %{useless}"
                if lost is None
                else f"{lost:.2g} points lost"
            )
            faster = "faster" if row["ratio"] < AIM else f"at least {AIM:g} times as fast"
            word = "SLOWER" if row["ratio"] < 1 else faster
            rows.append({**row, "error_ours": errors[ours], "error_theirs": errors[rival], "why": f"{word}; {what}"})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a minute: small data, three rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="only these")
    options = parser.parse_args()
    rows = []
    with torch.no_grad():
        for name in options.models:
            with torch.enable_grad():
                model = MODELS[name](options.quick)
            with tempfile.TemporaryDirectory() as folder:
                rows += compare(model, 3 if options.quick else ROUNDS, Path(folder))
    print(f"{date.today()}, {device()}\n")
    print(table(rows, digits=3))
    print(
        "",
        *(f"{one['case']}, {one['threads']} threads, against {one['rival']}: {one['why']}" for one in rows),
        sep="\n",
    )
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("onnxruntime", "onnx"), rows)


if __name__ == "__main__":
    main()
