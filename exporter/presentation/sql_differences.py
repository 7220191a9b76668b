"""Where the configuration differs from SQL Servers, as sentences and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from exporter.config.settings import Target
from exporter.presentation.payloads import Payload
from exporter.tde.differences import Difference

MOST_DIFFERENCES_LISTED = 100  # in one response


def target_differences(target: Target, differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return the differences of one target."""
    return tuple(each for each in differences if each.subject == target.name)


def difference_text(difference: Difference) -> str:
    """Return what differs and the first action, in two sentences."""
    return f"{_sentence(difference.sentence)} {_sentence(difference.action)}"


def differences_payload(differences: Sequence[Difference]) -> Payload:
    """Return the field `sql_differences`, absent without any."""
    listed = [_difference_payload(each) for each in islice(differences, MOST_DIFFERENCES_LISTED)]
    return {"sql_differences": listed} if listed else {}


def _difference_payload(difference: Difference) -> Payload:
    return {
        "kind": difference.kind,
        "sql_instance": difference.sql_instance,
        "host": difference.host,
        "target": difference.subject or None,
        "thumbprint": difference.thumbprint,
        "key_uri": difference.key_uri or None,
        "pinned": difference.pinned or None,
        "databases": len(difference.databases),
        "text": _sentence(difference.sentence),
        "action": _sentence(difference.action),
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
