"""Who may see what, and under which headers: the same for every path.

For: the restricted set of paths on a listener that is not on loopback, the security headers, and the last catch of a fault.
Not for: users, passwords and certificates of a web configuration file, nor any page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from exporter.logs import fields, place_of
from exporter.web.options import WebOptions

_log = logging.getLogger(__name__)

# What Prometheus and an orchestrator need; everything else is for people and names vaults, keys and servers at length.
OPEN_PATHS = frozenset({"/metrics", "/probe", "/sd/targets", "/-/healthy", "/-/ready"})
REFUSAL = (
    "This listener is not on loopback: it serves /metrics, /probe, /sd/targets, /-/healthy and /-/ready only. "
    "Pages need --web.config.file or --web.enable-pages.\n"
)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def on_loopback(sockname: object) -> bool:
    """True if the local end of a connection is a loopback address or a Unix socket; false where it is not known."""
    if isinstance(sockname, str | bytes):
        return True
    if not isinstance(sockname, tuple) or not sockname:
        return False
    try:
        address = ip_address(str(sockname[0]).partition("%")[0])
    except ValueError:
        return False
    # A dual-stack listener shows an IPv4 peer as ::ffff:127.0.0.1.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def refused(path: str, sockname: object, options: WebOptions) -> bool:
    """The rule of the door: `path` is the matched route's, without the route prefix; "" where none matched."""
    return not (options.own_lock or options.enable_pages or path in OPEN_PATHS or on_loopback(sockname))


def _route_path(request: web.Request, options: WebOptions) -> str:
    """The path as the route spells it: what decides is what will be served, however the request was encoded."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical.removeprefix(options.route_prefix)


def keeper(options: WebOptions, on_fault: Callable[[], None]) -> Middleware:
    """The middleware; `on_fault` counts an internal error."""

    @web.middleware
    async def keep(request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        sockname = transport.get_extra_info("sockname") if transport is not None else None
        if refused(_route_path(request, options), sockname, options):
            return web.Response(status=403, text=REFUSAL)
        try:
            return await handler(request)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of one page is a line and a 500, never the end of a connection's task
            on_fault()
            _log.error("request failed", extra=fields(path=request.path, **place_of(error)))
            return web.Response(status=500, text="Internal error. The log has a line about it.\n")

    return keep


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler of `on_response_prepare`."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "ekm-exporter"  # else aiohttp names itself, Python and both versions
