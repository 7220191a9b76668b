"""Is this user's password right? Asked as rarely as possible, of one thread, and in the same time whether the user exists or not.

For: `basic_auth_users`. A bcrypt hash takes tens of milliseconds of a processor by design, and anybody may ask for it: so one is
computed at a time, a wrong password is followed by a pause as long as its hash took, few may wait, and what was right before
is known again without computing.
Not for: what a refused client is told.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from enum import Enum

import bcrypt

from exporter.threads import DaemonPool, PoolBusy

MOST_WAITING = 32
MOST_WAITING_OF_ONE_ADDRESS = 4
REMEMBERED = 100
_MOST_BYTES = 72  # bcrypt looks at no more, and Go's implementation cuts there without a word


class Answer(Enum):
    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"  # too many passwords wait: nothing is known about this one


def credentials_of(authorization: str) -> tuple[str, bytes] | None:
    """User and password of an `Authorization` header; None where it has none of the Basic kind."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


class Passwords:
    """Remembers that a password was right, as a keyed digest; to be used from one event loop."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[Answer]] = {}
        self._waiting: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._pool = DaemonPool(1, name="password")

    async def check(self, users: Mapping[str, str], user: str, password: bytes, *, address: str) -> Answer:
        """Whether `password` is that of `user`; `users` are bcrypt hashes by name, `address` is who asks."""
        known = users.get(user)
        hashed = _decoy(users) if known is None else known
        digest = self._digest(user.encode(), hashed.encode(), password)
        if digest in self._right:
            self._right.move_to_end(digest)
            return Answer.RIGHT
        check = self._checks.get(digest)
        if check is None:
            if len(self._checks) >= MOST_WAITING or self._waiting[address] >= MOST_WAITING_OF_ONE_ADDRESS:
                return Answer.BUSY
            check = self._begin(digest, hashed, password, address)
        # Who asks may go away; the others who wait for the same answer may not suffer from it.
        answer = await asyncio.shield(check)
        if answer is Answer.RIGHT and known is None:
            return Answer.WRONG
        if answer is Answer.RIGHT:
            self._remember(digest)
        return answer

    def close(self) -> None:
        for check in self._checks.values():
            check.cancel()
        self._pool.close()

    def _begin(self, digest: bytes, hashed: str, password: bytes, address: str) -> asyncio.Task[Answer]:
        check = asyncio.create_task(self._compute(hashed, password), name="check of a password")
        self._checks[digest] = check
        self._waiting[address] += 1

        def ended(_check: asyncio.Task[Answer]) -> None:
            del self._checks[digest]
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]

        check.add_done_callback(ended)
        return check

    async def _compute(self, hashed: str, password: bytes) -> Answer:
        async with self._turn:
            began = time.monotonic()
            try:
                right = await self._pool.run(_matches, password[:_MOST_BYTES], hashed.encode())
            except PoolBusy:
                return Answer.BUSY
            if right:
                return Answer.RIGHT
            # So that guessing leaves half a processor, at the least, to the probes.
            await asyncio.sleep(time.monotonic() - began)
            return Answer.WRONG

    def _remember(self, digest: bytes) -> None:
        self._right[digest] = None
        if len(self._right) > REMEMBERED:
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
    """A hash for a user who does not exist, of the users' own cost: so that the answer takes as long."""
    cost = max((hashed[4:6] for hashed in users.values()), default="10")
    return f"$2b${cost}${'.' * 53}"
