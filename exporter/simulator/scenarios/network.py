"""Scenarios of the network: names, connections, TLS, proxies and HTTP exchanges."""

from __future__ import annotations

from exporter.core.model import Step
from exporter.core.reasons import Reason
from exporter.simulator.faults import FaultScope
from exporter.simulator.scenarios.model import Outside, Scenario
from exporter.simulator.scenarios.parts import BODY_PARTS, PARTS, step_scenarios

_V, _E, _N, _P = FaultScope.VAULT, FaultScope.AUTHORITY, Outside.NETWORK, Outside.PROXY
_CHALLENGE, _TOKEN = Step.CHALLENGE, Step.TOKEN
_R = Reason

NETWORK: tuple[Scenario, ...] = (
    # the network between: real resolvers, routes and proxies, outside of the simulator
    Scenario("host_offline", "no network except loopback; the name resolves", _N, _CHALLENGE, 3005, 3103, _R.NETWORK_DOWN, "The host lost its network, and its hosts file has the vault."),
    Scenario("resolver_nxdomain", "the resolver returns NXDOMAIN", _N, _CHALLENGE, 3900, 3900, _R.DNS_NOT_FOUND, "The private DNS zone lost its record."),
    Scenario("resolver_servfail", "the resolver returns SERVFAIL", _N, _CHALLENGE, 3900, 3900, _R.DNS_TEMPORARY, "The forwarder behind the resolver is down."),
    Scenario("resolver_silent", "the resolver does not answer", _N, _CHALLENGE, 3900, 3900, _R.DNS_TIMEOUT, "Port 53 is filtered."),
    Scenario("connect_dropped", "the connection attempt gets no answer", _N, _CHALLENGE, 3008, 3106, _R.CONNECT_TIMEOUT, "A firewall drops packets to the vault."),
    Scenario("connect_unreachable", "the host is reported unreachable", _N, _CHALLENGE, 3008, 3106, _R.CONNECT_UNREACHABLE, "The private endpoint's network is not routed."),
    Scenario("proxy_refused", "the proxy refuses connections", _P, _CHALLENGE, 3008, 3106, _R.PROXY_UNREACHABLE, "The proxy is down."),
    Scenario("proxy_unresolvable", "the proxy's name does not resolve", _P, _CHALLENGE, 3008, 3106, _R.PROXY_UNRESOLVED, "The proxy was renamed."),
    Scenario("proxy_silent", "the proxy does not answer CONNECT", _P, _CHALLENGE, 3008, 3106, _R.PROXY_TIMEOUT, "The proxy cannot reach the vault and sends no error."),
    Scenario("proxy_redirects", "the proxy redirects CONNECT", _P, _CHALLENGE, 3001, 3001, _R.PROXY_STATUS, "A captive portal stands in for the proxy."),
    Scenario("proxy_unauthorized", "the proxy returns 407", _P, _CHALLENGE, 3012, 3110, _R.PROXY_AUTH, "The proxy requires a password."),
    Scenario("proxy_bad_gateway", "the proxy returns 502", _P, _CHALLENGE, 3013, 3111, _R.PROXY_STATUS, "The proxy cannot reach its upstream."),
    Scenario("proxy_not_http", "the proxy's response to CONNECT is not HTTP", _P, _CHALLENGE, 3008, 3106, _R.PROXY_INVALID, "Another service listens on the port of the proxy."),
    # the name, the connection, TLS
    Scenario("vault_deleted", "unresolvable", _V, _CHALLENGE, 3900, 3900, _R.DNS_NOT_FOUND, "The vault was deleted, and its name with it."),
    Scenario("vault_refused", "refused", _V, _CHALLENGE, 3008, 3106, _R.CONNECT_REFUSED, "A device in between refuses the connection."),
    Scenario("vault_tls_expired", "tls_expired", _V, _CHALLENGE, 3008, 3106, _R.TLS_EXPIRED, "The certificate was not renewed."),
    Scenario("vault_tls_not_yet_valid", "tls_not_yet_valid", _V, _CHALLENGE, 3008, 3106, _R.TLS_NOT_YET_VALID, "The host's clock is behind, or the certificate starts in the future."),
    Scenario("vault_tls_wrong_name", "tls_wrong_name", _V, _CHALLENGE, 3008, 3106, _R.TLS_WRONG_NAME, "A private DNS zone points to another service."),
    Scenario("vault_tls_untrusted", "tls_untrusted", _V, _CHALLENGE, 3008, 3106, _R.TLS_UNTRUSTED, "A proxy decrypts TLS and signs with its own authority."),
    Scenario("vault_tls_alert", "tls_alert", _V, _CHALLENGE, 3008, 3106, _R.TLS_FAILED, "Client and server have no common TLS parameters."),
    Scenario("vault_tls_reset", "tls_reset", _V, _CHALLENGE, 3008, 3106, _R.TLS_RESET, "A firewall reads the name in the handshake and resets the connection."),
    Scenario("vault_tls_closed", "tls_closed", _V, _CHALLENGE, 3008, 3106, _R.TLS_RESET, "A load balancer has no backend."),
    Scenario("vault_tls_silent", "tls_silent", _V, _CHALLENGE, 3008, 3106, _R.TLS_TIMEOUT, "A firewall accepts the connection and drops the later packets."),
    Scenario("vault_plain_http", "plain_http", _V, _CHALLENGE, 3008, 3106, _R.TLS_NOT_TLS, "A captive portal answers in plain HTTP."),
    Scenario("entra_deleted", "unresolvable", _E, _TOKEN, 3900, 3900, _R.DNS_NOT_FOUND, "The resolver has no record of the sign-in host."),
    Scenario("entra_refused", "refused", _E, _TOKEN, 3008, 3106, _R.CONNECT_REFUSED, "The firewall allows the vault but not the sign-in host."),
    Scenario("entra_tls_untrusted", "tls_untrusted", _E, _TOKEN, 3008, 3106, _R.TLS_UNTRUSTED, "A proxy decrypts TLS to the sign-in host."),
    Scenario("entra_tls_expired", "tls_expired", _E, _TOKEN, 3008, 3106, _R.TLS_EXPIRED, "The proxy's own certificate was not renewed."),
    Scenario("entra_tls_not_yet_valid", "tls_not_yet_valid", _E, _TOKEN, 3008, 3106, _R.TLS_NOT_YET_VALID, "The host's clock is behind."),
    Scenario("entra_tls_alert", "tls_alert", _E, _TOKEN, 3008, 3106, _R.TLS_FAILED, "Client and sign-in host have no common TLS parameters."),
    Scenario("entra_plain_http", "plain_http", _E, _TOKEN, 3008, 3106, _R.TLS_NOT_TLS, "A captive portal answers for the sign-in host."),
    Scenario("entra_tls_wrong_name", "tls_wrong_name", _E, _TOKEN, 3008, 3106, _R.TLS_WRONG_NAME, "The sign-in host leads to a portal."),
    Scenario("entra_tls_reset", "tls_reset", _E, _TOKEN, 3008, 3106, _R.TLS_RESET, "The firewall's list of names lacks the sign-in host."),
    Scenario("entra_tls_silent", "tls_silent", _E, _TOKEN, 3008, 3106, _R.TLS_TIMEOUT, "A firewall drops packets to the sign-in host after the connection."),
    # the exchange, at every step
    *step_scenarios(PARTS, "reset", 3008, 3106, _R.CONNECTION_RESET, "The connection is reset instead of {awaited}."),
    *step_scenarios(PARTS, "closed", 3008, 3106, _R.CONNECTION_CLOSED, "The connection is closed instead of {awaited}."),
    *step_scenarios(PARTS, "silent", 3008, 3106, _R.READ_TIMEOUT, "The request for {awaited} gets no response."),
    *step_scenarios(PARTS, "endless_header", 3008, 3106, _R.READ_TIMEOUT, "The header before {awaited} never ends."),
    *step_scenarios(PARTS, "garbage", 3008, 3106, _R.NOT_HTTP, "Bytes that are not HTTP arrive instead of {awaited}."),
    *step_scenarios(PARTS, "redirected", 3001, None, _R.REDIRECT, "A portal redirects the request for {awaited}."),
    *step_scenarios(BODY_PARTS, "truncated", 3019, 3119, _R.BODY_TRUNCATED, "The response ends in the middle of {awaited}."),
    *step_scenarios(BODY_PARTS, "trickling", 3019, 3119, _R.BODY_TIMEOUT, "The response with {awaited} arrives too slowly."),
    *step_scenarios(BODY_PARTS, "huge", 3019, 3119, _R.BODY_TOO_LARGE, "Ten million bytes arrive instead of {awaited}."),
)  # fmt: skip
