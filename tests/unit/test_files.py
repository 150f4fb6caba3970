"""Files and folders that are whole or not there, and what killed processes leave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lowland.errors import DataError
from lowland.files import appearing, contents, sweep, temporary_name


def _dead() -> int:
    """The number of a process that has ended."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "made"

    def interrupted() -> None:
        with appearing(place) as folder:
            (folder / "a").write_text("a")
            assert not place.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(place.parent.iterdir()) == []
    with appearing(place) as folder:
        (folder / "a").write_text("a")
    assert [path.name for path in place.parent.rglob("*")] == ["made", "a"]
    with pytest.raises(FileExistsError), appearing(place):
        pytest.fail("begun in a folder that is in use")
    (tmp_path / "empty").mkdir()
    with appearing(tmp_path / "empty") as folder:
        (folder / "b").write_text("b")
    assert (tmp_path / "empty" / "b").is_file()


def test_of_two_that_make_one_folder_the_first_wins(tmp_path: Path) -> None:
    place = tmp_path / "made"

    def late() -> None:
        with appearing(place) as folder:
            (folder / "late").write_text("late")
            place.mkdir()
            (place / "early").write_text("early")

    with pytest.raises(FileExistsError):
        late()
    assert [path.name for path in place.iterdir()] == ["early"]


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    dead = _dead()
    kept = ["a.txt", ".hidden", ".a.tmp", temporary_name(tmp_path / "mine").name, f".other.{os.getppid()}.tmp"]
    for name in [*kept, f".a.txt.{dead}.tmp"]:
        (tmp_path / name).write_text(name)
    (tmp_path / f".run.{dead}.tmp").mkdir()
    (tmp_path / f".run.{dead}.tmp" / "inside").write_text("x")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f".b.{dead}.tmp").symlink_to("nowhere")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([*kept, "deep"])


def test_contents_are_those_of_files_wherever_they_lie(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "sub").mkdir(parents=True)
        (tmp_path / place / "sub" / "a.png").write_bytes(b"a")
        (tmp_path / place / f".{place}").write_bytes(place.encode())
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    (tmp_path / "two" / "sub" / "a.png").rename(tmp_path / "two" / "a.png")
    assert contents(tmp_path / "one") != contents(tmp_path / "two")
    os.mkfifo(tmp_path / "two" / "pipe")
    with pytest.raises(DataError, match="named pipe"):
        contents(tmp_path / "two")
