"""The HTTP/1.1 protocol of aiohttp, with this exporter's limits, error pages and security headers."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from exporter.web.server.connections import IDLE_SECONDS

LONGEST_LINE = LONGEST_HEADER = 8190
_MOST_HEADERS = 64
_LINGER_SECONDS = 1.0
_MALFORMED = "Malformed request. Send a valid HTTP/1.1 request.\n"
_FAILED = "Internal error.\n"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class HttpProtocol(web.RequestHandler):
    """Answers a malformed request with one sentence; aiohttp would quote the request."""

    __slots__ = ()

    def __init__(self, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # None is allowed, and means none
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=_LINGER_SECONDS,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
            auto_decompress=False,
        )

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log an exception, but not that of a client that sends a malformed body: no handler reads one."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("a response has already begun")
        response = web.Response(status=status, text=_MALFORMED if status < 500 else _FAILED, headers=SECURITY_HEADERS)
        response.force_close()
        return response
