"""The recipe `tape` on short sequences."""

from __future__ import annotations

from collections.abc import Callable

from lowland.reports.run import Run


def test_both_networks_are_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("tape")
    kinds = {"tape", "tape, chosen", "LSTM", "LSTM, chosen", "one bit"}
    for measure in ("trained", "beyond"):
        assert set(run.measured.methods(measure)) == kinds
        for kind in ("tape", "LSTM"):
            each = run.measured.each(kind, measure)
            assert len(each) == 2
            assert run.measured.each(f"{kind}, chosen", measure)[0] in each
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"errors", "heads"}
