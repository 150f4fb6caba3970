"""The commands, one file each: `lowland NAME` is the class `Name` of `name.py`."""

from __future__ import annotations
