"""What is known of a credential's end as a document for the state directory, and back.

For: dates, and what each of them is about, since a configuration may change while the exporter is down. Nothing of a secret is
in it: no hint, no fingerprint.
Not for: files (see `state.records.files`), failures: they are looked up anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from exporter.config.model import Credential
from exporter.core.credential_expiry import CredentialExpiry, Source
from exporter.core.parsing.key_vault import unix_time
from exporter.expiry.sources import subject


class Kept(NamedTuple):
    """What a source said, and when. Unix times."""

    expires_at: float | None
    looked_up_at: float


def document_of(credential: Credential, ends: tuple[CredentialExpiry, ...]) -> dict[str, Any]:
    """A document of plain JSON with every source that has ever answered."""
    return {
        "sources": {
            str(end.source): {
                "subject": list(subject(credential, end.source)),
                "expires_at": end.expires_at,
                "looked_up_at": end.looked_up_at,
            }
            for end in ends
            if end.looked_up_at is not None
        }
    }


def kept_in(document: Mapping[str, Any], credential: Credential) -> dict[Source, Kept]:
    """What a document says of this very credential. Raises ValueError for one that `document_of` did not make."""
    try:
        sources = {Source(name): dict(entry) for name, entry in document["sources"].items()}
        return {
            source: Kept(_time(entry["expires_at"]), _known_time(entry["looked_up_at"]))
            for source, entry in sources.items()
            if entry["subject"] == list(subject(credential, source))
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"is damaged ({type(error).__name__})") from None


def _known_time(value: object) -> float:
    moment = unix_time(value)
    if moment is None:
        raise ValueError("no time")
    return moment


def _time(value: object) -> float | None:
    return None if value is None else _known_time(value)
