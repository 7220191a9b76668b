"""One request to a simulated service, and one response before it is sent: status, headers, body and delivery.

Services create the response, faults change it, and `deliver` sends it.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.client import responses
from typing import Any, Literal
from weakref import WeakSet

from aiohttp import web

from exporter.core.json import read_object
from exporter.core.values import Step

JSON = "application/json; charset=utf-8"


Delivery = Literal[
    "plain",
    "reset",  # RST instead of a response
    "lost",  # the response to the first request of a connection; a later request closes it
    "closed",  # orderly close instead of a response
    "silent",  # no data, and the connection stays open
    "endless_header",  # a header line that never ends
    "garbage",  # bytes that are not HTTP
    "truncated",  # a body shorter than its Content-Length
    "trickling",  # a byte of the body at intervals
    "informational",  # a 1xx before the response
]
"""How a response is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedResponse:
    """One response; `delay` is in seconds before the first byte."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delivery: Delivery = "plain"
    delay: float = 0.0

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
        return self.with_body(json.dumps(document, separators=(",", ":")).encode(), status=status)


# Faulty deliveries write to the connection's transport and end it, which HTTP libraries would not do.

_USED: WeakSet[asyncio.Transport] = WeakSet()  # connections that had a request during the fault `keep_alive_lost`
_PAUSE = 0.2  # seconds between the bytes of a body or header that trickles


async def deliver(request: web.BaseRequest, response: SimulatedResponse) -> web.StreamResponse:
    """Send the response. The result is for the HTTP server, which drops it if the connection has ended."""
    if response.delay:
        await asyncio.sleep(response.delay)
    if response.delivery != "plain" and request.transport is not None:
        await _deliver_badly(request.transport, response)
    return web.Response(status=response.status, headers=response.headers, body=response.body)


async def _deliver_badly(transport: asyncio.Transport, response: SimulatedResponse) -> None:
    delivery, whole = response.delivery, _head(response, 1_000_000)
    match delivery:
        case "closed":
            transport.close()
        case "lost":
            if transport in _USED:
                transport.close()
            _USED.add(transport)
        case "reset":
            reset_on_close(transport.get_extra_info("socket"))
            transport.abort()  # without a TLS close
        case "silent":
            await asyncio.get_running_loop().create_future()  # until the client disconnects, which cancels this
        case "garbage" | "truncated":
            garbage = b"\x00\x01\x02 this is not HTTP\r\n\r\n"
            transport.write(garbage if delivery == "garbage" else _head(response, len(response.body) + 100) + response.body)
            transport.close()
        case "informational":
            transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </>; rel=preload\r\n\r\n")
        case "endless_header" | "trickling":
            transport.write(whole if delivery == "trickling" else whole.removesuffix(b"\r\n") + b"x-filler: ")
            while not transport.is_closing():
                transport.write(b" ")
                await asyncio.sleep(_PAUSE)


def _head(response: SimulatedResponse, length: int) -> bytes:
    """Return status line and headers with this content length."""
    headers = {**response.headers, "Content-Length": length}
    lines = [
        f"HTTP/1.1 {response.status} {responses.get(response.status, 'Unknown')}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def reset_on_close(connection: socket.socket) -> None:
    """Make the close of a connection a reset: linger for zero seconds."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# One request, and its step of the connector's round trip.

APP_SERVICE, IMDS, ARC = "app_service", "imds", "arc"  # a host's identity services
PATHS: Mapping[str, str] = {
    APP_SERVICE: "/identity/token",
    IMDS: "/metadata/identity/oauth2/token",
    ARC: "/arc/metadata/identity/oauth2/token",
}
STEPS: Mapping[str, Step] = {
    "challenge": Step.CHALLENGE,
    "token": Step.TOKEN,
    **dict.fromkeys(PATHS, Step.TOKEN),
    "get": Step.GET_KEY,
    "get_newest": Step.GET_KEY,
    "wrapKey": Step.WRAP_KEY,
    "unwrapKey": Step.UNWRAP_KEY,
}
AUXILIARY_OPERATIONS = ("list", "key_versions", "get_deleted", "secret_versions", "secret_get", "graph", "resource_graph")
"""Requests of auxiliary probes and lookups, each with its own token."""
_OPERATION_PATTERNS = tuple(
    (re.compile(pattern.replace("*", "[^/]+"), re.IGNORECASE), name)
    for pattern, name in (
        ("GET keys", "list"),
        ("GET keys/*", "get_newest"),
        ("GET keys/*/versions", "key_versions"),
        ("GET keys/*/*", "get"),
        ("GET deletedkeys/*", "get_deleted"),
        ("GET secrets/*/versions", "secret_versions"),
        ("GET secrets/*(/*)?", "secret_get"),
        ("POST keys/*(/*)?/wrapkey", "wrapKey"),
        ("POST keys/*(/*)?/unwrapkey", "unwrapKey"),
    )
)
_NO_VERSIONS = ("", "versions", "wrapkey", "unwrapkey")  # segments that can follow a name instead of a version
OPERATIONS = (*STEPS, *AUXILIARY_OPERATIONS)
"""All operations that a fault can be limited to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request.

    `host` is in lower case, with its port if that is not 443. `query` and `form` have the last value of each name.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # a case-insensitive mapping
    form: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in self.path.split("/") if part)

    @property
    def bearer(self) -> str | None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token else None

    @property
    def subject(self) -> tuple[str, str | None]:
        """Return the requested key or secret, in lower case, and its version.

        The version is None if the path names none: clients that pin no version leave its segment empty.
        """
        name, version = (*self.path.split("/")[2:4], "", "")[:2]
        return name.lower(), None if version.lower() in _NO_VERSIONS else version

    def vault_operation(self) -> str:
        """Return one of `OPERATIONS`, or `health` or `other`. `get_newest` is a GET that names no version."""
        if self.path == "/healthstatus":
            return "health"
        if self.bearer is None:
            return "challenge"
        line = f"{self.method} {'/'.join(self.parts)}"
        return next((name for pattern, name in _OPERATION_PATTERNS if pattern.fullmatch(line)), "other")
