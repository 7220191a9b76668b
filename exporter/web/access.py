"""Access control of every path: refusals, security headers and internal errors.

`_refusal` holds the order of refusals. A listener that is not on loopback serves only `OPEN_PATHS` by default. A listener on
loopback accepts only known host names, because a foreign name that points at 127.0.0.1 would show a response to its owner (DNS
rebinding). A page of another site must not change anything here.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from exporter.core.names import is_address, is_cross_site, parse_authority
from exporter.runtime.logging import fields, place_of
from exporter.runtime.process import computer_name
from exporter.web.access_control import REFUSED_AFTER_SECONDS, AccessControl, Refusal
from exporter.web.connections import UnfinishedResponses, connection_of
from exporter.web.listener import SECURITY_HEADERS
from exporter.web.options import WebOptions

_log = logging.getLogger(__name__)

# Prometheus, an orchestrator and a reader of a runbook need only these. Every other path shows names of vaults, keys and servers.
OPEN_PATHS = frozenset({"/metrics", "/probe", "/sd/targets", "/sd/shards", "/-/healthy", "/-/ready"})
DOCUMENT_PATHS = frozenset({"/docs", "/docs/{name}", "/static/{name}"})
SCRAPED = frozenset({"/metrics", "/probe"})
REFUSAL = (
    "This listener is not on loopback. It serves only /metrics, /probe without debug=true, /sd/targets, /sd/shards, /docs/, /-/healthy and /-/ready. "
    "Pages need --web.enable-pages, or a --web.config.file with basic_auth_users or RequireAndVerifyClientCert.\n"
)
FOREIGN_NAME = "Unrecognised Host header. Use the IP address or localhost, or set --web.external-url.\n"
FOREIGN_SITE = "The request comes from a page of another site. Send it from a page of this exporter or from a program.\n"
TOO_MANY_RESPONSES = "{most} responses are unfinished, the limit of --web.max-requests. Try again later.\n"
TOO_MANY_OF_ADDRESS = "Too many requests from this address are in progress. Try again later.\n"
RETRY = {"Retry-After": "1"}
# Paths that --web.max-requests does not limit: health always responds, and probes take seconds.
UNCOUNTED = frozenset({"", "/probe", "/-/healthy", "/-/ready", "/-/reload"})
BODY_TOO_LARGE = "The request body is too large. No path reads a body: send none.\n"
# No handler reads a body.
LARGEST_BODY = 4096
_TARGET = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?([^/?#]*)")  # the host of a target in absolute form, or of a tunnel


def is_own_name(host: str, external_host: str) -> bool:
    """Whether the host is one that no attacker can point at this exporter.

    Such hosts are IP addresses, localhost, this machine's name and the external URL's. An empty host counts too: no browser sends one.
    """
    authority, external = parse_authority(host), parse_authority(external_host)
    if not host:
        return True
    if authority is None:
        return False
    name = authority.name
    is_local = name == "localhost" or name.endswith(".localhost") or is_address(name) or name == computer_name()
    return is_local or (external is not None and name == external.name)


def is_cross_site_change(headers: Mapping[str, str], external_host: str, *, known_by_name: bool) -> bool:
    """Whether a page of another site sent this request.

    Programs send no such header and pass. `known_by_name`: every client is authenticated, so a foreign name gains nothing.
    """
    host = headers.get(hdrs.HOST, "")
    if is_cross_site(headers, (host, external_host)):
        return True
    from_a_browser = any(name in headers for name in (hdrs.ORIGIN, hdrs.REFERER, "Sec-Fetch-Site"))
    return from_a_browser and not known_by_name and not is_own_name(host, external_host)


def on_loopback(sockname: object) -> bool:
    """Whether the local end is a loopback address or a Unix socket; false if unknown."""
    if not isinstance(sockname, tuple) or not sockname:
        return isinstance(sockname, str | bytes)
    try:
        address = ip_address(str(sockname[0]).partition("%")[0])
    except ValueError:
        return False
    # A dual-stack listener shows an IPv4 peer as ::ffff:127.0.0.1.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def wants_transcript(query: Mapping[str, str]) -> bool:
    """Whether a request of /probe wants the transcript. A transcript shows the proxy's user, paths and addresses, as pages do."""
    return query.get("debug") == "true"


def is_refused(path: str, sockname: object, options: WebOptions, *, transcript: bool = False) -> bool:
    """Whether the listener does not serve this path.

    `path` is the matched route's, without the route prefix, or "" if no route matched. A `transcript` of /probe counts as a page.
    """
    is_open = path in OPEN_PATHS | DOCUMENT_PATHS and not transcript
    return not (options.requires_authentication or options.enable_pages or is_open or on_loopback(sockname))


def serves_pages(request: web.Request, options: WebOptions) -> bool:
    """Whether the listener of this request serves every path."""
    return not is_refused("/", _end(request, "sockname"), options)


def _end(request: web.Request, name: str) -> Any:
    """Return `sockname` or `peername` of the connection, None if it has none."""
    return None if request.transport is None else request.transport.get_extra_info(name)


def _route_path(request: web.Request, options: WebOptions) -> str:
    """Return the path of the matched route, independent of its encoding."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical.removeprefix(options.route_prefix)


async def _refusal(request: web.Request, options: WebOptions, unfinished: UnfinishedResponses) -> Refusal | None:
    """Return the first reason to refuse a request, or None."""
    connection, sockname, peer = connection_of(request.transport), _end(request, "sockname"), _end(request, "peername")
    if options.access_control is not None:
        sent = request.headers.getall(hdrs.AUTHORIZATION, [])
        # Several are none, because a proxy may have checked another one.
        authorization = sent[0] if len(sent) == 1 else ""
        if refusal := await options.access_control.refusal(authorization, str(peer[0]) if isinstance(peer, tuple) else ""):
            await asyncio.sleep(REFUSED_AFTER_SECONDS)
            return refusal
        if connection is not None:
            connection.trusted = options.requires_authentication
    path, headers = _route_path(request, options), request.headers
    if is_refused(path, sockname, options, transcript=path == "/probe" and wants_transcript(request.query)):
        return Refusal(403, REFUSAL)
    if not options.requires_authentication and on_loopback(sockname):
        # Every host that the request names: in its header, and in a target such as `http://HOST/PATH`.
        target = [] if request.raw_path.startswith(("/", "*")) else _TARGET.findall(request.raw_path)
        if not all(is_own_name(host, options.external_host) for host in (*headers.getall(hdrs.HOST, []), *target)):
            return Refusal(421, FOREIGN_NAME)
    changes = request.method not in ("GET", "HEAD", "OPTIONS")
    if changes and is_cross_site_change(headers, options.external_host, known_by_name=options.requires_authentication):
        return Refusal(403, FOREIGN_SITE)
    if (request.content_length or 0) > LARGEST_BODY:
        return Refusal(413, BODY_TOO_LARGE)
    if connection is None or path in UNCOUNTED or unfinished.take(connection):
        return None
    return Refusal(503, TOO_MANY_RESPONSES.format(most=unfinished.most), RETRY)


def access_middleware(options: WebOptions, on_fault: Callable[[], None]) -> Middleware:
    """Return the middleware that applies every rule of this module. `on_fault` counts an internal error."""
    unfinished = UnfinishedResponses(options.max_requests)

    async def respond(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            refusal = await _refusal(request, options, unfinished)
            return await handler(request) if refusal is None else _refused(refusal)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - an error of one page becomes a log line and a 500; the connection's task continues
            on_fault()
            _log.error("request failed", extra=fields(path=request.path, **place_of(error)))
            return web.Response(status=500, text="Internal error. See the exporter's log.\n")

    @web.middleware
    async def keep(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = connection_of(request.transport)
        if connection is None:
            return await respond(request, handler)
        try:
            allowed = connection.begin()
            response = await respond(request, handler) if allowed else _refused(Refusal(503, TOO_MANY_OF_ADDRESS, RETRY))
            # Prepared here, so that the connection is busy until the client has read the response.
            await response.prepare(request)
            await response.write_eof()
            if connection.trusted or (response.status == 200 and _route_path(request, options) in SCRAPED):
                connection.become_known()
            return response
        finally:
            unfinished.give_back(connection)
            connection.end()

    return keep


def _refused(refusal: Refusal) -> web.Response:
    response = web.Response(status=refusal.status, text=refusal.text, headers=refusal.headers)
    if refusal.status in (413, 503):
        response.force_close()  # closing is cheaper than reading a rejected body
    return response


def header_writer(access_control: AccessControl | None) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a handler of `on_response_prepare`. Headers of the web configuration take precedence."""

    async def add(_request: web.Request, response: web.StreamResponse) -> None:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if access_control is not None:
            response.headers.update(access_control.config.headers)

    return add
