"""Rows of reasons: the network between this host and a service, its proxy, and responses that are unusable or only a status."""

from __future__ import annotations

from functools import partial

from exporter.core.values import CredentialKind, Step
from exporter.knowledge.code_row import (
    AGAIN,
    ASSIGN_AGAIN,
    CAUSE_IS_ELSEWHERE,
    DO_NOT_RESTART,
    FIND_INTERCEPTION,
    KEEP_CREDENTIAL,
    NOT_IN_WAVES,
    ROLES_OF_RECOVERED,
    SHOW_THE_SERVER,
    SHOW_ZONE_LINKS,
    SIGN_IN_LOG,
    STATUS_PAGE,
    SUPPORT,
    for_dba,
    for_exporter,
)
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reason_row import (
    AtSignIn,
    EntraOrder,
    Link,
    Markers,
    ReasonRow,
    Refused,
    Reply,
    ShownBy,
    VaultOrder,
    numbers,
)
from exporter.knowledge.reasons_vault import CHECK_ROUTE, OTHER_DEVICE, READ_SENTENCE, RECOVER_KEY

_SHOW_CONNECTION = "Show the connection and its response, on the probe's host and from another network: `curl -v https://HOST`."
# At their roots, a vault and Entra ID have no JSON, and Entra ID redirects.
_SHOW_VAULT = "Show the response, on the probe's host and from another network: `curl -i https://HOST/keys?api-version=7.4`."
_SHOW_ENTRA = "Show the response, on the probe's host and from another network: `curl -i https://HOST/common/v2.0/.well-known/openid-configuration`."
_SHOW_HANDSHAKE = "Show the certificate, its dates and its issuer, on the probe's host and from another network: `openssl s_client -connect HOST:443 -servername HOST`."
_COMPARE_PROXY = for_dba("Compare with the proxy of SQL Server's service account, which may be another one.")

_ENTRA_LINK = AtSignIn(link=Link.ENTRA)
_HOST_OR_REGION = (Link.HOST, Link.REGION)
_DNS_DOWN = (
    "Resolve this name and another one, on the probe's host and on the SQL Server host: `Resolve-DnsName HOST`.",
    "If other names fail too, the DNS server of the host is down, overloaded or unreachable. Report it to its operators.",
    DO_NOT_RESTART,
)
_DELETED_OR_NO_RECORD = tuple(ASSIGN_AGAIN if each == ROLES_OF_RECOVERED else each for each in BY_CODE[3900].actions[:-1])
_NAME_GONE = (
    *_DELETED_OR_NO_RECORD,
    f"Show the links, with the zone's resource group as DNS_GROUP: {SHOW_ZONE_LINKS}.",
    DO_NOT_RESTART,
)
_CONNECT = (
    "Test the port from the SQL Server host: `Test-NetConnection HOST -Port 443`.",
    "If it fails there too, open port 443 to that host in every firewall. If not, only the network of the probe's host is affected.",
    "With a private endpoint, check that the name resolves to its present address: `Resolve-DnsName HOST`.",
    DO_NOT_RESTART,
)
_HANDSHAKE = (
    "Make the handshake from the SQL Server host: `curl.exe -v https://HOST`. If it fails only on the probe's host, SQL Server is not affected.",
    "A firewall or proxy that reads the host name may end the handshake. Allow port 443 to that name.",
    for_dba("On the SQL Server host, check that Windows has TLS 1.2 enabled."),
    DO_NOT_RESTART,
)
_CERTIFICATE_DATES = (
    _SHOW_HANDSHAKE,
    "Azure renews its certificates weeks before expiry. One with another issuer belongs to a proxy: renew that one.",
    for_dba("Check the clock of the probe's host."),
    DO_NOT_RESTART,
)
_CUT_OFF = (
    _SHOW_CONNECTION,
    "If only the network of the probe's host shows the fault, a firewall, proxy or scanner on the route ends the connection.",
    *AGAIN,
)

_ALLOW_BOTH = ("Allow the vault and Entra ID on the proxy without a login page, and on every portal of the network.", *AGAIN)

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
        on_hsm=tuple(each for each in _NAME_GONE if each != ASSIGN_AGAIN),  # its roles are its own
        at_sign_in=AtSignIn(
            link=Link.ENTRA,
            actions=(
                "On the SQL Server host, run `Resolve-DnsName HOST`. If other names resolve there, only this one is missing.",
                "The name is public. Correct the DNS server of the host that does not resolve it, or its forwarder.",
                DO_NOT_RESTART,
            ),
        ),
    ).advising(*_NAME_GONE),
    _dns("dns_temporary", "DNS failed temporarily", is_of_host=True),
    _dns("dns_timeout", "DNS did not respond in time", is_of_host=True),
    _connect(
        "network_down",
        "the probe's host has no route to the network",
        link=Link.HOST,
        spreads_to=(),
        is_of_host=True,
        one_change="",
    ).advising(),
    _connect("connect_refused", "the connection was refused"),
    _connect("connect_reset", "the connection was reset while connecting"),
    _connect("connect_timeout", "the connection attempt timed out"),
    _connect("connect_unreachable", "the network reports the address as unreachable"),
    _connect("connect_failed", "the connection failed"),
    _tls(
        "tls_untrusted", "the certificate was issued by an authority that the probe's host does not trust", is_open=True
    ).advising(
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
        "Show the addresses, on the probe's host and on the SQL Server host: `Resolve-DnsName HOST`. The name leads to another server.",
        "Correct the private DNS record, or remove the search domain or hosts entry that answers.",
        _SHOW_HANDSHAKE,
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
        "redirect",
        "the response is a redirect, which the connector does not follow",
        meaning="The response leads elsewhere, as a login page or a portal does. The connector does not follow it.",
        spreads_to=(Link.HOST,),
        is_open=True,
        at_sign_in=AtSignIn(link=Link.ENTRA, actions=(f"{_SHOW_ENTRA} Entra ID does not redirect this.", *_ALLOW_BOTH)),
    ).advising(f"{_SHOW_VAULT} Key Vault does not redirect this.", *_ALLOW_BOTH),
)

# The proxy between this host and a service.

_UNREACHED = (
    "Show whether the proxy responds: `curl -v -p -x http://PROXY https://HOST`.",
    for_exporter("Check host and port of `proxy` in the module: the exporter cannot reach the proxy."),
    _COMPARE_PROXY,
    for_exporter("A private endpoint is reached without a proxy: add the vault to `no_proxy`."),
    DO_NOT_RESTART,
)
_proxy = partial(ReasonRow, reply=Reply.NONE, link=Link.PROXY, shown_by=ShownBy("proxy_{host}"), actions=_UNREACHED)

PROXY: tuple[ReasonRow, ...] = (
    _proxy("proxy_unresolved", "the host name of the proxy did not resolve"),
    _proxy("proxy_unreachable", "the proxy could not be reached"),
    _proxy("proxy_timeout", "the proxy did not respond in time"),
    _proxy(
        "proxy_invalid",
        "the proxy's response is not HTTP, or its tunnel carries no TLS",
        meaning="The proxy opened no tunnel: its response is not HTTP, or a page follows it. No request reached {service}.",
        is_open=True,
    ).advising(
        "Show the response: `curl -v -p -x http://PROXY https://HOST`.",
        for_exporter(
            "Check host and port of `proxy` in the module. Another service than a proxy responds there, or a login page does."
        ),
        _COMPARE_PROXY,
        DO_NOT_RESTART,
    ),
    _proxy(
        "proxy_auth",
        "the proxy requires a user and password, or rejected them",
        meaning="The proxy requires a login, or rejected it. No request reached {service}.",
    ).advising(
        "Allow the vault and Entra ID on the proxy without a password: the connector sends none.",
        for_exporter("For the exporter only, set `username` and `password_file` of `proxy` in the module."),
        _COMPARE_PROXY,
        DO_NOT_RESTART,
    ),
    _proxy(
        "proxy_status",
        "the proxy refused the connection",
        meaning="The proxy refused the connection. No request reached {service}.",
        is_open=True,
    ).advising(
        "Allow CONNECT to port 443 of the vault and of Entra ID on the proxy. The proxy refused, not the vault.",
        _COMPARE_PROXY,
        DO_NOT_RESTART,
    ),
)

# Responses: of another server, unusable, or with only a status.

_OTHER_SERVER = (*BY_CODE[3017].actions[:2], FIND_INTERCEPTION, DO_NOT_RESTART)
_FROM_A_DEVICE = (
    "A page, text or other JSON comes from a proxy, a portal or a security appliance on the route. Allow the vault and Entra ID there.",
    FIND_INTERCEPTION,
    *AGAIN,
)
_PAGE_OF_ERROR = (
    f"{_SHOW_CONNECTION} The detail of the probe is a page or a text, as a proxy or gateway sends it.",
    "If only the network of the probe's host gets it, a proxy or gateway on the route fails: repair that one.",
    f"If every network gets it, Azure fails. {STATUS_PAGE}",
    *AGAIN,
    SUPPORT,
)
_OTHER_STATUS = (
    "Compare the response from another network: Key Vault and Entra ID do not send this status.",
    FIND_INTERCEPTION,
    DO_NOT_RESTART,
)
_READ = "Read the response in the detail of the probe"
_SLOW_DOWN = for_exporter("If the exporter is the cause, increase `interval`, or reuse tokens: `token_max_age`.")
# Key Vault and Entra ID send no page and no text with these statuses: another device sent it.
_PAGE = ("body:page",)
_UNAVAILABLE = ("temporarily_unavailable",)
_DEVICE = "a device on the route answers in place of many vaults"
_challenge = partial(ReasonRow, reply=Reply.FAILED, actions=_OTHER_SERVER, one_change=_DEVICE)
_answer = partial(ReasonRow, reply=Reply.FAILED, at_sign_in=_ENTRA_LINK, one_change=_DEVICE)
_status = partial(ReasonRow, is_open=True)

CHALLENGE: tuple[ReasonRow, ...] = (
    _challenge(
        "no_challenge",
        "the server responded without requesting a token",
        reply=Reply.NONE,
        spreads_to=(Link.HOST,),
        at_sign_in=_ENTRA_LINK,
    ),
    _challenge("challenge_absent", "the 401 lacks the sign-in host that a vault names"),
    _challenge("challenge_malformed", "the connector cannot read the sign-in host in the 401"),
    _challenge("authority_untrusted", "the response names a sign-in host that is not Entra ID", is_open=True).advising(
        f"{SHOW_THE_SERVER} No secret was sent.",
        for_exporter(
            "In a private cloud, verify who operates the sign-in host in the response. Then set `authority_host` in the module."
        ),
        DO_NOT_RESTART,
    ),
    _challenge("resource_mismatch", "the response requests a token for another service than the vault", is_open=True),
)
ANSWER: tuple[ReasonRow, ...] = (
    _answer("answer_empty", "the response is empty"),
    _answer(
        "answer_not_json",
        "the response is not the JSON of the service",
        meaning="The response is not that of {service}: a page, a text or other JSON, as a proxy, portal or gateway sends it.",
        is_open=True,
        markers=(Markers(EntraOrder.PAGE, _PAGE, (400, 401)), Markers(VaultOrder.PAGE, _PAGE, (400, 401, 403, 404, 409, 429))),
        at_sign_in=AtSignIn(link=Link.ENTRA, actions=(f"{_SHOW_ENTRA} Entra ID responds with JSON.", *_FROM_A_DEVICE)),
    ).advising(f"{_SHOW_VAULT} Key Vault responds with JSON that has `error`.", *_FROM_A_DEVICE),
    _answer("answer_incomplete", "the response lacks a required field"),
    _answer("answer_malformed", "the response has a field with an invalid value", is_open=True),
)
STATUS: tuple[ReasonRow, ...] = (
    _status(
        "throttled",
        "the service receives more requests than it allows",
        meaning="The vault, or a gateway on the route to it, receives more requests than it allows.",
        reply=Reply.THROTTLED,
        is_open=False,
        # 50196: too many equal requests of one client
        markers=(numbers(90055, 50196), Markers(EntraOrder.WORD, _UNAVAILABLE, (429,))),
        at_sign_in=AtSignIn(
            link=Link.ENTRA,
            text="Entra ID, or the identity service of the probe's host, throttles the sign-ins",
            meaning="Entra ID, the identity service of the probe's host or a gateway on the route receives more requests than it allows.",
            actions=(
                f"Find the application's other clients in the sign-in log, and stop the one that loops: `{SIGN_IN_LOG}`.",
                _SLOW_DOWN,
                NOT_IN_WAVES,
            ),
        ),
        by_kind={
            CredentialKind.MANAGED_IDENTITY: (
                "Read the endpoint in the detail of the probe. An Azure VM's 169.254.169.254 throttles the programs of its VM together.",
                "Then find the other programs on the probe's host that request tokens, and slow the one that loops.",
                _SLOW_DOWN,
                NOT_IN_WAVES,
            )
        },
    ),
    _status(
        "entra_unavailable",
        "Entra ID, or a proxy or gateway on the route, failed",
        reply=Reply.FAILED,
        is_open=False,
        markers=(
            numbers(90033, 90006, 90024, 90090, 90091, 90092, 90012, 90036, 50000, 50033, 50087),
            Markers(EntraOrder.WORD, _UNAVAILABLE),
        ),
        at_sign_in=_ENTRA_LINK,
        if_page=_PAGE_OF_ERROR,
    ).advising(
        STATUS_PAGE,
        "If another network gets a token, a proxy or gateway on the route of the probe's host failed.",
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
        SUPPORT,
    ),
    _status(
        "bad_request",
        "the request was rejected as malformed",
        meaning="The request was rejected as malformed. The response names no cause that is known here.",
        refuses=Refused.KEY,
        shown_by=ShownBy("round_trip", (Step.UNWRAP_KEY,)),
        at_sign_in=AtSignIn(
            text="the sign-in was rejected as malformed, without a number of Entra ID",
            actions=(
                f"{_READ}. Entra ID names a number in each of its refusals; this one has none.",
                CHECK_ROUTE,
                KEEP_CREDENTIAL,
                *AGAIN,
            ),
        ),
    ).advising(
        f"{_READ}: it names what is refused.",
        "Compare the name letter by letter with `az keyvault key list --vault-name VAULT`.",
        "Show type and size of the key: `az keyvault key show --vault-name VAULT --name KEY --query key`. The connector needs RSA.",
        *AGAIN,
    ),
    _status(
        "not_found",
        "the server that responded has no such URL",
        meaning="The server that responded has no such URL. A vault that lacks a key names it; this response does not.",
        refuses=Refused.KEY,
        shown_by=ShownBy("key_version", (Step.GET_KEY,)),
        at_sign_in=OTHER_DEVICE,
        # A vault that lacks a key names it, with a code of its own.
    ).advising(f"{_READ}. If it names no key, another server may have responded.", SHOW_THE_SERVER, *BY_CODE[3076].actions),
    _status(
        "conflict",
        "the current state of the key or vault does not allow the request",
        meaning="The response is a conflict: another change is in progress, or the state of the key or vault does not allow the request.",
        is_of_service=True,
        at_sign_in=OTHER_DEVICE,
    ).advising(
        READ_SENTENCE,
        "If a change to the key or vault is in progress, wait a minute.",
        f"If the key is deleted, recover it: {RECOVER_KEY}.",
        *AGAIN,
        SUPPORT,
    ),
    _status(
        "client_error",
        "the request was rejected with a status that a vault does not send",
        at_sign_in=OTHER_DEVICE,
        one_change=_DEVICE,
    ).advising(*_OTHER_STATUS),
    _status(
        "server_error",
        "the vault, or a proxy or gateway on the route, failed",
        reply=Reply.FAILED,
        spreads_to=(Link.REGION,),
        at_sign_in=_ENTRA_LINK,
        one_change="an outage of Azure has many vaults",
        if_page=_PAGE_OF_ERROR,
    ).advising(STATUS_PAGE, *AGAIN, SUPPORT),
    _status(
        "unexpected_status", "the response has a status that is not valid for the request", reply=Reply.FAILED, one_change=_DEVICE
    ).advising(*_OTHER_STATUS),
)
