"""Real data sets available through ordinary packages, logs of traffic and of plants, and point sets in the plane.

Each data set is one file with a decorated function; importing this package imports every file in its folder, so a new
data set is found without being listed here. The names below are the public API.

Shape letters: N images or points, C channels, H height, W width, D size of a flat patch.
"""

from __future__ import annotations

import importlib
import pkgutil

from lowland.data.catalogue import DATASETS, Dataset, check, dataset, datasets, get, load
from lowland.data.cifar import cifar10
from lowland.data.gym_log import GymLog, write_gym_log
from lowland.data.gym_read import read_gym_log
from lowland.data.gym_record import record_gym_log
from lowland.data.images import Images
from lowland.data.logs import read_tracks, save_tracks
from lowland.data.minari_log import read_minari
from lowland.data.mnist_files import fashion_mnist, mnist
from lowland.data.mnist_sample import mnist10k
from lowland.data.natural import patches
from lowland.data.optical_digits import digits
from lowland.data.orl import faces
from lowland.data.plane import TOYS, toy
from lowland.data.tracks import Road, Tracks

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "DATASETS",
    "TOYS",
    "Dataset",
    "GymLog",
    "Images",
    "Road",
    "Tracks",
    "check",
    "cifar10",
    "dataset",
    "datasets",
    "digits",
    "faces",
    "fashion_mnist",
    "get",
    "load",
    "mnist",
    "mnist10k",
    "patches",
    "read_gym_log",
    "read_minari",
    "read_tracks",
    "record_gym_log",
    "save_tracks",
    "toy",
    "write_gym_log",
]
