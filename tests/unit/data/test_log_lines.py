"""Lines of logs: what is read from which files, and what is refused in one sentence; tokens and vocabularies."""

from __future__ import annotations

import gzip
import io
import json
import struct
from pathlib import Path

import pytest

from lowland.data.log_lines import LONGEST, read_log, stream_log
from lowland.data.log_tokens import Vocabulary, tokens_of
from lowland.data.simulated_log import KINDS, simulated_log
from lowland.errors import DataError, OptionError


def written(tmp_path: Path, payload: bytes) -> Path:
    path = tmp_path / "a.log"
    path.write_bytes(payload)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_lines_keep_their_numbers_and_blank_ones_say_nothing(tmp_path: Path, packed: bool) -> None:
    payload = b"\xef\xbb\xbffirst\r\n\n  \nsecond"
    found = read_log(written(tmp_path, gzip.compress(payload) if packed else payload))
    assert (found.texts, found.numbers, found.notes) == (["first", "second"], [1, 4], [])


def test_mixed_encodings_are_read_and_counted(tmp_path: Path) -> None:
    found = read_log(written(tmp_path, "grün\n".encode() + "grün\n".encode("latin-1")))
    assert found.texts == ["grün", "grün"]
    assert "line 2 is not UTF-8" in found.notes[0]
    assert read_log(written(tmp_path, "grün\nrot".encode("utf-16"))).texts == ["grün", "rot"]


def test_an_export_of_the_journal_is_its_messages(tmp_path: Path) -> None:
    message = b"one\ntwo"
    export = b"__CURSOR=a\nSYSLOG_IDENTIFIER=sshd\n_PID=7\nMESSAGE=hello\n\n__CURSOR=b\n_COMM=cron\nMESSAGE\n"
    export += struct.pack("<Q", len(message)) + message + b"\n\n"
    assert read_log(written(tmp_path, export)).texts == ["sshd[7]: hello", "cron: one two"]
    with pytest.raises(DataError, match="damaged"):
        read_log(written(tmp_path, export[:-6]))
    with pytest.raises(DataError, match="truncated"):
        read_log(written(tmp_path, b"__CURSOR=a\nMESSAGE\n123"))
    entry = {"__REALTIME_TIMESTAMP": "1", "SYSLOG_IDENTIFIER": "app", "MESSAGE": list(b"h\xe9")}
    assert read_log(written(tmp_path, json.dumps(entry).encode())).texts == ["app: hé"]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (bytes(range(256)) * 4, "binary"),
        (b"good\n" + b"a" * (LONGEST + 1), "line 2, has more than"),
        (b"\xff\xfeabc", "UTF-16"),
        (gzip.compress(b"a" * 1000, mtime=0)[:-9], "truncated or damaged"),
        (b'{"__REALTIME_TIMESTAMP": ', "cannot be read"),
    ],
)
def test_what_is_no_log_is_one_sentence(tmp_path: Path, payload: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_log(written(tmp_path, payload))


def test_a_stream_gives_each_line_at_once() -> None:
    assert list(stream_log(io.BytesIO(b"a\n\nb"))) == ["a", "b"]
    for payload, words in ((b"\x1f\x8b", "zcat"), (b"__CURSOR=", "journalctl"), (b"x" * (LONGEST + 9), "more than")):
        with pytest.raises(DataError, match=words):
            list(stream_log(io.BytesIO(payload)))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2026-11-30T04:05:06.123Z ok", ["<date>", "ok"]),
        ("[30/Nov/2026:04:05:06 +0000]", ["[", "<date>", "]"]),
        ("up 4:05:06 or 17", ["up", "<time>", "or", "1x"]),
        ("id 123e4567-e89b-12d3-a456-426614174000", ["id", "<uuid>"]),
        ("aa:bb:cc:dd:ee:ff fe80:0:0:1", ["<mac>", "<address>"]),
        (
            "from fe80::1, ::ffff:10.0.0.1 and 2001:db8::8a2e:370:7334/64",
            ["from", "<address>", ",", "<address>", "and", "<address>", "/", "6x"],
        ),
        ("::1 std::hex a::b", ["<address>", "std", "::", "hex", "a", "::", "b"]),
        ("deadbeef1 facade 0xFF", ["<hex>", "facade", "<hex>"]),
        ("1234567890 007", ["<number>", "0xx"]),
        ("größe=3", ["größe", "=", "3"]),
    ],
)
def test_tokens(line: str, words: list[str]) -> None:
    assert [token.word for token in tokens_of(line)] == words


@pytest.mark.parametrize(("part", "end"), [("a1", "_"), ("aa:", "zz")])
def test_a_long_line_of_digits_is_cut_in_time_that_grows_with_its_length(part: str, end: str) -> None:
    # Where each place was looked at to the end of the line, these took minutes.
    count = LONGEST // len(part)
    assert len(tokens_of(part * count + end)) == 2 * count + 1


def test_tokens_cover_every_letter() -> None:
    for line in simulated_log(200, 5, 0.3).texts:
        covered = "".join(line[token.begin : token.end] for token in tokens_of(line))
        assert covered.replace(" ", "") == "".join(line.split())


def test_a_vocabulary_has_a_number_for_every_word() -> None:
    words = Vocabulary.of(["a a b", "b c"], least=2)
    assert words.words == ["a", "b"]
    assert [words.name(number) for number in words.numbers("b zoo ZOO 55 ?")] == [
        "b", "<other lower>", "<OTHER UPPER>", "<other number>", "<other mark>",
    ]  # fmt: skip


def test_a_simulated_log_repeats_and_no_unknown_message_is_on_both_lists() -> None:
    first, second = simulated_log(600, 1, 0.2, 0), simulated_log(600, 1, 0.2, 0)
    assert first == second
    assert {kind for kind in first.kinds if kind} == set(KINDS)

    def programs(unknown: int) -> set[tuple[str, ...]]:
        log = simulated_log(3000, 2, 0.2, unknown)
        return {tuple(t.word for t in tokens_of(line)[4:] if t.word.isalpha())
                for line, kind in zip(log.texts, log.kinds, strict=True) if kind == "unknown"}  # fmt: skip

    assert not programs(0) & programs(1)
    for wrong in ({"count": 0}, {"faults": 1.0}, {"faults": -0.1}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            simulated_log(**{"count": 10, "seed": 0, **wrong})
