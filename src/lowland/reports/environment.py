"""What a run was computed with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from typing import Any

import torch

from lowland.version import __version__

PACKAGES = "torch lightning numpy scipy scikit-learn matplotlib safetensors".split()


def environment() -> dict[str, Any]:
    """Versions, device and threads, for `environment.json`. It names neither the machine nor its folders.

    >>> environment()["lowland"] == __version__
    True
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    return {
        "lowland": __version__,
        "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "packages": versions,
    }
