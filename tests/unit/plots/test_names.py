"""Names that users give, in every plot that draws names: drawn letter by letter, and no picture lost for one."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from lowland.plots import auroc_heatmap, curves, images, landscape, landscape_grid, mosaic, photographs
from lowland.plots.contact import contact_sheet
from lowland.plots.scatter import scatter
from lowland.plots.style import WIDE, bare, figure, ruled
from lowland.plots.traffic_log import histograms
from lowland.words import LONGEST, plotted, printable, verbatim

NAMES = [
    "$x_$",
    r"$\foo$",
    "US$ to EUR$",
    "_x",
    "__",
    "<script>alert(1)</script>",
    "a\nb\tc\x07\x1b[31m",
    "a name " * 400,
    "{}%s\\",
    "\udcff",
    "",
]
HARDEST = ["_$\\foo$ <b>\x1b[31m $", "a name " * 400]
BOX = ((-1.0, 1.0), (-1.0, 1.0))


def bowl(y: torch.Tensor) -> torch.Tensor:
    return y.square().sum(dim=1)


def titled(name: str) -> Figure:
    drawn = figure(9, 9)
    first, second = drawn.subplots(2, 1)
    bare(first, name)
    ruled(second, name, name, name)
    return drawn


TILES = torch.rand(2, 1, 4, 4)
PLOTS: dict[str, Callable[[str], Figure]] = {
    "auroc_heatmap": lambda name: auroc_heatmap({name: {name: 0.9}}, labels={name: name}, title=name),
    "contact_sheet": lambda name: contact_sheet({name: TILES}),
    "curves": lambda name: curves({name: [1.0, 2.0]}, title=name, xlabel=name, ylabel=name),
    "histograms": lambda name: histograms({name: (np.arange(9.0), (0.0, 9.0))}),
    "images": lambda name: images(torch.rand(60, 4, 4), title=name),
    "landscape": lambda name: landscape(bowl, BOX, resolution=8, title=name),
    "landscape_grid": lambda name: landscape_grid(
        {name: bowl}, BOX, resolution=8, captions={name: name}, families={name: name}, title=name
    ),
    "mosaic": lambda name: mosaic({name: TILES}),
    "photographs": lambda name: photographs([(TILES[0], name)], title=name),
    "scatter": lambda name: scatter(torch.rand(4, 2), torch.tensor([0, 0, 1, 1]), (name, "b"), title=name),
    "style": titled,
}


ALL = [(plot, name) for plot in PLOTS for name in (NAMES if plot in ("curves", "scatter") else HARDEST)]


@pytest.mark.parametrize(("plot", "name"), ALL, ids=range(len(ALL)))
def test_a_name_is_drawn_letter_by_letter(plot: str, name: str) -> None:
    drawn, buffer = PLOTS[plot](name), io.BytesIO()
    # A warning would be an error here: of a glyph that is missing, or a layout that does not fit.
    drawn.savefig(buffer, format="png", bbox_inches="tight", dpi=40)
    assert max(Image.open(buffer).size) < 4000
    texts = [text for text in drawn.findobj(Text) if isinstance(text, Text) and text.get_text()]
    # What matplotlib shows of a text that is no mathematics is the text with \$ as $.
    assert all(not text._preprocess_math(text.get_text())[1] for text in texts if "mathdefault" not in text.get_text())
    shown = {text._preprocess_math(text.get_text())[0].strip() for text in texts}
    if name:
        assert {printable(name).strip(), printable(name, WIDE).strip()} & shown


def test_a_class_keeps_its_place_in_the_legend() -> None:
    drawn = scatter(torch.rand(4, 2), torch.tensor([0, 0, 1, 1]), ("_x", "b"))
    legend = drawn.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text().strip() for text in legend.get_texts()] == ["_x", "b"]


def test_words_fit_a_line() -> None:
    for name in NAMES:
        for made in (printable(name), plotted(name)):
            assert made.isprintable()
        assert len(printable(name)) <= LONGEST
    assert printable("x" * 100, longest=0) == "x" * 100
    assert verbatim("a_b*c") == r"a\_b\*c"
