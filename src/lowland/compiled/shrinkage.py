"""The part of a step of `lowland.solvers.ADMM` that is done entry by entry, in one pass over memory."""

from __future__ import annotations

from typing import Any

from lowland.compiled.active_set import jit


@jit
def relax(way: Any, w: Any, u_next: Any, w_next: Any, ahead: Any, relaxation: Any, least: Any, most: Any) -> None:
    """w⁺ = w + α (x − u), u⁺ = w⁺ less its part in [least, most], and 2u⁺ − w⁺; all vectors of one type of number.

    Since x = 2u − w + way and u is w less its part in [least, most], x − u is the way less that part: u is not read.
    w⁺ may take the place of the way.
    """
    for k in range(len(way)):
        moved = w[k] + relaxation * (way[k] - min(max(w[k], least), most))
        shrunk = moved - min(max(moved, least), most)
        w_next[k] = moved
        u_next[k] = shrunk
        ahead[k] = shrunk + shrunk - moved
