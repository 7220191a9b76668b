"""Secrets and certificates that change while the simulator runs: what the configuration's files hold now is accepted, too.

For: rolling a secret on a game day. Whatever was accepted stays so, as in Entra, until somebody takes it away.
Not for: a configuration that itself changed, or sending secrets to the simulator: they are read where the exporter reads them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exporter.config.files import FileUnreadableError
from exporter.config.model import Config, Credential, CredentialKind
from exporter.config.secret_source import SecretUnreadableError
from exporter.simulator.builder import certificates_of, written_identity
from exporter.simulator.faults import UnknownNameError
from exporter.simulator.model import Application, ClientSecret
from exporter.simulator.simulator import Simulator

_WITH_FILES = (CredentialKind.CLIENT_SECRET, CredentialKind.CONNECTOR_SECRET, CredentialKind.CLIENT_CERTIFICATE)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the files of one credential hold; `why_not` says why that is nothing."""

    client_id: str = ""
    secrets: tuple[ClientSecret, ...] = ()
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    why_not: str | None = None


async def reload_credentials(simulator: Simulator, config: Config) -> Mapping[str, str]:
    """Accepts what the files hold now. What became of each credential with files, by its name: never a secret."""
    credentials = [one for one in config.credentials.values() if one.kind in _WITH_FILES]
    found = await asyncio.to_thread(lambda: {one.name: _read(one) for one in credentials})
    return {name: one.why_not or _accept(simulator, one) for name, one in found.items()}


def _read(credential: Credential) -> _Found:
    """Blocks."""
    try:
        identity, certificates = written_identity(credential), certificates_of(credential)
    except (SecretUnreadableError, FileUnreadableError, OSError) as error:
        return _Found(why_not=f"cannot be read: {error}")
    if identity is None:
        return _Found(why_not="cannot be used: it does not say which application it is")
    if not identity[1] and not certificates:
        return _Found(why_not="cannot be used: it holds no certificate with its key")
    return _Found(*identity, certificates)


def _accept(simulator: Simulator, found: _Found) -> str:
    new = 0

    def add(known: Application) -> Application:
        nonlocal new
        values = {secret.value for secret in known.secrets}
        secrets = tuple(one for one in found.secrets if one.value not in values)
        certificates = tuple(one for one in found.certificates if one not in known.certificates)
        new = len(secrets) + len(certificates)
        return replace(known, secrets=(*known.secrets, *secrets), certificates=(*known.certificates, *certificates))

    try:
        simulator.change_application(found.client_id, add)
    except UnknownNameError:
        return "is another application's now: start the simulator again"
    return "new" if new else "as before"
