"""Checks connections and requests against the active web configuration.

Changed files are reloaded. A version with problems is logged once and not applied; the last good version stays active.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.runtime.logging import fields, place_of
from exporter.runtime.throttle import Throttle
from exporter.web.webconfig.load import WebLoaded, file_signature, load
from exporter.web.webconfig.model import WebConfig
from exporter.web.webconfig.passwords import PasswordResult, Passwords, credentials_of
from exporter.web.webconfig.rate_limit import TokenBucket
from exporter.web.webconfig.tls import has_allowed_name

_log = logging.getLogger(__name__)

READ_AGAIN_SECONDS = 2.0
LOGGED_AGAIN_SECONDS = 60.0
# A refusal is delayed, so that a client that retries at once cannot keep the event loop busy.
REFUSED_AFTER_SECONDS = 0.05
_TLS_IS_FIXED = "TLS cannot be switched on or off while the exporter runs: restart the exporter"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The response to a refused request."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


TOO_OFTEN = Refusal(429, "Too many requests: rate_limit of the web configuration. Try again later.\n", {"Retry-After": "1"})
TOO_MANY_ATTEMPTS = Refusal(429, "Too many passwords are being checked. Try again later.\n", {"Retry-After": "1"})
UNAUTHORIZED = Refusal(401, "Unauthorized\n", {"WWW-Authenticate": 'Basic realm="ekm-exporter", charset="UTF-8"'})


class AccessControl:
    """Checks clients against a web configuration without problems.

    Use it from one event loop.
    """

    def __init__(self, path: Path, loaded: WebLoaded) -> None:
        if loaded.config is None:
            raise ValueError("cannot use a web configuration with problems")
        self._path = path
        self._seen = loaded.seen
        self._passwords: Passwords | None = None
        self._wrong, self._nameless = Throttle(1, LOGGED_AGAIN_SECONDS), Throttle(1, LOGGED_AGAIN_SECONDS)
        self.config: WebConfig = loaded.config
        self.context: ssl.SSLContext | None = loaded.context
        self._bucket = _bucket(self.config)

    @property
    def headers(self) -> Mapping[str, str]:
        return self.config.headers

    @property
    def authenticates_every_client(self) -> bool:
        """Whether every client needs a password or a verified certificate."""
        return self.config.authenticates_every_client

    def allows_certificate(self, certificate: bytes | None, address: str) -> bool:
        """Whether a client with this certificate (DER; None for none) may stay connected."""
        allowed = None if self.config.tls is None else self.config.tls.allowed_names
        if has_allowed_name(certificate, allowed):
            return True
        if (omitted := self._nameless.admit(time.monotonic())) is not None:
            _log.warning("client certificate without an allowed name", extra=fields(client=address, more=omitted or None))
        return False

    async def refusal(self, authorization: str, address: str) -> Refusal | None:
        """Return the refusal of a request, or None.

        `authorization` is that header, `address` the client's.
        """
        refusal = await self._refusal(authorization, address)
        if refusal is not None:
            await asyncio.sleep(REFUSED_AFTER_SECONDS)
        return refusal

    async def _refusal(self, authorization: str, address: str) -> Refusal | None:
        if self._bucket is not None and not self._bucket.allow():
            return TOO_OFTEN
        if not self.config.users:
            return None
        shown = credentials_of(authorization)
        if shown is None:
            return UNAUTHORIZED
        if self._passwords is None:
            self._passwords = Passwords()
        result = await self._passwords.check(self.config.users, *shown, address=address)
        if result is PasswordResult.RIGHT:
            return None
        if result is PasswordResult.WRONG and (omitted := self._wrong.admit(time.monotonic())) is not None:
            # Never the user name: it could be a password in the wrong field.
            _log.warning("wrong user or password", extra=fields(client=address, more=omitted or None))
        return UNAUTHORIZED if result is PasswordResult.WRONG else TOO_MANY_ATTEMPTS

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Reload changed files while the context is open."""
        watch = asyncio.create_task(self._watch(), name="web configuration")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            if self._passwords is not None:
                await self._passwords.aclose()

    async def refresh(self) -> None:
        """Reload the files if they changed, and apply a version without problems."""
        if await asyncio.to_thread(_unchanged, self._seen):
            return
        loaded = await asyncio.to_thread(load, self._path)
        self._seen = loaded.seen
        self._apply(loaded)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(READ_AGAIN_SECONDS)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - the active version stays, and the watch continues
                _log.error("web configuration reload crashed", extra=fields(**place_of(error)))

    def _apply(self, loaded: WebLoaded) -> None:
        problems = [str(problem) for problem in loaded.problems]
        if loaded.config is not None and (loaded.config.tls is None) != (self.config.tls is None):
            problems = [f"{self._path}:1:1: tls_server_config: {_TLS_IS_FIXED}"]
        for problem in problems:
            _log.error("web configuration reload failed", extra=fields(problem=problem))
        if problems or loaded.config is None:
            return
        if loaded.config.rate_limit != self.config.rate_limit:
            self._bucket = _bucket(loaded.config)
        self.config, self.context = loaded.config, loaded.context
        _log.info("web configuration reloaded", extra=fields(file=str(self._path)))


def _bucket(config: WebConfig) -> TokenBucket | None:
    return None if config.rate_limit is None else TokenBucket(config.rate_limit)


def _unchanged(seen: Mapping[Path, str]) -> bool:
    return all(file_signature(path) == then for path, then in seen.items())
