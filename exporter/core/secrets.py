"""The secrets that this process has read, and the search for them in texts.

Every text of a server, a proxy or a library is checked when the exporter records or shows it. Nothing is masked before it is
parsed or compared: a server chooses its tokens, so it would decide what other targets read. `mask` masks unknown secrets by shape
as well. `KNOWN_SECRETS` is the only state of the core: log formatters and records share one set.
"""

from __future__ import annotations

import binascii
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

# Every reading of a text in which a secret may be hidden by an encoding. Readings only serve the search for known secrets: most are nonsense, and nothing shows or keeps them.

GAPS = re.compile(r"[\s\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufffd]")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_BASE64, _HEX = re.compile(r"[A-Za-z0-9+/_-]{11,}"), re.compile(r"[0-9A-Fa-f]{16,}")  # at least eight bytes
_BYTE_SEPARATOR = re.compile(r"[:,-]|0x")
_CLEAN_CHARACTER = r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]"
_CLEAN = re.compile(rf"{_CLEAN_CHARACTER}{_CLEAN_CHARACTER}{{7,}}")  # the first alone: `re` skips others faster than a repetition
_LAYOUT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}


def _character(match: re.Match[str]) -> str:
    wide, narrow, other = match.groups()
    return chr(int(wide or narrow, 16)) if other is None else _LAYOUT.get(other, other)


_DECODERS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("%", unquote),
    ("+", unquote_plus),
    ("&", html.unescape),
    ("\\", lambda text: _ESCAPE.sub(_character, text)),
)


def decoded(text: str) -> Iterator[str]:
    """Yield the text of each decoder.

    Base64 is decoded from each of four offsets, because a secret may follow a user name. Hexadecimal digits are decoded from each of two.
    """
    for sign, decode in _DECODERS:
        if sign in text:
            yield decode(text)
    dense = GAPS.sub("", text)
    if runs := _BASE64.findall(dense.replace("-", "+").replace("_", "/")):
        yield from ("\n".join(readable(_base64(run[offset:])) for run in runs) for offset in range(4))
    if runs := _HEX.findall(_BYTE_SEPARATOR.sub("", dense)):
        for offset in range(2):
            yield "\n".join(readable(bytes.fromhex(run[offset : len(run) - (len(run) - offset) % 2])) for run in runs)


def _base64(run: str) -> bytes:
    whole = run[:-1] if len(run) % 4 == 1 else run
    return binascii.a2b_base64(whole + "=" * (-len(whole) % 4))


def readable(data: bytes) -> str:
    """Return the parts that are text in UTF-8 or UTF-16; other bytes are dropped."""
    return "\n".join(_CLEAN.findall(data.decode("utf-8", errors="replace").replace("\0", "")))


SHORTEST = 8  # characters: a shorter secret would mask common words
MARK = "<secret>"
_SHORTEST_TOKEN = 40  # characters: a server can choose its token, and tokens of Entra ID have hundreds
_LONGEST = 64  # characters that are compared: enough to identify a secret; a token has thousands
_SCANNED = 4096  # characters of a text; the rest is dropped
_CACHED = 128  # characters of a text that is cached
_DEPTH = 3  # encodings inside each other
_MOST_DECODED = 16 * _SCANNED  # characters of one text in all its decodings; more counts as a secret

_WORD = re.compile(r"\S+")
_OF_TOKEN = re.compile("[a-z].*[0-9]|[0-9].*[a-z]", re.DOTALL)


class KnownSecrets:
    """A bounded set of secrets. Any thread may use it: each change is one step of a dictionary."""

    def __init__(self, most: int = 16384) -> None:
        self._most = most  # halves of secrets; the least recently used are removed first
        self._order: dict[str, bool] = {}  # whether a server chose it, by the text to search
        self._by_start: dict[str, dict[str, None]] = {}
        self._cached = lru_cache(maxsize=4096)(self._search)  # most short texts are the same in every probe
        self._list_names: Callable[[], Iterable[str]] = tuple
        self._names: str | None = None  # of the configuration, one a line; listed when they are first needed

    def spare(self, list_names: Callable[[], Iterable[str]]) -> None:
        """Never mask these names or a part of one, whatever a server or a user calls a secret."""
        self._list_names, self._names = list_names, None
        self._cached.cache_clear()

    def remember(self, secret: str, *, issued: bool = False) -> None:
        """Mask this secret from now on. One with fewer than `SHORTEST` characters is ignored, and a server's if it has no form of a token."""
        for needle in _needles(_folded(secret)):
            if not issued or _OF_TOKEN.search(needle):
                self._add(needle, issued=issued)
        surplus = len(self._order) - self._most
        for needle in tuple(self._order)[:surplus] if surplus > 0 else ():
            self._forget(needle)

    def remember_token(self, token: str) -> None:
        """Mask this token of a server from now on, if it has the form of one: long, of digits and letters."""
        if len(token) >= _SHORTEST_TOKEN:
            self.remember(token, issued=True)

    def reveals(self, text: str) -> bool:
        """Whether the text holds a known secret, a half of one, or its beginning."""
        if len(text) < SHORTEST or not self._by_start:
            return False
        return self._cached(text) if len(text) <= _CACHED else self._search(text[:_SCANNED])

    def stands_in_bytes(self, data: bytes) -> bool:
        """Whether the readable parts of the bytes hold a known secret."""
        return self.reveals(readable(data))

    def hide(self, text: str) -> str:
        """Return the text with `MARK` for each word that holds a secret.

        It is `MARK` alone if the secret spans several words. A text is cut after `_SCANNED` characters.
        """
        if len(text) <= _SCANNED and not self.reveals(text):
            return text
        text = text[:_SCANNED]
        hidden = _WORD.sub(lambda word: MARK if self.reveals(word[0]) else word[0], text)
        return MARK if self.reveals(hidden) else hidden

    def _search(self, text: str) -> bool:
        return self._stands_in_a_view(text) and not self._is_public(_folded(text))

    def _is_public(self, folded: str) -> bool:
        """Whether the text is a part of a configured name; called only for a text that holds a secret."""
        if self._names is None:
            self._names = "\n".join(dict.fromkeys(map(_folded, self._list_names())))
        return folded in self._names

    def _stands_in_a_view(self, text: str) -> bool:
        views = fresh = {text}
        for _ in range(_DEPTH):
            if any(self._stands_in(_folded(view)) for view in fresh):
                return True
            fresh = {view for each in fresh for view in decoded(each) if len(view) >= SHORTEST} - views
            views = views | fresh
            if sum(map(len, views)) > _MOST_DECODED:
                return True
        return any(self._stands_in(_folded(view)) for view in fresh)

    def _stands_in(self, folded: str) -> bool:
        known, size = self._by_start, len(folded)
        if len(known) < size:
            starts = [start for start in tuple(known) if start in folded]
        else:
            starts = [start for at in range(size - SHORTEST + 1) if (start := folded[at : at + SHORTEST]) in known]
        needles = (needle for start in starts for needle in tuple(known[start]))
        found = (needle if needle in folded else self._cut_in(folded, needle) for needle in needles)
        return any(part and not self._is_public(part) for part in found)

    def _cut_in(self, folded: str, needle: str) -> str:
        """Return the beginning of the secret that the text was truncated in, or nothing.

        A server could choose a word of other texts as the beginning of its token, but not that of a real one.
        """
        at = folded.rfind(needle[:SHORTEST])
        part = folded[at:] if at >= 0 else ""
        # `eyj` is the start of a token of Entra ID.
        is_word = self._order.get(needle, False) and part.isalpha() and not part.startswith("eyj")
        return part if len(part) < len(needle) and needle.startswith(part) and not is_word else ""

    def _add(self, needle: str, *, issued: bool) -> None:
        self._by_start.setdefault(needle[:SHORTEST], {})[needle] = None
        before = self._order.pop(needle, None)
        if before is None:
            self._cached.cache_clear()
        self._order[needle] = issued and before is not False

    def _forget(self, needle: str) -> None:
        self._order.pop(needle, None)
        same_start = self._by_start.get(needle[:SHORTEST], {})
        same_start.pop(needle, None)
        if not same_start:
            self._by_start.pop(needle[:SHORTEST], None)


def _needles(folded: str) -> Iterator[str]:
    """Yield the search strings: the halves of a secret, or the start of a token."""
    size = len(folded)
    half = size // 2 if 2 * SHORTEST <= size <= 2 * _LONGEST else size
    for part in (folded[:half][:_LONGEST], folded[half:]):
        if len(part) >= SHORTEST:
            yield part


def _folded(text: str) -> str:
    """Return the text without case and without characters that may split a secret."""
    return GAPS.sub("", text).casefold()


KNOWN_SECRETS = KnownSecrets()
remember, remember_token, spare = KNOWN_SECRETS.remember, KNOWN_SECRETS.remember_token, KNOWN_SECRETS.spare
reveals, stands_in_bytes, hide = KNOWN_SECRETS.reveals, KNOWN_SECRETS.stands_in_bytes, KNOWN_SECRETS.hide


def keyed_digest(key: bytes, *parts: bytes) -> bytes:
    """Return a digest of secrets that tells nothing to who does not have the key."""
    digest = hashlib.blake2b(key=key, digest_size=32)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


# Masking by shape: secrets and identities in texts of servers and libraries. A masked text is still never a label value.

LIMIT = 256
_MASKED_CHARACTERS = 8192  # characters that are read, to bound the time for a hostile text

# In this order: a token may contain a GUID, a URL may contain an address.
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}"), "<token>"),
    (re.compile(r"\b(?:TlRMTVNT|YII)[A-Za-z0-9+/]{8,}={0,2}"), "<token>"),  # NTLM and Kerberos
    (
        re.compile(
            r"(?i)\b(client_secret|client_assertion|assertion|password|passwd|pwd|secret|access_token|refresh_token|id_token|accountkey|sig)"
            r"(\\?[\"']?\s*[=:]\s*)(\\?[\"'])?(?(3)[^\"'\\]+|[^\s\"'&,;]+)"
        ),
        r"\1\2\3<secret>",
    ),
    (re.compile(r"(?i)\b(bearer|basic|pop)(\s+)[A-Za-z0-9._~+/=-]{12,}"), r"\1\2<token>"),
    # A password may contain an @; the last one ends it.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,16}://)[^/\s:@]{0,256}:[^/\s]{0,256}@"), r"\1<secret>@"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)"), "<address>"),
    # IPv6: a double colon, or more colons than a time of day has.
    (re.compile(r"(?<![\w:.])(?=[0-9a-fA-F:]{0,45}::|(?:[0-9a-fA-F]{1,4}:){5})[0-9a-fA-F:]{3,45}(?![\w:])"), "<address>"),
    # The thumbprint of a key is 20 bytes in hex, and no secret: it is what a DBA compares.
    (re.compile(r"(?<![A-Za-z0-9_-])(?!0x[0-9A-Fa-f]{40}(?![A-Za-z0-9_~+=-]))[A-Za-z0-9_~+=-]{40,}(?![A-Za-z0-9_-])"), "<long>"),
)


def mask(text: str, *, limit: int = LIMIT) -> str:
    """Return one masked line of at most `limit` characters."""
    line = hide(text[:_MASKED_CHARACTERS])
    if not line.isprintable():  # it has control characters, lone surrogates or direction marks
        line = " ".join(part for part in "".join(sign if sign.isprintable() else "\n" for sign in line).split("\n") if part)
    line = line.strip()
    for pattern, replacement in _MASKS:
        line = pattern.sub(replacement, line)
    return line if len(line) <= limit else line[: limit - 1] + "…"
