"""Parse the first two messages of a client, PRELOGIN and LOGIN7, and write the response to the former.

The layouts are in MS-TDS 2.2.6.5 and 2.2.6.4. Every offset of a client is checked before it is used.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from exporter.simulator.sql.transport import ProtocolError

_OPTION = struct.Struct(">BHH")
_END = 0xFF
_VERSION, _ENCRYPTION, _INSTANCE, _THREAD, _MARS, _TOKEN_REQUIRED = 0, 1, 2, 3, 4, 6
_SERVER_VERSION = struct.pack(">BBHH", 16, 0, 4105, 0)

_FIXED_BYTES = 94
_USER, _PASSWORD, _APP, _DATABASE, _SSPI = 40, 44, 48, 68, 78
_EXTENSION = 56  # the pair of an offset to the offset of the features
_INTEGRATED = 0x80  # in the second byte of options
_HAS_EXTENSION = 0x10  # in the third byte
_TOKEN_FEATURE, _SECURITY_TOKEN = 0x02, 0x01


class Encryption(IntEnum):
    """The values of the option ENCRYPTION."""

    LOGIN_ONLY = 0  # "off": the login alone is encrypted
    WHOLE_SESSION = 1
    NOT_SUPPORTED = 2
    REQUIRED = 3


@dataclass(frozen=True, slots=True)
class Prelogin:
    """What the client wishes."""

    encryption: int
    token: bool

    @property
    def answer(self) -> Encryption:
        """What a SQL Server with a certificate, that forces no encryption, replies."""
        match self.encryption:
            case Encryption.WHOLE_SESSION | Encryption.REQUIRED:
                return Encryption.WHOLE_SESSION
            case Encryption.LOGIN_ONLY:
                return Encryption.LOGIN_ONLY
        return Encryption.NOT_SUPPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The content of LOGIN7. With an access token, user and password are empty."""

    version: int
    user: str = ""
    password: str = field(default="", repr=False)
    token: str | None = field(default=None, repr=False)
    app: str = ""
    database: str = ""
    integrated: bool = False  # Windows' own sign-in


def read_prelogin(body: bytes) -> Prelogin:
    """Parse PRELOGIN. Raises ProtocolError."""
    options: dict[int, bytes] = {}
    position = 0
    while position < len(body) and body[position] != _END:
        if position + _OPTION.size > len(body):
            raise ProtocolError("PRELOGIN is cut short")
        token, offset, length = _OPTION.unpack_from(body, position)
        options[token] = _slice(body, offset, length)
        position += _OPTION.size
    encryption = options.get(_ENCRYPTION, b"")[:1] or bytes([Encryption.NOT_SUPPORTED])
    return Prelogin(encryption[0], token=options.get(_TOKEN_REQUIRED, b"\0")[:1] == b"\x01")


def write_prelogin(client: Prelogin) -> bytes:
    """Return the body of the response."""
    options: Mapping[int, bytes] = {
        _VERSION: _SERVER_VERSION,
        _ENCRYPTION: bytes([client.answer]),
        _INSTANCE: b"\0",
        _THREAD: b"",
        _MARS: b"\0",
        **({_TOKEN_REQUIRED: b"\x01"} if client.token else {}),
    }
    offset = len(options) * _OPTION.size + 1
    head, data = b"", b""
    for token, value in options.items():
        head += _OPTION.pack(token, offset + len(data), len(value))
        data += value
    return head + bytes([_END]) + data


def read_login(body: bytes) -> Login:
    """Parse LOGIN7. Raises ProtocolError."""
    if len(body) < _FIXED_BYTES:
        raise ProtocolError("LOGIN7 is cut short")
    (version,) = struct.unpack_from("<I", body, 4)
    second, third = body[25], body[27]
    return Login(
        version=version,
        user=_text(body, _USER),
        password=_unscrambled(_bytes(body, _PASSWORD)),
        token=_token(body) if third & _HAS_EXTENSION else None,
        app=_text(body, _APP),
        database=_text(body, _DATABASE),
        integrated=bool(second & _INTEGRATED),
    )


def _bytes(body: bytes, at: int) -> bytes:
    """Return the text whose offset in bytes and length in characters are at `at`."""
    offset, length = struct.unpack_from("<HH", body, at)
    return _slice(body, offset, 2 * length)


def _text(body: bytes, at: int) -> str:
    return _bytes(body, at).decode("utf-16-le", "replace")


def _unscrambled(secret: bytes) -> str:
    """Undo the client's change of each byte: halves swapped, then XOR 0xA5."""
    plain = bytes(((byte ^ 0xA5) << 4 | (byte ^ 0xA5) >> 4) & 0xFF for byte in secret)
    return plain.decode("utf-16-le", "replace")


def _token(body: bytes) -> str | None:
    """Return the access token among the features, None if there is none."""
    (at,) = struct.unpack("<I", _slice(body, struct.unpack_from("<H", body, _EXTENSION)[0], 4))
    while _slice(body, at, 1)[0] != _END:
        feature, length = struct.unpack("<BI", _slice(body, at, 5))
        data = _slice(body, at + 5, length)
        if feature == _TOKEN_FEATURE:
            if length < 5 or data[0] >> 1 != _SECURITY_TOKEN:
                raise ProtocolError("only access tokens of the client are supported")
            (size,) = struct.unpack_from("<I", data, 1)
            return _slice(data, 5, size).decode("utf-16-le", "replace")
        at += 5 + length
    return None


def _slice(body: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(body):
        raise ProtocolError("an offset is outside the message")
    return body[offset : offset + length]
