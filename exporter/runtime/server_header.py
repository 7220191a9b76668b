"""The `Server` header of every response: a name without versions.

aiohttp has no setting for this header. Its responses to malformed requests pass no signal handler that could change the header.
"""

from __future__ import annotations

from aiohttp import web_response

SERVER = "ekm-exporter"


def hide_versions() -> None:
    """Replace aiohttp's default `Server` header, which has versions."""
    web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]  # imported there, and not declared as exported
