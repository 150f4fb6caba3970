"""Rules of averaging for workers that meet all at once, without a process for the centre.

Shape letters: N numbers of a model, or of this process's shards of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

from lowland.errors import OptionError, check_instance
from lowland.training.averaging.rules import ADMM, Numbers, Rule, check_buffers


class Together:
    """Links the models of all processes: every τ steps they meet at once, by an all-reduce of their messages.

    Each process keeps the same copy of the centre. Call `step` after `loss.backward()` and before `optimiser.step()`,
    at the same steps in all processes: all wait for the slowest, and a process that dies stops all. Where machines are
    equal and reliable this costs less than a centre; elsewhere use a `Link`.

    A model may be cut by FSDP2 (`torch.distributed.fsdp.fully_shard`): each process then averages its own shards with
    those of the other replicas, since rules treat each number alone. `group` is then that of the replicas, such as
    `mesh["replicate"].get_group()` of a mesh with the dimensions ("replicate", "shard").

    With `Elastic`, plain SGD and τ = 1 this is descent on Σ_i f(xⁱ) + ρ/2 ‖xⁱ − x̃‖² (Zhang, Choromanska & LeCun 2015,
    equations 5 and 6); with `Outer` it is DiLoCo or local SGD as published.

    Args:
        model: starts from the numbers of the first process of the group.
        rule: the same in all processes.
        group: processes that average; None for all.

    Raises:
        OptionError: without a process group, or for a rule that is for analysis only.
        UnsupportedError: for a rule that would spoil floating-point buffers, such as those of batch norm.

    >>> Together(nn.Linear(2, 1), Rule())
    Traceback (most recent call last):
    lowland.errors.OptionError: Together needs several processes: call torch.distributed.init_process_group first.
    """

    def __init__(self, model: nn.Module, rule: Rule, group: Any = None) -> None:
        check_instance(model, nn.Module, "The model")
        check_instance(rule, Rule, "The rule")
        if isinstance(rule, ADMM):
            raise OptionError("ADMM is for the analysis of stability only: train with Elastic.")
        if not distributed.is_available() or not distributed.is_initialized():
            raise OptionError("Together needs several processes: call torch.distributed.init_process_group first.")
        self.rule, self.group, self.steps = rule, group, 0
        self.members = distributed.get_world_size(group)
        check_buffers(rule, sum(buffer.is_floating_point() for buffer in model.buffers()))
        self._tensors = _own(model)
        self._sizes = [tensor.numel() for tensor in self._tensors]
        self._centre = self._read()
        distributed.broadcast(self._centre, group=group, group_src=0)
        self._write(self._centre)
        self._memory: Numbers = {}
        self._state: Numbers = {}
        rule.join(self._centre, self._memory)

    @torch.no_grad()
    def step(self) -> bool:
        """Count a step, and meet where it is due; whether it was."""
        self.steps += 1
        if self.steps % self.rule.period:
            return False
        x = self._read()
        at = x.clone()
        mean = self.rule.message(at, self._memory).clone()
        distributed.all_reduce(mean, group=self.group)
        mean /= self.members
        answer = self.rule.meet(self._centre, mean, self._state, self.members, self.members)
        self.rule.take(x, at, answer, self._memory, self.members)
        self._write(x)
        return True

    def load_centre(self) -> None:
        """Write the numbers of the centre into the model: those that count in the end."""
        self._write(self._centre)

    def _read(self) -> Tensor:
        return torch.cat([tensor.detach().reshape(-1) for tensor in self._tensors])

    @torch.no_grad()
    def _write(self, x: Tensor) -> None:
        for tensor, part in zip(self._tensors, x.split(self._sizes), strict=True):
            tensor.copy_(part.view(tensor.shape))


def _own(model: nn.Module) -> list[Tensor]:
    """What this process holds of all parameters and floating-point buffers."""
    parts: list[Any] = [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]
    return [part.to_local() if hasattr(part, "to_local") else part for part in parts]
