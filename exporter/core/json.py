"""JSON of others: a text with too many values would need much more memory than itself."""

from __future__ import annotations

import binascii
import json
import re
from codecs import BOM_UTF8
from typing import Any

MOST_OF_RESPONSE = 3_000_000  # values of an HTTP response; a slice of a report has about 2,000,000
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_DECODER = json.JSONDecoder()
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class TooManyValuesError(ValueError):
    """The text has more values than it may have."""


def parse(text: str, most: int) -> Any:
    """Return the value of a text with at most that many signs of values. Raises ValueError."""
    _check(text, most)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_objects(text: str, start: int, end: str, most: int) -> list[Any]:
    """Return the objects of a list, from the first sign after its bracket, if the text ends with `end` after the last one. Raises ValueError.

    While the parser works, no other thread runs: this one parses each object by itself.
    """
    _check(text, most)
    found, at = [], start
    try:
        more = text.startswith("{", at)
        while more:
            value, at = _DECODER.raw_decode(text, at)
            found.append(value)
            more = text.startswith(",{", at)
            at += more
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text[at:] != end:
        raise ValueError("no list of objects")
    return found


def _check(text: str, most: int) -> None:
    if sum(map(text.count, ",:[{")) > most:  # they begin or end a value
        raise TooManyValuesError(f"more than {most} values")


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a body, or None.

    It is None for another type, for text that is not UTF-8, and for too deep nesting or too long numbers.
    """
    try:
        # json.loads(bytes) would accept UTF-16 and lone surrogates too; the codec utf-8-sig is slower.
        value = json.loads(body.removeprefix(BOM_UTF8).decode())
    except (ValueError, RecursionError):  # ValueError covers JSONDecodeError, UnicodeDecodeError and int's digit limit
        return None
    return value if isinstance(value, dict) else None


def decode(text: str) -> bytes | None:
    """Return the bytes of a base64url text, padded or not; None if it is invalid."""
    if not _BASE64URL.fullmatch(text):
        return None
    bare = text.rstrip("=")
    try:
        return binascii.a2b_base64(bare.replace("-", "+").replace("_", "/") + "=" * (-len(bare) % 4), strict_mode=True)
    except binascii.Error:
        return None


def text_of(holder: dict[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) else None


def word_of(value: object) -> str | None:
    """Return a code that a server sends; None for a sentence."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None
