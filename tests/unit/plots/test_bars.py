"""Bars: what is drawn is what was given."""

from __future__ import annotations

import pytest

from lowland.errors import OptionError, ShapeError
from lowland.plots import interval_bars, stacked_shares, value_pairs


def test_bars_and_marks_stand_at_their_values() -> None:
    ax = interval_bars({"a": (20.0, 10.0, 30.0), "b": (5.0, 4.0, 6.0)}, marks={"b": 7.0}, most=100).axes[0]
    assert [bar.get_width() for bar in ax.patches] == [20.0, 5.0]  # pyright: ignore[reportAttributeAccessIssue]
    lines = [list(line.get_xdata()) for line in ax.lines]  # pyright: ignore[reportArgumentType]
    assert lines == [[10.0, 30.0], [4.0, 6.0], [7.0]]


def test_shares_add_up_to_the_whole() -> None:
    ax = stacked_shares({"a": {"x": 1, "y": 3}, "b": {"y": 2}}).axes[0]
    widths = {(round(bar.get_y()), bar.get_x()): bar.get_width() for bar in ax.patches}  # pyright: ignore[reportAttributeAccessIssue]
    assert widths[(0, 0.0)] == 25
    assert widths[(0, 25.0)] == 75
    assert max(x + width for (_, x), width in widths.items()) == 100


def test_nothing_to_draw_is_said() -> None:
    for draw in (lambda: interval_bars({}), lambda: stacked_shares({}), lambda: value_pairs({})):
        with pytest.raises(OptionError, match="at least one row"):
            draw()
    with pytest.raises(ShapeError, match="same rows"):
        value_pairs({"one": {"a": (0.0, 1.0)}, "two": {"b": (0.0, 1.0)}})
