"""A page with one of everything."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import plotly.graph_objects as plotly
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lowland.reports.run import Run


def drawn() -> Figure:
    """A small figure of matplotlib."""
    figure = Figure(figsize=(3, 2))
    figure.add_subplot().plot([0, 1], [1, 0])
    return figure


def gif() -> bytes:
    """Three frames."""
    frames = [Image.fromarray(np.full((8, 8, 3), level, dtype=np.uint8)) for level in (0, 120, 250)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=50, loop=0)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run whose page has one of every element; `https://` stands in its text only."""
    run = Run.create(tmp_path_factory.mktemp("runs"), "everything", {"seed": 3, "sizes": (1, 2)}, "smoke")
    run.describe("One of everything", "A page <with> awkward & signs.", ("E1", "S1"))
    with run:
        run.stand_in("Digits stand in for faces.")
        run.result(id="E1", claim="error", method="a", published=0.5, measured=0.25, sd=0.01, seeds=3, data="digits")
        run.result(id="E1", claim="error", method="b", measured=float("nan"))
        run.section("First")
        run.text(
            "Words, **bold**, `code`, https://example.org and <script>alert(1)</script>.\n\n"
            "| a | b |\n|---|---|\n| 1 | 2 |"
        )
        run.figure("line", drawn(), "A *line*")
        run.figure("vector", drawn(), format="svg")
        run.figure("moving", gif(), "Three frames")
        run.figure("turned", plotly.Figure(plotly.Scatter(x=[0, 1], y=[1, 0])), "By hand")
        run.grid("many", [(drawn(), f"panel {index}") for index in range(5)], columns=3, caption="Five")
        rows = [["pca", (0.99, 0.001), 1], ["noise", (0.5, 0.1), None], ["broken", float("nan"), 2]]
        run.table(["method", "AUROC", "n"], rows, heat={"AUROC": (0.5, 1.0)}, caption="Heat")
        run.stage("work", lambda: run.log(1, loss=2.0))
    return run.folder
