"""Names, connections, TLS and the exchange: the network between this host and a service."""

from __future__ import annotations

from functools import partial

from exporter.core.causes import Link
from exporter.core.codes import BY_CODE
from exporter.core.codes.action_texts import AGAIN, SHOW_CONNECTION, SHOW_HANDSHAKE, SHOW_ZONE_LINKS
from exporter.core.codes.readers import for_dba
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.reasons.row import AtSignIn, ReasonRow, Reply, ShownBy

_ENTRA_LINK = AtSignIn(link=Link.ENTRA)
_HOST_OR_REGION = (Link.HOST, Link.REGION)
_RESOLVE = "Resolve this name and another one, here and on the SQL Server host: `Resolve-DnsName HOST`."
_DNS_DOWN = (
    _RESOLVE,
    "If other names fail too, the DNS server of the host is down, overloaded or unreachable. Report it to its operators.",
    DO_NOT_RESTART,
)
_CONNECT = (
    "Test the port from the SQL Server host: `Test-NetConnection HOST -Port 443`.",
    "If it fails there too, open port 443 to that host in every firewall. If not, only this exporter's network is affected.",
    "With a private endpoint, check that the name resolves to its present address: `Resolve-DnsName HOST`.",
    DO_NOT_RESTART,
)
_HANDSHAKE = (
    SHOW_HANDSHAKE,
    "A firewall or proxy that reads the host name may end the handshake. Allow port 443 to that name.",
    for_dba("On the SQL Server host, check that Windows has TLS 1.2 enabled."),
    DO_NOT_RESTART,
)
_CERTIFICATE_DATES = (
    SHOW_HANDSHAKE,
    "Azure renews its certificates weeks before expiry. One with another issuer belongs to a proxy: renew that one.",
    for_dba("Check the clock of this host."),
    DO_NOT_RESTART,
)
_CUT_OFF = (
    SHOW_CONNECTION,
    "If only this network shows the fault, a firewall, proxy or scanner on the route ends the connection.",
    *AGAIN,
)

_no_answer = partial(ReasonRow, reply=Reply.NONE, spreads_to=(Link.HOST,), at_sign_in=_ENTRA_LINK)
_dns = partial(
    _no_answer,
    shown_by=ShownBy("dns_{host}"),
    actions=_DNS_DOWN,
    one_change="a DNS zone, its link to a network or a DNS server serves many names",
)
_ROUTE = "a route, a firewall or a proxy leads to many vaults"
_connect = partial(_no_answer, shown_by=ShownBy("tcp_{host}"), spreads_to=_HOST_OR_REGION, actions=_CONNECT, one_change=_ROUTE)
# A certificate is no region's fault.
_tls = partial(_no_answer, shown_by=ShownBy("tls_{host}"), actions=_HANDSHAKE, one_change=_ROUTE)
_cut_off = partial(_no_answer, spreads_to=_HOST_OR_REGION, actions=_CUT_OFF, one_change=_ROUTE)
_incomplete = partial(_cut_off, reply=Reply.FAILED, spreads_to=(Link.REGION,))

NETWORK: tuple[ReasonRow, ...] = (
    _dns(
        "dns_not_found",
        "DNS has no such host name",
        is_irreversible=True,
        at_sign_in=AtSignIn(
            link=Link.ENTRA,
            actions=(
                "On the SQL Server host, run `Resolve-DnsName HOST`. If other names resolve there, only this one is missing.",
                "The name is public. Correct the DNS server of the host that does not resolve it, or its forwarder.",
                DO_NOT_RESTART,
            ),
        ),
    ).advising(*BY_CODE[3900].actions[:-1], f"Show the links: {SHOW_ZONE_LINKS}.", DO_NOT_RESTART),
    _dns("dns_temporary", "DNS failed temporarily", is_of_host=True),
    _dns("dns_timeout", "DNS did not respond in time", is_of_host=True),
    _connect(
        "network_down", "this host has no route to the network", link=Link.HOST, spreads_to=(), is_of_host=True, one_change=""
    ).advising(),
    _connect("connect_refused", "the connection was refused"),
    _connect("connect_reset", "the connection was reset while connecting"),
    _connect("connect_timeout", "the connection attempt timed out"),
    _connect("connect_unreachable", "the network reports the address as unreachable"),
    _connect("connect_failed", "the connection failed"),
    _tls("tls_untrusted", "the certificate was issued by an authority that is not trusted here", is_open=True).advising(
        "Exempt `HOST` from TLS inspection: a proxy or firewall on the route signs the certificate.",
        for_dba(
            "Or trust its authority on the SQL Server host: `certutil -addstore Root AUTHORITY.cer`. For the exporter, set `tls.ca_file`."
        ),
        "A search domain or the hosts file may answer with another host. Compare `nslookup HOST` with `nslookup HOST.` and its dot at the end.",
        DO_NOT_RESTART,
    ),
    _tls("tls_expired", "the server's certificate has expired").advising(*_CERTIFICATE_DATES),
    _tls("tls_not_yet_valid", "the server's certificate is not valid yet").advising(*_CERTIFICATE_DATES),
    _tls("tls_wrong_name", "the server's certificate is for another name").advising(
        "Show the addresses, here and on the SQL Server host: `Resolve-DnsName HOST`. The name leads to another server.",
        "Correct the private DNS record, or remove the search domain or hosts entry that answers.",
        SHOW_HANDSHAKE,
        DO_NOT_RESTART,
    ),
    _tls("tls_not_tls", "the server does not use TLS"),
    _tls("tls_reset", "the connection was closed during the TLS handshake"),
    _tls("tls_timeout", "the TLS handshake timed out"),
    _tls("tls_failed", "the TLS handshake failed", is_open=True),
    _cut_off("connection_reset", "the connection was reset before the response"),
    _cut_off("connection_closed", "the connection was closed before the response"),
    _cut_off("read_timeout", "connected, but no response arrived in time", is_of_service=True),
    _cut_off("not_http", "the response is not valid HTTP", is_open=True),
    _incomplete("body_truncated", "the response was truncated"),
    _incomplete("body_timeout", "the response was not complete in time"),
    _incomplete("body_too_large", "the response is far larger than a valid one"),
    _cut_off(
        "redirect", "the response is a redirect, which the connector does not follow", spreads_to=(Link.HOST,), is_open=True
    ).advising(
        f"{SHOW_CONNECTION} Key Vault and Entra ID do not redirect.",
        "Allow both hosts on the proxy without a login page, and on every portal of the network.",
        *AGAIN,
    ),
)
