"""The Windows errors (WinINet) that the connector's event lines show as `info`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Number: meaning, and the classic code of the connector that goes with it.
WININET: Mapping[int, tuple[str, int]] = MappingProxyType(
    {
        12002: ("the request timed out", 3008),
        12007: ("the host name did not resolve", 3900),
        12029: ("the connection failed", 3008),
        12030: ("the connection was closed before the response", 3008),
        12031: ("the connection was reset", 3008),
        12037: ("the certificate of the server is outside its dates", 3008),
        12038: ("the certificate of the server is for another name", 3008),
        12045: ("the certificate of the server was issued by an authority that Windows does not trust", 3008),
        12057: ("Windows could not check whether the certificate of the server is revoked", 3008),
        12152: ("the response of the server is not valid HTTP", 3008),
        12157: ("the TLS handshake failed", 3008),
        12175: ("the TLS handshake failed, or the certificate of the server was refused", 3008),
    }
)
