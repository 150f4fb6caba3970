"""Views: random augmentations that preserve the content of samples, batched and on the samples' device.

A family of views is a frozen dataclass that is called with samples (B, *shape) and a `PerSampleRNG`, and returns
samples of the same shape: row r depends only on sample r and stream r, so a resumed run sees the same views.
"""

from __future__ import annotations

from lowland.data.views.ablations import ablations
from lowland.data.views.damage import Damage, pretext_tasks
from lowland.data.views.distortions import Distortions
from lowland.data.views.images import ImageViews
from lowland.data.views.jigsaw import Jigsaw
from lowland.data.views.options import changed_options, two_views
from lowland.data.views.series import SeriesViews
from lowland.data.views.vectors import VectorViews

__all__ = [
    "Damage",
    "Distortions",
    "ImageViews",
    "Jigsaw",
    "SeriesViews",
    "VectorViews",
    "ablations",
    "changed_options",
    "pretext_tasks",
    "two_views",
]
