"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 80  # the comparison takes quadratic time


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the most similar of `words` as ` (did you mean '…'?)`, or an empty text.

    Upper case in `word` is ignored.
    """
    known = list(words)
    close = get_close_matches(word[:_LONGEST], known, n=1) or get_close_matches(word[:_LONGEST].lower(), known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
