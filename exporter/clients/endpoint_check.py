"""Check the network path to a host: one GET without a token.

If the certificate is not trusted, a second connection without verification reads it, so that a report can name its issuer.
No secret is sent over that connection.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

from azure.core import AsyncPipelineClient
from azure.core.rest import HttpRequest

from exporter.clients.http.exchange import USER_AGENT
from exporter.clients.http.facts import facts_from
from exporter.clients.http.network import Network, split_url
from exporter.clients.http.timed_sockets import TimedSSLObject, make_context
from exporter.core.faults import Fault
from exporter.core.model import Facts

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
_UNVERIFIED = frozenset({Fault.TLS_UNTRUSTED, Fault.TLS_EXPIRED, Fault.TLS_NOT_YET_VALID, Fault.TLS_WRONG_NAME})


@dataclass(frozen=True, slots=True)
class EndpointResult:
    """The facts of the request and the server's certificate as DER, None if unknown."""

    facts: Facts
    certificate: bytes | None = None


async def check_endpoint(network: Network, host: str, path: str, *, deadline: float) -> EndpointResult:
    """Send a GET to `host` on new connections until `deadline` (loop time).

    `host` includes the port unless it is 443. Raises CancelledError, and PoolExhausted if the deadline passed while the
    request waited for a thread.
    """
    context = await network.pool.run(make_context, network.module.ca_file)
    first = await _get(network, context, host, path, deadline=deadline)
    proxy = network.proxy_for(*split_url(host))
    # An unverified connection to a TLS proxy would expose the proxy's password.
    exposed = proxy is not None and proxy.username is not None and proxy.url.startswith("https:")
    if first.facts.fault not in _UNVERIFIED or exposed:
        return first
    second = await _get(network, _unchecked(), host, path, deadline=deadline)
    return EndpointResult(first.facts, second.certificate)


async def _get(network: Network, context: ssl.SSLContext, host: str, path: str, *, deadline: float) -> EndpointResult:
    shown: list[bytes] = []
    context.sslobject_class = _recording(shown)
    connection = Network(network.module, context, pool=network.pool, limiter=None).connection(*split_url(host))
    client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(f"https://{host}", transport=connection.transport, policies=[])
    request = HttpRequest("GET", f"https://{host}{path}", headers=dict(_HEADERS))
    try:
        exchange = await connection.exchange(lambda: client.send_request(request, stream=True), deadline=deadline)
    finally:
        await connection.close()
    facts = facts_from(exchange)
    return EndpointResult(facts, shown[-1] if shown and facts.fault not in _UNVERIFIED else None)


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _recording(shown: list[bytes]) -> type[TimedSSLObject]:
    """Return an SSL object class that appends the peer's certificate to `shown`."""

    class Recording(TimedSSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            leaf = self.getpeercert(binary_form=True)
            if leaf is not None:
                shown.append(leaf)

    return Recording
