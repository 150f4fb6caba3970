"""Inference on the ellipse (row E4), animated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lowland.recipes.base import Recipe, recipe
from lowland.reports.run import Run


@recipe("ellipse", shows="Inference walks downhill.", rows=("E1", "E3", "E4", "E5"), minutes=0.5, title="The ellipse")
@dataclass(frozen=True)
class EllipseRecipe(Recipe):
    """Draws."""

    points: int = 1000
    """Random points."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"points": 100}}

    def run(self, run: Run) -> None:
        value = run.stage("a", lambda: {"x": 1.0})
        run.text(f"Hello {value}")
