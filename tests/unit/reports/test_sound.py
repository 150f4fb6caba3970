"""Sounds on pages."""

from __future__ import annotations

import base64
import io
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.errors import OptionError, ShapeError
from lowland.reports.run import Run
from lowland.reports.sound import MOST_BYTES, wav


def test_a_file_holds_the_numbers() -> None:
    waveform = torch.tensor([0.0, 1.0, -1.0, 0.25, 7.0])
    with wave.open(io.BytesIO(wav(waveform, 16000))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        found = np.frombuffer(file.readframes(5), dtype="<i2")
    assert found.tolist() == [0, 32767, -32767, 8192, 32767]


def test_what_is_no_sound_is_refused() -> None:
    for wrong in (torch.zeros(2, 3), torch.zeros(0), torch.tensor([float("nan")])):
        with pytest.raises(ShapeError, match="finite numbers in one axis"):
            wav(wrong, 8000)
    with pytest.raises(OptionError, match="at most 1,048,576 samples"):
        wav(np.zeros(MOST_BYTES // 2 + 1), 8000)
    with pytest.raises(OptionError, match="rate of 1,000"):
        wav(np.zeros(4), 8)


@pytest.mark.lost_pictures
def test_players_are_inside_the_page_and_a_lost_sound_costs_nothing_else(tmp_path: Path) -> None:
    with Run.create(tmp_path, "r", {}) as run:
        run.sounds("notes", [(torch.zeros(4), "*Silence*"), (torch.zeros(2, 2), "lost")], 8000, columns=2)
    html = (run.folder / "report.html").read_text()
    held = base64.b64encode(wav(torch.zeros(4), 8000)).decode()
    assert f'<audio controls src="data:audio/wav;base64,{held}"></audio>' in html
    assert "<em>Silence</em>" in html
    assert html.count("<audio") == 1
    assert "The sound notes-2 could not be made" in html
    assert (run.folder / "sounds" / "notes-1.wav").read_bytes() == wav(torch.zeros(4), 8000)
