"""Actions for a connection, a proxy or another server, and for the exporter, by reason."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.codes import BY_CODE
from exporter.core.codes.advice_texts import (
    AGAIN,
    COMPARE_PROXY,
    REPEAT,
    SHOW_CONNECTION,
    SHOW_HANDSHAKE,
    SHOW_KEYS_ANSWER,
)
from exporter.core.codes.shared import DO_NOT_RESTART, FIND_INTERCEPTION
from exporter.core.faults import Reason

_Actions = tuple[str, ...]
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
_OTHER_HOST = "A search domain or the hosts file may answer with another host. Compare `nslookup HOST` and `nslookup HOST.`."
_HANDSHAKE = (
    SHOW_HANDSHAKE,
    "A firewall or proxy that reads the host name may end the handshake. Allow port 443 to that name.",
    "On the SQL Server host, check that Windows has TLS 1.2 enabled.",
    DO_NOT_RESTART,
)
_CERTIFICATE_DATES = (
    SHOW_HANDSHAKE,
    "Azure renews its certificates weeks before expiry. One with another issuer belongs to a proxy: renew that one.",
    "Check the clock of this host.",
    DO_NOT_RESTART,
)
_CUT_OFF = (
    SHOW_CONNECTION,
    "If only this network shows the fault, a firewall, proxy or scanner on the route ends the connection.",
    *AGAIN,
)
_PROXY = (
    "Check host and port of `proxy` in the module: the exporter cannot reach the proxy.",
    "Show whether the proxy responds: `curl -v -p -x http://PROXY https://HOST`.",
    COMPARE_PROXY,
    "A private endpoint is reached without a proxy: add the vault to `no_proxy`.",
    DO_NOT_RESTART,
)
_OTHER_SERVER = (
    SHOW_KEYS_ANSWER,
    "Compare with a working vault from the same host. A different response points to the network path.",
    FIND_INTERCEPTION,
    DO_NOT_RESTART,
)


def _all(actions: _Actions, *reasons: Reason) -> dict[Reason, _Actions]:
    return dict.fromkeys(reasons, actions)


NETWORK: Mapping[Reason, _Actions] = MappingProxyType(
    {
        Reason.DNS_NOT_FOUND: BY_CODE[3900].actions,
        **_all(_DNS_DOWN, Reason.DNS_TEMPORARY, Reason.DNS_TIMEOUT),
        **_all(
            _CONNECT,
            Reason.CONNECT_REFUSED,
            Reason.CONNECT_RESET,
            Reason.CONNECT_TIMEOUT,
            Reason.CONNECT_UNREACHABLE,
            Reason.CONNECT_FAILED,
        ),
        Reason.TLS_UNTRUSTED: (
            "Exempt `HOST` from TLS inspection: a proxy or firewall on the route signs the certificate.",
            "Or trust its authority on the SQL Server host: `certutil -addstore Root AUTHORITY.cer`. For the exporter, set `tls.ca_file`.",
            _OTHER_HOST,
            DO_NOT_RESTART,
        ),
        Reason.TLS_WRONG_NAME: (
            "Show the addresses, here and on the SQL Server host: `Resolve-DnsName HOST`. The name leads to another server.",
            "Correct the private DNS record, or remove the search domain or hosts entry that answers.",
            SHOW_HANDSHAKE,
            DO_NOT_RESTART,
        ),
        **_all(_CERTIFICATE_DATES, Reason.TLS_EXPIRED, Reason.TLS_NOT_YET_VALID),
        **_all(_HANDSHAKE, Reason.TLS_NOT_TLS, Reason.TLS_RESET, Reason.TLS_TIMEOUT, Reason.TLS_FAILED),
        **_all(
            _CUT_OFF,
            Reason.CONNECTION_RESET,
            Reason.CONNECTION_CLOSED,
            Reason.READ_TIMEOUT,
            Reason.NOT_HTTP,
            Reason.BODY_TRUNCATED,
            Reason.BODY_TIMEOUT,
            Reason.BODY_TOO_LARGE,
        ),
        Reason.REDIRECT: (
            f"{SHOW_CONNECTION} Key Vault and Entra ID do not redirect.",
            "Allow both hosts on the proxy without a login page, and on every portal of the network.",
            *AGAIN,
        ),
        **_all(_OTHER_SERVER, Reason.NO_CHALLENGE, Reason.CHALLENGE_ABSENT, Reason.CHALLENGE_MALFORMED, Reason.RESOURCE_MISMATCH),
        Reason.ANSWER_NOT_JSON: (
            f"{SHOW_CONNECTION} Key Vault and Entra ID respond with JSON.",
            "A page, text or other JSON comes from a proxy, a portal or a security appliance on the route. Allow both hosts there.",
            FIND_INTERCEPTION,
            *AGAIN,
        ),
        Reason.AUTHORITY_UNTRUSTED: (
            f"{SHOW_KEYS_ANSWER} No secret was sent.",
            "In a private cloud, verify who operates the sign-in host in the response. Then set `authority_host` in the module.",
            DO_NOT_RESTART,
        ),
        **_all(_PROXY, Reason.PROXY_UNRESOLVED, Reason.PROXY_UNREACHABLE, Reason.PROXY_TIMEOUT),
        Reason.PROXY_INVALID: (
            "Check host and port of `proxy` in the module. Another service than a proxy responds there, or a login page does.",
            "Show the response: `curl -v -p -x http://PROXY https://HOST`.",
            COMPARE_PROXY,
            DO_NOT_RESTART,
        ),
        Reason.PROXY_AUTH: (
            "Allow the vault and Entra ID on the proxy without a password: the connector sends none.",
            "For the exporter only, set `username` and `password_file` of `proxy` in the module.",
            DO_NOT_RESTART,
        ),
        Reason.PROXY_STATUS: (
            "Allow CONNECT to port 443 of the vault and of Entra ID on the proxy. The proxy refused, not the vault.",
            COMPARE_PROXY,
            DO_NOT_RESTART,
        ),
        **_all(
            (
                FIND_INTERCEPTION,
                "Compare the response from another network: Key Vault and Entra ID do not send this status.",
                DO_NOT_RESTART,
            ),
            Reason.UNEXPECTED_STATUS,
            Reason.CLIENT_ERROR,
        ),
        Reason.SECRET_UNREADABLE: (
            "Check that the secret file exists and has one line: `SECRET_FILE`.",
            "Show its permissions: `icacls SECRET_FILE`, on Linux `ls -l SECRET_FILE`. The exporter's service account needs read permission.",
            REPEAT,
        ),
        Reason.SECRET_TIMEOUT: (
            "Check the disk or share with the secret file: reading it took longer than the timeout of the target.",
            REPEAT,
        ),
        Reason.SCRAPE_TIMEOUT: ("Increase `scrape_timeout` of the Prometheus job above the timeout of the target.", REPEAT),
        Reason.INTERNAL: (
            "Report the error with the exporter's log and the support bundle: `ekm-exporter bundle TARGET`.",
            "The exporter failed. Check SQL Server's own access with its error log.",
        ),
    }
)
