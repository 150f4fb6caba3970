"""The recipe `notes` on few short notes."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import execute, load, start
from lowland.reports.run import Run


def test_every_method_is_measured_and_can_be_heard(smoke: Callable[[str], Run]) -> None:
    run = smoke("notes")
    assert set(run.measured.methods("loss")) == {"silence", "nearest", "resampled", "coder", "before", "after"}
    # The stand-in's harmonics die at a rate that does not depend on the pitch, so that resampling nearly is the note.
    assert (run.measured.mean("resampled", "loss") or 0) < (run.measured.mean("nearest", "loss") or 0)
    assert (run.measured.mean("after", "real time") or 0) > 0
    files = sorted((run.folder / "sounds").glob("*.wav"))
    with wave.open(str(files[0])) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (8000, 1024, 1)
    assert (run.folder / "report.html").read_text().count("<audio") == len(files)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"instruments": ("flut",)}, "Did you mean 'flute'"),
        ({"data": "synthetic", "lowest": 100, "pitches": 20}, "above half of 8000 samples"),
        ({"data": "synthetic", "lowest": 120, "pitches": 20}, "from 0 to 127|above half"),
        ({"data": "synthetic", "velocities": (0,)}, "from 1 to 127"),
        ({"samples": 1100}, "multiple of 256"),
    ],
)
def test_notes_that_cannot_be_are_one_sentence(options: dict[str, object], said: str, tmp_path: Path) -> None:
    config = load("notes").from_options(options)
    with pytest.raises(OptionError, match=said):
        execute(config, start(config, tmp_path))
