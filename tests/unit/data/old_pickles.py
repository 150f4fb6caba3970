"""Writes pickles as Python 2 wrote them, byte by byte, which Python 3 can no longer do."""

from __future__ import annotations

from numpy.typing import NDArray


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def text(value: bytes) -> bytes:
    return b"T" + len(value).to_bytes(4, "little") + value


def array(value: NDArray, kind: bytes = b"") -> bytes:
    """`cnumpy…R` makes an empty array, and `(…tb` sets its state: version, shape, type, order and bytes."""
    kind = kind or value.dtype.str[1:].encode()
    dtype = b"cnumpy\ndtype\n" + text(kind) + b"K\x00K\x01\x87R(K\x03" + text(b"<") + b"NNN"
    dtype += 2 * number(-1) + b"K\x00tb"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    shape = b"(" + b"".join(map(number, value.shape)) + b"t"
    return made + b"(K\x01" + shape + dtype + b"\x89" + text(value.tobytes()) + b"tb"


def listed(parts: list[bytes]) -> bytes:
    return b"](" + b"".join(parts) + b"e"


def named(parts: dict[bytes, bytes]) -> bytes:
    return b"}(" + b"".join(text(name) + part for name, part in parts.items()) + b"u"


def pickled(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."
