"""What a network costs: operations, bytes, energy, latency here, and frames a second on a small accelerator."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch.utils.flop_counter import FlopCounterMode

from lowland.evaluation.accelerator import Accelerator, estimate, limits, parsing_network
from lowland.evaluation.cost_files import Network, Opened, networks_in, open_network, sizes_of
from lowland.evaluation.machine import Roof, latency, measure_roof
from lowland.evaluation.operation_energy import estimated_energy
from lowland.nn.classics import classic
from lowland.nn.encoders.vision_transformer import VisionTransformer
from lowland.nn.lenet import SIDE, LeNet5
from lowland.plots.roofline import roofline
from lowland.recipes.base import Count, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.training.export import exportable
from lowland.words import verbatim

BATCHES = (1, 8, 64)
RUNTIMES = ("torch", "onnxruntime")
Row: TypeAlias = dict[str, Any]
COLUMNS = {
    "layer": "layer", "name": "operators", "products": "multiply–adds", "others": "further operations",
    "weights": "bytes of weights", "activations": "bytes of activations", "intensity": "operations a byte",
    "share": "% of the time at the roof",
}  # fmt: skip


@recipe
@dataclass(frozen=True)
class CostRecipe(Recipe):
    """Time at the roof = Σ over layers of max(operations / rate of arithmetic, bytes / bandwidth), and measured."""

    file: str = ""
    """Encoder, policy, energy or run of Lowland, .onnx graph or .pt2 program; without one, some known networks."""
    input: tuple[str, ...] = ()
    """Sizes of the inputs of a file that leaves them open: 1,3,224,224, or for several inputs NAME=1,3,224,224."""
    networks: tuple[Literal["resnet18", "lenet5", "transformer", "policy"], ...] = (
        "resnet18", "lenet5", "transformer", "policy",
    )  # fmt: skip
    """Networks that are measured without a file."""
    onnx: bool = True
    """Whether networks of torch are exported and measured in onnxruntime too."""
    seconds: Positive = 1.0
    """Time of each measurement at least, unless 200 calls are faster."""
    rounds: Count = 20
    """Copies in memory, and 20 times as many matrix products, of which the best makes the roof."""

    accelerated: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("file",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"networks": ("lenet5",), "onnx": False, "seconds": 0.01, "rounds": 1}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.file and self.file != "shipped":
            object.__setattr__(self, "file", os.path.realpath(self.file))
        sizes_of(self.input)

    def run(self, run: Run) -> None:
        networks = networks_in(self.file, sizes_of(self.input)) if self.file else [_known(n) for n in self.networks]
        run.expect(1 + len(networks))
        roof = Roof(**run.stage("roof", lambda: measure_roof(self.rounds)._asdict()))
        found: dict[str, Row] = {}
        for number, network in enumerate(networks):
            run.doing(network.name)
            found[network.name] = run.stage(f"{number}", partial(self._measure, network, roof))
        for name, row in found.items():
            run.measured.add({name: {key: value for key, value in row["numbers"].items() if value is not None}})
        machine = Accelerator()
        if not self.file:
            for name, each in limits(machine, parsing_network()).items():
                run.measured.add({name: {"rate": each.rate / 1e9, "frames": each.frames, "joules": each.joules}})
        run.show(
            names=list(found), count=len(found), peak=machine.peak / 1e9, machine=dataclasses.asdict(machine),
            arithmetic=roof.arithmetic / 1e9, bandwidth=roof.bandwidth / 1e9, given=verbatim(Path(self.file).name),
            timed=sorted({key for row in found.values() for key in row["numbers"]}),
            fastest={name: row["fastest"] for name, row in found.items()},
            notes={name: [verbatim(note) for note in row["notes"]] for name, row in found.items()},
            unknown={name: [verbatim(one) for one in row["unknown"]] for name, row in found.items()},
        )  # fmt: skip
        run.part(self._draw, found, roof)

    def _measure(self, network: Network, roof: Roof) -> Row:
        opened = open_network(network, self.onnx)
        counts, energy = opened.counts, estimated_energy(opened.counts)
        least = [roof.seconds(one.arithmetic, one.bytes) for one in counts.layers]
        numbers: Row = {
            "products": counts.products, "others": counts.others, "parameters": counts.parameters,
            "stored": counts.stored_bytes, "activations": counts.activation_bytes, "intensity": counts.intensity,
            "arithmetic": 1e3 * energy.arithmetic, "least": 1e3 * energy.least, "most": 1e3 * energy.most,
            "roof": 1e3 * sum(least), "rival": _by_torch(network),
        }  # fmt: skip
        if any(one.window is not None for one in counts.operations):
            numbers["on tiles"] = opened.samples * estimate(Accelerator(), counts).frames
        numbers |= self._times(opened)
        fastest = min((numbers[key] for key in numbers if key.startswith("1 ")), default=None)
        if fastest is not None:
            numbers["share"] = 100 * numbers["roof"] / fastest
        layers = [
            {
                "layer": one.layer, "name": one.name, "products": one.products, "others": one.others,
                "weights": one.weight_bytes, "activations": one.activation_bytes, "intensity": one.intensity,
                "share": 100 * time / max(sum(least), 1e-30), "arithmetic": one.arithmetic,
            }
            for one, time in zip(counts.layers, least, strict=True)
        ]  # fmt: skip
        notes = list(opened.notes)
        if energy.left_out:
            notes.append(f"Its energy leaves out {', '.join(energy.left_out)}: the table has no figures for these.")
        return {
            "numbers": numbers, "layers": layers, "notes": notes, "unknown": list(counts.unknown),
            "samples": opened.samples, "fastest": fastest,
        }  # fmt: skip

    def _times(self, opened: Opened) -> Row:
        """Milliseconds of a call and samples a second, by number of samples and runtime."""
        found: Row = {}
        for runtime, runner in zip(RUNTIMES, (opened.torch, opened.onnx), strict=True):
            for samples in BATCHES if runner is not None else ():
                assert runner is not None
                if (call := runner(samples)) is not None:
                    seconds = latency(call, self.seconds)
                    found |= {f"{samples} {runtime}": 1e3 * seconds, f"rate {samples} {runtime}": samples / seconds}
        return found

    def _draw(self, run: Run, found: Mapping[str, Row], roof: Roof) -> None:
        for number, row in enumerate(found.values()):
            cells = [[_cell(one[key]) for key in COLUMNS] for one in row["layers"]]
            run.table(tuple(COLUMNS.values()), cells, name=f"layers-{number}")
        layers = {name: [(one["intensity"], one["arithmetic"]) for one in row["layers"]] for name, row in found.items()}
        measured = {}
        for name, row in found.items():
            numbers, each = row["numbers"], 1 / row["samples"]
            operations = each * (2 * numbers["products"] + numbers["others"])
            # Weights are read once for a whole batch.
            weights = sum(one["weights"] for one in row["layers"])
            moved = {n: weights / n + each * numbers["activations"] for n in BATCHES}
            measured[name] = [
                (operations / moved[n], operations * numbers[key])
                for runtime in RUNTIMES for n in BATCHES if (key := f"rate {n} {runtime}") in numbers
            ]  # fmt: skip
        run.figure("roofline", partial(roofline, *roof, layers, measured))


def _known(name: str) -> Network:
    """One of the networks that are measured without a file, with random weights but for the policy."""
    draw = torch.Generator().manual_seed(0)
    if name == "policy":
        (policy,) = (one for one in networks_in("shipped", {}) if one.name == "VG")
        return Network(name, policy.module, policy.example)
    module, shape = {
        "resnet18": lambda: (classic("resnet18", generator=draw), (3, 224, 224)),
        "lenet5": lambda: (LeNet5(generator=draw), (1, SIDE, SIDE)),
        "transformer": lambda: (VisionTransformer((3, 32, 32), generator=draw), (3, 32, 32)),
    }[name]()
    return Network(name, module, torch.rand(2, *shape, generator=draw))


def _by_torch(network: Network) -> float | None:
    """Multiply–adds by torch's own counter, for a module and one sample."""
    if network.module is None:
        return None
    module, values, _ = exportable(network.module.eval(), network.example)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*(value[:1] for value in values))
    return counter.get_total_flops() / 2


def _cell(value: Any) -> Any:
    return verbatim(value) if isinstance(value, str) else value
