"""Rules by which workers and a centre pull at one another: how they share a model without averaging every gradient.

All of them lower one energy, Σ_i f(xⁱ) + ρ/2 ‖xⁱ − x̃‖², of the workers' parameters xⁱ and those of the centre, x̃. A
rule is three functions that treat each number alone, so that a centre may be cut into shards: what a worker sends, what
the centre does with it, and what the worker does with the answer.

Shape letters: N numbers, the parameters and the floating-point buffers of a model in one vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowland.errors import UnsupportedError, check_number

Numbers = dict[str, Tensor]
"""What a worker or the centre keeps between two meetings, by name, (N,) each."""


@dataclass(frozen=True)
class Rule:
    """A worker meets the centre every τ = `period` steps, between its gradient and the step that the gradient makes.

    With p workers, `members`, the three functions are called in this order:

        m = message(x, memory)                     # worker: N numbers to the centre
        a = meet(x̃, m, state, members)             # centre: changes x̃, gives N numbers back
        take(x, at, a, memory, members)            # worker: changes x; `at` is what x was when m was sent

    Args:
        period: τ, steps of a worker from one meeting to the next.
    """

    period: int = 10

    def __post_init__(self) -> None:
        check_number("period", self.period, least=1, whole=True)

    @property
    def averages(self) -> bool:
        """Whether the centre stays among the numbers of the workers, as the statistics of batch norm must."""
        return False

    @property
    def _alone(self) -> str:
        return f"{type(self).__name__} is for the analysis of stability only: train with Elastic."

    def join(self, centre: Tensor, memory: Numbers) -> None:
        """A worker has read the centre and starts from it, or goes on after it was lost."""

    def message(self, x: Tensor, memory: Numbers) -> Tensor:
        """What a worker sends, (N,); it is not changed afterwards."""
        raise UnsupportedError(self._alone)

    def meet(self, centre: Tensor, message: Tensor, state: Numbers, members: int, count: int = 1) -> Tensor:
        """Change the centre in place and return what the worker gets.

        Args:
            centre: x̃.
            message: of one worker, or the mean of those of several that meet at once.
            state: what the centre keeps for this rule.
            members: p.
            count: how many workers sent the message: 1, or p where all meet at once.
        """
        raise UnsupportedError(self._alone)

    def take(self, x: Tensor, at: Tensor, answer: Tensor, memory: Numbers, members: int) -> None:
        """Change x in place. It may have moved on from `at` while the message travelled."""
        raise UnsupportedError(self._alone)

    def visit(
        self, x: Tensor, centre: Tensor, memory: Numbers, state: Numbers, members: int,
        step: Callable[[Tensor, Tensor], None], gradient: Callable[[Tensor], Tensor],
    ) -> None:  # fmt: skip
        """One step of a worker that meets the centre, without a network: gradient, then pull, then step.

        Args:
            x, centre, memory, state, members: see the class.
            step: (x, gradient at x) → None, the optimiser's step, in place.
            gradient: x → its gradient.
        """
        slope, at = gradient(x), x.clone()
        answer = self.meet(centre, self.message(at, memory), state, members)
        self.take(x, at, answer, memory, members)
        step(x, slope)


@dataclass(frozen=True)
class Elastic(Rule):
    """EASGD: xⁱ ← xⁱ − α (xⁱ − x̃) and x̃ ← x̃ + α (xⁱ − x̃), every τ steps, with α = `rate` / p.

    The worker's gradient is taken before the pull and its step made after it: xⁱ ← xⁱ − η g(xⁱ) − α (xⁱ − x̃). With
    plain SGD in all workers at once this is descent on Σ_i f(xⁱ) + ρ/2 ‖xⁱ − x̃‖² with α = ηρ, which is stable on a unit
    quadratic for 0 ≤ η ≤ 2 and 0 ≤ α ≤ (4 − 2η) / (2 + p (2 − η)), and where workers take turns for
    α ≤ (4 − 2η) / (4 − η). With a Nesterov optimiser it is EAMSGD, but for one thing: PyTorch's parameters are those
    that the momentum looks ahead to, so that these are pulled. Where workers stand apart they explore; a worker that is
    late, or never comes back, holds nobody up.

    Source: Zhang, Choromanska & LeCun 2015, "Deep learning with elastic averaging SGD", algorithms 1 and 2, equations 5
    and 6, section 3 (systems D1, D2); rate 0.9 and τ = 10 from its section 4.

    Args:
        period: τ.
        rate: β = p α, by which the centre moves if all workers meet it once.

    >>> centre, x = torch.zeros(1), torch.ones(1)
    >>> rule = Elastic(rate=0.5)
    >>> rule.take(x, x.clone(), rule.meet(centre, x, {}, members=1), {}, members=1)
    >>> x, centre
    (tensor([0.5000]), tensor([0.5000]))
    """

    period: int = 10
    rate: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("rate", self.rate, above=0)

    @property
    def averages(self) -> bool:
        return self.rate <= 1

    def message(self, x: Tensor, memory: Numbers) -> Tensor:
        return x

    def meet(self, centre: Tensor, message: Tensor, state: Numbers, members: int, count: int = 1) -> Tensor:
        before = centre.clone()
        centre.add_(message - centre, alpha=self.rate * count / members)
        return before

    def take(self, x: Tensor, at: Tensor, answer: Tensor, memory: Numbers, members: int) -> None:
        x.sub_(at - answer, alpha=self.rate / members)


@dataclass(frozen=True)
class _Leader(Rule):
    """The centre's parameters are the workers': they send by how much they moved, and go on from what they get."""

    def join(self, centre: Tensor, memory: Numbers) -> None:
        memory["last"] = centre.clone()

    def message(self, x: Tensor, memory: Numbers) -> Tensor:
        return x - memory["last"]

    def take(self, x: Tensor, at: Tensor, answer: Tensor, memory: Numbers, members: int) -> None:
        x.sub_(at).add_(answer)
        memory["last"] = answer.clone()


@dataclass(frozen=True)
class Downpour(_Leader):
    """DOWNPOUR: every τ steps the sum of a worker's steps goes to the centre, and its parameters come back.

    v ← δ v + Σ steps, x̃ ← x̃ + v, xⁱ ← x̃ + δ v. With δ = `momentum` = 0 it is that of Dean et al. 2012, "Large scale
    distributed deep networks", where the whole steps of all workers add up, so that large τ or p diverge (system D3).
    With momentum at the centre, and τ = 1, it is MDOWNPOUR of Zhang, Choromanska & LeCun 2015, algorithms 4 and 5.

    Args:
        period: τ.
        momentum: δ.

    >>> centre, memory = torch.zeros(1), {}
    >>> rule = Downpour(period=1)
    >>> rule.join(centre, memory)
    >>> rule.meet(centre, rule.message(torch.ones(1), memory), {}, members=2)
    tensor([1.])
    """

    period: int = 10
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("momentum", self.momentum, least=0, below=1)

    def meet(self, centre: Tensor, message: Tensor, state: Numbers, members: int, count: int = 1) -> Tensor:
        if not self.momentum:
            return centre.add_(message, alpha=count).clone()
        speed = state.setdefault("speed", torch.zeros_like(centre))
        speed.mul_(self.momentum).add_(message, alpha=count)
        return centre.add_(speed) + self.momentum * speed


@dataclass(frozen=True)
class Outer(_Leader):
    """DiLoCo: every τ steps the mean way of the workers, g, is a gradient for an outer step with Nesterov momentum.

    v ← μ v + g, x̃ ← x̃ + η (g + μ v), xⁱ ← x̃. Workers that come one by one count 1/p each. With lr 1 and momentum 0 it
    is local SGD: x̃ becomes the mean of all workers.

    Source: Douillard et al. 2023, "DiLoCo: distributed low-communication training of language models", algorithm 1; the
    defaults are those of its section 3. Local SGD: Stich 2019, "Local SGD converges fast and communicates little".

    Args:
        period: τ.
        lr: η of the outer step.
        momentum: μ.

    >>> centre, memory = torch.zeros(1), {}
    >>> rule = Outer(period=64, lr=1.0, momentum=0.0)
    >>> rule.join(centre, memory)
    >>> rule.meet(centre, rule.message(torch.ones(1), memory), {}, members=2)
    tensor([0.5000])
    """

    period: int = 10
    lr: float = 0.7
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("lr", self.lr, above=0)
        check_number("momentum", self.momentum, least=0, below=1)

    @property
    def averages(self) -> bool:
        return self.lr <= 1 and not self.momentum

    def meet(self, centre: Tensor, message: Tensor, state: Numbers, members: int, count: int = 1) -> Tensor:
        way = message * (count / members)
        if self.momentum:
            speed = state.setdefault("speed", torch.zeros_like(centre))
            speed.mul_(self.momentum).add_(way)
            way = way + self.momentum * speed
        return centre.add_(way, alpha=self.lr).clone()


@dataclass(frozen=True)
class ADMM(Rule):
    """ADMM with one linearised step, for analysis only: λⁱ ← λⁱ − (xⁱ − x̃), then xⁱ, then x̃ ← mean_j (xʲ − λʲ).

    xⁱ ← (xⁱ − η g(xⁱ) + ηρ (λⁱ + x̃)) / (1 + ηρ). Workers that take turns see one another's x̃, and for some rates their
    round is an unstable linear map, although EASGD with α = ηρ is stable (system D4): `lowland run easgd` draws both.

    Source: Zhang, Choromanska & LeCun 2015, section 3, equations 7 to 9.

    Args:
        period: τ = 1.
        pull: ρ.
        rate: η; unlike in other rules it is a part of the update.
    """

    period: int = 1
    pull: float = 2.5
    rate: Any = 0.001

    def join(self, centre: Tensor, memory: Numbers) -> None:
        memory["multiplier"], memory["last"] = torch.zeros_like(centre), centre.clone()

    def visit(
        self, x: Tensor, centre: Tensor, memory: Numbers, state: Numbers, members: int,
        step: Callable[[Tensor, Tensor], None], gradient: Callable[[Tensor], Tensor],
    ) -> None:  # fmt: skip
        slope, spring, multiplier = gradient(x), self.rate * self.pull, memory["multiplier"]
        multiplier.sub_(x - centre)
        x.copy_((x - self.rate * slope + spring * (multiplier + centre)) / (1 + spring))
        centre.add_((x - multiplier - memory["last"]) / members)
        memory["last"].copy_(x - multiplier)


def check_buffers(rule: Rule, count: int) -> None:
    """Raise an UnsupportedError for a rule that would spoil buffers such as the variances of batch norm."""
    if count and not rule.averages:
        raise UnsupportedError(
            f"The model has floating-point buffers, such as the statistics of batch norm, which {rule} would drive out "
            "of their range: take Elastic, Outer(lr=1, momentum=0), or norms without running statistics."
        )
