"""One smoke run for all tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowland import cli


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished smoke run of the ellipse."""
    runs = tmp_path_factory.mktemp("runs")
    assert cli.main(["run", "ellipse", "--preset", "smoke", "--runs", str(runs)]) == 0
    return (runs / "ellipse" / "latest").resolve()
