"""A checked web configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import TLSVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """TLS settings.

    `certificate`, `key` and `client_ca` are PEM. `client_certificate` is None (not requested), False (optional) or True (required).
    """

    certificate: bytes
    key: bytes = field(repr=False)
    client_certificate: bool | None = None
    client_ca: bytes | None = None
    allowed_names: frozenset[str] | None = None
    minimum: TLSVersion = TLSVersion.TLSv1_2
    maximum: TLSVersion = TLSVersion.TLSv1_3
    ciphers: str = ""  # OpenSSL's names, for TLS 1.2; "" for OpenSSL's own choice
    server_preference: bool = True
    curve: str = ""  # OpenSSL's name; "" for OpenSSL's own choice


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """A token bucket: one request per `interval` seconds, at most `burst` at once."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    tls: ServerTls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)  # bcrypt hashes by name
    rate_limit: RateLimit | None = None

    @property
    def authenticates_every_client(self) -> bool:
        """Whether every client needs a password or a verified certificate."""
        return bool(self.users) or (self.tls is not None and self.tls.client_certificate is True)
