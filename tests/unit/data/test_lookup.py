from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from lowland.data import lookup
from lowland.data.source import Source, cache_folder
from lowland.errors import DataError

FILES = {"a.gz": b"first", "sub/b": b"second"}


@pytest.fixture
def packed(tar):
    return tar({f"package/data/{name}": payload for name, payload in FILES.items()} | {"package/other": b"else"})


@pytest.fixture
def source(packed, sha256):
    return Source(
        name="tiny",
        package="tiny-data",
        version="1.0",
        sha256={"tiny-1.0.tgz": sha256(packed), "a.gz": sha256(FILES["a.gz"])},
        client="npm",
        archive="tiny-1.0.tgz",
        size=len(packed),
        root="package/data",
    )


def write(folder, files):
    for name, payload in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    return folder


def test_an_archive_in_the_users_folder_is_read(source, packed, tmp_path):
    found = lookup.read(source, list(FILES), write(tmp_path / "mine", {"tiny-1.0.tgz": packed}))
    assert found.content == FILES
    assert found.where == "tiny-data 1.0"


@pytest.mark.parametrize("inner", ["", "data", "package/data"])
def test_unpacked_files_are_found_at_any_depth(source, tmp_path, inner):
    folder = tmp_path / "mine"
    write(folder / inner, FILES)
    found = lookup.read(source, list(FILES), folder)
    assert found.content == FILES
    assert str(folder) in found.where


def test_unpacked_files_may_be_unzipped_and_differ_with_a_warning(source, tmp_path, caplog):
    unzipped = write(tmp_path / "unzipped", {"a": b"own", "sub/b": b"own"})
    with caplog.at_level(logging.WARNING):
        assert lookup.read(source, list(FILES), unzipped).content["a.gz"] == b"own"
        assert not caplog.records
        other = write(tmp_path / "other", {"a.gz": b"own", "sub/b": b"own"})
        lookup.read(source, list(FILES), other)
    assert "a.gz is not the published file" in caplog.text


def test_the_cache_comes_before_an_installed_copy(source, packed, cache, tmp_path):
    installed = write(tmp_path / "usr", FILES)
    both = replace(source, installed=(str(installed),))
    assert lookup.read(both, ["sub/b"]).where == "tiny-data"
    assert lookup.ensure(both) == installed
    write(cache, {"tiny-1.0.tgz": packed})
    assert lookup.read(both, ["sub/b"]).where == "tiny-data 1.0"
    assert lookup.ensure(both) == cache / "tiny-1.0.tgz"


def test_an_installed_copy_must_be_the_published_one(source, tmp_path):
    installed = write(tmp_path / "usr", FILES | {"a.gz": b"changed"})
    with pytest.raises(DataError, match=r"a\.gz is damaged or is another file.*lowland data get tiny"):
        lookup.read(replace(source, installed=(str(installed),)), list(FILES))


def test_a_python_package_is_found_without_importing_it(source, tmp_path, monkeypatch):
    package = write(tmp_path / "site" / "tinypackage", {"__init__.py": b"raise SystemExit", "data/a.gz": b"first"})
    monkeypatch.syspath_prepend(package.parent)
    wheel = replace(source, client=None, archive="", module="tinypackage", root="data")
    assert lookup.read(wheel, ["a.gz"]).content == {"a.gz": b"first"}
    assert lookup.ensure(wheel) == package / "data"


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b[:50] + b"\0" + b[51:], lambda b: b""])
def test_a_damaged_archive_in_the_cache_is_named(source, packed, cache, damage):
    write(cache, {"tiny-1.0.tgz": damage(packed)})
    for call in (lambda: lookup.read(source, list(FILES)), lambda: lookup.ensure(source)):
        with pytest.raises(DataError, match=r"tiny-1\.0\.tgz is damaged.*Delete it and run `lowland data get tiny`"):
            call()


def test_a_truncated_archive_with_the_right_checksum_is_still_an_error(source, packed, cache, sha256):
    half = packed[: len(packed) // 2]
    write(cache, {"tiny-1.0.tgz": half})
    broken = replace(source, sha256={"tiny-1.0.tgz": sha256(half)})
    with pytest.raises(DataError, match=r"tiny-1\.0\.tgz could not be unpacked"):
        lookup.read(broken, list(FILES))


def test_an_archive_without_the_file_is_an_error(source, packed, cache):
    write(cache, {"tiny-1.0.tgz": packed})
    with pytest.raises(DataError, match="lacks package/data/c"):
        lookup.read(source, ["c"])


def test_a_debian_package_is_read_without_its_tools(source, tar, sha256, tmp_path):
    def record(name: bytes, payload: bytes) -> bytes:
        header = name.ljust(16) + b"0".ljust(12) + b"0".ljust(6) * 2 + b"100644".ljust(8)
        return header + str(len(payload)).encode().ljust(10) + b"`\n" + payload + b"\n" * (len(payload) % 2)

    data = tar({f"./package/data/{name}": payload for name, payload in FILES.items()})
    package = b"!<arch>\n" + record(b"debian-binary", b"2.0") + record(b"data.tar.gz", data)
    folder = write(tmp_path / "mine", {"tiny.deb": package})
    deb = replace(source, archive="tiny.deb", sha256={"tiny.deb": sha256(package)})
    assert lookup.read(deb, list(FILES), folder).content == FILES
    empty = b"!<arch>\n" + record(b"debian-binary", b"2.0")
    write(folder, {"tiny.deb": empty})
    with pytest.raises(DataError, match=r"no data\.tar inside"):
        lookup.read(replace(deb, sha256={"tiny.deb": sha256(empty)}), list(FILES), folder)


def test_a_folder_that_does_not_help_is_named(source, tmp_path):
    with pytest.raises(DataError, match=r"There is no folder .*nowhere to read tiny from"):
        lookup.read(source, list(FILES), tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds neither the archive tiny-1\.0\.tgz nor its files, such as a\.gz"):
        lookup.read(source, list(FILES), write(tmp_path / "mine", {"c": b""}))
    with pytest.raises(DataError, match="holds only part of tiny: sub/b is missing"):
        lookup.read(source, list(FILES), write(tmp_path / "half", {"a.gz": b"first"}))


def test_an_unreadable_file_is_named(source, tmp_path, monkeypatch):
    folder = write(tmp_path / "mine", FILES)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(DataError, match="could not be read: Permission denied"):
        lookup.read(source, ["sub/b"], folder)


def test_cache_folder_order(monkeypatch, tmp_path):
    monkeypatch.setenv("LOWLAND_CACHE", "~/chosen")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "chosen"
    monkeypatch.delenv("LOWLAND_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "lowland"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "lowland"
