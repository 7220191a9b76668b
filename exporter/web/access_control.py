"""Checks connections and requests against the active web configuration: passwords, `rate_limit`, names of certificates.

Changed files are reloaded. A version with problems is logged once and not applied; the last good version stays active.
A bcrypt hash takes tens of milliseconds by design, and any client can request one. So one hash is computed at a time, a pause of the
same length follows a wrong password, and few requests can wait. The address with the fewest wrong passwords is checked first, so a
new client waits for at most one guess of each other address. Unknown users take as long as known ones.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import secrets
import ssl
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
from aiohttp import web

from exporter.core.secrets import keyed_digest
from exporter.runtime.logging import Throttle, fields, place_of
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, SingleFlight
from exporter.web.config_file import WebLoaded, file_signature, load
from exporter.web.connections import source_of
from exporter.web.tls import RateLimit, WebConfig, names_of

_log = logging.getLogger(__name__)

MOST_WAITING = 256
MOST_WAITING_OF_ONE_ADDRESS = 4
MAX_REMEMBERED = 100
_MOST_COUNTED = 4096  # addresses with a wrong password
# Nothing after the credentials: other programs take a line break of Unicode there for the end of a header.
_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE | re.ASCII)
_MOST_BYTES = 72  # bcrypt ignores further bytes; Go's implementation truncates silently


@dataclass(frozen=True, slots=True)
class Refusal:
    """The response to a refused request."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


TOO_OFTEN = Refusal(429, "Too many requests: rate_limit of the web configuration. Try again later.\n", {"Retry-After": "1"})
TOO_MANY_ATTEMPTS = Refusal(429, "Too many passwords are being checked. Try again later.\n", {"Retry-After": "1"})
UNAUTHORIZED = Refusal(401, "Unauthorized\n", {"WWW-Authenticate": 'Basic realm="ekm-exporter", charset="UTF-8"'})


def credentials_of(authorization: str) -> tuple[str, bytes] | None:
    """Return user and password of an `Authorization` header. The result is None unless the scheme is Basic."""
    try:
        basic = _BASIC.fullmatch(authorization)
        user, colon, password = base64.b64decode(basic[1] if basic else "", validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """A password that waits for its check; never shown."""

    source: str
    hashed: str = field(repr=False)
    password: bytes = field(repr=False)
    result: asyncio.Future[Refusal | None]


class Passwords:
    """Verifies passwords and caches accepted ones as keyed digests. Use it from one event loop."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._checks: SingleFlight[bytes, Refusal | None] = SingleFlight()  # by digest
        self._wrong: Counter[str] = Counter()  # by source, the latest last
        self._waiting: list[_Check] = []  # the oldest first
        self._worker: SingleFlight[None, None] = SingleFlight()
        self._pool = DaemonThreadPool(1, name="password")

    async def check(self, users: Mapping[str, str], user: str, password: bytes, *, address: str) -> Refusal | None:
        """Return the refusal of a user's password; None if it is right. `users` are bcrypt hashes by name, `address` is the client's."""
        # An unknown user has a hash that costs as much as those of known ones, and no password.
        hashed = users.get(user) or f"$2b${max((each[4:6] for each in users.values()), default='10')}${'.' * 53}"
        digest = keyed_digest(self._key, user.encode(), hashed.encode(), password)
        if digest in self._right:
            self._right.move_to_end(digest)
            return None
        refusal = await self._checks.join(digest, lambda: self._check(hashed, password, source_of(address)), name="password")
        if refusal is not None or user not in users:
            return refusal or UNAUTHORIZED
        self._right[digest] = None
        if len(self._right) > MAX_REMEMBERED:
            self._right.popitem(last=False)
        return None

    async def aclose(self) -> None:
        await self._worker.aclose()
        await self._checks.aclose()
        self._pool.close()

    async def _check(self, hashed: str, password: bytes, source: str) -> Refusal | None:
        """Wait for the turn and the result of a password."""
        if sum(check.source == source for check in self._waiting) >= MOST_WAITING_OF_ONE_ADDRESS:
            return TOO_MANY_ATTEMPTS
        check = _Check(source, hashed, password[:_MOST_BYTES], asyncio.get_running_loop().create_future())
        self._waiting.append(check)
        if len(self._waiting) > MOST_WAITING:
            last = max(reversed(self._waiting), key=lambda each: self._wrong[each.source])
            self._waiting.remove(last)
            last.result.set_result(TOO_MANY_ATTEMPTS)
        if not self._worker.running(None):
            self._worker.start(None, self._work(), name="check of passwords")
        return await check.result

    async def _work(self) -> None:
        while self._waiting:
            check = min(self._waiting, key=lambda each: self._wrong[each.source])
            self._waiting.remove(check)
            began = time.monotonic()
            try:
                right = await self._pool.run(_matches, check.password, check.hashed.encode())
                refusal = None if right else UNAUTHORIZED
            except PoolExhausted:
                refusal = TOO_MANY_ATTEMPTS
            if not check.result.done():
                check.result.set_result(refusal)
            if refusal is None:
                self._wrong.pop(check.source, None)
            elif refusal is UNAUTHORIZED:
                self._wrong[check.source] = self._wrong.pop(check.source, 0) + 1
                if len(self._wrong) > _MOST_COUNTED:
                    del self._wrong[next(iter(self._wrong))]
                # Guessing leaves at least half a processor to the probes.
                await asyncio.sleep(time.monotonic() - began)


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


class TokenBucket:
    """The token bucket of `rate_limit`, for all clients together, full at first."""

    def __init__(self, limit: RateLimit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._tokens, self._at = float(limit.burst), clock()

    def allow(self) -> bool:
        now = self._clock()
        self._tokens = min(float(self._limit.burst), self._tokens + (now - self._at) / self._limit.interval)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


READ_AGAIN_SECONDS = 2.0
LOGGED_AGAIN_SECONDS = 60.0
# A refusal is delayed, so that a client that retries at once cannot keep the event loop busy.
REFUSED_AFTER_SECONDS = 0.05


class AccessControl:
    """Checks clients against a web configuration without problems. Use it from one event loop."""

    def __init__(self, path: Path, loaded: WebLoaded) -> None:
        if loaded.config is None:
            raise ValueError("cannot use a web configuration with problems")
        self._path, self._seen = path, loaded.seen
        self._passwords: Passwords | None = None
        self._throttles = defaultdict[str, Throttle](lambda: Throttle(1, LOGGED_AGAIN_SECONDS))  # by message
        self.config: WebConfig = loaded.config
        self.context: ssl.SSLContext | None = loaded.context
        self._bucket = _bucket(self.config)

    def allows_certificate(self, certificate: bytes | None, address: str) -> bool:
        """Whether a client with this certificate (DER; None for none) may stay connected."""
        allowed = None if self.config.tls is None else self.config.tls.allowed_names
        is_allowed = allowed is None or (certificate is not None and not allowed.isdisjoint(names_of(certificate)))
        if not is_allowed:
            self._warn("client certificate without an allowed name", address)
        return is_allowed

    def _warn(self, message: str, address: str) -> None:
        if (omitted := self._throttles[message].admit(time.monotonic())) is not None:
            _log.warning(message, extra=fields(client=address, more=omitted or None))

    async def refusal(self, authorization: str, address: str) -> Refusal | None:
        """Return the refusal of a request, or None. `authorization` is that header, `address` the client's."""
        if self._bucket is not None and not self._bucket.allow():
            return TOO_OFTEN
        if not self.config.users:
            return None
        if (shown := credentials_of(authorization)) is None:
            return UNAUTHORIZED
        self._passwords = self._passwords or Passwords()
        refusal = await self._passwords.check(self.config.users, *shown, address=address)
        if refusal is UNAUTHORIZED:
            self._warn("wrong user or password", address)  # never the user name: it could be a password in the wrong field
        return refusal

    async def watching(self, _app: web.Application) -> AsyncIterator[None]:
        """Reload changed files until the application stops: a cleanup context of aiohttp."""
        watch = asyncio.create_task(self._watch(), name="web configuration")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            if self._passwords is not None:
                await self._passwords.aclose()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(READ_AGAIN_SECONDS)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - the active version stays, and the watch continues
                _log.error("web configuration reload crashed", extra=fields(**place_of(error)))

    async def refresh(self) -> None:
        """Reload the files if they changed, and apply a version without problems."""
        if await asyncio.to_thread(lambda: all(file_signature(path) == then for path, then in self._seen.items())):
            return
        loaded = await asyncio.to_thread(load, self._path)
        self._seen, config, problems = loaded.seen, loaded.config, [str(problem) for problem in loaded.problems]
        if config is not None and (config.tls is None) != (self.config.tls is None):
            fixed = "TLS cannot be switched on or off while the exporter runs: restart the exporter"
            problems = [f"{self._path}:1:1: tls_server_config: {fixed}"]
        for problem in problems:
            _log.error("web configuration reload failed", extra=fields(problem=problem))
        if problems or config is None:
            return
        if config.rate_limit != self.config.rate_limit:
            self._bucket = _bucket(config)
        self.config, self.context = config, loaded.context
        _log.info("web configuration reloaded", extra=fields(file=str(self._path)))


def _bucket(config: WebConfig) -> TokenBucket | None:
    return None if config.rate_limit is None else TokenBucket(config.rate_limit)
