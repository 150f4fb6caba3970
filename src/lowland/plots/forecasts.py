"""Curves of forecasts over the steps ahead: errors, CRPS and coverage of several forward models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from matplotlib.figure import Figure

from lowland.evaluation.forecasts import ForecastReport, mean_curve
from lowland.plots.curves import curves

NOMINAL = "nominal"


def forecast_curves(
    reports: Sequence[ForecastReport],
    part: Literal["errors", "crps", "coverage"],
    times: Sequence[float],
    names: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    scale: float = 1.0,
    most: float = math.inf,
    **texts: Any,
) -> Figure:
    """One curve for each model and baseline, the mean over reports; for coverage also a line at its nominal level.

    Args:
        reports: of several seeds.
        part: of a report.
        times: of the steps.
        names: what is drawn, in this order; by default all that the first report has. One without a curve is not drawn
            and keeps its colour, so that several diagrams have the same colours.
        labels: what stands at a curve in place of its name.
        scale: of the values.
        most: values above it are left out, so that one bad curve does not press the others to the axis.
        texts: title, xlabel and ylabel of `lowland.plots.curves`.
    """
    known = getattr(reports[0], part)
    lines: dict[str, Any] = {}
    for name in known if names is None else names:
        values = (
            [scale * value for value in mean_curve(reports, part, name)] if name in known else [math.nan] * len(times)
        )
        shown = [value if value <= most else math.nan for value in values]
        lines[(labels or {}).get(name, name)] = list(times), shown
    if part == "coverage":
        lines[NOMINAL] = list(times), [scale * reports[0].level] * len(times)
    return curves(lines, **texts)
