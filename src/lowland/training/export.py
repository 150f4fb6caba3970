"""Trained energies and encoders for use elsewhere: safetensors, ONNX and `torch.export`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lowland.checksums import read_json, read_tensors, write_json, write_tensors
from lowland.energies.base import VARIABLES, Energy
from lowland.errors import CheckpointError, OptionError, UnsupportedError
from lowland.files import replacing, write_atomically
from lowland.nn.layers import evaluating
from lowland.nn.quantised import requantise, settings_of
from lowland.quiet import no_records_below_error, warnings_from
from lowland.registry import find
from lowland.version import __version__
from lowland.worlds.base import World

_REGISTRATION = "torch.onnx._internal.exporter._registration"
"""Its logger warns about missing packages; the first export imports it."""
_QUANTISED = "quantised"
"""Of `config.json`: the bits of each layer that `lowland.nn.quantised` replaced."""


def save_energy(energy: Energy, folder: str | Path) -> Path:
    """Write an energy as `config.json` (its class and constructor arguments) and `model.safetensors`, in a folder.

    The files have the layout of the Hugging Face hub, so `type(energy).from_pretrained(folder)` reads them too, except
    those of a quantised energy.

    Raises:
        CheckpointError: if the folder cannot be written.
        UnsupportedError: if a required constructor argument cannot be stored as JSON, or a part came from elsewhere.
    """
    return _save("energy", energy, folder)


def load_energy(folder: str | Path) -> Energy:
    """The energy that `save_energy` wrote.

    Raises:
        CheckpointError: if files are missing or damaged, or do not belong to this energy.
        OptionError: if there is no energy of that name (perhaps its plugin is not loaded).

    >>> import tempfile
    >>> from lowland.energies import Ellipse
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load_energy(save_energy(Ellipse(radii=(3.0, 1.0)), folder))
    >>> again.radii
    Parameter containing:
    tensor([3., 1.], requires_grad=True)
    """
    return _load("energy", folder)


def save_world(world: World, folder: str | Path) -> Path:
    """Write a world as `save_energy` writes an energy, with the same errors."""
    return _save("world", world, folder)


def load_world(folder: str | Path) -> World:
    """The world that `save_world` wrote, with the errors of `load_energy`.

    >>> import tempfile
    >>> from lowland.worlds import VectorWorld
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load_world(save_world(VectorWorld(observations=3, actions=1, latents=2), folder))
    >>> type(again).__name__, again.latents
    ('VectorWorld', 2)
    """
    return _load("world", folder)


def _save(kind: str, module: Energy | World, folder: str | Path) -> Path:
    folder = Path(folder)
    given = module._hub_mixin_config if isinstance(module._hub_mixin_config, dict) else {}
    missing = [
        name
        for name, parameter in list(type(module)._hub_mixin_init_parameters.items())[1:]
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name not in given
    ]
    if missing:
        raise UnsupportedError(
            f"{type(module).__name__} was built with {missing[0]}=, which is not plain JSON: keep its weights with "
            "export_safetensors, and build it in code before loading them."
        )
    weights = _weights(module)
    try:
        with torch.random.fork_rng(devices=[]):
            again = type(module)(**{name: _plain(value) for name, value in given.items()})
        if (quantised := settings_of(module)) is not None:
            requantise(again, quantised)
            given = {**given, _QUANTISED: quantised}
        reason = _difference(again.state_dict(), weights)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = f"it cannot be built from them: {' '.join(str(error).split())}"
    if reason:
        raise UnsupportedError(
            f"{type(module).__name__} has parts that its options do not tell of ({reason}): keep its weights with "
            "export_safetensors, and build it in code before loading them."
        )
    config = {kind: type(module).__name__, "lowland": __version__} | dict(given)
    write_tensors(folder / "model.safetensors", weights, {"format": "pt"})
    write_json(folder / "config.json", dict(sorted(config.items())))
    return folder


def _load(kind: str, folder: str | Path) -> Any:
    folder = Path(folder)
    try:
        config = read_json(folder / "config.json", keys=(kind,))
        found = find(kind, config[kind])
        quantised = config.pop(_QUANTISED, None)
        given = {name: _plain(value) for name, value in config.items() if name not in (kind, "lowland")}
        module = found(**given)
        if quantised is not None:
            requantise(module, quantised)
        weights, _ = read_tensors(folder / "model.safetensors")
        _fill(module, weights)
    except OptionError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{folder} does not hold a saved {kind} that can be read: {reason}") from error
    return module


def _plain(value: Any) -> Any:
    """Lists become tuples, which constructors take and JSON cannot store."""
    return tuple(_plain(part) for part in value) if isinstance(value, list) else value


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.state_dict().items()}


def _fill(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights in the dtype they were saved in, which may differ from that of a new module."""
    kinds = {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()}
    if len(kinds) == 1:
        module.to(kinds.pop())  # including what is not among the weights
    for name, tensor in module.state_dict().items():
        if name in weights and weights[name].dtype != tensor.dtype:
            owner, _, last = name.rpartition(".")
            parts = module.get_submodule(owner)
            own = getattr(parts, last)
            own.data = own.data.to(weights[name].dtype)
    module.load_state_dict(weights)


def export_safetensors(module: nn.Module, path: str | Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write the `state_dict` of any module as one safetensors file.

    Args:
        metadata: text by name, kept in the header of the file.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    path = Path(path)
    note = {"format": "pt", "lowland": __version__, "class": type(module).__name__} | dict(metadata or {})
    write_tensors(path, _weights(module), note)
    return path


class AsModule(nn.Module):
    """Wraps an energy, or a module that takes a dictionary, as a module of positional tensors, which exporters need.

    `paths` gives the keys that lead to each tensor. For an energy the first key is the variable's name.
    """

    def __init__(self, module: nn.Module, paths: Sequence[tuple[str, ...]]) -> None:
        super().__init__()
        self.module, self.paths = module, tuple(paths)

    def forward(self, *values: Tensor) -> Tensor:
        given: dict[str, Any] = {}
        for (*way, last), value in zip(self.paths, values, strict=True):
            node = given
            for key in way:
                node = node.setdefault(key, {})
            node[last] = value
        if not isinstance(self.module, Energy):
            return self.module(given)
        x = given.get("x")
        return self.module.energy(None if x is None else self.module.encode(x), given.get("y"), given.get("z"))


def import_safetensors(module: nn.Module, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Load the weights that `export_safetensors` wrote into a module of the same architecture.

    Args:
        metadata: text by name that the file's header must contain; "" means that the name must be absent.

    Raises:
        CheckpointError: if the file is missing or damaged, or its weights or its metadata are not those of the module.
    """
    whose = f"{path} does not hold weights for this {type(module).__name__}"
    if not Path(path).exists():
        raise CheckpointError(f"{whose}: there is no such file.")
    weights, found = read_tensors(Path(path))
    for name, wanted in (metadata or {}).items():
        made, asked = (f"with {name} {text}" if text else f"without {name}" for text in (found.get(name, ""), wanted))
        if made != asked:
            raise CheckpointError(f"{whose}: they were made {made}, but are used {asked}. Train again, or use others.")
    if reason := _difference(module.state_dict(), weights):
        raise CheckpointError(f"{whose}: {reason}. Use the options that they were made with, or train again.")
    _fill(module, weights)


def _difference(needed: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """The first mismatch between the weights needed and those found; "" if they match."""
    for name, tensor in needed.items():
        if name not in found:
            return f"{name} is missing"
        if found[name].shape != tensor.shape:
            made, asked = (" × ".join(map(str, part.shape)) for part in (found[name], tensor))
            return f"{name} has the shape {made}, but should have {asked}"
    extra = sorted(set(found) - set(needed))
    return f"{extra[0]} has no place in it" if extra else ""


def _paths(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """All tensors in a nested value, each with its path of keys."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _paths((*path, key), part)
    elif value is not None:
        yield path, value


def example_of(energy: Energy, samples: int = 2) -> dict[str, Any]:
    """Values of all variables of an energy, drawn from a normal and projected onto their domains.

    >>> from lowland.energies import Ellipse
    >>> {name: tuple(value.shape) for name, value in example_of(Ellipse()).items()}
    {'y': (2, 2), 'z': (2, 1)}
    """
    example = {}
    for name, domain in energy.domains.items():
        normal = torch.randn(samples, domain.size, generator=torch.Generator().manual_seed(0))
        example[name] = domain.unpack(domain.project(normal))
    return example


def exportable(module: nn.Module, example: Any) -> tuple[nn.Module, tuple[Tensor, ...], list[str]]:
    """The module, its inputs in order, and their names. For an energy, `example` has the keys x, y and z.

    Raises:
        OptionError: for example inputs that do not fit.
    """
    if isinstance(module, Energy):
        if not isinstance(example, Mapping) or set(example) != set(module.domains):
            raise OptionError(
                f"To export {type(module).__name__}, give its example inputs as a dictionary with the keys "
                f"{', '.join(module.domains)}."
            )
        module(**example)
        inputs = {path: leaf for name in VARIABLES for path, leaf in _paths((name,), example.get(name))}
        return AsModule(module, list(inputs)), tuple(inputs.values()), ["_".join(path) for path in inputs]
    if isinstance(example, Mapping):
        return AsModule(module, [(name,) for name in example]), tuple(example.values()), list(example)
    values = tuple(example) if isinstance(example, list | tuple) else (example,)
    if not values or not all(isinstance(value, Tensor) for value in values):
        raise OptionError(
            "Example inputs must be a tensor or a tuple of tensors; for an energy a dictionary of tensors."
        )
    return module, values, [f"input_{number}" for number in range(len(values))]


def _program(module: nn.Module, values: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1)
    if any(value.ndim == 0 or value.shape[0] < 2 for value in values):
        raise OptionError(
            "Export needs example inputs of at least two samples, to tell the batch axis from a constant."
        )
    axes: Any = tuple({0: batch} for _ in values)
    try:
        with torch.no_grad():
            dynamic = (axes,) if isinstance(module, AsModule) else axes
            return torch.export.export(module, values, dynamic_shapes=dynamic)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        name = type(module.module).__name__ if isinstance(module, AsModule) else type(module).__name__
        raise UnsupportedError(f"{name} cannot be exported: {first}") from error


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, with the exporters' own warnings silenced, for instance those about packages not installed."""
    with (
        evaluating(module),
        warnings_from(r"(torch|onnxscript|onnx_ir|onnx|copyreg)\b", "ignore"),
        no_records_below_error("torch.onnx", "onnxscript", "onnx_ir", _REGISTRATION),
    ):
        yield


def export_program(module: nn.Module, example: Any, path: str | Path) -> Path:
    """Write an energy or any module as a `torch.export` program (.pt2), with a dynamic batch axis.

    Args:
        module: an energy, or a module of tensors.
        example: inputs of at least two samples: a tensor or tuple of tensors; for an energy a dictionary with the keys
            x, y and z, whose values may be dictionaries too: x["mask"] becomes the input "x_mask".
        path: where the file goes; read it with `torch.export.load(path).module()`.

    Raises:
        OptionError: for example inputs that do not fit.
        UnsupportedError: for a module that the exporter cannot follow.
        CheckpointError: if the file cannot be written.
    """
    path = Path(path)
    wrapped, values, _ = exportable(module, example)
    with _evaluating(module):
        program = _program(wrapped, values)
        try:
            with replacing(path) as file:
                torch.export.save(program, file)
        except RuntimeError as error:
            raise CheckpointError(f"{path} could not be written: {error}") from error
    return path


def export_onnx(
    module: nn.Module,
    example: Any,
    path: str | Path,
    tolerance: float = 1e-4,
    inputs: Sequence[str] = (),
    output: str = "output",
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Write an energy or any module as ONNX with a dynamic batch axis, and check onnxruntime's output against torch.

    Args:
        module, example: see `export_program`.
        path: where the file goes; it contains the weights.
        tolerance: largest |ONNX − torch| allowed, relative to 1 + |torch|, on the example and on a batch of another
            size. The default allows for float32 sums in another order.
        inputs, output: names in the file, in the order of the example; by default the names of the energy's variables,
            or input_0, input_1 …
        notes: text by name, stored as the file's metadata.

    Raises:
        OptionError: if a package is missing (`pip install lowland[export]`), or for example inputs that do not fit.
        UnsupportedError: for a module that the exporter cannot follow, or whose ONNX graph gives other numbers; no file
            is left.
        CheckpointError: if the file cannot be written.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  used by torch.onnx
    except ImportError as error:
        raise OptionError(f"ONNX export needs the package {error.name}: pip install lowland[export]") from error
    path = Path(path)
    wrapped, values, names = exportable(module, example)
    names = list(inputs) or names
    if len(names) != len(values):
        raise OptionError(f"There are {len(values)} inputs, but {len(names)} names: {', '.join(names)}.")
    with _evaluating(module):
        program = _program(wrapped, values)
        try:
            exported = torch.onnx.export(program, input_names=names, output_names=[output], dynamo=True, verbose=False)
        except Exception as error:
            cause = error.__cause__ or error
            reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
            raise UnsupportedError(
                f"{type(module).__name__} cannot be written as ONNX: {reason}. Export it as a program instead."
            ) from error
        assert exported is not None
        model = exported.model_proto
        for name, text in (notes or {}).items():
            model.metadata_props.add(key=name, value=text)
        content = model.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        for given in (values, tuple(torch.cat([value, value[:1]]) for value in values)):
            with torch.no_grad():
                expected = wrapped(*given)
            feed = {node.name: value.cpu().numpy() for node, value in zip(session.get_inputs(), given, strict=True)}
            found = torch.from_numpy(session.run(None, feed)[0])
            worst = float(((found - expected.cpu()).abs() / (1 + expected.cpu().abs())).max())
            if not worst <= tolerance:
                raise UnsupportedError(
                    f"The ONNX graph of {type(module).__name__} differs from torch by {worst:.2g} relative to "
                    f"1 + |value|, more than {tolerance:g}."
                )
    write_atomically(path, content)
    return path
