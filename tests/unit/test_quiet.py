"""Warnings of other packages are silenced, or raised, in one thread and left alone in the others."""

from __future__ import annotations

import logging
import threading
import warnings

import pytest
from PIL import Image

from lowland.data import pixels
from lowland.quiet import no_records_below_error, warnings_from

HERE = __name__.replace(".", r"\.")


def in_another_thread(action) -> list[Exception]:
    """What an action raises in a thread of its own, while this thread waits."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  handed to the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


def warn() -> None:
    warnings.warn("look here", UserWarning, stacklevel=1)


def test_ignored_here_and_seen_elsewhere():
    with warnings_from(HERE, "ignore"):
        warn()
        assert [str(error) for error in in_another_thread(warn)] == ["look here"]
        with warnings_from("another", "ignore"):
            warn()
    with pytest.raises(UserWarning, match="look here"):
        warn()


def test_an_error_here_and_a_warning_elsewhere():
    def block() -> None:
        with warnings_from(HERE, "error"), pytest.raises(UserWarning, match="look here"):
            warn()
        with warnings_from(HERE, "error"):
            assert in_another_thread(warn) == []
        with warnings_from("another", "error"):
            warn()

    with pytest.warns(UserWarning, match="look here") as seen:  # which lets all warnings pass
        block()
    assert len(seen) == 2


def test_a_filter_that_came_later_does_not_win_and_none_pile_up():
    for _ in range(3):
        warnings.simplefilter("error")
        with warnings_from(HERE, "ignore"):
            warn()
        size = len(warnings.filters)
        with warnings_from(HERE, "ignore"):
            warn()
        assert len(warnings.filters) == size


def test_records_are_dropped_here_and_kept_elsewhere(caplog):
    logger = logging.getLogger("test_quiet.child")
    with no_records_below_error("test_quiet"):
        logger.warning("hidden")
        logger.error("an error")
        in_another_thread(lambda: logger.warning("of another thread"))
    logger.warning("afterwards")
    assert [record.message for record in caplog.records] == ["an error", "of another thread", "afterwards"]
    assert logger.level == logging.NOTSET


def test_while_a_picture_is_open_another_thread_may_warn(tmp_path):
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="look here"), pixels.opened(tmp_path / "a.png"):
        assert in_another_thread(warn) == []
