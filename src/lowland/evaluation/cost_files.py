"""Opens whatever has a cost: encoders, policies and energies of Lowland, runs of them, ONNX graphs and programs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lowland.checksums import read_tensors
from lowland.errors import CheckpointError, LowlandError, OptionError
from lowland.evaluation.onnx_counts import Shaped, count_onnx, example_arrays, load_onnx, onnx_inputs, refusals
from lowland.evaluation.operation_counts import Counts
from lowland.evaluation.program_counts import count_program
from lowland.files import regular
from lowland.planning.policy_files import KIND as POLICY
from lowland.planning.policy_files import load_policy, policy_files
from lowland.training.encoder_files import KIND as ENCODER
from lowland.training.encoder_files import Guarded, load_encoder, weights_in
from lowland.training.export import example_of, export_onnx, export_program, exportable, load_energy
from lowland.training.policy_export import InUnits, example_states
from lowland.training.programs import load_program, runnable

Runner = Callable[[int], Callable[[], object] | None]
"""Number of samples → a call that computes so many, or None where the file fixes another number."""
_SUFFIXES = (".onnx", ".pt2", ".safetensors")


@dataclass(frozen=True)
class Network:
    """Something that can be counted and timed: a module with its inputs, or a file.

    Attributes:
        name: for tables.
        module: with `example`, of at least two samples; see `export_program`.
        path: of an .onnx or .pt2 file, in place of a module.
        sizes: of the inputs of the file, by name, or by "" for the only one.
    """

    name: str
    module: nn.Module | None = None
    example: Any = None
    path: Path | None = None
    sizes: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Opened:
    """A network that was counted for one sample, with what runs it.

    Attributes:
        counts: for the first size of its inputs, which is 1 unless the file fixes another.
        samples: that first size.
        torch, onnx: what runs it, or None where nothing does.
        notes: sentences on what was not possible.
    """

    counts: Counts
    samples: int
    torch: Runner | None
    onnx: Runner | None
    notes: tuple[str, ...]


def sizes_of(given: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Sizes by the name of an input, "" for the only one.

    Raises:
        OptionError: for anything but NAME=1,3,224,224 or 1,3,224,224.

    >>> sizes_of(["image=1,3,8,8"])
    {'image': (1, 3, 8, 8)}
    """
    found = {}
    for one in given:
        name, _, sizes = one.rpartition("=")
        if not re.fullmatch(r"[1-9]\d{0,8}(,[1-9]\d{0,8})*", sizes):
            raise OptionError(f"Sizes of an input are whole numbers such as 1,3,224,224, but --input says {one!r}.")
        found[name] = tuple(map(int, sizes.split(",")))
    return found


def networks_in(path: str | Path, sizes: Mapping[str, Sequence[int]]) -> list[Network]:
    """All networks in a file, or in the folder of a run, of an encoder, of an energy or of a policy.

    Args:
        path: of it; `shipped` for the policies that come with the package.
        sizes: of inputs of an .onnx or .pt2 file.

    Raises:
        CheckpointError: if there is nothing, or it is damaged or foreign.
        OptionError: if sizes are given for what knows its own.
    """
    place = Path(path)
    if place.suffix in (".onnx", ".pt2") and not place.is_dir():
        if not place.exists():
            raise CheckpointError(f"There is no file {place}.")
        return [Network(place.stem, path=regular(place, CheckpointError), sizes=sizes)]
    if sizes:
        raise OptionError(f"{place} knows the sizes of its inputs: leave out --input.")
    if place.suffix == ".safetensors":
        return [_weights(place)]
    if not place.is_dir() and str(path) != "shipped":
        what = f"is none of {', '.join(_SUFFIXES)}" if place.exists() else "does not exist"
        raise CheckpointError(f"{place} {what}: name such a file, or the folder of a run.")
    folder = place / "latest" if (place / "latest").is_dir() else place
    energies = [one for one in (folder, *sorted(folder.glob("checkpoints/*"))) if (one / "model.safetensors").is_file()]
    found = [_energy(one, folder) for one in energies]
    found += [_policy(one, name) for name, one in policy_files("shipped" if str(path) == "shipped" else folder).items()]
    if (encoder := weights_in(folder)).is_file():
        found.append(_weights(encoder))
    graphs = sorted({*folder.glob("*.onnx"), *folder.glob("*/*.onnx")})
    if not found:
        found = [Network(one.stem, path=one) for one in graphs]
    if not found:
        raise CheckpointError(f"{folder} holds no network: its recipe saves none, or the run was cut short.")
    return found


def _weights(path: Path) -> Network:
    _, header = read_tensors(regular(path, CheckpointError) if path.exists() else path)
    if header.get("kind") == ENCODER:
        encoder, _ = load_encoder(path)
        example = torch.rand(2, *encoder.shape, generator=torch.Generator().manual_seed(0))
        return Network(path.stem, Guarded(encoder), example)
    if header.get("kind") == POLICY:
        return _policy(path, path.stem)
    raise CheckpointError(
        f"{path} holds weights but not the network that they belong to: export that as ONNX or as a program, and name "
        "the file that this gives."
    )


def _policy(path: Path, name: str) -> Network:
    policy = load_policy(path)
    return Network(name, InUnits(policy), example_states(policy))


def _energy(folder: Path, run: Path) -> Network:
    energy = load_energy(folder)
    return Network(run.name if folder == run else folder.name, energy, example_of(energy))


def open_network(network: Network, graph: bool = True) -> Opened:
    """Count a network for one sample, and get ready to run it in torch and in onnxruntime.

    A module of torch is exported twice, to a program, which is counted, and, with `graph`, to ONNX. A program is run by
    torch alone, and an ONNX graph by onnxruntime alone.

    Raises:
        CheckpointError, OptionError, UnsupportedError: for a file or a module that cannot be opened or exported.
    """
    if network.path is not None and network.path.suffix == ".onnx":
        model = load_onnx(network.path)
        inputs = onnx_inputs(model, network.sizes)
        counts = count_onnx(model, inputs)
        run, note = _session(model.SerializeToString(), inputs)
        return Opened(counts, _first(inputs), None, run, ("torch does not read ONNX files.", *note))
    if network.path is not None:
        program = load_program(network.path)
        values = _program_inputs(program, network.sizes, network.path)
        counts = _counted(program, values, f"{network.path}")
        return Opened(counts, len(values[0]), _module_runner(runnable(program), values), None, (_NO_GRAPH,))
    assert network.module is not None
    module, values, names = exportable(network.module.eval(), network.example)
    with tempfile.TemporaryDirectory() as folder:
        program = load_program(export_program(network.module, network.example, Path(folder) / "a.pt2"))
        values = tuple(value[:1] for value in values)
        counts, run, notes = _counted(program, values, network.name), None, ()
        if graph:
            try:
                path = export_onnx(network.module, network.example, Path(folder) / "a.onnx", tolerance=1e-2)
                inputs = {n: Shaped(tuple(v.shape), _numpy_name(v)) for n, v in zip(names, values, strict=True)}
                run, notes = _session(path.read_bytes(), inputs, dict(zip(names, values, strict=True)))
            except LowlandError as error:
                notes = (f"It could not be measured in onnxruntime: {error}",)
    return Opened(counts, 1, _module_runner(module, values), run, tuple(notes))


_NO_GRAPH = "A program runs in torch alone: export the network as ONNX to have it measured in onnxruntime."


def _counted(program: torch.export.ExportedProgram, values: Sequence[Tensor], whose: str) -> Counts:
    try:
        return count_program(program, values)
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        sizes = " and ".join(str(tuple(value.shape)) for value in values)
        raise OptionError(f"{whose} cannot be run on inputs of {sizes}: {first[:300]}") from None


def _program_inputs(
    program: torch.export.ExportedProgram, sizes: Mapping[str, Sequence[int]], path: Path
) -> tuple[Tensor, ...]:
    """The example in the program, cut to one sample where its first size is free; or draws of the sizes given."""
    names = [f"{name}" for name in program.graph_signature.user_inputs]
    given = [one for one in program.graph.nodes if one.op == "placeholder" and one.name in names]
    metas = [one.meta.get("val") for one in given]
    if not all(isinstance(one, Tensor) for one in metas):
        raise OptionError(f"{path} takes inputs that are no tensors, and only programs of tensors can be measured.")
    unknown = [name for name in sizes if name not in (*names, "")]
    if unknown or ("" in sizes and len(names) != 1):
        raise OptionError(f"The inputs of {path} are {', '.join(names)}: give sizes as --input NAME=1,3,224,224.")
    examples = program.example_inputs[0] if program.example_inputs else ()
    draw, values = torch.Generator().manual_seed(0), []
    for place, (node, meta) in enumerate(zip(given, metas, strict=True)):
        asked = sizes.get(node.name, sizes.get(""))
        kept = examples[place] if place < len(examples) and isinstance(examples[place], Tensor) else None
        free = [not isinstance(size, int) for size in meta.shape]
        if asked is not None:
            if len(asked) != meta.ndim or any(
                not loose and size != mine for size, mine, loose in zip(meta.shape, asked, free, strict=True)
            ):
                raise OptionError(f"The input {node.name} has the sizes {list(meta.shape)}, but --input says {asked}.")
            value = torch.rand(tuple(asked), generator=draw)
        elif kept is not None:
            value = kept[:1] if free and free[0] else kept
        elif any(free[1:]):
            raise OptionError(
                f"The sizes of {node.name} are {list(meta.shape)}: give an example, as --input 1,3,224,224."
            )
        else:
            value = torch.rand(
                [1 if loose else size for size, loose in zip(meta.shape, free, strict=True)], generator=draw
            )
        values.append(value.to(meta.dtype))
    if not values:
        raise OptionError(f"{path} takes no inputs, so there is nothing to measure.")
    return tuple(values)


def _module_runner(module: nn.Module, values: Sequence[Tensor]) -> Runner:
    def prepare(samples: int) -> Callable[[], object] | None:
        if samples % len(values[0]):
            return None
        batch = tuple(value.repeat(samples // len(values[0]), *[1] * (value.ndim - 1)) for value in values)

        def call() -> object:
            with torch.no_grad():
                return module(*batch)

        try:
            call()
        except (RuntimeError, ValueError, AssertionError):
            return None
        return call

    return prepare


def _session(
    content: bytes, inputs: Mapping[str, Shaped], values: Mapping[str, Tensor] | None = None
) -> tuple[Runner | None, tuple[str, ...]]:
    """What runs a graph in onnxruntime with as many threads as torch, or a sentence on why it does not."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except refusals() as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return None, (f"onnxruntime cannot run it: {said[:200]}",)

    def prepare(samples: int) -> Callable[[], object] | None:
        first = _first(inputs)
        if samples % first:
            return None
        copies = samples // first
        if values is None:
            feed = example_arrays(inputs, copies)
        else:
            feed = {n: v.repeat(copies, *[1] * (v.ndim - 1)).numpy() for n, v in values.items()}

        def call() -> object:
            return session.run(None, feed)

        try:
            call()
        except refusals():
            return None
        return call

    return prepare, ()


def _first(inputs: Mapping[str, Shaped]) -> int:
    return next((one.sizes[0] for one in inputs.values() if one.sizes), 1)


def _numpy_name(value: Tensor) -> str:
    return f"{value.dtype}".removeprefix("torch.")
