"""Codes 3400 to 3412: reading the key as the vault describes it."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import (
    DO_NOT_RESTART,
    FIND_INTERCEPTION,
    NOT_A_VAULT,
    REWRITTEN,
    SERVICE_DEFECT,
    SUPPORT,
    out_of_memory,
)

_SHOW_KEY = "See what the vault says of the key: `az keyvault key show --vault-name VAULT --name KEY`."
_OUTCOME = "SQL Server cannot use the key, though it may be sound."


def _no_answer(code: int, symbol: str, summary: str, cause: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.GET_KEY,
        category=Category.PROTOCOL,
        owner=Owner.NETWORK,
        summary=f"{summary} {_OUTCOME}",
        causes=(cause, REWRITTEN, NOT_A_VAULT, SERVICE_DEFECT),
        actions=("See what came back: `ekm-exporter probe TARGET`.", FIND_INTERCEPTION, _SHOW_KEY, DO_NOT_RESTART),
    )


def _incomplete(code: int, symbol: str, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.GET_KEY,
        category=Category.PROTOCOL,
        owner=Owner.VAULT,
        summary=f"{summary} {_OUTCOME}",
        causes=(*causes, SERVICE_DEFECT, NOT_A_VAULT),
        actions=(_SHOW_KEY, "Repeat it: `ekm-exporter probe TARGET`.", DO_NOT_RESTART, SUPPORT),
    )


GET_KEY: tuple[ConnectorError, ...] = (
    out_of_memory(
        3400, "ErrorGetKeyByNameOutOfMemoryConvertResponseString", Layer.GET_KEY, "converting the description of a key to text"
    ),
    out_of_memory(3401, "ErrorGetKeyByNameOutOfMemoryConcatPath", Layer.GET_KEY, "building the address of a key"),
    out_of_memory(3402, "ErrorGetKeyByNameOutOfMemoryConcatHeader", Layer.GET_KEY, "building the header of a request for a key"),
    _no_answer(
        3403,
        "ErrorGetKeyByNameNoResponse",
        "Asked for the key, the vault said success and sent nothing.",
        "A proxy, scanner or filter emptied the answer.",
    ),
    _no_answer(
        3404,
        "ErrorGetKeyByNameJsonParser",
        "Asked for the key, the vault's side sent something that is no JSON.",
        "A proxy's login or block page came back with status 200.",
    ),
    _incomplete(
        3405,
        "ErrorGetKeyByNameExtractKeyNode",
        "The answer about the key is JSON but has no part `key`.",
        "The address leads to a secret or certificate, or to an API gateway with another shape of answer.",
    ),
    _incomplete(
        3406,
        "ErrorGetKeyByNameExtractKeyId",
        "The vault's description of the key lacks `kid`, its identifier.",
        "A gateway filters fields out of the answer.",
    ),
    _incomplete(
        3407,
        "ErrorGetKeyByNameExtractKeyType",
        "The vault's description of the key lacks `kty`, its type.",
        "A gateway filters fields out of the answer.",
    ),
    _incomplete(
        3408,
        "ErrorGetKeyByNameExtractKeyN",
        "The key has no modulus (`n`), which every RSA key has.",
        "In SQL Server: the key is of another type (EC, oct), for which the connector has no use.",
    ),
    _incomplete(
        3409,
        "ErrorGetKeyByNameBase64DecodeN",
        "The key's modulus (`n`) came, but not in valid Base64.",
        "The answer was altered or cut on the way.",
    ),
    _incomplete(
        3410,
        "ErrorGetKeyByNameExtractKeyE",
        "The key has no public exponent (`e`), which every RSA key has.",
        "A gateway filters fields out of the answer.",
    ),
    _incomplete(
        3411,
        "ErrorGetKeyByNameBase64DecodeE",
        "The key's public exponent (`e`) came, but not in valid Base64.",
        "The answer was altered or cut on the way.",
    ),
    _incomplete(
        3412,
        "ErrorGetKeyByNameExtractKeyUri",
        "The key's identifier (`kid`) is there but is no address of a key version, so nothing can be wrapped with it.",
        "A gateway rewrites addresses in the answer.",
    ),
)
