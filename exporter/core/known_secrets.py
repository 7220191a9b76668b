"""The secrets that this process has read, and the search for them in texts.

Every text of a server, a proxy or a library is checked when the exporter receives it. `masking` masks unknown secrets by shape.
`KNOWN` is the only state of the core: log formatters and parsers share one set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from exporter.core.decodings import GAPS, decoded, readable

SHORTEST = 8  # characters: a shorter secret would mask common words
MARK = "<secret>"
_LONGEST = 64  # characters that are compared: enough to identify a secret; a token has thousands
_MOST = 32768  # halves of secrets, each in both directions; the least recently used are removed first
_SCANNED = 4096  # characters of a text; the rest is dropped
_CACHED = 128  # characters of a text that is cached
_DEPTH = 3  # encodings inside each other
_MOST_DECODED = 16 * _SCANNED  # characters of one text in all its decodings; more counts as a secret

_WORD = re.compile(r"\S+")


class KnownSecrets:
    """A bounded set of secrets.

    Any thread may use it: each change is one step of a dictionary.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._order: dict[str, None] = {}
        self._by_start: dict[str, dict[str, None]] = {}
        self._cached = lru_cache(maxsize=4096)(self._search)  # most short texts are the same in every probe

    def remember(self, secret: str) -> None:
        """Mask this secret from now on.

        A secret with fewer than `SHORTEST` characters is ignored.
        """
        for needle in _needles(_folded(secret)):
            self._add(needle)
        surplus = len(self._order) - self._most
        for needle in tuple(self._order)[:surplus] if surplus > 0 else ():
            self._forget(needle)

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
        return any(needle in folded or _ends_within(folded, needle) for start in starts for needle in tuple(known[start]))

    def forget_all(self) -> None:
        """Start again with no secret."""
        for needle in tuple(self._order):
            self._forget(needle)
        self._cached.cache_clear()

    def _add(self, needle: str) -> None:
        self._by_start.setdefault(needle[:SHORTEST], {})[needle] = None
        if self._order.pop(needle, 0) == 0:
            self._cached.cache_clear()
        self._order[needle] = None

    def _forget(self, needle: str) -> None:
        self._order.pop(needle, None)
        same_start = self._by_start.get(needle[:SHORTEST], {})
        same_start.pop(needle, None)
        if not same_start:
            self._by_start.pop(needle[:SHORTEST], None)


def _needles(folded: str) -> Iterator[str]:
    """Yield the search strings, in both directions.

    They are the halves of a secret, or the start of a token.
    """
    size = len(folded)
    half = size // 2 if 2 * SHORTEST <= size <= 2 * _LONGEST else size
    for part in (folded[:half][:_LONGEST], folded[half:]):
        if len(part) >= SHORTEST:
            yield part
            yield part[::-1]


def _folded(text: str) -> str:
    """Return the text without case and without characters that may split a secret."""
    return GAPS.sub("", text).casefold()


def _ends_within(folded: str, needle: str) -> bool:
    """Whether the text was truncated inside the secret."""
    at = folded.rfind(needle[:SHORTEST])
    return at >= 0 and len(folded) - at < len(needle) and needle.startswith(folded[at:])


KNOWN = KnownSecrets()
remember, reveals, stands_in_bytes, hide = KNOWN.remember, KNOWN.reveals, KNOWN.stands_in_bytes, KNOWN.hide
