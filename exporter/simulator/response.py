"""One answer before it goes out: status, headers, body, and how it is put on the wire.

For: the value that services make and faults change.
Not for: sockets (see `wire_response`), error texts (see `error_responses`), nor which answer a request deserves (see `vault`, `entra`).
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
    """How an answer is put on the wire."""

    PLAIN = "plain"
    RESET = "reset"  # RST instead of an answer
    CLOSED = "closed"  # orderly end instead of an answer
    SILENT = "silent"  # nothing, and the connection stays
    ENDLESS_HEADER = "endless_header"  # a header line that never ends
    GARBAGE = "garbage"  # bytes that are no HTTP
    TRUNCATED = "truncated"  # a body shorter than it was declared
    TRICKLING = "trickling"  # a byte of the body now and then
    INFORMATIONAL = "informational"  # a 1xx before the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedResponse:
    """`delay` in seconds, before the first byte."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delivery: Delivery = Delivery.PLAIN
    delay: float = 0.0

    @property
    def challenge(self) -> str:
        return self.headers.get("WWW-Authenticate", "")

    def with_header(self, name: str, value: str | None) -> SimulatedResponse:
        """The same answer with that header set, or removed for None."""
        headers = {other: old for other, old in self.headers.items() if other.lower() != name.lower()}
        return replace(self, headers=headers if value is None else {**headers, name: value})

    def with_body(self, body: bytes, *, status: int | None = None, content_type: str = JSON) -> SimulatedResponse:
        return replace(self.with_header("Content-Type", content_type), body=body, status=status or self.status)

    def document(self) -> dict[str, Any]:
        """The body's JSON object, to be changed and put back by `with_document`."""
        return read_object(self.body) or {}

    def with_document(self, document: object, *, status: int | None = None) -> SimulatedResponse:
        return self.with_body(json.dumps(document, separators=(",", ":")).encode(), status=status)
