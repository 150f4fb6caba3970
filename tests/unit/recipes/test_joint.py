"""What the recipes of joint embedding compare with, and which systems their rows belong to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lowland.recipes.joint.common import BASELINES
from lowland.reports.run import Run


@pytest.mark.parametrize("name", ["siamese", "temporal", "ssl", "jepa", "pretext"])
def test_every_claim_has_its_baselines(name: str, smoke: Callable[[str], Run]) -> None:
    claims: dict[str, set[str]] = {}
    for row in smoke(name).results:
        assert row["measured"] is not None
        claims.setdefault(row["claim"], set()).add(row["method"])
    for claim, methods in claims.items():
        if not claim.startswith("error of a restored"):
            assert methods > {f"{baseline} (baseline)" for baseline in BASELINES}


def test_rows_belong_to_the_system_of_their_method(smoke: Callable[[str], Run]) -> None:
    systems = {row["method"]: row["id"] for row in smoke("jepa").results}
    assert (systems["MAE"], systems["I-JEPA"], systems["data2vec"]) == ("J5", "J7", "J7")
    systems = {row["method"]: row["id"] for row in smoke("ssl").results}
    assert (systems["SimCLR"], systems["VICReg"]) == ("J2", "J7")


def test_the_damaged_image_is_the_baseline_of_a_restoration(smoke: Callable[[str], Run]) -> None:
    measured = smoke("pretext").measured
    for task in ("masked patches", "inpainting", "super-resolution"):
        assert (
            measured.mean(f"{task}: damaged", "error") == measured.mean(task, "damaged") != measured.mean(task, "error")
        )


def test_nothing_is_lost_from_a_page(smoke: Callable[[str], Run]) -> None:
    for name in ("siamese", "temporal", "ssl", "labels", "jepa", "pretext"):
        assert "could not be" not in (smoke(name).folder / "report.html").read_text()
