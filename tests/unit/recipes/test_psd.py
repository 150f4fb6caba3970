"""The recipe `psd`: the encoder is judged by the energy without the prediction, against its baselines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.reports.run import Run


def test_every_encoder_stands_in_the_table(smoke: Callable[[str], Run]) -> None:
    run = smoke("psd")
    rows = {(row["claim"].split("²")[0], row["method"]): row for row in run.results}
    assert rows["Σ‖y − Wẑ‖", "zero code (baseline)"]["measured"] == pytest.approx(1)
    assert rows["Σ‖y − Wẑ‖", "encoder of PSD"]["measured"] < 1
    assert all(row["seeds"] == 2 and row["measured"] >= 0 for row in run.results)


def test_training_lowers_the_free_energy(smoke: Callable[[str], Run]) -> None:
    _, losses = smoke("psd").shown["loss"]
    assert losses[-1] < losses[0]
