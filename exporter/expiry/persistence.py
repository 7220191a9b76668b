"""Convert the known expiry of a credential to a state document, and back.

A document contains dates and the subject of each, since a configuration may change while the exporter is down. It contains no part
of a secret and no fingerprint. Failures are not stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from exporter.config.settings import Credential
from exporter.core.credential_expiry import CredentialExpiry, Source
from exporter.core.parsing.key_vault import unix_time
from exporter.expiry.sources import subject


class StoredExpiry(NamedTuple):
    """An answer of a source, in Unix times."""

    expires_at: float | None
    looked_up_at: float


def document_of(credential: Credential, answers: tuple[CredentialExpiry, ...]) -> dict[str, Any]:
    """Return a JSON document with every source that has answered."""
    return {
        "sources": {
            str(answer.source): {
                "subject": list(subject(credential, answer.source)),
                "expires_at": answer.expires_at,
                "looked_up_at": answer.looked_up_at,
            }
            for answer in answers
            if answer.looked_up_at is not None
        }
    }


def answers_in(document: Mapping[str, Any], credential: Credential) -> dict[Source, StoredExpiry]:
    """Return the answers about this credential.

    Raises ValueError for a damaged document.
    """
    try:
        sources = {Source(name): dict(entry) for name, entry in document["sources"].items()}
        return {
            source: StoredExpiry(_time(entry["expires_at"]), _known_time(entry["looked_up_at"]))
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
