"""Run by test_resume.py: an unbroken run, and one that is killed ten times. Prints one line of JSON.

A child is forked for each attempt, so that torch is imported once. It writes a byte at the start of each step; the
parent waits for a random number of them and a random moment more, and sends SIGKILL.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import types
from pathlib import Path

import torch
from torch import nn

import lowland as ll
from lowland.domains import Reals
from lowland.energies.base import Energy
from lowland.shaping.base import Losses, Shaping
from lowland.training.checkpoints import Checkpoints, read_checkpoint

STEPS, KILLS = 240, 10
torch.set_num_threads(1)


class Net(Energy):
    def __init__(self) -> None:
        super().__init__(y=Reals(3))
        generator = torch.Generator().manual_seed(4)
        self.weight = nn.Parameter(torch.randn(3, 8, generator=generator))
        self.out = nn.Parameter(torch.randn(8, generator=generator))

    def energy(self, x, y, z):
        return torch.tanh(y @ self.weight) @ self.out + 0.1 * y.square().sum(dim=1)


class Pushing(Shaping):
    """Data against a queue of noisy samples, two groups, averages: all that a resume must keep."""

    rates = types.MappingProxyType({"scale": 3.0})

    def __init__(self, pipe: int | None) -> None:
        super().__init__(seed=2)
        self._pipe = pipe
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("queue", torch.zeros(32, 3))
        self.register_buffer("average", torch.zeros(3, 8))

    def groups(self, energy):
        return {"energy": energy.parameters(), "scale": [self.scale]}

    def prepare(self, energy, data):
        self.queue.copy_(data.y[:32] * 2)

    def forward(self, energy, batch):
        if self._pipe is not None and self.training:
            os.write(self._pipe, b".")
        fake = self.queue[:16] + self.scale * self.noise(self.queue[:16]).normal(3)
        gap = energy(y=batch.y).mean() - energy(y=fake).mean()
        decay = sum(p.square().sum() for p in energy.parameters())
        losses = {"energy": gap + 0.01 * decay, "scale": -gap + self.scale.square()}
        if int(self.step) % 3 == 0:
            losses.pop("scale")
        return Losses(losses, {"gap": gap.detach()})

    def after_step(self, energy, batch):
        self.queue = torch.cat([batch.y[:4], self.queue[:-4]])
        self.average.lerp_(energy.weight, 0.1)


def attempt(run: Path, pipe: int | None) -> None:
    data = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    ll.fit(
        Net(), data, Pushing(pipe), max_steps=STEPS, batch_size=16, lr=0.01, run=run, resume=True, checkpoint_every=3,
        validate_every=7, patience=1000, clip=1.0, schedule=lambda step: 1 - step / 1000, progress=False,
    )  # fmt: skip


def main(folder: Path) -> None:
    rng = random.Random(0)
    attempt(folder / "whole", None)
    kills, starts, steps = 0, 0, []
    while True:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                attempt(folder / "killed", write)
            except BaseException as error:  # noqa: BLE001  the parent reports it
                os.write(2, repr(error).encode())
                os._exit(1)
            os._exit(0)
        os.close(write)
        starts += 1
        steps.append(0)
        if kills < KILLS:
            for _ in range(rng.randint(0, 2 * STEPS // KILLS - 10)):
                if not os.read(read, 1):
                    break
                steps[-1] += 1
            time.sleep(rng.uniform(0, 0.005))  # within a step, on slow and on fast machines
            os.kill(child, signal.SIGKILL)
        while found := os.read(read, 4096):
            steps[-1] += len(found)
        os.close(read)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills += 1
        else:
            assert os.WEXITSTATUS(status) == 0
            break
    trees = [read_checkpoint(Checkpoints(folder / name / "checkpoints").path(STEPS)) for name in ("whole", "killed")]
    logs = [(folder / name / "metrics.csv").read_text() for name in ("whole", "killed")]
    tensors = [list(walk(tree)) for tree in trees]
    found = {"kills": kills, "starts": starts, "steps": steps, "rows": logs[0].count("\n")}
    found |= {"logs": logs[0] == logs[1], "leaves": len(tensors[0]), "equal": equal(*tensors)}
    print(json.dumps(found))


def walk(node, where=""):
    if isinstance(node, dict):
        for key, part in node.items():
            yield from walk(part, f"{where}/{key}")
    elif isinstance(node, list | tuple):
        for number, part in enumerate(node):
            yield from walk(part, f"{where}/{number}")
    else:
        yield where, node


def equal(first, second):
    """Paths of leaves that differ: none, bit for bit."""
    if [name for name, _ in first] != [name for name, _ in second]:
        return ["structure"]
    return [
        name
        for (name, a), (_, b) in zip(first, second, strict=True)
        if not (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b)
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
