"""The current secret of each credential, also after its file changed.

A file is small, so it is read again. Its dates prove nothing: a Kubernetes volume replaces a symbolic link, and an editor may
write twice within one tick of the clock.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exporter.clients.certificates import ClientCertificate, load_certificate
from exporter.config.settings import Credential, SecretUnreadableError, read_secret
from exporter.core.secrets import keyed_digest
from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, SingleFlight, shortage_of

READ_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSecret:
    """A credential's current secret.

    `text` is None if the kind has none, or if reading failed; `failure` is the reason.

    `fingerprint` changes with the secret, the certificate and the failure. Its key is random and stays in this process, so a
    fingerprint reveals nothing about the secret.
    """

    text: str | None = field(default=None, repr=False)
    certificate: ClientCertificate | None = field(default=None, repr=False, compare=False)  # `text` is its password
    failure: str = ""
    fingerprint: str = ""

    @property
    def proof(self) -> str | ClientCertificate | None:
        """What a sign-in sends or signs with."""
        return self.certificate or self.text


@dataclass(slots=True, eq=False)
class _CachedSecret:
    secret: CredentialSecret | None = None
    read_at: float = 0.0
    started: bool = False  # a thread has started the current read


class SecretCache:
    """Reads secrets on threads, at most once per second and credential. Use it from one event loop."""

    def __init__(self, pool: DaemonThreadPool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._entries: dict[Credential, _CachedSecret] = {}
        self._reads: SingleFlight[_CachedSecret, CredentialSecret] = SingleFlight()

    def find(self, credential: Credential) -> CredentialSecret | None:
        """Return the secret if it was read within a second or is in no file; None if a thread must read it."""
        entry = self._entries.setdefault(credential, _CachedSecret())
        if entry.secret is not None and self._clock() - entry.read_at < READ_AGAIN_SECONDS:
            return entry.secret
        return None if credential.reads_file else self._keep(entry, self._load(credential, entry.secret))

    async def current(self, credential: Credential) -> CredentialSecret:
        """Return the secret, at most a second old, as `find` or `read` do."""
        return self.find(credential) or await self.read(credential)

    async def read(self, credential: Credential) -> CredentialSecret:
        """Read the secret on a thread; a failed read is a value in `failure`.

        While this process lacks threads or descriptors, the last secret is returned; without one, PoolExhausted is raised.

        If a call is cancelled before a thread took the read, PoolExhausted is the cause of the CancelledError, as in
        `DaemonThreadPool.run`. A read continues when its callers give up, and later callers join it: a hanging file holds one
        thread for all probes.
        """
        entry = self._entries.setdefault(credential, _CachedSecret())
        if not self._reads.running(entry):
            entry.started = False
        try:
            return await self._reads.join(entry, lambda: self._read(credential, entry), name=f"secret of {credential.name}")
        except asyncio.CancelledError as cancelled:
            if entry.started:
                raise
            raise cancelled from PoolExhausted("no thread was free to read the secret")

    async def aclose(self) -> None:
        """Cancel current reads; their threads end with the process."""
        await self._reads.aclose()

    def keep_only(self, credentials: Iterable[Credential]) -> None:
        """Forget the secrets of all other credentials, after a reload."""
        wanted = set(credentials)
        self._entries = {credential: entry for credential, entry in self._entries.items() if credential in wanted}

    async def _read(self, credential: Credential, entry: _CachedSecret) -> CredentialSecret:
        def read() -> CredentialSecret:
            entry.started = True
            return self._load(credential, entry.secret)

        try:
            return self._keep(entry, await self._pool.run(read))
        except PoolExhausted:  # a shortage of this process is no failure of the file
            if entry.secret is None:
                raise
            return self._keep(entry, entry.secret)

    def _keep(self, entry: _CachedSecret, secret: CredentialSecret) -> CredentialSecret:
        entry.secret, entry.read_at = secret, self._clock()
        return secret

    def _load(self, credential: Credential, before: CredentialSecret | None) -> CredentialSecret:
        """Read the secret, and the private key only if its file or password changed: that takes as long as many probes."""
        try:
            text, file = read_material(credential)
        except (SecretUnreadableError, FileUnreadableError) as error:
            if shortage_of(error) is not None:
                raise
            digest = keyed_digest(self._key, b"failure", str(error).encode(errors="replace"))
            return CredentialSecret(failure=str(error), fingerprint=digest.hex())
        fingerprint = keyed_digest(self._key, b"secret", (text or "").encode(), file).hex()
        if before is not None and before.fingerprint == fingerprint:
            return before
        certificate = None if credential.certificate_file is None else load_certificate(file, text)
        return CredentialSecret(text=text, certificate=certificate, fingerprint=fingerprint)


def read_material(credential: Credential) -> tuple[str | None, bytes]:
    """Read the secret and the certificate file of a credential. Blocks."""
    source = credential.secret or credential.password
    text = None if source is None else read_secret(source)
    if credential.certificate_file is None:
        return text, b""
    try:
        return text, read_whole(credential.certificate_file, limit=CERTIFICATE_LIMIT)
    except FileUnreadableError as error:
        raise FileUnreadableError(f"file {credential.certificate_file}: {error}") from None
