"""Checks connections and requests against the active web configuration: passwords, `rate_limit`, names of certificates.

Changed files are reloaded. A version with problems is logged once and not applied; the last good version stays active.
A bcrypt hash takes tens of milliseconds by design, and any client can request one. So one hash is computed at a time, a pause of the
same length follows a wrong password, and few requests can wait. The address with the fewest wrong passwords is checked first, so a
new client waits for at most one guess of each other address. Unknown users take as long as known ones.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import re
import secrets
import ssl
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import bcrypt

from exporter.core.secrets import keyed_digest
from exporter.runtime.logging import Throttle, fields, place_of
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, SingleFlight
from exporter.web.config_file import WebLoaded, file_signature, load
from exporter.web.connections import source_of
from exporter.web.tls import RateLimit, WebConfig, has_allowed_name

_log = logging.getLogger(__name__)

MOST_WAITING = 256
MOST_WAITING_OF_ONE_ADDRESS = 4
MAX_REMEMBERED = 100
_MOST_COUNTED = 4096  # addresses with a wrong password
# Nothing after the credentials: other programs take a line break of Unicode there for the end of a header.
_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE | re.ASCII)
_MOST_BYTES = 72  # bcrypt ignores further bytes; Go's implementation truncates silently


class PasswordResult(Enum):
    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"  # too many passwords wait: this one was not checked


def credentials_of(authorization: str) -> tuple[str, bytes] | None:
    """Return user and password of an `Authorization` header. The result is None unless the scheme is Basic."""
    basic = _BASIC.fullmatch(authorization)
    if basic is None:
        return None
    try:
        user, colon, password = base64.b64decode(basic[1], validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """A password that waits for its check; never shown."""

    source: str
    hashed: str = field(repr=False)
    password: bytes = field(repr=False)
    result: asyncio.Future[PasswordResult]


class Passwords:
    """Verifies passwords and caches accepted ones as keyed digests. Use it from one event loop."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._checks: SingleFlight[bytes, PasswordResult] = SingleFlight()  # by digest
        self._wrong: Counter[str] = Counter()  # by source, the latest last
        self._waiting: list[_Check] = []  # the oldest first
        self._worker: asyncio.Task[None] | None = None
        self._pool = DaemonThreadPool(1, name="password")

    async def check(self, users: Mapping[str, str], user: str, password: bytes, *, address: str) -> PasswordResult:
        """Verify a user's password. `users` are bcrypt hashes by name, `address` is the client's."""
        known = users.get(user)
        hashed = _decoy(users) if known is None else known
        digest = keyed_digest(self._key, user.encode(), hashed.encode(), password)
        if digest in self._right:
            self._right.move_to_end(digest)
            return PasswordResult.RIGHT
        result = await self._checks.join(digest, lambda: self._check(hashed, password, source_of(address)), name="password")
        if result is PasswordResult.RIGHT and known is None:
            return PasswordResult.WRONG
        if result is PasswordResult.RIGHT:
            self._right[digest] = None
            if len(self._right) > MAX_REMEMBERED:
                self._right.popitem(last=False)
        return result

    async def aclose(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
        await self._checks.aclose()
        self._pool.close()

    async def _check(self, hashed: str, password: bytes, source: str) -> PasswordResult:
        """Wait for the turn and the result of a password."""
        result: asyncio.Future[PasswordResult] = asyncio.get_running_loop().create_future()
        if sum(check.source == source for check in self._waiting) >= MOST_WAITING_OF_ONE_ADDRESS:
            return PasswordResult.BUSY
        self._waiting.append(_Check(source, hashed, password[:_MOST_BYTES], result))
        if len(self._waiting) > MOST_WAITING:
            self._take(max(reversed(self._waiting), key=self._wrong_passwords)).result.set_result(PasswordResult.BUSY)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="check of passwords")
        return await result

    def _wrong_passwords(self, check: _Check) -> int:
        return self._wrong[check.source]

    def _take(self, check: _Check) -> _Check:
        self._waiting.remove(check)
        return check

    async def _work(self) -> None:
        while self._waiting:
            check = self._take(min(self._waiting, key=self._wrong_passwords))
            began = time.monotonic()
            result = await self._compute(check)
            if not check.result.done():
                check.result.set_result(result)
            if result is PasswordResult.RIGHT:
                self._wrong.pop(check.source, None)
            elif result is PasswordResult.WRONG:
                self._wrong[check.source] = self._wrong.pop(check.source, 0) + 1
                if len(self._wrong) > _MOST_COUNTED:
                    del self._wrong[next(iter(self._wrong))]
                # Guessing leaves at least half a processor to the probes.
                await asyncio.sleep(time.monotonic() - began)

    async def _compute(self, check: _Check) -> PasswordResult:
        try:
            right = await self._pool.run(_matches, check.password, check.hashed.encode())
        except PoolExhausted:
            return PasswordResult.BUSY
        return PasswordResult.RIGHT if right else PasswordResult.WRONG


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


def _decoy(users: Mapping[str, str]) -> str:
    """Return a hash for unknown users that costs as much as known ones."""
    cost = max((hashed[4:6] for hashed in users.values()), default="10")
    return f"$2b${cost}${'.' * 53}"


class TokenBucket:
    """The token bucket of `rate_limit`, for all clients together, full at first."""

    def __init__(self, limit: RateLimit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._at = clock()

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
    """Checks clients against a web configuration without problems. Use it from one event loop."""

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

    def allows_certificate(self, certificate: bytes | None, address: str) -> bool:
        """Whether a client with this certificate (DER; None for none) may stay connected."""
        allowed = None if self.config.tls is None else self.config.tls.allowed_names
        if has_allowed_name(certificate, allowed):
            return True
        if (omitted := self._nameless.admit(time.monotonic())) is not None:
            _log.warning("client certificate without an allowed name", extra=fields(client=address, more=omitted or None))
        return False

    async def refusal(self, authorization: str, address: str) -> Refusal | None:
        """Return the refusal of a request, or None. `authorization` is that header, `address` the client's."""
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
        seen = self._seen
        if await asyncio.to_thread(lambda: all(file_signature(path) == then for path, then in seen.items())):
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
            fixed = "TLS cannot be switched on or off while the exporter runs: restart the exporter"
            problems = [f"{self._path}:1:1: tls_server_config: {fixed}"]
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
