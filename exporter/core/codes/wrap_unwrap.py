"""Codes 3600 to 3609 (wrap) and 3700 to 3709 (unwrap): one exchange each."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import (
    DO_NOT_RESTART,
    EVENT_LOG,
    FIND_INTERCEPTION,
    NOT_A_VAULT,
    REWRITTEN,
    SERVICE_DEFECT,
    SUPPORT,
    WITHOUT_THE_KEY,
    WITHOUT_WRAP,
    out_of_memory,
)

_EFFECTS = {Layer.WRAP_KEY: WITHOUT_WRAP, Layer.UNWRAP_KEY: WITHOUT_THE_KEY}
_STAKES = {
    Layer.WRAP_KEY: "SQL Server cannot encrypt or rotate with this key.",
    Layer.UNWRAP_KEY: "SQL Server cannot decrypt its database keys.",
}
_CAREFUL = {
    Layer.WRAP_KEY: "Postpone rotation and new encrypted databases until a probe succeeds.",
    Layer.UNWRAP_KEY: DO_NOT_RESTART,
}


def _unusable(code: int, symbol: str, layer: Layer, owner: Owner, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=layer,
        category=Category.PROTOCOL,
        owner=owner,
        summary=f"{summary} {_STAKES[layer]}",
        effect=_EFFECTS[layer],
        causes=(*causes, SERVICE_DEFECT),
        actions=("Show the response: `ekm-exporter probe TARGET`.", _CAREFUL[layer], FIND_INTERCEPTION, SUPPORT),
    )


def _not_encoded(code: int, symbol: str, layer: Layer, what: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=layer,
        category=Category.HOST,
        owner=Owner.DBA,
        summary=f"The connector could not encode {what}. No request was sent to the vault. {_STAKES[layer]}",
        effect=_EFFECTS[layer],
        causes=(
            "The SQL Server process is low on memory, or Windows cryptographic functions fail on this host.",
            "SQL Server passed an empty or damaged key.",
        ),
        actions=(EVENT_LOG, "Repeat the statement. If it fails on this host only, compare builds with a working host."),
        unobservable_because="The connector encodes before anything is sent. The exporter uses its own encoder.",
    )


_GATEWAY = "A gateway removes fields from the response, or sends its own format."

WRAP_UNWRAP: tuple[ConnectorError, ...] = (
    out_of_memory(3600, "ErrorWrapKeyOutOfMemoryConvertResponseString", Layer.WRAP_KEY, "converting a wrap response to text"),
    out_of_memory(3601, "ErrorWrapKeyOutOfMemoryConcatPath", Layer.WRAP_KEY, "building the URL of a wrap request"),
    out_of_memory(3602, "ErrorWrapKeyOutOfMemoryConcatHeader", Layer.WRAP_KEY, "building the header of a wrap request"),
    out_of_memory(3603, "ErrorWrapKeyOutOfMemoryConcatBody", Layer.WRAP_KEY, "building the body of a wrap request"),
    out_of_memory(3604, "ErrorWrapKeyOutOfMemoryConvertEncodedBody", Layer.WRAP_KEY, "converting an encoded wrap request"),
    _not_encoded(3605, "ErrorWrapKeyBase64EncodeKey", Layer.WRAP_KEY, "the key to be wrapped"),
    _unusable(
        3606,
        "ErrorWrapKeyBase64DecodeValue",
        Layer.WRAP_KEY,
        Owner.VAULT,
        "The `value` in the vault's wrap response is not valid Base64.",
        "The response was altered or truncated in transit.",
    ),
    _unusable(
        3607,
        "ErrorWrapKeyJsonParser",
        Layer.WRAP_KEY,
        Owner.NETWORK,
        "The wrap response reports success but is not JSON.",
        "A proxy returned its login or block page with status 200.",
        REWRITTEN,
    ),
    _unusable(
        3608,
        "ErrorWrapKeyExtractValue",
        Layer.WRAP_KEY,
        Owner.VAULT,
        "The vault's wrap response has no `value`, the wrapped key.",
        _GATEWAY,
        NOT_A_VAULT,
    ),
    _unusable(
        3609,
        "ErrorWrapKeyNoResponse",
        Layer.WRAP_KEY,
        Owner.NETWORK,
        "The wrap response reports success but is empty.",
        "A proxy, scanner or filter emptied the response.",
        NOT_A_VAULT,
    ),
    out_of_memory(
        3700, "ErrorUnwrapKeyOutOfMemoryConvertResponseString", Layer.UNWRAP_KEY, "converting an unwrap response to text"
    ),
    out_of_memory(3701, "ErrorUnwrapKeyOutOfMemoryConcatPath", Layer.UNWRAP_KEY, "building the URL of an unwrap request"),
    out_of_memory(3702, "ErrorUnwrapKeyOutOfMemoryConcatHeader", Layer.UNWRAP_KEY, "building the header of an unwrap request"),
    out_of_memory(3703, "ErrorUnwrapKeyOutOfMemoryConcatBody", Layer.UNWRAP_KEY, "building the body of an unwrap request"),
    out_of_memory(3704, "ErrorUnwrapKeyOutOfMemoryConvertEncodedBody", Layer.UNWRAP_KEY, "converting an encoded unwrap request"),
    _not_encoded(3705, "ErrorUnwrapKeyBase64EncodeKey", Layer.UNWRAP_KEY, "the wrapped key"),
    _unusable(
        3706,
        "ErrorUnwrapKeyBase64DecodeValue",
        Layer.UNWRAP_KEY,
        Owner.VAULT,
        "The `value` in the vault's unwrap response is not valid Base64.",
        "The response was altered or truncated in transit.",
    ),
    _unusable(
        3707,
        "ErrorUnwrapKeyJsonParser",
        Layer.UNWRAP_KEY,
        Owner.NETWORK,
        "The unwrap response reports success but is not JSON.",
        "A proxy returned its login or block page with status 200.",
        REWRITTEN,
    ),
    _unusable(
        3708,
        "ErrorUnwrapKeyExtractValue",
        Layer.UNWRAP_KEY,
        Owner.VAULT,
        "The vault's unwrap response has no `value`, the unwrapped key.",
        _GATEWAY,
        NOT_A_VAULT,
    ),
    _unusable(
        3709,
        "ErrorUnwrapKeyNoResponse",
        Layer.UNWRAP_KEY,
        Owner.NETWORK,
        "The unwrap response reports success but is empty.",
        "A proxy, scanner or filter emptied the response.",
        NOT_A_VAULT,
    ),
)
