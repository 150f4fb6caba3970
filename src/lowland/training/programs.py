"""Programs of `torch.export` from anywhere, opened without running what a file could bring along.

`torch.export.load` unpickles parts of a file, loads compiled libraries that it holds, and evaluates its text. A file is
therefore read here first, and refused where one of these would happen.
"""

from __future__ import annotations

import inspect
import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lowland.bounded import parse_json, read_bytes
from lowland.errors import CheckpointError

_GLOBALS = re.compile(
    r"torch\._utils _rebuild_(tensor_v2|parameter)|torch \w+Storage|collections OrderedDict|torch device"
)
"""What pickled example inputs may name: plain tensors, and nothing that runs code of its own."""
_OPCODES = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "BUILD"}
_TARGETS = re.compile(
    r"torch\.ops\.(aten|prims|prim|quantized|quantized_decomposed|higher_order)\.\w+(\.\w+)?|torch\.sym_\w+|#\w+"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_)|math\.\w+"
)
_EXPRESSION = re.compile(r"[\w\s+\-*/(),<>=%!&|~]*")
_INPUTS = re.compile(r"[^/]+/data/sample_inputs/.+")
_PARTS = re.compile(
    r"[^/]+/(archive_format|archive_version|version|byteorder|\.data/.*|\.format/.*|models/[^/]+\.json|"
    r"data/(weights|constants|sample_inputs|aotinductor)/.*|extra/.*)"
)
"""What an archive may hold; torch reads parts of other names by an older way, which unpickles."""
_QUOTED = re.compile(r"'\w+'")
_CALLS = re.compile(r"([A-Za-z_]\w*)\s*\(")
_FUNCTIONS = frozenset(
    "Max Min FloorDiv CeilDiv CleanDiv IntTrueDiv FloatTrueDiv Mod PythonMod ModularIndexing TruncToInt CeilToInt "
    "FloorToInt RoundToInt ToFloat Pow PowByNatural Where Eq Ne Lt Le Gt Ge And Or Not Symbol Integer Rational Add Mul "
    "Equality Unequality StrictLessThan LessThan StrictGreaterThan GreaterThan".split()
)


def load_program(path: str | Path) -> torch.export.ExportedProgram:
    """The program in a .pt2 file.

    Raises:
        CheckpointError: if the file is missing, damaged or something else, or holds what would be unpickled, compiled
            code, or text that would be evaluated: export it again by `torch.export.save` from plain tensors.

    >>> import tempfile
    >>> from lowland.training.export import export_program
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export_program(nn.Linear(3, 2), torch.zeros(2, 3), f"{folder}/a.pt2")
    ...     tuple(load_program(path).example_inputs[0][0].shape)
    (2, 3)
    """
    path = Path(path)
    content = read_bytes(path, CheckpointError)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            fault = next(_faults(archive), None)
            checked = _copy(archive)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError, NotImplementedError) as error:
        raise CheckpointError(f"{path} is not a whole program of torch.export: {_said(error)}.") from None
    if fault is not None:
        raise CheckpointError(f"{path} was not opened: {fault}. Export it again from plain tensors.")
    try:
        return torch.export.load(checked)
    except Exception as error:
        raise CheckpointError(f"{path} is not a program that this torch can read: {_said(error)}.") from error


def runnable(program: torch.export.ExportedProgram) -> nn.Module:
    """The program as a module, without the checks of its inputs, which are text that torch would compile."""
    known = inspect.signature(program.module).parameters
    return program.module(check_guards=False) if "check_guards" in known else program.module()


def _copy(archive: zipfile.ZipFile) -> io.BytesIO:
    """The parts as they were read, and those that are archives too: another reader might see other parts in a file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            if _INPUTS.fullmatch(name) and content:
                with zipfile.ZipFile(io.BytesIO(content)) as inside:
                    content = _copy(inside).getvalue()
            copy.writestr(name, content)
    made.seek(0)
    return made


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:300]


def _faults(archive: zipfile.ZipFile) -> Iterator[str]:
    """Why an archive should not be loaded."""
    names = archive.namelist()
    models = [name for name in names if re.fullmatch(r"[^/]+/models/[^/]+\.json", name)]
    if len(models) != 1:
        yield f"it holds {len(models)} programs, not one"
    if len(set(names)) < len(names):
        yield "it holds two parts of the same name"
    if len({name.partition("/")[0] for name in names}) > 1:
        yield "it holds more than one program"
    for name in names:
        _, _, inner = name.partition("/")
        if not _PARTS.fullmatch(name):
            yield f"it holds {name[:80]!r}, which a program of torch.export does not"
        if inner.startswith("data/aotinductor"):
            yield "it holds compiled code"
        if re.fullmatch(r"data/(weights|constants)/.*(\.pt|custom_obj.*|opaque_obj.*)", inner):
            yield f"{name} would be unpickled"
        if re.fullmatch(r"data/(weights|constants)/.*\.json", inner):
            for part in parse_json(archive.read(name))["config"].values():
                if part["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", part["path_name"]):
                    yield f"{part['path_name']} in it would be unpickled"
        if inner.startswith("data/sample_inputs/"):
            yield from _pickled(archive.read(name), name)
    for name in models:
        yield from _text(parse_json(archive.read(name)))


def _pickled(content: bytes, name: str) -> Iterator[str]:
    """Whatever example inputs name besides tensors. Nothing is unpickled: the opcodes are read."""
    if not content:
        return
    with zipfile.ZipFile(io.BytesIO(content)) as inside:
        pickles = [one for one in inside.namelist() if one.endswith(".pkl")]
        if len(pickles) != 1 or len(set(inside.namelist())) < len(inside.namelist()):
            yield f"{name} is not one archive of tensors"
        for one in pickles:
            for opcode, argument, _ in pickletools.genops(inside.read(one)):
                if opcode.name in _OPCODES or (opcode.name == "GLOBAL" and not _GLOBALS.fullmatch(str(argument))):
                    yield f"its example inputs name {argument or opcode.name}, which would be run"


def _text(value: Any, key: str = "") -> Iterator[str]:
    """Targets and expressions in a program that torch would look up or evaluate, but that are none of a network."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _text(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _text(part, key)
    elif isinstance(value, str) and key == "target" and not _TARGETS.fullmatch(value):
        yield f"it calls {value[:80]!r}, which is no operator of a network"
    elif isinstance(value, str) and key in ("expr_str", "as_expr"):
        # Symbols are written as Symbol('s40', positive=True).
        plain = _QUOTED.sub("", value)
        if not _EXPRESSION.fullmatch(plain) or "__" in value or not set(_CALLS.findall(value)) <= _FUNCTIONS:
            yield f"it has a size {value[:80]!r}, which is no expression of sizes"
