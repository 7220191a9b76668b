"""Every reading of a text in which a secret may be hidden by an encoding.

Readings only serve the search for known secrets: most are nonsense, and nothing shows or keeps them.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote, unquote_plus

GAPS = re.compile(r"[\s\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufffd]")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{11,}")  # at least eight bytes
_HEX = re.compile(r"[0-9A-Fa-f]{16,}")
_BYTE_SEPARATOR = re.compile(r"[:,-]|0x")
_CLEAN_CHARACTER = r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]"
_CLEAN = re.compile(rf"{_CLEAN_CHARACTER}{_CLEAN_CHARACTER}{{7,}}")  # the first alone: `re` skips others faster than a repetition
_ALTERNATIVE = str.maketrans("-_", "+/")
_LAYOUT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    wide, narrow, other = match.groups()
    return chr(int(wide or narrow, 16)) if other is None else _LAYOUT.get(other, other)


_DECODERS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("%", unquote),
    ("+", unquote_plus),
    ("&", html.unescape),
    ("\\", _unescaped),
)


def decoded(text: str) -> Iterator[str]:
    """Yield the text of each decoder.

    Base64 is decoded from each of four offsets, because a secret may follow a user name. Hexadecimal digits are decoded from each of two.
    """
    for sign, decode in _DECODERS:
        if sign in text:
            yield decode(text)
    dense = GAPS.sub("", text)
    if runs := _BASE64.findall(dense):
        runs = [run.translate(_ALTERNATIVE) for run in runs]
        for offset in range(4):
            yield "\n".join(readable(_base64(run[offset:])) for run in runs)
    if runs := _HEX.findall(_BYTE_SEPARATOR.sub("", dense)):
        for offset in range(2):
            yield "\n".join(readable(bytes.fromhex(run[offset : len(run) - (len(run) - offset) % 2])) for run in runs)


def _base64(run: str) -> bytes:
    whole = run[:-1] if len(run) % 4 == 1 else run
    return binascii.a2b_base64(whole + "=" * (-len(whole) % 4))


def readable(data: bytes) -> str:
    """Return the parts that are text in UTF-8 or UTF-16; other bytes are dropped."""
    return "\n".join(_CLEAN.findall(data.decode("utf-8", errors="replace").replace("\0", "")))
