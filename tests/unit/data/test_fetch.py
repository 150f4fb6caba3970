from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from lowland.data import fetch, lookup
from lowland.data.source import Source
from lowland.errors import DataError


@pytest.fixture
def packed(tar):
    return tar({"package/a": b"first"})


@pytest.fixture
def source(packed, sha256):
    return Source(
        name="tiny",
        package="tiny-data",
        version="1.0",
        sha256={"tiny-1.0.tgz": sha256(packed)},
        client="npm",
        archive="tiny-1.0.tgz",
        size=len(packed),
        root="package",
        installed=("/no/such/folder",),
    )


@pytest.fixture
def offered(packed, tmp_path):
    path = tmp_path / "offered.tgz"
    path.write_bytes(packed)
    return path


def test_the_client_fills_the_cache_once(source, offered, cache, programs):
    programs("npm", f'test "$*" = "pack tiny-data@1.0" && cp {offered} tiny-1.0.tgz')
    assert lookup.read(source, ["a"]).content == {"a": b"first"}
    assert [path.name for path in cache.iterdir()] == ["tiny-1.0.tgz"]
    programs("npm", "exit 1")
    assert lookup.read(source, ["a"]).content == {"a": b"first"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo npm notice; echo 'npm error network offline' >&2; exit 1", "failed: npm error network offline"),
        ("exit 3", "failed: it said nothing"),
        ("exit 0", "left no file tiny-1.0.tgz"),
        ("echo half > tiny-1.0.tgz; exit 1", "it failed"),
    ],
)
def test_a_failing_client_gives_one_sentence_each(source, cache, programs, script, words):
    programs("npm", script)
    with pytest.raises(DataError, match=words) as caught:
        lookup.read(source, ["a"])
    message = str(caught.value)
    assert "The data set tiny is not on this machine. Looked in: the cache folder" in message
    assert "/no/such/folder" in message
    assert (
        f"run `npm pack tiny-data@1.0`, then copy tiny-1.0.tgz into {cache}, or give its folder as data_dir" in message
    )
    assert not list(cache.iterdir())


def test_no_client_on_the_machine(source):
    with pytest.raises(DataError, match="there is no program npm on this machine"):
        fetch.fetch(source)


def test_a_folder_that_the_client_removes_meanwhile_counts_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("four")
    monkeypatch.setattr(fetch.os, "walk", lambda folder: [(str(folder), [], ["file", "gone"])])
    assert fetch._size(tmp_path) == 4


def test_a_wrong_checksum_is_not_kept(source, cache, programs):
    programs("npm", "echo other > tiny-1.0.tgz")
    with pytest.raises(DataError, match=r"brought a tiny-1\.0\.tgz whose SHA-256 is .* It was not kept"):
        fetch.fetch(source)
    assert not list(cache.iterdir())


def test_a_hanging_client_is_ended(source, cache, programs, monkeypatch):
    monkeypatch.setattr(fetch, "PATIENCE", 0.3)
    programs("npm", "exec sleep 60")
    with pytest.raises(DataError, match="brought nothing for"):
        fetch.fetch(source)
    assert not list(cache.iterdir())


def test_an_interrupt_leaves_nothing_behind(source, cache, programs, monkeypatch):
    started = []

    def interrupt(process, *_):
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "_watch", interrupt)
    programs("npm", "echo half > tiny-1.0.tgz; exec sleep 60")
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch(source)
    assert started[0].poll() is not None
    assert not list(cache.iterdir())


def test_a_cache_that_cannot_be_written_is_named(source, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"could not be written to the cache folder .* set LOWLAND_CACHE"):
        fetch.fetch(source)


def test_pip_checks_the_sum_before_it_runs_the_package(
    source, packed, sha256, offered, programs, monkeypatch, tmp_path
):
    programs(
        "python", f'echo "$*" > {tmp_path}/said; cat requirements.txt >> {tmp_path}/said; cp {offered} tiny-1.0.tgz'
    )
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    fetch.fetch(replace(source, client="pip"))
    assert (tmp_path / "said").read_text().splitlines() == [
        "-m pip download --no-deps --no-binary tiny-data --require-hashes --requirement requirements.txt",
        f"tiny-data==1.0 --hash=sha256:{sha256(packed)}",
    ]


def test_an_archive_that_pip_cannot_build_is_kept(source, offered, cache, programs, monkeypatch, tmp_path):
    """pip downloads into a folder of its own, and deletes that when the build fails."""
    programs(
        "python",
        f"/bin/mkdir pip-unpack-1 && /bin/cp {offered} pip-unpack-1/tiny-1.0.tgz && /bin/sleep 1 && "
        "/bin/rm -r pip-unpack-1; echo error: cannot build >&2; exit 1",
    )
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(DataError, match="failed: error: cannot build"):
        fetch.fetch(replace(source, client="pip"))
    assert lookup.read(replace(source, client="pip", builds=False), ["a"]).content == {"a": b"first"}
    assert [path.name for path in cache.iterdir()] == ["tiny-1.0.tgz"]


def test_an_archive_that_pip_cannot_build_and_does_not_get(source, programs, monkeypatch, tmp_path):
    programs("python", "echo error: no network >&2; exit 1")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(DataError, match=r"no network.*On a machine with a network run `lowland data get tiny`"):
        fetch.fetch(replace(source, client="pip", builds=False))


def test_a_broken_download_is_not_taken_for_one_that_cannot_be_built(source, cache, programs, monkeypatch, tmp_path):
    programs("python", "echo half > tiny-1.0.tgz; echo error: connection broken >&2; exit 1")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(DataError, match="was run, but it failed: error: connection broken"):
        fetch.fetch(replace(source, client="pip", builds=False))
    assert not list(cache.iterdir())


@pytest.mark.parametrize(
    ("client", "program", "said"),
    [
        ("apt", "apt-get", "download tiny-data=1.0"),
        ("curl", "curl", "--fail --location --remote-name https://example.org/tiny-1.0.tgz --silent --show-error"),
    ],
)
def test_the_other_clients_are_called_by_their_commands(source, offered, programs, client, program, said):
    programs(program, f'test "$*" = "{said}" && cp {offered} tiny-1.0.tgz')
    assert fetch.fetch(replace(source, client=client, address="https://example.org/tiny-1.0.tgz")).is_file()


def test_what_no_client_can_get_says_what_to_do(source):
    wheel = replace(source, client=None, archive="", module="no_such_package", installed=())
    with pytest.raises(DataError, match=r"Looked in: the Python package no_such_package.*Run `pip install tiny-data`"):
        fetch.fetch(wheel)
    with pytest.raises(DataError, match=r"No package client can get it\. Get tiny-1\.0\.tgz from the publisher"):
        fetch.fetch(replace(wheel, module=None))
