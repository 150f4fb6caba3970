"""The largest rate at which a rule of averaging is stable, read off the rule's own code.

On f(x) = ½ h x², one round of all workers is a linear map of everything that they and the centre keep. The map is found
by running the rule on unit vectors, all at once, since rules treat each number alone. It is stable where no eigenvalue
is larger than 1.

Shape letters: R learning rates, S numbers of a state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lowland.errors import check_number
from lowland.training.averaging.rules import Numbers, Rule

_SLACK = 1e-9
_HALVINGS = 30


def radii(
    rule: Rule, members: int, rates: Sequence[float] | Tensor, momentum: float = 0.0, turns: bool = True
) -> Tensor:
    """Largest absolute eigenvalue of a round of p workers on the quadratic ½ x², (R,) in float64; above 1 it diverges.

    Between two meetings each worker makes τ steps of SGD, with Nesterov momentum where there is some. For another
    curvature h, pass η h for η. An eigenvalue of 1 is counted as it is: the mean of a frozen direction stays.

    Args:
        rule: such as `Elastic(period=10)`.
        members: p.
        rates: η of SGD, R of them.
        momentum: δ of the workers' SGD.
        turns: whether workers meet the centre one after another, as they do without a barrier, or all at once.

    Raises:
        OptionError: for fewer than one member, or momentum outside [0, 1).

    >>> from lowland.training.averaging.rules import Elastic
    >>> radii(Elastic(period=1, rate=3 * 0.0025), 3, [0.001, 2.5])
    tensor([0.9993, 1.5025], dtype=torch.float64)
    """
    check_number("members", members, least=1, whole=True)
    check_number("momentum", momentum, least=0, below=1)
    eta_R1 = torch.as_tensor(rates, dtype=torch.float64).reshape(-1, 1)
    names = _names(rule, members, momentum)
    units_SRS = torch.eye(len(names), dtype=torch.float64)[:, None].expand(-1, len(eta_R1), -1)
    parts = {name: units_SRS[k].clone() for k, name in enumerate(names)}
    workers: list[Numbers] = [{} for _ in range(members)]
    state: Numbers = {}
    for (who, what), value in parts.items():
        (state if who < 0 else workers[who])[what] = value
    (_together if not turns and members > 1 else _turns)(rule, workers, state, eta_R1, momentum)
    # Memories that a rule has replaced are read again by name.
    after = [(state if who < 0 else workers[who])[what] for who, what in names]
    matrix_RSS = torch.stack(after, dim=1)
    return torch.linalg.eigvals(matrix_RSS).abs().amax(dim=1)


def largest_rate(rule: Rule, members: int, momentum: float = 0.0, turns: bool = True, most: float = 4.0) -> float:
    """The smallest η h above which a rule diverges on the quadratic ½ h x²; 0 if it does for all, `most` if for none.

    The lowest of 80 rates that diverges is found first, then halved down to: regions of stability may have holes.

    >>> from lowland.training.averaging.rules import Elastic
    >>> round(largest_rate(Elastic(period=1, rate=1e-9), 1), 4)
    2.0
    """
    grid = torch.linspace(most / 80, most, 80, dtype=torch.float64)
    bad = (radii(rule, members, grid, momentum, turns) > 1 + _SLACK).nonzero()
    if not len(bad):
        return most
    first = int(bad[0])
    low, high = float(grid[first - 1]) if first else 0.0, float(grid[first])
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        stable = bool(radii(rule, members, [middle], momentum, turns)[0] <= 1 + _SLACK)
        low, high = (middle, high) if stable else (low, middle)
    return low


def _names(rule: Rule, members: int, momentum: float) -> list[tuple[int, str]]:
    """(worker, name) of all numbers that are kept; the centre is worker −1."""
    probe, memory, state = torch.zeros(1, dtype=torch.float64), {}, {}
    rule.join(probe, memory)
    rule.visit(probe.clone(), probe.clone(), memory, state, members, lambda x, slope: None, lambda x: x)
    own = ["x", *(["own speed"] if momentum else []), *memory]
    return [(who, what) for who in range(members) for what in own] + [(-1, what) for what in ("x", *state)]


def _turns(rule: Rule, workers: list[Numbers], state: Numbers, eta: Tensor, momentum: float) -> None:
    centre = state["x"]
    for memory in workers:
        step, gradient = _step(memory, eta, momentum)
        rule.visit(memory["x"], centre, memory, state, len(workers), step, gradient)
        for _ in range(int(rule.period) - 1):
            step(memory["x"], gradient(memory["x"]))


def _together(rule: Rule, workers: list[Numbers], state: Numbers, eta: Tensor, momentum: float) -> None:
    centre, count = state["x"], len(workers)
    slopes = [memory["x"].clone() for memory in workers]
    mean = torch.stack([rule.message(memory["x"], memory) for memory in workers]).mean(dim=0)
    answer = rule.meet(centre, mean, state, count, count)
    for memory, slope in zip(workers, slopes, strict=True):
        step, gradient = _step(memory, eta, momentum)
        rule.take(memory["x"], memory["x"].clone(), answer, memory, count)
        step(memory["x"], slope)
        for _ in range(int(rule.period) - 1):
            step(memory["x"], gradient(memory["x"]))


def _step(
    memory: Numbers, eta: Tensor, momentum: float
) -> tuple[Callable[[Tensor, Tensor], None], Callable[[Tensor], Tensor]]:
    """The optimiser's step, and the gradient of ½ x²."""

    def step(x: Tensor, slope: Tensor) -> None:
        if momentum:  # as torch.optim.SGD(nesterov=True)
            memory["own speed"].mul_(momentum).add_(slope)
            slope = slope + momentum * memory["own speed"]
        x.sub_(eta * slope)

    return step, lambda x: x.clone()
