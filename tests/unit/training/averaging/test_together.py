"""Workers that meet all at once, in processes that are forked; whole models, and shards of FSDP2."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from lowland.errors import OptionError
from lowland.training.averaging.rules import ADMM, Downpour, Elastic, Outer, Rule
from lowland.training.averaging.together import Together

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not distributed.is_gloo_available(), reason="needs fork and gloo"
)
RULES = [Elastic(1, rate=0.6), Elastic(3, rate=0.9), Downpour(2, momentum=0.5), Outer(2), Outer(2, 1.0, 0.0)]


def network() -> nn.Sequential:
    drawn = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=drawn))
    return model


def change(step: int, worker: int, name: str, shape: torch.Size) -> torch.Tensor:
    """What a step of a worker's optimiser adds, the same however the model is cut."""
    drawn = torch.Generator().manual_seed(1000 * step + 10 * worker + len(name))
    return 0.1 * torch.randn(shape, generator=drawn)


def shard_of(whole: torch.Tensor, like) -> torch.Tensor:
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole, like.device_mesh, like.placements).to_local()


def whole(rank: int, rule: Rule) -> dict[str, list[float]]:
    model = network()
    if rank:
        nn.init.zeros_(model[0].weight)  # all start from the first
    together = Together(model, rule)
    for step in range(7):
        met = together.step()
        assert met is ((step + 1) % rule.period == 0)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter += change(step, rank, name, parameter.shape)
    found = {name: parameter.flatten().tolist() for name, parameter in model.named_parameters()}
    together.load_centre()
    return found | {f"centre {name}": p.flatten().tolist() for name, p in model.named_parameters()}


def sharded(rank: int, rule: Rule) -> dict[str, list[float]]:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))
    model = network()
    fully_shard(model[0], mesh=mesh["shard"])
    fully_shard(model, mesh=mesh["shard"])
    together = Together(model, rule, mesh["replicate"].get_group())
    worker = mesh["replicate"].get_local_rank()
    for step in range(7):
        together.step()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.to_local().add_(shard_of(change(step, worker, name, parameter.shape), parameter))
    found = {name: parameter.full_tensor().flatten().tolist() for name, parameter in model.named_parameters()}
    together.load_centre()
    return found | {f"centre {n}": p.full_tensor().flatten().tolist() for n, p in model.named_parameters()}


def saved(rank: int, folder: Path) -> dict[str, list[float]]:
    """Four processes hold a replica of two shards each, and write the first replica's."""
    from torch.distributed.checkpoint import HuggingFaceStorageWriter, save
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))
    model = network()
    fully_shard(model, mesh=mesh["shard"])
    Together(model, Elastic(1), mesh["replicate"].get_group()).load_centre()
    if not mesh["replicate"].get_local_rank():
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        save(model.state_dict(), storage_writer=writer, process_group=mesh["shard"].get_group())
    return {name: parameter.full_tensor().flatten().tolist() for name, parameter in model.named_parameters()}


def loaded(rank: int, folder: Path) -> dict[str, list[float]]:
    """Any number of processes read what others wrote, each its own shards."""
    from torch.distributed.checkpoint import HuggingFaceStorageReader, load
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = network()
    nn.init.zeros_(model[0].weight)
    fully_shard(model, mesh=init_device_mesh("cpu", (distributed.get_world_size(),)))
    state = model.state_dict()
    load(state, storage_reader=HuggingFaceStorageReader(str(folder)))
    model.load_state_dict(state)
    return {name: parameter.full_tensor().flatten().tolist() for name, parameter in model.named_parameters()}


def played(kind, folder: Path, count: int, given: Rule | Path) -> list[dict[str, list[float]]]:
    """What each of so many processes found."""
    folder.mkdir()
    children = []
    for rank in range(count):
        child = os.fork()
        if not child:
            try:
                torch.set_num_threads(1)
                store = f"file://{folder / 'store'}"
                distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=count)
                (folder / f"{rank}.json").write_text(json.dumps(kind(rank, given)))
                distributed.barrier()
            except BaseException:  # noqa: BLE001  the parent sees the status
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * count
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(count)]


def alone(rule: Rule) -> list[dict[str, torch.Tensor]]:
    """Two workers in one process, by the three functions of the rule."""
    workers, centre = [dict(network().named_parameters()) for _ in range(2)], dict(network().named_parameters())
    found = [{} for _ in workers]
    for name, c in centre.items():
        c, xs, state, memories = c.detach().clone(), [w[name].detach().clone() for w in workers], {}, [{}, {}]
        for memory in memories:
            rule.join(c, memory)
        for step in range(7):
            if (step + 1) % rule.period == 0:
                sent = [rule.message(x.clone(), memory) for x, memory in zip(xs, memories, strict=True)]
                answer = rule.meet(c, (sent[0] + sent[1]) / 2, state, 2, 2)
                for x, memory in zip(xs, memories, strict=True):
                    rule.take(x, x.clone(), answer, memory, 2)
            for worker, x in enumerate(xs):
                x += change(step, worker, name, x.shape)
        for one, x in zip(found, xs, strict=True):
            one |= {name: x.flatten(), f"centre {name}": c.flatten()}
    return found


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_processes_do_what_the_rule_says(rule: Rule, tmp_path: Path) -> None:
    for mine, expected in zip(played(whole, tmp_path / "whole", 2, rule), alone(rule), strict=True):
        assert all(mine[name] == part.tolist() for name, part in expected.items())


@pytest.mark.parametrize("rule", [RULES[1], RULES[3]], ids=str)
def test_shards_of_fsdp_give_what_the_whole_gives_bit_for_bit(rule: Rule, tmp_path: Path) -> None:
    parts = played(sharded, tmp_path / "shards", 4, rule)
    for worker, expected in enumerate(alone(rule)):
        for rank in (2 * worker, 2 * worker + 1):
            assert all(parts[rank][name] == part.tolist() for name, part in expected.items())


def test_shards_are_written_as_safetensors_and_read_by_other_numbers_of_processes(tmp_path: Path) -> None:
    from safetensors import safe_open

    folder = tmp_path / "checkpoint"
    expected = {name: parameter.flatten().tolist() for name, parameter in network().named_parameters()}
    assert played(saved, tmp_path / "four", 4, folder) == [expected] * 4
    names = set()
    for file in folder.iterdir():
        with safe_open(file, "pt") as shard:
            names |= set(shard.keys())
    assert names == set(expected)
    for count in (1, 3):
        assert played(loaded, tmp_path / str(count), count, folder) == [expected] * count


def test_what_cannot_meet_is_refused() -> None:
    with pytest.raises(OptionError, match="needs several processes"):
        Together(nn.Linear(2, 1), Elastic())
    with pytest.raises(OptionError, match="analysis"):
        Together(nn.Linear(2, 1), ADMM())
