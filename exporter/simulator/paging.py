"""Pages of a list, as a vault returns them: `maxresults`, `$skiptoken` and `nextLink`."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

from exporter.simulator.error_responses import vault_error
from exporter.simulator.model import with_port
from exporter.simulator.request import Exchange
from exporter.simulator.response import SimulatedResponse

T = TypeVar("T")

PAGE = 25  # items on a page, which is also the largest `maxresults`


def list_page(host: str, exchange: Exchange, items: Sequence[T], document: Callable[[T], object]) -> SimulatedResponse:
    """Return one page of a list; `host` is the vault's, with its port if it is not 443."""
    size, start = _page(exchange)
    if size is None or start is None:
        return vault_error("bad_parameter", found="maxresults or $skiptoken")
    end = start + size
    following = _next(host, exchange, size, end) if end < len(items) else None
    return SimulatedResponse().with_document({"value": [document(item) for item in items[start:end]], "nextLink": following})


def _page(exchange: Exchange) -> tuple[int | None, int | None]:
    """Return size and start of the page, None for an invalid value."""
    wanted = exchange.query.get("maxresults", str(PAGE))
    size = int(wanted) if wanted.isdecimal() and 1 <= int(wanted) <= PAGE else None
    return size, start_of(exchange.query.get("$skiptoken"))


def _next(host: str, exchange: Exchange, size: int, start: int) -> str:
    """Return the absolute address of the next page; the service names the port."""
    version, token = quote(exchange.query.get("api-version", "")), quote(skip_token(start))
    return f"https://{with_port(host)}{exchange.path}?api-version={version}&$skiptoken={token}&maxresults={size}"


def skip_token(start: int) -> str:
    """Return the token of the page that begins there."""
    return base64.urlsafe_b64encode(json.dumps({"from": start}).encode()).decode()


def start_of(token: object) -> int | None:
    """Return the start of a page from its token, 0 without one, None if it is invalid."""
    if token is None:
        return 0
    try:
        start = json.loads(base64.urlsafe_b64decode(str(token)))["from"]
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
    return start if isinstance(start, int) and start >= 0 else None
