"""Who may see what, and under which headers: the same for every path.

For: the order of refusals (see `_refusal`), the restricted set of paths on a listener that is not on loopback, the host names
under which a listener on loopback answers, the security headers, and the last catch of a fault.
Not for: rules of a web configuration file (see `webconfig`), nor any page.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv6Address, ip_address

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from exporter.runtime.logging import fields, place_of
from exporter.web.answers import UnfinishedAnswers
from exporter.web.options import WebOptions
from exporter.web.origin import from_elsewhere, is_ours
from exporter.web.server.connections import connection_of
from exporter.web.webconfig import AccessControl, Refusal

_log = logging.getLogger(__name__)

# What Prometheus and an orchestrator need; everything else is for people and names vaults, keys and servers at length.
OPEN_PATHS = frozenset({"/metrics", "/probe", "/sd/targets", "/-/healthy", "/-/ready"})
REFUSAL = (
    "This listener is not on loopback: it serves /metrics, /probe without debug=true, /sd/targets, /-/healthy and /-/ready only. "
    "Pages need --web.enable-pages, or a --web.config.file with basic_auth_users or RequireAndVerifyClientCert.\n"
)
FOREIGN_NAME = (
    "The name in the address is none of this exporter's: use its IP address or localhost, or name it with --web.external-url.\n"
)
FOREIGN_SITE = "A page of another site may not do this.\n"
TOO_MANY_ANSWERS = "{most} answers are unfinished, as many as --web.max-requests allows. Try again later.\n"
TOO_MANY_OF_ADDRESS = "Too many requests of this address are being answered. Try again later.\n"
RETRY = {"Retry-After": "1"}
# Requests that hold no place among the unfinished answers: health is always answered, and probes take their time.
UNCOUNTED = frozenset({"", "/probe", "/-/healthy", "/-/ready", "/-/reload"})
BODY_TOO_LARGE = "No request here has a body that is read.\n"
# No handler reads a body.
LARGEST_BODY = 4096
LOCK = web.AppKey("lock", AccessControl)
HEADERS = {
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


def wants_transcript(query: Mapping[str, str]) -> bool:
    """Whether a request of /probe is for its transcript: it shows the proxy's user, paths and addresses, as pages do."""
    return query.get("debug") == "true"


def refused(path: str, sockname: object, options: WebOptions, *, transcript: bool = False) -> bool:
    """The rule of the door: `path` is the matched route's, without the route prefix; "" where none matched.

    `transcript`: the answer to /probe would be one, which is a page.
    """
    for_programs = path in OPEN_PATHS and not transcript
    return not (options.locked or options.enable_pages or for_programs or on_loopback(sockname))


def rebound(sockname: object, host: str, options: WebOptions) -> bool:
    """Whether loopback is reached under a foreign name, which a stranger may have pointed there (DNS rebinding)."""
    return on_loopback(sockname) and not (options.locked or is_ours(host, options.external_host))


def _route_path(request: web.Request, options: WebOptions) -> str:
    """The path as the route spells it: what decides is what will be served, however the request was encoded."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical.removeprefix(options.route_prefix)


async def _refusal(request: web.Request, options: WebOptions, answers: UnfinishedAnswers) -> Refusal | None:
    """Why a request is not answered, the first reason of all; None where it is."""
    connection = connection_of(request.transport)
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if options.lock is not None:
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        refusal = await options.lock.refusal(request.headers.get(hdrs.AUTHORIZATION, ""), address)
        if refusal is not None:
            return refusal
        if connection is not None:
            connection.trusted = options.locked
    transport = request.transport
    sockname = transport.get_extra_info("sockname") if transport is not None else None
    path = _route_path(request, options)
    if refused(path, sockname, options, transcript=path == "/probe" and wants_transcript(request.query)):
        return Refusal(403, REFUSAL)
    if rebound(sockname, request.headers.get(hdrs.HOST, ""), options):
        return Refusal(421, FOREIGN_NAME)
    changes = request.method not in ("GET", "HEAD", "OPTIONS")
    if changes and from_elsewhere(request.headers, options.external_host, known_by_name=options.locked):
        return Refusal(403, FOREIGN_SITE)
    if (request.content_length or 0) > LARGEST_BODY:
        return Refusal(413, BODY_TOO_LARGE)
    if connection is None or path in UNCOUNTED or answers.take(connection):
        return None
    return Refusal(503, TOO_MANY_ANSWERS.format(most=answers.most), RETRY)


def keeper(options: WebOptions, on_fault: Callable[[], None]) -> Middleware:
    """The middleware; `on_fault` counts an internal error."""
    answers = UnfinishedAnswers(options.max_requests)

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            refusal = await _refusal(request, options, answers)
            return await handler(request) if refusal is None else _refused(refusal)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of one page is a line and a 500, never the end of a connection's task
            on_fault()
            _log.error("request failed", extra=fields(path=request.path, **place_of(error)))
            return web.Response(status=500, text="Internal error. The log has a line about it.\n")

    @web.middleware
    async def keep(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = connection_of(request.transport)
        if connection is None:
            return await answer(request, handler)
        try:
            allowed = connection.begin()
            response = await answer(request, handler) if allowed else _refused(Refusal(503, TOO_MANY_OF_ADDRESS, RETRY))
            # Here, so that the connection is busy until the client has read the answer.
            await response.prepare(request)
            await response.write_eof()
            return response
        finally:
            answers.give_back(connection)
            connection.end()

    return keep


def _refused(refusal: Refusal) -> web.Response:
    response = web.Response(status=refusal.status, text=refusal.text, headers=refusal.headers)
    if refusal.status in (413, 503):
        response.force_close()  # rather than read what nobody wants, or hold a place
    return response


def header_writer(lock: AccessControl | None) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """A signal handler of `on_response_prepare`; what the lock says of headers goes before everything else."""

    async def add(_request: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if lock is not None:
            response.headers.update(lock.headers)

    return add
