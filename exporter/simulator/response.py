"""One response before it is sent: status, headers, body and delivery.

Services create the value, and faults change it. `wire_response` sends it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from exporter.core.parsing.key_vault import read_object

JSON = "application/json; charset=utf-8"


class Delivery(StrEnum):
    """How a response is sent."""

    PLAIN = "plain"
    RESET = "reset"  # RST instead of a response
    LOST = "lost"  # the response to the first request of a connection; a later request closes it
    CLOSED = "closed"  # orderly close instead of a response
    SILENT = "silent"  # no data, and the connection stays open
    ENDLESS_HEADER = "endless_header"  # a header line that never ends
    GARBAGE = "garbage"  # bytes that are not HTTP
    TRUNCATED = "truncated"  # a body shorter than its Content-Length
    TRICKLING = "trickling"  # a byte of the body at intervals
    INFORMATIONAL = "informational"  # a 1xx before the response


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedResponse:
    """One response; `delay` is in seconds before the first byte."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delivery: Delivery = Delivery.PLAIN
    delay: float = 0.0

    @property
    def challenge(self) -> str:
        """Return the challenge, or an empty string."""
        return self.headers.get("WWW-Authenticate", "")

    def with_header(self, name: str, value: str | None) -> SimulatedResponse:
        """Return the response with that header set, or removed if the value is None."""
        headers = {other: old for other, old in self.headers.items() if other.lower() != name.lower()}
        return replace(self, headers=headers if value is None else {**headers, name: value})

    def with_body(self, body: bytes, *, status: int | None = None, content_type: str = JSON) -> SimulatedResponse:
        """Return the response with that body, and with that status if one is given."""
        return replace(self.with_header("Content-Type", content_type), body=body, status=status or self.status)

    def document(self) -> dict[str, Any]:
        """Return the body's JSON object, to be changed for `with_document`."""
        return read_object(self.body) or {}

    def with_document(self, document: object, *, status: int | None = None) -> SimulatedResponse:
        """Return the response with that document as its body."""
        return self.with_body(json.dumps(document, separators=(",", ":")).encode(), status=status)
