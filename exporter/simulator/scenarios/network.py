"""Scenarios of the way: names, connections, TLS, proxies, and what can happen to any exchange.

Not for: what Entra or a vault says.
"""

from __future__ import annotations

from exporter.core.faults import Reason
from exporter.core.model import Step
from exporter.simulator.faults import Scope
from exporter.simulator.scenarios.model import Outside, Scenario
from exporter.simulator.scenarios.parts import PARTS, WITH_BODY, at

_V, _E, _N, _P = Scope.VAULT, Scope.AUTHORITY, Outside.NETWORK, Outside.PROXY
_CHALLENGE, _TOKEN = Step.CHALLENGE, Step.TOKEN
_R = Reason

NETWORK: tuple[Scenario, ...] = (
    # what lies between: real resolvers, routes and proxies, so none of it is the simulator's
    Scenario("host_offline", "no network but loopback, for a name that is known", _N, _CHALLENGE, 3005, 3103, _R.NETWORK_DOWN, "The host lost its network altogether, and the vault stands in its hosts file."),
    Scenario("resolver_nxdomain", "the resolver knows no such name", _N, _CHALLENGE, 3900, 3900, _R.DNS_NOT_FOUND, "The private DNS zone lost its record."),
    Scenario("resolver_servfail", "the resolver answers SERVFAIL", _N, _CHALLENGE, 3900, 3900, _R.DNS_TEMPORARY, "The forwarder behind the resolver is out."),
    Scenario("resolver_silent", "the resolver does not answer", _N, _CHALLENGE, 3900, 3900, _R.DNS_TIMEOUT, "Port 53 is filtered."),
    Scenario("connect_dropped", "nobody answers the connection", _N, _CHALLENGE, 3008, 3106, _R.CONNECT_TIMEOUT, "A firewall drops what goes to the vault."),
    Scenario("connect_unreachable", "the host is reported unreachable", _N, _CHALLENGE, 3008, 3106, _R.CONNECT_UNREACHABLE, "The private endpoint's network is not routed."),
    Scenario("proxy_refused", "the proxy refuses connections", _P, _CHALLENGE, 3008, 3106, _R.PROXY_UNREACHABLE, "The proxy is down."),
    Scenario("proxy_unresolvable", "the proxy's name does not resolve", _P, _CHALLENGE, 3008, 3106, _R.PROXY_UNRESOLVED, "The proxy was renamed."),
    Scenario("proxy_silent", "the proxy does not answer CONNECT", _P, _CHALLENGE, 3008, 3106, _R.PROXY_TIMEOUT, "The proxy cannot reach the vault and does not say so."),
    Scenario("proxy_unauthorized", "the proxy answers 407", _P, _CHALLENGE, 3012, 3110, _R.PROXY_AUTH, "The proxy wants a password."),
    Scenario("proxy_bad_gateway", "the proxy answers 502", _P, _CHALLENGE, 3013, 3111, _R.PROXY_STATUS, "The proxy reaches nobody."),
    # the name, the connection, TLS
    Scenario("vault_deleted", "unresolvable", _V, _CHALLENGE, 3900, 3900, _R.DNS_NOT_FOUND, "The vault was deleted and its name is gone."),
    Scenario("vault_refused", "refused", _V, _CHALLENGE, 3008, 3106, _R.CONNECT_REFUSED, "Something between answers for the vault and refuses."),
    Scenario("vault_tls_expired", "tls_expired", _V, _CHALLENGE, 3008, 3106, _R.TLS_EXPIRED, "The certificate ran out."),
    Scenario("vault_tls_not_yet_valid", "tls_not_yet_valid", _V, _CHALLENGE, 3008, 3106, _R.TLS_NOT_YET_VALID, "The host's clock is behind, or the certificate ahead."),
    Scenario("vault_tls_wrong_name", "tls_wrong_name", _V, _CHALLENGE, 3008, 3106, _R.TLS_WRONG_NAME, "A private DNS zone points to another service."),
    Scenario("vault_tls_untrusted", "tls_untrusted", _V, _CHALLENGE, 3008, 3106, _R.TLS_UNTRUSTED, "A proxy opens TLS and signs with an authority of its own."),
    Scenario("vault_tls_alert", "tls_alert", _V, _CHALLENGE, 3008, 3106, _R.TLS_FAILED, "The two ends agree on no handshake."),
    Scenario("vault_tls_reset", "tls_reset", _V, _CHALLENGE, 3008, 3106, _R.TLS_RESET, "A firewall reads the name in the handshake and cuts."),
    Scenario("vault_tls_closed", "tls_closed", _V, _CHALLENGE, 3008, 3106, _R.TLS_RESET, "A load balancer without a backend hangs up."),
    Scenario("vault_tls_silent", "tls_silent", _V, _CHALLENGE, 3008, 3106, _R.TLS_TIMEOUT, "A firewall accepts the connection and drops what follows."),
    Scenario("vault_plain_http", "plain_http", _V, _CHALLENGE, 3008, 3106, _R.TLS_NOT_TLS, "A captive portal answers in plain HTTP."),
    Scenario("entra_deleted", "unresolvable", _E, _TOKEN, 3900, 3900, _R.DNS_NOT_FOUND, "The sign-in host does not resolve from here."),
    Scenario("entra_refused", "refused", _E, _TOKEN, 3008, 3106, _R.CONNECT_REFUSED, "The firewall lets the vault through and forgot the sign-in host."),
    Scenario("entra_tls_untrusted", "tls_untrusted", _E, _TOKEN, 3008, 3106, _R.TLS_UNTRUSTED, "A proxy opens TLS to the sign-in host."),
    Scenario("entra_tls_expired", "tls_expired", _E, _TOKEN, 3008, 3106, _R.TLS_EXPIRED, "The proxy's own certificate ran out."),
    Scenario("entra_tls_not_yet_valid", "tls_not_yet_valid", _E, _TOKEN, 3008, 3106, _R.TLS_NOT_YET_VALID, "The host's clock is behind."),
    Scenario("entra_tls_alert", "tls_alert", _E, _TOKEN, 3008, 3106, _R.TLS_FAILED, "The sign-in host agrees on no handshake."),
    Scenario("entra_plain_http", "plain_http", _E, _TOKEN, 3008, 3106, _R.TLS_NOT_TLS, "A captive portal answers for the sign-in host."),
    Scenario("entra_tls_wrong_name", "tls_wrong_name", _E, _TOKEN, 3008, 3106, _R.TLS_WRONG_NAME, "The sign-in host leads to a portal."),
    Scenario("entra_tls_reset", "tls_reset", _E, _TOKEN, 3008, 3106, _R.TLS_RESET, "The firewall's list of names lacks the sign-in host."),
    Scenario("entra_tls_silent", "tls_silent", _E, _TOKEN, 3008, 3106, _R.TLS_TIMEOUT, "What follows the connection to the sign-in host is dropped."),
    # the exchange, at every step
    *at(PARTS, "reset", 3008, 3106, _R.CONNECTION_RESET, "The connection is torn down instead of {awaited}."),
    *at(PARTS, "closed", 3008, 3106, _R.CONNECTION_CLOSED, "The connection is closed without a word instead of {awaited}."),
    *at(PARTS, "silent", 3008, 3106, _R.READ_TIMEOUT, "The request for {awaited} is swallowed."),
    *at(PARTS, "endless_header", 3008, 3106, _R.READ_TIMEOUT, "The header before {awaited} never ends."),
    *at(PARTS, "garbage", 3008, 3106, _R.NOT_HTTP, "Something that speaks no HTTP comes instead of {awaited}."),
    *at(PARTS, "redirected", 3001, None, _R.REDIRECT, "A portal redirects whoever asks for {awaited}."),
    *at(WITH_BODY, "truncated", 3019, 3119, _R.BODY_TRUNCATED, "The answer breaks off in the middle of {awaited}."),
    *at(WITH_BODY, "trickling", 3019, 3119, _R.BODY_TIMEOUT, "The answer comes too slowly for {awaited} to be of use."),
    *at(WITH_BODY, "huge", 3019, 3119, _R.BODY_TOO_LARGE, "Ten million bytes come instead of {awaited}."),
)  # fmt: skip
