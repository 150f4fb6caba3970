"""One file for each runnable result. `lowland list` reads their decorators; nothing is imported before it runs."""

from __future__ import annotations
