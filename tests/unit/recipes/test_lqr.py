"""The recipe `lqr`: plans meet the exact answer."""

from __future__ import annotations

from collections.abc import Callable

from lowland.reports.run import Run


def test_plans_meet_the_exact_answer(smoke: Callable[[str], Run]) -> None:
    gap = {row["method"]: row["measured"] for row in smoke("lqr").results}
    assert gap["no action (baseline)"] > 20
    assert max(gap["GradientDescent"], gap["LBFGS"]) < 0.1
    assert max(gap["CEM"], gap["MPPI"]) < 5
