"""Every flipped bit of a file that Lowland wrote is noticed, in its header too; files without a checksum still load."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import lowland as ll
from lowland.checksums import CHECKSUM, read_json, read_tensors, write_json, write_tensors
from lowland.data.logs import read_tracks, save_tracks
from lowland.data.tracks import Road, Tracks
from lowland.errors import LowlandError
from lowland.nn.standardised import Standardised
from lowland.reports.files import read_results
from lowland.reports.run import Run
from lowland.training.checkpoints import read_checkpoint, write_checkpoint
from lowland.training.encoder_files import build_encoder, load_encoder, save_encoder
from lowland.training.export import export_safetensors, import_safetensors, load_energy, save_energy

FLIPS = 240
TREE = {"step": 3, "state": {0: torch.arange(40.0)}, "list": [1.5, "text"], "flag": torch.tensor([True, False])}


def checkpoint(folder: Path) -> tuple[Path, Callable[[], Any]]:
    write_checkpoint(TREE, folder / "a.safetensors")
    return folder / "a.safetensors", lambda: read_checkpoint(folder / "a.safetensors")


def stage(folder: Path) -> tuple[Path, Callable[[], Any]]:
    run = Run.create(folder, "x", {"seed": 1})
    run.stage("one", lambda: {"mean": torch.ones(5), "auroc": 0.5289})
    path = run.folder / "stages" / "one.safetensors"
    return path, lambda: Run.open(run.folder).stage("one", lambda: pytest.fail("computed again"))


def weights(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = export_safetensors(nn.Linear(3, 4), folder / "a.safetensors", {"note": "hello"})
    return path, lambda: import_safetensors(nn.Linear(3, 4), path, {"note": "hello"})


def energy(folder: Path) -> tuple[Path, Callable[[], Any]]:
    save_energy(ll.energies.SparseCoding(4, 6), folder)
    return folder / "model.safetensors", lambda: load_energy(folder)


def energy_settings(folder: Path) -> tuple[Path, Callable[[], Any]]:
    save_energy(ll.energies.SparseCoding(4, 6, sparsity=0.25), folder)
    return folder / "config.json", lambda: load_energy(folder)


def encoder(folder: Path) -> tuple[Path, Callable[[], Any]]:
    made = Standardised(build_encoder("Perceptron", (3,), {"hidden": (4,), "size": 2}))
    path = save_encoder(made, {"hidden": [4], "size": 2}, folder, {"kind": "vectors"})
    return path, lambda: load_encoder(path)


def tracks(folder: Path) -> tuple[Path, Callable[[], Any]]:
    road = Road(0, 9, (0.0, 3.7))
    log = Tracks([1, 1, 1], [0, 1, 2], [0.0, 1.0, 2.0], [1.8] * 3, [4.5] * 3, [1.8] * 3, [0] * 3, road)
    path = save_tracks(log, folder / "log.npz")
    return path, lambda: read_tracks(path)


def written(folder: Path) -> Run:
    run = Run.create(folder, "x", {"seed": 1, "rate": 0.001})
    run.result(id="E4", claim="AUROC", method="ours", measured=0.5289)
    run.uses({})
    run.write()
    return run


def run_settings(folder: Path) -> tuple[Path, Callable[[], Any]]:
    run = written(folder)
    return run.folder / "config.json", lambda: Run.open(run.folder)


def page(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = written(folder).folder / "page.json"
    return path, lambda: read_json(path)


def status(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = written(folder).folder / "status.json"
    return path, lambda: read_results(path.parent)


def results(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = written(folder).folder / "results.json"
    return path, lambda: read_results(path.parent)


def inputs(folder: Path) -> tuple[Path, Callable[[], Any]]:
    run = written(folder)
    user = folder / "own.csv"
    user.write_text("1,2\n")
    run.uses({"tracks": user})
    run.stage("one", lambda: 1)
    return run.folder / "inputs.json", lambda: run.uses({"tracks": user})


KINDS = [
    checkpoint, stage, weights, energy, energy_settings, encoder, tracks, run_settings, page, status, results, inputs,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_is_noticed(kind: Callable[..., Any], tmp_path: Path) -> None:
    path, read = kind(tmp_path)
    read()
    good, rng = path.read_bytes(), random.Random(0)
    bits = rng.sample(range(8 * len(good)), min(FLIPS, 8 * len(good)))
    # What says where a header ends, and what says that there is a checksum, are the places to slip through.
    mark = max(good.find(CHECKSUM.encode()), 0)
    for bit in [*bits, *range(0, 64, 3), *range(8 * mark, 8 * min(len(good), mark + 40), 7)]:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        with pytest.raises(LowlandError) as caught:
            read()
        assert path.name in str(caught.value) or str(path.parent) in str(caught.value)
        assert "\n" not in str(caught.value)
    path.write_bytes(good)
    read()


def test_a_flipped_bit_in_the_history_of_a_fit_is_noticed(tmp_path: Path) -> None:
    def fit(steps: int) -> None:
        ll.fit(
            ll.energies.KMeans(2, 2), torch.arange(40.0).reshape(20, 2), ll.shaping.ExpectationMaximisation(), steps,
            run=tmp_path, resume=True, progress=False,
        )  # fmt: skip

    fit(3)
    path, rng = tmp_path / "metrics.csv", random.Random(1)
    good = path.read_bytes()
    for bit in rng.sample(range(8 * len(good)), 12):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        with pytest.raises(LowlandError, match=r"metrics\.csv is damaged"):
            fit(3)
    path.write_bytes(good)
    fit(4)


def test_safetensors_reads_what_was_written(tmp_path: Path) -> None:
    tensors = {
        "b": torch.arange(6.0).reshape(2, 3),
        "a": torch.ones(3, dtype=torch.bfloat16),
        "none": torch.zeros(0, 4),
        "flag": torch.tensor([True]),
        "one": torch.tensor(3),
    }
    write_tensors(tmp_path / "a", tensors, {"note": "grüß\n"})
    plain = load_file(tmp_path / "a")
    ours, header = read_tensors(tmp_path / "a")
    assert header == {"note": "grüß\n"}
    for found in (plain, ours):
        assert found.keys() == tensors.keys()
        assert all(found[name].dtype == part.dtype and torch.equal(found[name], part) for name, part in tensors.items())


def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    """safetensors' own writer changes the order of the header from call to call."""
    names = {f"note {number}": "x" for number in range(9)}
    for number in range(4):
        order = dict(reversed(names.items())) if number % 2 else names
        write_tensors(tmp_path / str(number), {"a": torch.ones(2), "b": torch.ones(3)}, order)
    assert len({(tmp_path / str(number)).read_bytes() for number in range(4)}) == 1


def test_files_of_earlier_versions_load_with_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tree = json.dumps({"step": {"$": "tensor", "of": "/step"}})
    save_file({"/step": torch.tensor(7)}, tmp_path / "old", {"format": "lowland", "layout": "1", "tree": tree})
    assert read_checkpoint(tmp_path / "old") == {"step": torch.tensor(7)}
    assert f"{tmp_path / 'old'} has no checksum" in caplog.text
    caplog.clear()
    (tmp_path / "config.json").write_text('{"recipe": "x", "preset": "cpu", "options": {}}')
    assert Run.open(tmp_path).config["recipe"] == "x"
    assert "config.json has no checksum" in caplog.text
    caplog.clear()
    write_json(tmp_path / "new.json", {"a": [0.1, "b"]})
    assert read_json(tmp_path / "new.json") == {"a": [0.1, "b"]}
    assert not caplog.text


def test_a_name_that_is_not_utf_8_stands_in_json(tmp_path: Path) -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    write_json(tmp_path / "a.json", {"files": [name]})
    assert read_json(tmp_path / "a.json") == {"files": [name]}
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["files"] == [name]
