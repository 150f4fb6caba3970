"""Elastic averaging: processes train one model, each on its own, and meet at a centre every ten steps.

python examples/averaging.py                                    one process
torchrun --nproc-per-node 2 examples/averaging.py               two, of which the first starts the centre
torchrun --nproc-per-node 2 --max-restarts 9 examples/...       go on from the centre where one of them dies
"""

import os
import sys

import torch
from torch import nn

import lowland as ll
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Elastic

digits = ll.data.digits()
y, test = digits.train.flatten(1), digits.test.flatten(1)
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300

model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 64))  # an auto-encoder
optimiser = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, nesterov=True)
mine = torch.Generator().manual_seed(int(os.environ.get("RANK", "0")))
with Link(model, Elastic(period=10), centre=None) as link:
    print(f"joins after {link.clock} meetings", flush=True)
    for _ in range(steps):
        batch = y[torch.randint(len(y), (64,), generator=mine)]
        optimiser.zero_grad()
        (model(batch) - batch).square().mean().backward()
        link.step()
        optimiser.step()
    link.load_centre(model)
    error = (model(test) - test).square().mean().item()
    print(f"{link.meetings} of the centre's {link.clock} meetings, error {error:.4f}", flush=True)
