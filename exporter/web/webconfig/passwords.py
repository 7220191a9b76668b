"""Verify basic-auth passwords on one worker thread and cache successes.

A bcrypt hash takes tens of milliseconds by design, and any client can request one. So one hash is computed at a time, a pause of
the same length follows a wrong password, and few requests can wait. The address with the fewest wrong passwords is checked first, so a
new client waits for at most one guess of each other address. Unknown users take as long as known ones.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import bcrypt

from exporter.runtime.single_flight import SingleFlight
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted
from exporter.web.server.client_source import source_of

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
    """Return user and password of an `Authorization` header.

    The result is None unless the scheme is Basic.
    """
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
    """Verifies passwords and caches accepted ones as keyed digests.

    Use it from one event loop.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._checks: SingleFlight[bytes, PasswordResult] = SingleFlight()  # by digest
        self._wrong: Counter[str] = Counter()  # by source, the latest last
        self._waiting: list[_Check] = []  # the oldest first
        self._worker: asyncio.Task[None] | None = None
        self._pool = DaemonThreadPool(1, name="password")

    async def check(self, users: Mapping[str, str], user: str, password: bytes, *, address: str) -> PasswordResult:
        """Verify a user's password.

        `users` are bcrypt hashes by name, `address` is the client's.
        """
        known = users.get(user)
        hashed = _decoy(users) if known is None else known
        digest = self._digest(user.encode(), hashed.encode(), password)
        if digest in self._right:
            self._right.move_to_end(digest)
            return PasswordResult.RIGHT
        result = await self._checks.join(digest, lambda: self._check(hashed, password, source_of(address)), name="password")
        if result is PasswordResult.RIGHT and known is None:
            return PasswordResult.WRONG
        if result is PasswordResult.RIGHT:
            self._remember(digest)
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

    def _count_wrong(self, source: str) -> None:
        self._wrong[source] = self._wrong.pop(source, 0) + 1
        if len(self._wrong) > _MOST_COUNTED:
            del self._wrong[next(iter(self._wrong))]

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
                self._count_wrong(check.source)
                # Guessing leaves at least half a processor to the probes.
                await asyncio.sleep(time.monotonic() - began)

    async def _compute(self, check: _Check) -> PasswordResult:
        try:
            right = await self._pool.run(_matches, check.password, check.hashed.encode())
        except PoolExhausted:
            return PasswordResult.BUSY
        return PasswordResult.RIGHT if right else PasswordResult.WRONG

    def _remember(self, digest: bytes) -> None:
        self._right[digest] = None
        if len(self._right) > MAX_REMEMBERED:
            self._right.popitem(last=False)

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


def _decoy(users: Mapping[str, str]) -> str:
    """Return a hash for unknown users that costs as much as known ones."""
    cost = max((hashed[4:6] for hashed in users.values()), default="10")
    return f"$2b${cost}${'.' * 53}"
