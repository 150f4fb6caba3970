"""The part of a step of `lowland.solvers.ADMM` that is done entry by entry, in one pass over memory."""

from __future__ import annotations

from typing import Any

from lowland.compiled.active_set import jit


@jit
def relax(x: Any, u: Any, w: Any, u_next: Any, w_next: Any, ahead: Any, relaxation: Any, least: Any, most: Any) -> None:
    """w⁺ = w + α (x − u), u⁺ = w⁺ less its part in [least, most], and 2u⁺ − w⁺; all vectors of one type of number."""
    for k in range(len(x)):
        moved = w[k] + relaxation * (x[k] - u[k])
        shrunk = moved - min(max(moved, least), most)
        w_next[k] = moved
        u_next[k] = shrunk
        ahead[k] = shrunk + shrunk - moved
