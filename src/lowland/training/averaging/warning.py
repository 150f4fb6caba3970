"""A warning before training by a rate at which averaging would diverge."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD

from lowland.shaping.base import Batch
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Outer
from lowland.training.averaging.stability import largest_rate
from lowland.training.stepper import Stepper

_TURNS, _SAMPLES = 12, 128


def unstable(stepper: Stepper, link: Link, sample: Callable[[int], Any]) -> str:
    """What to say if the learning rate of SGD is beyond what is stable with the rule of a link; else nothing.

    The largest stable rate follows from the rule, the members and the momentum (`stability.largest_rate`), in units of
    1/h, with h the largest curvature of the loss of a batch at the first weights, found by power iteration. Other
    optimisers scale their steps, and are not judged, nor are momentum that is not Nesterov's and losses that cannot be
    differentiated twice.

    Args:
        stepper: with its optimisers.
        link: with the centre.
        sample: number → training samples.
    """
    optimisers = [one for one in stepper.optimisers if isinstance(one, SGD)]
    if len(optimisers) != 1 or len(stepper.optimisers) != 1:
        return ""
    group = optimisers[0].param_groups[0]
    if group["momentum"] and not group["nesterov"]:
        return ""
    members, lr, momentum = max(1, link.members), float(group["lr"]), float(group["momentum"])
    limit = largest_rate(link.rule, members, momentum)
    curvature = largest_curvature(stepper, stepper.batch(sample(_SAMPLES)), group["params"])
    if not curvature or lr * curvature <= limit:
        return ""
    return (
        f"lr = {lr:g} is above {limit / curvature:.3g}, the largest rate at which {link.rule} with {members} "
        f"{'worker' if members == 1 else 'workers'} and momentum {momentum:g} is stable on a loss as curved as this "
        f"one at the start ({curvature:.3g}): training may diverge. Lower lr, or take another rule or period."
    )


def in_turns(link: Link) -> str:
    """What to say of a rule whose outer momentum is for workers that meet all at once; else nothing."""
    rule = link.rule
    if not isinstance(rule, Outer) or not rule.momentum or link.members < 2:
        return ""
    return (
        f"{rule} is DiLoCo for workers that meet all at once (Together). With a centre they come one by one, and its "
        f"momentum acts {link.members} times in each round: take Elastic, or Outer(lr=1, momentum=0)."
    )


def largest_curvature(stepper: Stepper, batch: Batch, parameters: list[Tensor]) -> float:
    """The largest absolute eigenvalue of the Hessian of a batch's loss, by power iteration; 0 where there is none.

    Args:
        stepper: whose energy and shaping give the loss; neither is changed.
        batch: on their device.
        parameters: of the loss.

    >>> import lowland as ll
    >>> from lowland.energies import KMeans
    >>> stepper = Stepper(ll.energies.Autoencoder(3, 2), ll.shaping.MinimumEnergy(), optimiser="sgd")
    >>> stepper.make_optimisers()
    >>> largest_curvature(stepper, stepper.batch(torch.eye(3)), list(stepper.energy.parameters())) > 0
    True
    """
    try:
        with torch.enable_grad():
            loss = torch.stack(list(stepper.untouched(batch).losses.values())).sum()
            slopes = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
            kept = [(p, slope) for p, slope in zip(parameters, slopes, strict=True) if slope is not None]
            drawn = torch.Generator().manual_seed(0)
            way = [torch.randn(p.shape, generator=drawn).to(p) for p, _ in kept]
            size = 0.0
            for _ in range(_TURNS):
                length = torch.stack([part.square().sum() for part in way]).sum().sqrt()
                if not 0 < float(length) < math.inf:
                    return 0.0
                way = [part / length for part in way]
                inner = torch.stack([(slope * part).sum() for (_, slope), part in zip(kept, way, strict=True)]).sum()
                found = torch.autograd.grad(inner, [p for p, _ in kept], retain_graph=True, allow_unused=True)
                way = [torch.zeros_like(p) if part is None else part for (p, _), part in zip(kept, found, strict=True)]
                size = float(torch.stack([part.square().sum() for part in way]).sum().sqrt())
            return size
    except (RuntimeError, NotImplementedError):  # not differentiable twice
        return 0.0
