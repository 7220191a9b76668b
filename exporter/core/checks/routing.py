"""The check that reports a failed step of the round trip.

Exactly one check reports it, so each cause appears once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.faults import Reason
from exporter.core.model import Step

_NAMES = (Reason.DNS_NOT_FOUND, Reason.DNS_TEMPORARY, Reason.DNS_TIMEOUT)
_CONNECTIONS = (
    Reason.NETWORK_DOWN,
    Reason.CONNECT_REFUSED,
    Reason.CONNECT_RESET,
    Reason.CONNECT_TIMEOUT,
    Reason.CONNECT_UNREACHABLE,
    Reason.CONNECT_FAILED,
)
_HANDSHAKES = (
    Reason.TLS_UNTRUSTED,
    Reason.TLS_EXPIRED,
    Reason.TLS_NOT_YET_VALID,
    Reason.TLS_WRONG_NAME,
    Reason.TLS_NOT_TLS,
    Reason.TLS_RESET,
    Reason.TLS_TIMEOUT,
    Reason.TLS_FAILED,
)
_PROXIES = (
    Reason.PROXY_UNRESOLVED,
    Reason.PROXY_UNREACHABLE,
    Reason.PROXY_TIMEOUT,
    Reason.PROXY_INVALID,
    Reason.PROXY_AUTH,
    Reason.PROXY_STATUS,
)
_REFUSED = (Reason.FORBIDDEN, Reason.FORBIDDEN_POLICY, Reason.FORBIDDEN_RBAC)
_NOT_LET_IN = (Reason.FORBIDDEN_FIREWALL, Reason.FORBIDDEN_CONNECTION, Reason.FORBIDDEN_NSP)
_NOT_TAKEN = (
    Reason.TOKEN_REJECTED,
    Reason.TOKEN_WRONG_AUDIENCE,
    Reason.TOKEN_WRONG_ISSUER,
    Reason.TOKEN_EXPIRED,
    Reason.TOKEN_REVOKED,
    Reason.TOKEN_UNVERIFIABLE,
)
_STATE = {
    Reason.KEY_DISABLED: "key_enabled",
    Reason.KEY_EXPIRED: "key_dates",
    Reason.KEY_NOT_YET_VALID: "key_dates",
    Reason.KEY_OPERATION_FORBIDDEN: "key_ops",
}


def _route(host: str) -> dict[Reason, str]:
    return {
        **dict.fromkeys(_NAMES, f"dns_{host}"),
        **dict.fromkeys(_CONNECTIONS, f"tcp_{host}"),
        **dict.fromkeys(_HANDSHAKES, f"tls_{host}"),
        **dict.fromkeys(_PROXIES, f"proxy_{host}"),
    }


_WITH_TOKEN = {
    **_route("vault"),
    **dict.fromkeys(_NOT_TAKEN, "audience"),
    **dict.fromkeys(_NOT_LET_IN, "firewall"),
    **_STATE,
}
# A reason without a row belongs to the check of the last column.
OWNERS: Mapping[Step, tuple[Mapping[Reason, str], str]] = MappingProxyType(
    {
        Step.CHALLENGE: (_route("vault"), "challenge"),
        Step.TOKEN: (
            {
                **_route("entra"),
                Reason.CLOCK_SKEW: "clock",
                Reason.SECRET_UNREADABLE: "secret",
                Reason.SECRET_TIMEOUT: "secret",
                Reason.SECRET_TOO_SHORT: "credential_string",
            },
            "token",
        ),
        Step.GET_KEY: (
            {
                **_WITH_TOKEN,
                **dict.fromkeys(_REFUSED, "permission_get"),
                Reason.NOT_FOUND: "key_version",
                Reason.KEY_NOT_FOUND: "key_version",
                Reason.KEY_SOFT_DELETED: "key_version",
                Reason.KEY_UNSUPPORTED: "key_type",
                Reason.KEY_NAME_TOO_LONG: "key_name",
            },
            "vault_answers",
        ),
        Step.WRAP_KEY: ({**_WITH_TOKEN, **dict.fromkeys(_REFUSED, "permission_wrap")}, "vault_answers"),
        Step.UNWRAP_KEY: (
            {
                **_WITH_TOKEN,
                **dict.fromkeys(_REFUSED, "permission_unwrap"),
                Reason.BYTES_DIFFER: "round_trip",
                Reason.BAD_REQUEST: "round_trip",
            },
            "vault_answers",
        ),
    }
)


def owner_of(step: Step, reason: Reason | None) -> str:
    """Return the name of the check that reports this failure."""
    named, otherwise = OWNERS[step]
    return otherwise if reason is None else named.get(reason, otherwise)
