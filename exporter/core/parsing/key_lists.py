"""Read one page of a vault's keys, or of the versions of a key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from exporter.core.faults import Fault
from exporter.core.parsing.key_vault import read_object

_KID = re.compile(r"https://[^/]{1,260}/keys/([A-Za-z0-9-]{1,127})(?:/([A-Za-z0-9]{1,64}))?")
_MOST = 1000  # accepted entries of a page


@dataclass(frozen=True, slots=True)
class ListedKey:
    """An entry of a list; a list of keys has no version. `enabled` is None if unknown.

    `managed`: the key belongs to a certificate of the vault.
    """

    name: str
    version: str | None
    enabled: bool | None = None
    managed: bool = False


def read_key_list(body: bytes) -> tuple[Fault, tuple[ListedKey, ...], str | None]:
    """Return the entries, and the unchecked link to the next page."""
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, (), None
    values, link = answer.get("value"), answer.get("nextLink")
    if not isinstance(values, list):
        return Fault.VALUE_MISSING, (), None
    entries = [_entry(one) for one in values] if len(values) <= _MOST else [None]
    if None in entries:
        return Fault.VALUE_UNUSABLE, (), None
    return Fault.NONE, tuple(one for one in entries if one is not None), link if isinstance(link, str) and link else None


def _entry(one: Any) -> ListedKey | None:
    kid = one.get("kid") if isinstance(one, dict) else None
    matched = _KID.fullmatch(kid) if isinstance(kid, str) else None
    if matched is None:
        return None
    attributes = one.get("attributes")
    enabled = attributes.get("enabled") if isinstance(attributes, dict) else None
    return ListedKey(matched[1], matched[2], enabled if isinstance(enabled, bool) else None, one.get("managed") is True)
