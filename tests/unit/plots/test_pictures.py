"""Images, tables, curves, animations."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from lowland.errors import OptionError, ShapeError
from lowland.plots import (
    animate,
    auroc_heatmap,
    curves,
    distributions,
    images,
    landscape,
    mosaic,
    principal_colours,
    retrieval,
    scatter,
    scatter_panels,
)
from lowland.plots.answers import answer_bars, hardest_images
from lowland.plots.images import image_rows, images_with_maps
from lowland.plots.style import ORANGE, columns_for

BOX = ((-1.0, 1.0), (-1.0, 1.0))


def test_no_axis_magnifies_rounding() -> None:
    deep = curves({"a": [1.0, 1e-3, 1e-17, 0.0]}, log="y").axes[0]
    assert deep.get_ylim()[0] == pytest.approx(1e-8)
    assert curves({"a": [1e-3, 1e-6]}, log="y").axes[0].get_ylim()[0] > 1e-7
    assert curves({"a": [1e-17, -1e-17]}).axes[0].get_ylim() == (-1, 1)
    assert curves({"a": [1e-3, 2e-3]}).axes[0].get_ylim()[1] < 1e-2


def test_steps_are_counted_in_whole_numbers() -> None:
    ticks = curves({"a": ([1, 2, 3], [1.0, 2.0, 3.0])}).axes[0].get_xticks()
    assert (ticks == np.round(ticks)).all()
    assert not all(tick == round(tick) for tick in curves({"a": ([0.1, 0.5], [1.0, 2.0])}).axes[0].get_xticks())


def test_images_are_laid_out_in_reading_order() -> None:
    tiles = torch.arange(1.0, 7.0)[:, None, None].expand(6, 2, 3)
    shown = images(tiles, columns=3).axes[0].get_images()[0].get_array()
    assert shown.shape == (5, 11)
    assert np.allclose(shown[0, [0, 4, 8]] * 6, [1, 2, 3])
    assert np.allclose(shown[3, [0, 4, 8]] * 6, [4, 5, 6])
    assert shown.mask[2].all()


def test_signed_images_are_scaled_each_for_itself() -> None:
    tiles = torch.stack([torch.full((2, 2), -4.0), torch.full((2, 2), 0.5)])
    shown = images(tiles, columns=2).axes[0].get_images()[0].get_array()
    assert (shown[0, 0], shown[0, 3]) == (-1, 1)
    together = images(tiles, columns=2, each=False).axes[0].get_images()[0].get_array()
    assert (together[0, 0], together[0, 3]) == (-1, 0.125)


def test_images_of_other_shapes() -> None:
    flat = images(torch.rand(4, 6), shape=(2, 3), columns=4).axes[0].get_images()[0].get_array()
    assert flat.shape == (2, 15)
    with pytest.raises(ShapeError, match=r"\(H, W\)"):
        images(torch.rand(4, 6))
    with pytest.raises(ShapeError):
        images(torch.zeros(0, 2, 2))


def test_the_table_writes_means_and_leaves_gaps() -> None:
    drawn = auroc_heatmap({"a": {"k": 1.0, "l": math.nan}, "b": {"k": 0.3}}, labels={"k": "noise"})
    assert [text.get_text() for text in drawn.axes[0].texts] == ["a", "1.00", "b", ".300", "noise", "l"]
    with pytest.raises(OptionError, match="no rows"):
        auroc_heatmap({})


def test_curves_keep_gaps_and_name_their_ends() -> None:
    drawn = curves({"a": [1.0, math.nan, 3.0], "b": ([0.0, 2.0], [5.0, 4.0])}, log="y", title="t")
    assert [text.get_text() for text in drawn.axes[0].texts] in (["a", "b"], ["b", "a"])
    assert np.isnan(drawn.axes[0].lines[0].get_ydata()[1])
    with pytest.raises(OptionError, match="log must be"):
        curves({"a": [1.0]}, log="z")
    with pytest.raises(ShapeError, match="'a'"):
        curves({"a": ([1.0], [1.0, 2.0])})


def test_an_animation_ends_where_the_path_ends_and_gives_the_picture_back() -> None:
    picture = landscape(lambda y: y.square().sum(dim=1), BOX, resolution=10)
    lines, dpi = len(picture.axes[0].lines), picture.dpi
    path = torch.linspace(0.9, 0.0, 20)[:, None, None].expand(20, 1, 2)
    film = Image.open(io.BytesIO(animate(picture, path, frames=6, dpi=40)))
    assert 2 <= film.n_frames <= 6
    assert len(picture.axes[0].lines) == lines
    assert picture.dpi == dpi
    still = animate(picture, path[:1].expand(5, 1, 2), dpi=40)
    assert Image.open(io.BytesIO(still)).n_frames == 1
    with pytest.raises(ShapeError, match=r"\(T, B, 2\)"):
        animate(picture, path[:, 0])


@pytest.mark.parametrize("count", [1, 2, 3, 7, 24, 36])
def test_columns_hold_all_panels(count: int) -> None:
    columns = columns_for(count)
    assert 1 <= columns <= count
    assert columns * math.ceil(count / columns) >= count


def test_pictures_of_a_mosaic_are_all_alike() -> None:
    with pytest.raises(ShapeError, match="all alike"):
        mosaic({"a": torch.zeros(2, 1, 4, 4), "b": torch.zeros(2, 1, 5, 5)})


def test_wrong_neighbours_have_a_frame_each_where_they_are() -> None:
    queries, found = torch.zeros(2, 1, 8, 8), torch.ones(2, 3, 1, 8, 8)
    wrong = torch.tensor([[False, True, False], [False, False, False]])
    ax = retrieval(queries, found, wrong).axes[0]
    (frame,) = ax.patches
    # Tiles of 12 pixels, a gap of 4 after the query: the second neighbour begins at 12 + 4 + 12 + 2.
    assert (frame.get_x(), frame.get_y()) == (28.5, 0.5)
    assert not retrieval(queries, found).axes[0].patches
    with pytest.raises(ShapeError, match="retrieval sheet"):
        retrieval(queries, torch.ones(2, 3, 1, 4, 4))


def test_pictures_in_a_plane_have_a_frame_for_their_class() -> None:
    points, tiles = torch.rand(3, 2), torch.rand(3, 1, 4, 4)
    framed = scatter(points, torch.tensor([0, 5, 5]), pictures=tiles).axes[0].artists
    edges = [box.patch.get_edgecolor() for box in framed]
    assert edges[1] == edges[2] != edges[0]


def test_panels_histograms_and_colours_that_cannot_be_drawn() -> None:
    with pytest.raises(ShapeError, match="Panels"):
        scatter_panels({"a": torch.rand(3, 3)}, torch.zeros(3, dtype=torch.int64), "a")
    with pytest.raises(OptionError, match="one or two"):
        distributions({name: torch.rand(3) for name in "abc"})
    with pytest.raises(ShapeError, match="three features"):
        principal_colours(torch.rand(1, 2, 4, 4))


def test_places_of_one_kind_have_one_colour() -> None:
    kinds = torch.tensor([[[0, 1], [1, 2]], [[2, 0], [0, 1]]])
    colours = principal_colours(torch.eye(4)[kinds].permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    means = [colours[kinds == kind] for kind in range(3)]
    assert all(torch.allclose(mean, mean[:1].expand_as(mean), atol=1e-6) for mean in means)
    assert not torch.allclose(means[0][0], means[1][0])


def test_answers_have_one_orange_bar_each_and_a_mark_at_the_lowest() -> None:
    table = torch.tensor([[0.0, 1.0, 3.0], [2.0, 1.0, 4.0]])
    drawn = answer_bars(torch.zeros(2, 1, 4, 4), table, torch.tensor([0, 0]), "abc")
    assert [ax.get_title() for ax in drawn.axes[:2]] == ["right a, inferred a", "right a, inferred b"]
    for column, lowest in ((2, 0), (3, 1)):
        ax = drawn.axes[column]
        assert [to_hex(bar.get_facecolor()) == ORANGE for bar in ax.patches] == [True, False, False]
        assert ax.lines[0].get_xdata()[0] == lowest
    assert [bar.get_height() for bar in drawn.axes[3].patches] == [1, 0, 3]
    with pytest.raises(ShapeError, match="for 2 answers"):
        answer_bars(torch.zeros(2, 1, 4, 4), table, torch.tensor([0, 0]), "ab")


def test_the_hardest_images_come_first() -> None:
    table, labels = torch.tensor([[0.0, 3.0], [0.0, 1.0], [2.0, 0.0]]), torch.tensor([0, 0, 0])
    drawn = hardest_images(torch.zeros(3, 1, 4, 4), table, labels, "ab", count=2)
    titles = [ax.title for ax in drawn.axes[:2]]
    assert [title.get_text() for title in titles] == ["a → b  −2.0", "a → b  +1.0"]
    assert [title.get_color() == ORANGE for title in titles] == [True, False]


def test_plain_ticks_stand_at_the_steps_and_at_round_values() -> None:
    lines = {"error": ((25, 50, 400), [40.0, 9.0, 3.0])}
    ax = curves(lines, log="xy", plain=True).axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["25", "50", "400"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["5", "10", "20"]


def test_maps_have_their_own_scale_about_zero() -> None:
    drawn = images_with_maps(torch.zeros(2, 16), torch.tensor([[1.0] * 16, [-4.0] * 16]), ["one", "two"])
    assert [ax.images[0].get_clim() for ax in drawn.axes[2:]] == [(-1, 1), (-4, 4)]


def test_boxes_frame_every_image_of_their_row() -> None:
    """Rows of tiles are one pixel apart, and pixel centres stand at whole numbers."""
    rows = {"known": torch.full((2, 16), torch.nan), "filled": torch.ones(2, 16), "truth": torch.ones(2, 16)}
    drawn = image_rows(rows, boxes={"known": (2, 0, 2, 4), "filled": (2, 0, 2, 4)})
    frames = drawn.axes[0].patches
    assert [frame.get_xy() for frame in frames] == [(-0.5, 1.5), (4.5, 1.5), (-0.5, 6.5), (4.5, 6.5)]
    assert [frame.get_facecolor()[3] > 0 for frame in frames] == [True, True, False, False]


def test_named_points_are_marked_towards_the_middle() -> None:
    names = {"left": torch.tensor([-0.8, 0.0]), "right": torch.tensor([0.8, 0.5])}
    ax = landscape(lambda y: y.square().sum(dim=1), BOX, resolution=10, names=names).axes[0]
    assert [(text.get_text(), text.get_ha()) for text in ax.texts] == [("left", "left"), ("right", "right")]
    places = torch.tensor([line.get_xydata()[0].tolist() for line in ax.lines])
    torch.testing.assert_close(places, torch.stack(list(names.values())))
