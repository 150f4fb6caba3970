"""The recipe `reason`: every method is tested on all tasks at both difficulties, and networks are of equal size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.reports.run import Run


def test_every_method_is_measured_on_all_tasks(smoke: Callable[[str], Run]) -> None:
    results = smoke("reason").measured
    for task in ("inverse", "addition", "sudoku"):
        for method in ("mean answer", "network", "large network", "energy"):
            for measure in ("same", "harder"):
                assert results.mean(f"{task}: {method}", measure) is not None
        energy, network = f"{task}: energy", f"{task}: network"
        share = [
            own / rival for own, rival in zip(*(results.each(m, "harder") for m in (energy, network)), strict=True)
        ]
        assert results.each(energy, "share") == pytest.approx(share)
        assert results.mean(energy, "harder after 8") == results.mean(energy, "harder")
        parameters = [results.mean(method, "parameters") for method in (energy, network)]
        assert None not in parameters
        assert 0.8 < parameters[1] / parameters[0] < 1.25  # pyright: ignore[reportOptionalOperand]
    for method in ("mean answer", "network", "large network", "energy"):
        assert 0 <= (results.mean(f"sudoku: {method}", "harder boards") or 0.0) <= 100
