"""The current secret of each credential, while the files under them change.

For: reading on a thread, at most once a second and credential, and a fingerprint that changes when the secret does.
Not for: signing in; deciding what an unreadable secret means. A file is read again rather than compared by its dates: a
Kubernetes volume swaps a symbolic link, an editor may write within one tick of the clock, and the file is tiny.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exporter.config.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole
from exporter.config.model import Credential
from exporter.config.secret_source import SecretUnreadableError, read_secret
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted

READ_AGAIN_SECONDS = 1.0
_NO_THREAD = "no thread was free to read the secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A credential's secret as it stands now. `text` is None where there is none; `failure` then says why, unless the kind has none.

    `fingerprint` differs whenever the secret, the certificate or the failure does. It is keyed with a value that only this
    process knows, so it tells nothing about the secret and means nothing elsewhere.
    """

    text: str | None = field(default=None, repr=False)
    failure: str = ""
    fingerprint: str = ""


@dataclass(slots=True)
class _Kept:
    secret: Secret | None = None
    read_at: float = 0.0
    begun: bool = False  # a thread has taken the read that is under way
    reading: asyncio.Task[Secret] | None = None


class SecretCache:
    """Gives the current secret of a credential. To be used from one event loop, which it never blocks."""

    def __init__(self, pool: DaemonThreadPool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._kept: dict[Credential, _Kept] = {}

    async def current(self, credential: Credential) -> Secret:
        """The secret, at most a second old, or older while this process lacks threads or descriptors. What went wrong is in `failure`.

        Raises CancelledError, and PoolExhausted for such a shortage if the secret was never read.

        Cancelled before a thread took the read, the error has a PoolExhausted as its cause, as `DaemonThreadPool.run` has it. A read goes on
        when its callers give up, and later callers join it: a file that hangs holds one thread, however many probes need it.
        """
        kept = self._kept.setdefault(credential, _Kept())
        if kept.secret is not None and self._clock() - kept.read_at < READ_AGAIN_SECONDS:
            return kept.secret
        if kept.reading is None or kept.reading.done():
            kept.begun = False
            kept.reading = asyncio.create_task(self._read(credential, kept), name=f"secret of {credential.name}")
            kept.reading.add_done_callback(_was_met)
        try:
            return await asyncio.shield(kept.reading)
        except asyncio.CancelledError as cancelled:
            if kept.begun:
                raise
            raise cancelled from PoolExhausted(_NO_THREAD)

    async def aclose(self) -> None:
        """Give up the reads under way; their threads end with the process."""
        reading = [kept.reading for kept in self._kept.values() if kept.reading is not None]
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def keep_only(self, credentials: Iterable[Credential]) -> None:
        """Forget every other credential's secret; for a reload."""
        wanted = set(credentials)
        self._kept = {credential: kept for credential, kept in self._kept.items() if credential in wanted}

    async def _read(self, credential: Credential, kept: _Kept) -> Secret:
        kept.secret = await self._secret(credential, kept)
        kept.read_at = self._clock()
        return kept.secret

    async def _secret(self, credential: Credential, kept: _Kept) -> Secret:
        def read() -> tuple[str | None, bytes]:
            kept.begun = True
            return _material(credential)

        try:
            text, certificate = await self._pool.run(read)
        except PoolExhausted:  # a shortage of this process says nothing about the file
            if kept.secret is None:
                raise
            return kept.secret
        except (SecretUnreadableError, FileUnreadableError) as error:
            return self._unreadable(str(error))
        return Secret(text=text, fingerprint=self._fingerprint(b"secret", (text or "").encode(), certificate))

    def _unreadable(self, failure: str) -> Secret:
        return Secret(failure=failure, fingerprint=self._fingerprint(b"failure", failure.encode(errors="replace")))

    def _fingerprint(self, *parts: bytes) -> str:
        digest = hashlib.blake2b(key=self._key, digest_size=16)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()


def _was_met(reading: asyncio.Task[Secret]) -> None:
    """A read that failed after its callers gave up is no unhandled error."""
    if not reading.cancelled():
        reading.exception()


def _material(credential: Credential) -> tuple[str | None, bytes]:
    """The secret and the certificate file of a credential; blocks."""
    source = credential.secret or credential.password
    text = None if source is None else read_secret(source)
    if credential.certificate_file is None:
        return text, b""
    try:
        return text, read_whole(credential.certificate_file, limit=CERTIFICATE_LIMIT)
    except FileUnreadableError as error:
        raise FileUnreadableError(f"file {credential.certificate_file}: {error}") from None
