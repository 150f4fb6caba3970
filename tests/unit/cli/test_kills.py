"""Commands that are killed while they write files leave, gone on with, the bytes of a run that was never killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lowland.data.photos import sample_photos
from lowland.errors import DataError


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_kills_at_random_moments_lose_nothing(repository: Path) -> None:
    """`tests/kills.py` is the long form: forty kills over six commands."""
    script = repository / "tests" / "kills.py"
    environment = os.environ | {"PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), "one-one-one", "--kills", "3"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert json.loads(done.stdout) == {"command": "one-one-one", "kills": 3, "lost": []}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_sample_photographs_are_all_there_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    from PIL import Image

    place, written = tmp_path / "run" / "photos", []
    child = os.fork()
    if child == 0:
        kept = Image.Image.save

        def save(*args: object, **options: object) -> None:
            written.append(kept(*args, **options))
            if len(written) == 10:
                os._exit(0)

        monkeypatch.setattr(Image.Image, "save", save)
        sample_photos(place, 24)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert not place.exists()
    assert len(list(sample_photos(place, 24).glob("*-*.*"))) == 24
    with pytest.raises(DataError, match="is there already"):
        sample_photos(place, 24)
