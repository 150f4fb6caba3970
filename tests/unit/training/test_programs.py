"""Programs from elsewhere are opened, unless something in them would be run by opening them."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lowland.errors import CheckpointError
from lowland.training import export_program
from lowland.training.programs import load_program, runnable


class Evil:
    """Would make a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 36, 3)).eval()
    return export_program(network, torch.rand(2, 1, 8, 8), tmp_path_factory.mktemp("program") / "a.pt2")


def changed(path: Path, to: Path, change: Callable[[str, bytes], bytes], more: dict[str, bytes] | None = None) -> Path:
    """The archive with parts changed or added."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return to


def same(_: str, content: bytes) -> bytes:
    return content


def test_what_is_opened_computes_what_was_exported(program: Path) -> None:
    x = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        expected = torch.export.load(program).module()(x)
        assert torch.equal(runnable(load_program(program))(x), expected)


def test_sizes_that_stay_open_are_read(tmp_path: Path) -> None:
    height = torch.export.Dim("height", min=2, max=64)
    shapes = ({0: torch.export.Dim("batch"), 2: 2 * height},)
    made = torch.export.export(nn.Conv2d(1, 1, 3, 2), (torch.rand(2, 1, 16, 16),), dynamic_shapes=shapes)
    torch.export.save(made, tmp_path / "a.pt2")
    assert runnable(load_program(tmp_path / "a.pt2"))(torch.rand(1, 1, 20, 16)).shape == (1, 1, 9, 7)


def test_pickled_inputs_are_not_unpickled(program: Path, tmp_path: Path) -> None:
    witness = tmp_path / "was run"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as inside:
        inside.writestr("archive/data.pkl", pickle.dumps(Evil(witness), protocol=2))
        inside.writestr("archive/version", "3")

    def change(name: str, content: bytes) -> bytes:
        return packed.getvalue() if "sample_inputs" in name else content

    with pytest.raises(CheckpointError, match="would be run"):
        load_program(changed(program, tmp_path / "b.pt2", change))
    assert not witness.exists()


def test_nothing_before_the_example_inputs_is_unpickled(program: Path, tmp_path: Path) -> None:
    """An archive may have anything before it, and torch would take that for what it is about."""
    witness = tmp_path / "was run"

    def change(name: str, content: bytes) -> bytes:
        return pickle.dumps(Evil(witness), protocol=2) + content if "sample_inputs" in name else content

    assert load_program(changed(program, tmp_path / "b.pt2", change)).example_inputs is not None
    assert not witness.exists()


def test_the_older_layout_of_programs_is_refused(program: Path, tmp_path: Path) -> None:
    witness = tmp_path / "was run"
    parts = ("state_dict.pt", "constants.pt", "example_inputs.pt")
    more = {f"serialized_{name}": pickle.dumps(Evil(witness), protocol=2) for name in parts}
    more |= {"version": b"8.8", "serialized_exported_program.json": b"{}"}
    with pytest.raises(CheckpointError, match="more than one program"):
        load_program(changed(program, tmp_path / "b.pt2", same, more))
    below = {f"archive/{name}": content for name, content in more.items()}
    with pytest.raises(CheckpointError, match=r"which a program of torch\.export does not"):
        load_program(changed(program, tmp_path / "c.pt2", same, below))
    assert not witness.exists()


def test_pickled_weights_are_not_unpickled(program: Path, tmp_path: Path) -> None:
    def change(name: str, content: bytes) -> bytes:
        return content.replace(b'"use_pickle": false', b'"use_pickle": true') if "weights_config" in name else content

    with pytest.raises(CheckpointError, match="unpickled"):
        load_program(changed(program, tmp_path / "b.pt2", change))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("archive/data/weights/model.pt", "unpickled"),
        ("archive/data/constants/custom_obj_0", "unpickled"),
        ("archive/data/constants/opaque_obj_0", "unpickled"),
        ("archive/data/aotinductor/model/a.so", "compiled code"),
        ("archive/models/second.json", "2 programs"),
    ],
)
def test_parts_that_would_run_are_refused(program: Path, tmp_path: Path, name: str, match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        load_program(changed(program, tmp_path / "b.pt2", same, {name: b"{}"}))


@pytest.mark.parametrize("target", ["torch.hub.load", "_operator.attrgetter", "torch.ops.mine.anything", "os.system"])
def test_only_operators_of_networks_are_called(program: Path, tmp_path: Path, target: str) -> None:
    def change(name: str, content: bytes) -> bytes:
        if "/models/" not in name:
            return content
        model = json.loads(content)
        model["graph_module"]["graph"]["nodes"][0]["target"] = target
        return json.dumps(model).encode()

    with pytest.raises(CheckpointError, match="no operator of a network"):
        load_program(changed(program, tmp_path / "b.pt2", change))


@pytest.mark.parametrize(
    "size", ["__import__('os').getcwd()", "().__class__", "open('a')", "Symbol('s0').name", "[1][0]"]
)
def test_text_that_would_be_evaluated_is_refused(program: Path, tmp_path: Path, size: str) -> None:
    seen = []

    def change(name: str, content: bytes) -> bytes:
        if "/models/" not in name:
            return content

        def walk(value: Any) -> Any:
            if isinstance(value, dict):
                seen.extend(key for key in value if key == "expr_str")
                return {key: size if key == "expr_str" else walk(part) for key, part in value.items()}
            return [walk(part) for part in value] if isinstance(value, list) else value

        return json.dumps(walk(json.loads(content))).encode()

    with pytest.raises(CheckpointError, match="no expression of sizes"):
        load_program(changed(program, tmp_path / "b.pt2", change))
    assert seen


def test_damaged_and_foreign_files(program: Path, tmp_path: Path) -> None:
    whole = program.read_bytes()
    for name, content in {"cut": whole[:-200], "text": b"no archive", "empty": b""}.items():
        path = tmp_path / f"{name}.pt2"
        path.write_bytes(content)
        # What is left of a cut file may end with the whole archive of its example inputs.
        with pytest.raises(CheckpointError, match=r"not a whole program|0 programs"):
            load_program(path)
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as other:
        other.writestr("a.txt", "a")
    with pytest.raises(CheckpointError, match="0 programs"):
        load_program(tmp_path / "other.pt2")
    with pytest.raises(CheckpointError):
        load_program(tmp_path / "missing.pt2")
