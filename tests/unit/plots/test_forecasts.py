"""Pictures of forecasts: what is drawn is what was given."""

from __future__ import annotations

import math

import numpy as np
import torch

from lowland.evaluation.forecasts import ForecastReport
from lowland.plots.curves import curves
from lowland.plots.fan import fan
from lowland.plots.forecasts import forecast_curves
from lowland.plots.histogram import distributions
from lowland.plots.pendulum import phase_grid, phase_plane
from lowland.plots.style import LAND, figure
from lowland.plots.traffic_films import FilmedScene, painted, traffic_film
from lowland.worlds.driving_costs import CARS


def test_a_fan_begins_at_the_past_and_ends_at_the_truth() -> None:
    past, truth = torch.tensor([1.0, 2.0]), torch.tensor([[3.0, 4.0], [5.0, 6.0]])
    drawn = fan(past, torch.zeros(9, 2, 2), truth, torch.zeros(2, 2))
    assert [ax.lines[-1].get_ydata()[[0, -1]].tolist() for ax in drawn.axes] == [[1.0, 5.0], [2.0, 6.0]]  # pyright: ignore[reportCallIssue, reportArgumentType, reportIndexIssue, reportAttributeAccessIssue]


def test_a_logarithmic_histogram_shows_all_values_from_zero_on() -> None:
    ax = distributions({"near": torch.tensor([0.0, 1e-3]), "far": torch.tensor([1.0, 10.0, 10.0])}, log=True).axes[0]
    assert ax.get_xscale() == "log"
    assert sum(bar.get_height() for bar in ax.patches) == 5  # pyright: ignore[reportAttributeAccessIssue]


def test_a_path_through_hanging_down_is_not_drawn_across_the_picture() -> None:
    ax, grid = figure(3, 3).subplots(), phase_grid(5)
    turn = torch.tensor([3.0, 3.1, -3.1, -3.0])
    path = torch.stack([turn.cos(), turn.sin(), torch.ones(4)], dim=1)
    phase_plane(ax, grid, grid.observations[:, 2], path[None], "", LAND, 5)
    drawn = np.asarray(ax.lines[0].get_xdata(), dtype=float)
    assert math.isnan(drawn[2])
    np.testing.assert_allclose(drawn[[0, 1, 3]], [3.0, 3.1, -3.0], atol=1e-5)


def test_a_film_of_traffic_shows_the_past_then_each_frame_and_keeps_the_last() -> None:
    past, future, size = torch.zeros(2, 3, 16, 8), torch.zeros(3, 3, 16, 8), torch.tensor([4.5, 1.8])
    future[:, CARS, 3] = 1.0  # row 3 of 16 from the front, which is on the right
    scene = FilmedScene(past, {"what happened": future, "still": past[:1].expand(3, -1, -1, -1)}, size, [0.2, 0.4, 0.6])
    assert len(list(traffic_film([scene, scene], (1, 1)))) == 2 * (2 * (2 + 2) + 6)
    ahead = painted(future[0], size)
    assert ahead.shape == (8, 16, 3)
    assert (ahead[:, 12] == ahead[0, 12]).all()
    assert not np.allclose(ahead[0, 12], painted(past[0], size)[0, 12])


def test_curves_of_forecasts_keep_their_colours_and_leave_out_what_is_too_large() -> None:
    scores = {"a": torch.tensor([1.0, 9.0]), "b": torch.tensor([2.0, 3.0])}
    report = ForecastReport({}, scores, {"b": torch.tensor([0.5, 0.7])}, 0.8, {}, {}, {})
    crps = forecast_curves([report, report], "crps", [1, 2], labels={"a": "first"}, scale=2.0, most=10.0).axes[0]
    coverage = forecast_curves([report], "coverage", [1, 2], ["a", "b"], scale=100.0).axes[0]
    assert [text.get_text() for text in crps.texts] == ["first", "b"]
    np.testing.assert_allclose(np.asarray(crps.lines[0].get_ydata(), dtype=float), [2.0, math.nan])
    assert coverage.lines[1].get_color() == crps.lines[1].get_color()
    assert [text.get_text() for text in coverage.texts] == ["b", "nominal"]
    np.testing.assert_allclose(np.asarray(coverage.lines[2].get_ydata(), dtype=float), [80.0, 80.0])


def test_a_smooth_curve_is_the_mean_of_the_last_values() -> None:
    ax = curves({"a": [4.0, 2.0, 0.0, 1.0]}, smooth=3).axes[0]
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata(), dtype=float), [4.0, 3.0, 2.0, 1.0])
