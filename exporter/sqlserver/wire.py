"""Bytes of TDS: what ENVCHANGE tokens may not do to the driver, and the encryption option of a PRELOGIN packet (MS-TDS 2.2.6.5).

A token of type 4 names the size of packets, as text: the driver allocates whatever it reads there, and TDS allows 512 to 32767 bytes. One of
type 20 names another server, which the driver looks up.
"""

from __future__ import annotations

import re
import struct

LARGEST_PACKET = 32767  # bytes
HEADER = 8  # bytes: type, status, length, SPID, packet number, window
_TOKEN = re.compile(rb"(?=\xe3..\x04(.))", re.DOTALL)  # token, its length, its type; then the number of characters
_ROUTE = re.compile(rb"\xe3..\x14", re.DOTALL)
_FIXED, _LONGEST = 5, 5 + 2 * 255  # bytes before the text, and of a whole token


class PacketSizes:
    """Watches one server's stream of packets; `routes` is whether it may have named another server.

    Each position counts as a token, because the server chooses the bytes by which the driver finds its tokens.
    """

    def __init__(self) -> None:
        self.routes = False
        self._header = b""
        self._left = 0  # bytes of the packet that begun
        self._tail = b""  # content in which a token may have begun

    def too_large(self, data: bytes) -> bool:
        """Take the next bytes; return whether a token names more than LARGEST_PACKET bytes."""
        content = self._content(data)
        if not content:
            return False
        text = self._tail + content
        self._tail = text[-_LONGEST + 1 :]
        self.routes = self.routes or _ROUTE.search(text) is not None
        return any(_size_at(text, found) > LARGEST_PACKET for found in _TOKEN.finditer(text))

    def _content(self, data: bytes) -> bytes:
        """Return the bytes without the packets' headers."""
        found = []
        while data:
            if self._left:
                found.append(data[: self._left])
                data, self._left = data[self._left :], self._left - len(found[-1])
                continue
            missing = HEADER - len(self._header)
            self._header, data = self._header + data[:missing], data[missing:]
            if len(self._header) == HEADER:
                self._left = max(int.from_bytes(self._header[2:4], "big") - HEADER, 0)
                self._header = b""
        return b"".join(found)


def _size_at(text: bytes, token: re.Match[bytes]) -> int:
    """Return the number of a token as the driver reads it; 0 if it is none, or still incomplete."""
    start = token.start() + _FIXED
    end = start + 2 * token[1][0]
    try:
        return int(text[start:end].decode("utf-16-le")) if end <= len(text) else 0
    except ValueError:
        return 0


ENCRYPT_ON, ENCRYPT_NOT_SUPPORTED, ENCRYPT_REQUIRED = 1, 2, 3
_ENCRYPTION, _TERMINATOR = 1, 0xFF
_OPTION = struct.Struct(">BHH")  # token, offset and length of its data


def encryption_at(packet: bytes) -> int | None:
    """Return the position of the encryption byte in the packet; None if it has none."""
    for at in range(HEADER, len(packet) - _OPTION.size + 1, _OPTION.size):
        token, offset, length = _OPTION.unpack_from(packet, at)
        if token in (_ENCRYPTION, _TERMINATOR):
            return HEADER + int(offset) if token == _ENCRYPTION and length and HEADER + offset < len(packet) else None
    return None


def with_encryption(packet: bytes, value: int) -> bytes:
    """Return the packet with another encryption byte. Raises ValueError if it has none."""
    at = encryption_at(packet)
    if at is None:
        raise ValueError("a PRELOGIN packet without the option ENCRYPTION")
    return packet[:at] + bytes([value]) + packet[at + 1 :]
