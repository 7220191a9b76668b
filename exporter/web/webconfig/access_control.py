"""The web configuration in force: asked at each connection and each request, and read again while its files change.

For: keeping the last good version, saying once what is wrong with a newer one, and the refusals.
Not for: rules of the file (see `load`), or which paths there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.runtime.logging import fields, place_of
from exporter.web.webconfig.load import WebLoaded, load, seen_now
from exporter.web.webconfig.model import WebConfig
from exporter.web.webconfig.passwords import PasswordResult, Passwords, credentials_of
from exporter.web.webconfig.rate_limit import LogThrottle, TokenBucket
from exporter.web.webconfig.tls import has_allowed_name

_log = logging.getLogger(__name__)

READ_AGAIN_SECONDS = 2.0
# Who is refused waits that long for it: a client that asks again at once cannot keep the event loop busy with its refusals.
REFUSED_AFTER_SECONDS = 0.05
_TLS_IS_FIXED = "whether TLS is spoken is decided at the start: restart the exporter to change it"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told that does not come in."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


TOO_OFTEN = Refusal(429, "Too many requests: rate_limit of the web configuration.\n", {"Retry-After": "1"})
TOO_MANY_GUESSES = Refusal(429, "Too many passwords are being checked.\n", {"Retry-After": "1"})
WHO_ARE_YOU = Refusal(401, "Unauthorized\n", {"WWW-Authenticate": 'Basic realm="ekm-exporter", charset="UTF-8"'})


class AccessControl:
    """`loaded` must be without problems. To be used from one event loop, once it watches."""

    def __init__(self, path: Path, loaded: WebLoaded) -> None:
        if loaded.config is None:
            raise ValueError("a web configuration with problems locks nothing")
        self._path = path
        self._seen = loaded.seen
        self._passwords: Passwords | None = None
        self._wrong, self._nameless = LogThrottle(), LogThrottle()
        self.config: WebConfig = loaded.config
        self.context: ssl.SSLContext | None = loaded.context
        self._bucket = _bucket(self.config)

    @property
    def headers(self) -> Mapping[str, str]:
        return self.config.headers

    @property
    def asks_everybody(self) -> bool:
        """Whether nobody comes in who has not shown who they are."""
        return self.config.asks_everybody

    def allows_certificate(self, certificate: bytes | None, address: str) -> bool:
        """Whether a client with this certificate (DER; None for none) may stay connected."""
        allowed = None if self.config.tls is None else self.config.tls.allowed_names
        if has_allowed_name(certificate, allowed):
            return True
        if (held_back := self._nameless.due()) is not None:
            _log.warning("client certificate without an allowed name", extra=fields(client=address, more=held_back or None))
        return False

    async def refusal(self, authorization: str, address: str) -> Refusal | None:
        """Why a request is not answered, None where it is. `authorization` is that header, `address` who asks."""
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
            return WHO_ARE_YOU
        if self._passwords is None:
            self._passwords = Passwords()
        answer = await self._passwords.check(self.config.users, *shown, address=address)
        if answer is PasswordResult.RIGHT:
            return None
        if answer is PasswordResult.WRONG and (held_back := self._wrong.due()) is not None:
            # Never the name: people type a password into the wrong field.
            _log.warning("wrong user or password", extra=fields(client=address, more=held_back or None))
        return WHO_ARE_YOU if answer is PasswordResult.WRONG else TOO_MANY_GUESSES

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Reads the files again while this lasts."""
        watch = asyncio.create_task(self._watch(), name="web configuration")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            if self._passwords is not None:
                self._passwords.close()

    async def refresh(self) -> None:
        """Take over what has changed in the files, if it is good."""
        if await asyncio.to_thread(_unchanged, self._seen):
            return
        loaded = await asyncio.to_thread(load, self._path)
        self._seen = loaded.seen
        self._take_over(loaded)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(READ_AGAIN_SECONDS)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - the lock stays as it is, and the watch goes on
                _log.error("web configuration cannot be read again", extra=fields(**place_of(error)))

    def _take_over(self, loaded: WebLoaded) -> None:
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
        _log.info("web configuration read again", extra=fields(file=str(self._path)))


def _bucket(config: WebConfig) -> TokenBucket | None:
    return None if config.rate_limit is None else TokenBucket(config.rate_limit)


def _unchanged(seen: Mapping[Path, str]) -> bool:
    return all(seen_now(path) == then for path, then in seen.items())
