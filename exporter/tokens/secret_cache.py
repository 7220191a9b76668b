"""The current secret of each credential, also after its file changed.

A file is read again, not compared by its dates: a Kubernetes volume swaps a symbolic link, an editor may write twice within
one tick of the clock, and the file is small.
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
    """A credential's current secret.

    `text` is None if the kind has none, or if reading failed; `failure` is the reason.

    `fingerprint` changes with the secret, the certificate and the failure. Its key is random and stays in this process, so a
    fingerprint reveals nothing about the secret.
    """

    text: str | None = field(default=None, repr=False)
    failure: str = ""
    fingerprint: str = ""


@dataclass(slots=True)
class _CachedSecret:
    secret: Secret | None = None
    read_at: float = 0.0
    begun: bool = False  # a thread has started the current read
    reading: asyncio.Task[Secret] | None = None


class SecretCache:
    """Reads secrets on threads, at most once per second and credential.

    To be used from one event loop.
    """

    def __init__(self, pool: DaemonThreadPool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._kept: dict[Credential, _CachedSecret] = {}

    async def current(self, credential: Credential) -> Secret:
        """Return the secret, at most a second old; a failed read is a value in `failure`.

        While this process lacks threads or descriptors, the last secret is returned; without one, PoolExhausted is raised.

        If a call is cancelled before a thread took the read, PoolExhausted is the cause of the CancelledError, as in
        `DaemonThreadPool.run`. A read continues when its callers give up, and later callers join it: a hanging file holds one
        thread for all probes.
        """
        kept = self._kept.setdefault(credential, _CachedSecret())
        if kept.secret is not None and self._clock() - kept.read_at < READ_AGAIN_SECONDS:
            return kept.secret
        if kept.reading is None or kept.reading.done():
            kept.begun = False
            kept.reading = asyncio.create_task(self._read(credential, kept), name=f"secret of {credential.name}")
            kept.reading.add_done_callback(_retrieve_exception)
        try:
            return await asyncio.shield(kept.reading)
        except asyncio.CancelledError as cancelled:
            if kept.begun:
                raise
            raise cancelled from PoolExhausted(_NO_THREAD)

    async def aclose(self) -> None:
        """Cancel current reads; their threads end with the process."""
        reading = [kept.reading for kept in self._kept.values() if kept.reading is not None]
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def keep_only(self, credentials: Iterable[Credential]) -> None:
        """Forget the secrets of all other credentials, after a reload."""
        wanted = set(credentials)
        self._kept = {credential: kept for credential, kept in self._kept.items() if credential in wanted}

    async def _read(self, credential: Credential, kept: _CachedSecret) -> Secret:
        kept.secret = await self._secret(credential, kept)
        kept.read_at = self._clock()
        return kept.secret

    async def _secret(self, credential: Credential, kept: _CachedSecret) -> Secret:
        def read() -> tuple[str | None, bytes]:
            kept.begun = True
            return _material(credential)

        try:
            text, certificate = await self._pool.run(read)
        except PoolExhausted:  # a shortage of this process is no failure of the file
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


def _retrieve_exception(reading: asyncio.Task[Secret]) -> None:
    """Mark the error of a read without waiting callers as handled."""
    if not reading.cancelled():
        reading.exception()


def _material(credential: Credential) -> tuple[str | None, bytes]:
    """Read the secret and the certificate file of a credential. Blocks."""
    source = credential.secret or credential.password
    text = None if source is None else read_secret(source)
    if credential.certificate_file is None:
        return text, b""
    try:
        return text, read_whole(credential.certificate_file, limit=CERTIFICATE_LIMIT)
    except FileUnreadableError as error:
        raise FileUnreadableError(f"file {credential.certificate_file}: {error}") from None
