from __future__ import annotations

import errno
import json
import logging
import os

import pytest
import torch
from safetensors.torch import save_file

from lowland.errors import CheckpointError
from lowland.files import write_atomically
from lowland.training.checkpoints import Checkpoints, read_checkpoint, write_checkpoint

TREE = {
    "step": 7,
    "best": float("inf"),
    "rate": 0.1 + 0.2,
    "none": None,
    "betas": (0.9, 0.999),
    "state": {0: {"m": torch.arange(3.0)}, 1: {"m": torch.ones(2, dtype=torch.float64)}},
    "list": [True, "text", {"$": "a key of ours"}],
    "empty": {},
    "buffers": torch.zeros(0, 2),
}


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_a_tree_comes_back_as_it_was(tmp_path):
    path = tmp_path / "deep" / "a.safetensors"
    write_checkpoint(TREE, path)
    assert same(read_checkpoint(path), TREE)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.safetensors"]


def test_views_and_shared_tensors_are_stored(tmp_path):
    base = torch.arange(6.0).reshape(2, 3)
    write_checkpoint({"a": base, "b": base, "c": base.T}, tmp_path / "a")
    assert torch.equal(read_checkpoint(tmp_path / "a")["c"], base.T)


def test_only_plain_values_are_stored(tmp_path):
    with pytest.raises(CheckpointError, match="/hook is a function"):
        write_checkpoint({"hook": lambda: None}, tmp_path / "a")


def damage(kind, path):
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-9])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(os.urandom(400))
    elif kind == "header":
        content = path.read_bytes()
        path.write_bytes(content.replace(b'\\"step\\"', b'\\"step\\', 1))
    elif kind == "foreign":
        save_file({"weight": torch.ones(2)}, path)
    elif kind == "newer":
        save_file({}, path, metadata={"format": "lowland", "layout": "99", "tree": json.dumps({})})
    elif kind == "missing":
        path.unlink()


@pytest.mark.parametrize("kind", ["truncated", "empty", "noise", "header", "foreign", "newer", "missing"])
def test_a_bad_checkpoint_is_named(kind, tmp_path):
    path = tmp_path / "a.safetensors"
    write_checkpoint(TREE, path)
    damage(kind, path)
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        read_checkpoint(path)


def test_the_last_two_stay_and_a_bad_one_is_passed_over(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        write_checkpoint({"step": step}, checkpoints.path(step))
        (tmp_path / f".step-{step}.xyz.tmp").touch()
        checkpoints.tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoints.path(step).name for step in (2, 3)]
    damage("truncated", checkpoints.path(3))
    with caplog.at_level(logging.WARNING):
        found = checkpoints.latest()
    assert found is not None
    assert found[1] == {"step": 2}
    assert checkpoints.path(3).name in caplog.text
    damage("foreign", checkpoints.path(2))
    with pytest.raises(CheckpointError, match="No checkpoint in"):
        checkpoints.latest()


def test_none_where_there_is_none(tmp_path):
    assert Checkpoints(tmp_path / "nowhere").latest() is None


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(call, tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
