"""The encryption option of a TDS PRELOGIN packet (MS-TDS 2.2.6.5)."""

from __future__ import annotations

import struct

HEADER = 8  # bytes: type, status, length, SPID, packet number, window
ENCRYPT_ON, ENCRYPT_NOT_SUPPORTED, ENCRYPT_REQUIRED = 1, 2, 3
_ENCRYPTION, _TERMINATOR = 1, 0xFF
_OPTION = struct.Struct(">BHH")  # token, offset and length of its data


def encryption_at(packet: bytes) -> int | None:
    """Return the position of the encryption byte in the packet; None if it has none."""
    at = HEADER
    while at + _OPTION.size <= len(packet) and packet[at] != _TERMINATOR:
        token, offset, length = _OPTION.unpack_from(packet, at)
        if token == _ENCRYPTION:
            position: int = HEADER + offset
            return position if length and position < len(packet) else None
        at += _OPTION.size
    return None


def with_encryption(packet: bytes, value: int) -> bytes:
    """Return the packet with another encryption byte. Raises ValueError if it has none."""
    at = encryption_at(packet)
    if at is None:
        raise ValueError("a PRELOGIN packet without the option ENCRYPTION")
    return packet[:at] + bytes([value]) + packet[at + 1 :]
