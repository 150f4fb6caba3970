"""The recipe `hypernet` on few functions."""

from __future__ import annotations

from collections.abc import Callable

from lowland.reports.run import Run


def test_every_network_is_measured_at_all_shots(smoke: Callable[[str], Run]) -> None:
    run = smoke("hypernet")
    for shots in (1, 5, 10):
        assert set(run.measured.methods(f"error {shots}")) == {
            "zero", "nearest", "hyper", "concatenated", "film", "tuned", "sine"
        }  # fmt: skip
    assert run.measured.mean("sine", "error 10") < run.measured.mean("zero", "error 10")
    weights = [run.measured.mean(name, "weights") for name in ("hyper", "concatenated", "film", "tuned")]
    assert max(weights) < 1.2 * min(weights)
    assert (run.folder / "figures" / "shots.png").is_file()
