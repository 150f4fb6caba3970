"""Plots: energy landscapes, grids of images, tables in colour, curves, animations, films.

Pure functions that return a `matplotlib.figure.Figure`. None shows a window, changes matplotlib's global
settings or draws random numbers.
"""

from __future__ import annotations

from lowland.plots.animation import animate
from lowland.plots.bars import interval_bars, stacked_shares, value_pairs
from lowland.plots.confusion import confusion
from lowland.plots.contact import contact_sheet, neighbour_sheet, unnamed, view_sheet
from lowland.plots.curves import curves, spectrum_curves
from lowland.plots.field import Field, measure
from lowland.plots.heatmap import auroc_heatmap
from lowland.plots.histogram import distributions, histogram, pair_energies
from lowland.plots.images import image_rows, images
from lowland.plots.landscape import landscape, landscape_grid, landscapes_through
from lowland.plots.maps import layer_maps
from lowland.plots.mosaic import mosaic
from lowland.plots.photographs import photographs
from lowland.plots.plane import Plane, plane_through
from lowland.plots.retrieval import labelled_retrieval, nearest_images, retrieval
from lowland.plots.scatter import scatter, scatter_panels
from lowland.plots.token_colours import principal_colours, token_sheet
from lowland.plots.verification import verification_curves
from lowland.plots.video import drive_video, write_video

__all__ = [
    "Field",
    "Plane",
    "animate",
    "auroc_heatmap",
    "confusion",
    "contact_sheet",
    "curves",
    "distributions",
    "drive_video",
    "histogram",
    "image_rows",
    "images",
    "interval_bars",
    "labelled_retrieval",
    "landscape",
    "landscape_grid",
    "landscapes_through",
    "layer_maps",
    "measure",
    "mosaic",
    "nearest_images",
    "neighbour_sheet",
    "pair_energies",
    "photographs",
    "plane_through",
    "principal_colours",
    "retrieval",
    "scatter",
    "scatter_panels",
    "spectrum_curves",
    "stacked_shares",
    "token_sheet",
    "unnamed",
    "value_pairs",
    "verification_curves",
    "view_sheet",
    "write_video",
]
