"""Lines of a user's log: any text, packed by gzip or not, or an export of the journal; from a file or a stream."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from lowland.bounded import parse_json, read_bytes, unzip
from lowland.errors import DataError
from lowland.words import escaped

LONGEST = 16_384
"""Bytes of the longest line."""
_JUNK = 0.1
_STAMP = "__REALTIME_TIMESTAMP"


class LogLines(NamedTuple):
    """N lines of a log that say something: `texts`, their `numbers` in the file from 1 on, and `notes` for the user."""

    texts: list[str]
    numbers: list[int]
    notes: list[str]

    def take(self, rows: range | list[int]) -> LogLines:
        """Some of the lines."""
        return self._replace(texts=[self.texts[row] for row in rows], numbers=[self.numbers[row] for row in rows])


def read_log(path: str | Path) -> LogLines:
    """The lines of a log that are not blank, in order.

    It may be packed by gzip, be in UTF-8, UTF-16 with its mark, or Latin-1 here and there, or be what `journalctl -o
    export` or `-o json` writes, of which program, process and message are taken. Lines that are not UTF-8 are read as
    Latin-1 and counted in the notes.

    Raises:
        DataError: for a file that is not there, empty or not a text, or has a line of more than `LONGEST` bytes.
    """
    path = Path(path)
    payload = unzip(read_bytes(path), str(path))
    if payload[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            payload = payload.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise DataError(f"{path} begins like UTF-16, but is not ({error}): convert it to UTF-8.") from None
    payload = payload.removeprefix(b"\xef\xbb\xbf")
    if not payload.strip():
        raise DataError(f"{path} is empty: name a log with some thousand lines.")
    if payload.startswith((b"__CURSOR=", b"__REALTIME_TIMESTAMP=")):
        return _exported(payload, path)
    texts, numbers, other = list[str](), list[int](), list[int]()
    for number, raw in enumerate(payload.split(b"\n"), start=1):
        text, utf8 = _decoded(raw, f"{path}, line {number}")
        if text:
            texts.append(text)
            numbers.append(number)
            if not utf8:
                other.append(number)
    return _whole(LogLines(texts, numbers, _notes(other)), path)


def stream_log(file: IO[bytes], name: str = "the input") -> Iterator[str]:
    """The lines of a stream that are not blank, each as soon as it is there; see `read_log`.

    Raises:
        DataError: for a line that is no text, or longer than `LONGEST` bytes.
    """
    number = 0
    while raw := file.readline(LONGEST + 2):
        number += 1
        if number == 1 and raw.startswith(b"\x1f\x8b"):
            raise DataError(f"{name} is packed: unpack it first, as in `zcat FILE | lowland lines --model RUN`.")
        if number == 1 and raw.startswith(b"__CURSOR="):
            raise DataError(f"{name} is an export of the journal: stream it with `journalctl -f -o json`.")
        text, _ = _decoded(raw, f"{name}, line {number}")
        if text:
            yield text


def _decoded(raw: bytes, place: str) -> tuple[str, bool]:
    """A line without its end, and whether it was UTF-8."""
    raw = raw.rstrip(b"\r\n")
    if len(raw) > LONGEST:
        raise DataError(f"{place}, has more than {LONGEST:,} bytes: this is no log of lines, or its lines need breaks.")
    try:
        text, utf8 = raw.decode(), True
    except UnicodeDecodeError:
        text, utf8 = raw.decode("latin-1"), False
    strange = sum((letter < " " and letter not in "\t\x1b\x0c") or "\x7f" <= letter < "\xa0" for letter in text)
    if "\x00" in text or strange > max(4, _JUNK * len(text)):
        raise DataError(f"{place}, is not text, but binary: name a log, or export it as text.")
    text = text.strip()
    return _journal(text, place) if text.startswith("{") and _STAMP in text else text, utf8


def _whole(lines: LogLines, path: Path) -> LogLines:
    if not lines.texts:
        raise DataError(f"{path} has no line that says anything: name a log with some thousand lines.")
    return lines


def _notes(other: list[int]) -> list[str]:
    if not other:
        return []
    some = f"line {other[0]}" if len(other) == 1 else f"{len(other):,} lines, the first of which is line {other[0]:,},"
    return [f"{some} {'is' if len(other) == 1 else 'are'} not UTF-8 and read as Latin-1."]


def _journal(text: str, place: str) -> str:
    """The line that `journalctl -o json` writes for a message."""
    try:
        entry = parse_json(text)
    except ValueError as error:
        raise DataError(f"{place}, begins like JSON of the journal, but cannot be read ({error}).") from None
    message = entry.get("MESSAGE", "")
    if isinstance(message, list):  # bytes, where it is not UTF-8
        message = bytes(letter for letter in message if isinstance(letter, int) and 0 <= letter < 256).decode("latin-1")
    line = _line({key: str(value) for key, value in entry.items()} | {"MESSAGE": str(message or "")})
    return line.encode("utf-8", "replace").decode()  # JSON may have half of a pair of surrogates


def _line(entry: dict[str, str]) -> str:
    """Program, process and message of an entry of the journal, in one line."""
    program = entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or entry.get("_TRANSPORT", "")
    process = entry.get("_PID") or entry.get("SYSLOG_PID")
    message = " ".join(entry.get("MESSAGE", "").split())
    return f"{program}{f'[{process}]' if process else ''}: {message}" if message else ""


def _exported(payload: bytes, path: Path) -> LogLines:
    """The entries of the format of `journalctl -o export`: fields as lines, or with their length before them."""
    texts, numbers, place, number = list[str](), list[int](), 0, 0
    entry: dict[str, str] = {}
    while place < len(payload):
        end = payload.find(b"\n", place)
        end = len(payload) if end < 0 else end
        field, place = payload[place:end], end + 1
        if field:
            name, equal, value = field.partition(b"=")
            if not equal:
                if place + 8 > len(payload):
                    raise DataError(f"{path} is a truncated export of the journal: export it again.")
                (length,) = struct.unpack_from("<Q", payload, place)
                if length > LONGEST or place + 8 + length > len(payload):
                    if length > LONGEST and place + 8 + length <= len(payload) and name != b"MESSAGE":
                        value, place = b"", place + 8 + length + 1  # a dump of a process, of which nothing is read
                        continue
                    raise DataError(
                        f"{path}, entry {number + 1}, has a field of {length:,} bytes: it is damaged, or no log."
                    )
                value, place = payload[place + 8 : place + 8 + length], place + 8 + length + 1
            entry[escaped(name.decode("latin-1"))] = value.decode("utf-8", "replace")
        if (not field or place >= len(payload)) and entry:
            number += 1
            if text := _line(entry):
                texts.append(text)
                numbers.append(number)
            entry = {}
    return _whole(LogLines(texts, numbers, ["Lines are entries of the journal: program, process and message."]), path)
