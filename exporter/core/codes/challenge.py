"""Codes 3200 to 3208: reading the `WWW-Authenticate` header of the vault's first answer."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import (
    DO_NOT_RESTART,
    FIND_INTERCEPTION,
    LOOK_AT_THE_ANSWER,
    NOT_A_VAULT,
    REWRITTEN,
    out_of_memory,
)


def _malformed(code: int, symbol: str, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.CHALLENGE,
        category=Category.PROTOCOL,
        owner=Owner.NETWORK,
        summary=f"{summary} Without it there is no token, and SQL Server gets no key.",
        causes=(*causes, REWRITTEN, NOT_A_VAULT),
        actions=(LOOK_AT_THE_ANSWER, FIND_INTERCEPTION, DO_NOT_RESTART),
    )


_LITERAL = "The header says it in another form or order: well-formed, but the connector reads it literally and finds nothing."

CHALLENGE: tuple[ConnectorError, ...] = (
    out_of_memory(3200, "ErrorGetAADValuesOutOfMemoryConcatPath", Layer.CHALLENGE, "building the address of its first request"),
    _malformed(
        3201,
        "ErrorGetAADDomainUrlStartPosition",
        "The vault's 401 does not begin its header with `Bearer authorization=\"https://`, where the connector looks for the sign-in host.",
        _LITERAL,
    ),
    _malformed(
        3202,
        "ErrorGetAADDomainUrlStopPosition",
        "In the header of the vault's 401 the quote that should close the sign-in address is missing.",
        "The header was cut: too long for a proxy or gateway on the way.",
    ),
    _malformed(
        3203,
        "ErrorGetAADDomainUrlMalformatted",
        "The sign-in address in the header of the vault's 401 lacks its host or its tenant.",
    ),
    out_of_memory(3204, "ErrorGetAADDomainUrlOutOfMemoryAlloc", Layer.CHALLENGE, "storing the name of the sign-in host"),
    out_of_memory(3205, "ErrorGetAADTenantIdOutOfMemoryAlloc", Layer.CHALLENGE, "storing the tenant id"),
    _malformed(
        3206,
        "ErrorGetAKVResourceUrlStartPosition",
        "The header of the vault's 401 has no `resource=\"`, so the connector does not know what to ask a token for.",
        _LITERAL,
    ),
    _malformed(
        3207,
        "ErrorGetAKVResourceUrlStopPosition",
        "In the header of the vault's 401 the quote that should close the resource is missing.",
        "The header was cut: too long for a proxy or gateway on the way.",
    ),
    out_of_memory(3208, "ErrorGetAKVResourceUrlOutOfMemoryAlloc", Layer.CHALLENGE, "storing the resource to ask a token for"),
)
