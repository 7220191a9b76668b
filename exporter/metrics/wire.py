"""The wire format of protocol buffers: integers, doubles, nested messages, labels."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

double: Final = struct.Struct("<d").pack

_NAME, _VALUE = 0x0A, 0x12  # fields of LabelPair
_LABEL = 0x0A  # field of Metric


def varint(number: int) -> bytes:
    """Encode a whole number that is not negative."""
    if number < 0x80:
        return _SMALL[number]
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def zigzag(number: int) -> bytes:
    """Encode a signed whole number (sint32, sint64)."""
    return varint(number * 2 if number >= 0 else -number * 2 - 1)


def nested(tag: int, content: bytes) -> bytes:
    """Encode a field with a length: a message or a text. `tag` has one byte."""
    return _SMALL_TAGS[tag] + varint(len(content)) + content


def text(tag: int, value: str) -> bytes:
    """Encode a text as UTF-8 and replace lone surrogates, which YAML allows."""
    return nested(tag, value.encode("utf-8", "replace"))


def labels(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Encode the labels of a metric, sorted by name."""
    return b"".join(_labels(pairs))


def timestamp(seconds: float) -> bytes:
    """Encode a google.protobuf.Timestamp from a Unix time."""
    whole = int(seconds // 1)
    nanos = int((seconds - whole) * 1e9)
    return b"\x08" + varint(whole) + (b"\x10" + varint(nanos) if nanos else b"")


def _labels(pairs: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    for name, value in sorted(pairs):
        yield nested(_LABEL, text(_NAME, name) + text(_VALUE, value))


_SMALL: Final = tuple(bytes([number]) for number in range(0x80))
_SMALL_TAGS: Final = _SMALL
