"""The recipe `programs` on few questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.sequences.programs.recipe import ProgramsRecipe
from lowland.reports.run import Run


def test_every_way_is_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("programs")
    ways = {"most frequent", "by kind", "nearest", "direct", "10", "10 answers", "reinforce"}
    assert set(run.measured.methods("right")) == set(run.measured.methods("deep")) == ways
    assert set(run.measured.methods("explained")) == {"10 answers"}
    assert set(run.measured.methods("blocks")) == {"seen"}
    page = (run.folder / "report.html").read_text()
    assert "proposal, nats" in page


def test_more_programs_than_questions_are_refused(tmp_path: Path) -> None:
    config = ProgramsRecipe.from_options({"programs": (50,), "questions": 50})
    with pytest.raises(OptionError, match="50 programs, but there are 50 questions"):
        execute(config, start(config, tmp_path))


@pytest.mark.parametrize("options", [{"questions": 5}, {"mismatch": 0.0}, {"programs": (0,)}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        ProgramsRecipe.from_options(options)
