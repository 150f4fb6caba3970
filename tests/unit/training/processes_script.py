"""Run by test_processes.py: two processes against one, on the same global batches. Prints one line of JSON.

The processes are forked, so that torch is imported once, and told by the variables of torchrun who they are.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

import torch
from torch import Tensor, distributed

import lowland as ll
from lowland.energies.joint_embedding import JointEmbedding
from lowland.nn.encoders.perceptron import Perceptron
from lowland.registry import registered
from lowland.shaping.base import Batch, ShapingCase
from lowland.shaping.joint import JointShaping, jitter
from lowland.shaping.processes import average, gathered, rank, single_process, world_size

STEPS = 3
torch.set_num_threads(1)


def people() -> ShapingCase:
    """Identities come from the positions of all samples, which must be brought together as the embeddings are."""
    return ll.shaping.DrLIM.case(ll.shaping.DrLIM(jitter, hardest=3, identities=torch.arange(32) // 2 % 12))


METHODS = {name: cls.reference_case for name, cls in registered("shaping").items() if issubclass(cls, JointShaping)}
METHODS["DrLIM with identities"] = people


def trained(name: str) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Loss and averaged gradients of a few steps of SGD, on all samples or on its part; and all buffers."""
    case = METHODS[name]()
    energy, shaping = case.energy.double(), case.shaping.double()
    whole = Batch(case.batch.y.double(), index=case.batch.index)
    shaping.prepare(energy, whole)
    share = len(whole.y) // world_size()
    own = slice(rank() * share, (rank() + 1) * share)
    batch = Batch(whole.y[own], index=whole.index[own])
    parameters = [p for group in shaping.groups(energy).values() for p in group]
    found = []
    for _ in range(STEPS):
        loss = sum(shaping(energy, batch).losses.values())
        gradients = [g for g in torch.autograd.grad(loss, parameters, allow_unused=True) if g is not None]
        average(gradients)
        mean = [loss.detach().clone()]
        average(mean)
        found += [*mean, *gradients]
        with torch.no_grad():
            for parameter, gradient in zip([p for p in parameters if p.requires_grad], gradients, strict=True):
                parameter -= 0.01 * gradient
            shaping.after_step(energy, batch)
        shaping.advance()
    return found, dict(shaping.named_buffers())


def compared(name: str) -> dict[str, float]:
    """The largest differences of two processes from one, relative to the largest number of a tensor."""
    with single_process():
        one, _ = trained(name)
    two, buffers = trained(name)
    scale = max(float(tensor.abs().max()) for tensor in one)
    far = max(float((a - b).abs().max() / (a.abs().max() + 1e-6 * scale)) for a, b in zip(one, two, strict=True))
    unlike = 0.0
    for buffer in buffers.values():
        if buffer.ndim:
            mine, other = gathered(buffer[None].double())
            unlike = max(unlike, float((mine - other).abs().max()) if buffer.numel() else 0.0)
    return {"one": far, "ranks": unlike}


def fitted(folder: Path, resume: bool = False, steps: int = 6) -> dict[str, list[float]]:
    y = torch.randn(40, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    energy = JointEmbedding(Perceptron((8,), hidden=(16,), size=8), (8, 4), norm=False).double()
    shaping = ll.shaping.MoCo(jitter, size=16).double()
    result = ll.fit(
        energy, y, shaping, max_steps=steps, batch_size=8, run=folder, resume=resume, checkpoint_every=2,
        optimiser="sgd", patience=100, validate_every=2, progress=False,
    )  # fmt: skip
    state = torch.cat([t.double().flatten() for t in [*energy.parameters(), *shaping.buffers()]])
    return {"weights": state.tolist(), "loss": result.history["loss/energy"].values}


def child(number: int, folder: Path) -> None:
    port = (folder / "port").read_text()
    os.environ |= {
        "RANK": str(number), "WORLD_SIZE": "2", "LOCAL_RANK": str(number), "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=number, world_size=2)
    found: dict[str, object] = {"methods": {name: compared(name) for name in METHODS}}
    fitted(folder / "two", steps=4)
    found["fit"] = fitted(folder / "two", resume=True)
    try:
        ll.fit(ll.energies.KMeans(2, 2), torch.rand(8, 2), ll.shaping.ExpectationMaximisation(), progress=False)
    except ll.LowlandError as error:
        found["update"] = str(error)
    (folder / f"{number}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


def main(folder: Path) -> None:
    one = fitted(folder / "one")
    (folder / "port").write_text("0")
    children = []
    for number in range(2):
        process = os.fork()
        if process == 0:
            try:
                child(number, folder)
            except BaseException:  # noqa: BLE001  the parent reports it
                os.write(2, traceback.format_exc().encode())
                os._exit(1)
            os._exit(0)
        children.append(process)
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in children]
    assert codes == [0, 0], codes
    ranks = [json.loads((folder / f"{number}.json").read_text()) for number in range(2)]
    print(json.dumps({"one": one, "ranks": ranks}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
