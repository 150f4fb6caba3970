"""What decoders share: which problems they can solve, and the costs of the next token, checked.

Legend: B samples, W prefixes of a sample, D places, K tokens and, where a sequence may end early, its end.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Tokens
from lowland.energies.structure import Continuation
from lowland.errors import UnsupportedError
from lowland.solvers.base import Problem, Support
from lowland.tensors import repeat_rows


def decodable(problem: Problem) -> Support:
    """Whether the problem is one of tokens whose costs are known one after another."""
    domain = problem.domain
    if not isinstance(domain, Tokens):
        return Support(False, f"it writes one token after another, but {domain!r} is not Tokens")
    if domain.empty == "any":
        return Support(False, f"a sequence of {domain!r} has gaps, and no token says where")
    if problem.structure.continuation is None:
        return Support(
            False, "the energy has no `continuation`: it does not say what each token costs after the others"
        )
    if domain.categories > 2 / torch.finfo(problem.dtype).eps:
        return Support(False, f"{problem.dtype} cannot count {domain.categories} tokens: use float32")
    return Support(True)


def known(problem: Problem) -> tuple[Tokens, Continuation]:
    """The domain and the continuation of a problem that is decodable."""
    domain, continuation = problem.domain, problem.structure.continuation
    assert isinstance(domain, Tokens)
    assert continuation is not None
    return domain, continuation


def begun(problem: Problem, u: Tensor) -> tuple[Tensor, Any]:
    """The costs of the first token (B, K), and the memory, for each row of a start u (B, D)."""
    costs, memory = known(problem)[1].begin()
    if len(costs) != len(u):  # nothing is given, and all rows begin alike
        costs, memory = repeat_rows(costs, len(u)), repeat_rows(memory, len(u))
    return costs.to(u.dtype), memory


def checked(costs: Tensor) -> Tensor:
    """The least of all costs of each row, (B,): NaN if one of them is.

    Raises:
        UnsupportedError: for a cost below 0, with which no sequence could ever be known to be the best.
    """
    least = costs.flatten(1).amin(dim=1)
    if not torch.compiler.is_compiling() and bool((least < 0).any()):
        raise UnsupportedError(
            f"A token costs {float(least.nan_to_num(0).min()):g}, but a decoder needs costs of at least 0, as "
            "−log p is: add a constant to all of them, or normalise."
        )
    return least
