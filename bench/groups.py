"""The groups of a profile: the innermost frame of a stack that a row matches decides."""

from __future__ import annotations

from collections.abc import Sequence

HANDSHAKE, PIPELINE, AIOHTTP, ASYNCIO = (
    "TLS handshake",
    "pipeline of the Azure SDK",
    "aiohttp",
    "asyncio, sockets and TLS records",
)
RECORDING, REST = "recording of a report", "rest of the exporter"
# (group, part of the file's path, functions or all)
ROWS: tuple[tuple[str, str, frozenset[str]], ...] = (
    (
        HANDSHAKE,
        "ssl.py",
        frozenset({"do_handshake", "_create", "load_verify_locations", "create_default_context", "getpeercert"}),
    ),
    (HANDSHAKE, "sslproto.py", frozenset({"_do_handshake", "_on_handshake_complete", "_start_handshake"})),
    (HANDSHAKE, "exporter/clients/http/", frozenset({"do_handshake"})),
    (ASYNCIO, "/asyncio/", frozenset()),
    (ASYNCIO, "/selectors.py", frozenset()),
    (ASYNCIO, "/ssl.py", frozenset()),
    (AIOHTTP, "/aiohttp/", frozenset()),
    (AIOHTTP, "/yarl/", frozenset()),
    (AIOHTTP, "/multidict/", frozenset()),
    (PIPELINE, "/azure/", frozenset()),
    (PIPELINE, "/msal/", frozenset()),
    (RECORDING, "exporter/state/", frozenset()),
    (RECORDING, "exporter/metrics/", frozenset()),
    (REST, "exporter/", frozenset()),
)
GROUPS = tuple(dict.fromkeys(group for group, *_ in ROWS))


def group_of(stack: Sequence[tuple[str, str]]) -> str:
    """The group of a stack of files and functions, the innermost first."""
    for file, function in stack:
        path = file.replace("\\", "/")
        for group, part, functions in ROWS:
            if part in path and (not functions or function in functions):
                return group
    return REST
