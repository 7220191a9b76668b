"""Accept changed secrets and certificates while the simulator runs.

Accepted credentials stay accepted until they are removed, as in Entra ID. The files are read from the configured
places; no secret is sent. A changed configuration needs a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exporter.config.settings import Config, Credential, SecretUnreadableError
from exporter.core.model import CredentialKind
from exporter.runtime.files import FileUnreadableError
from exporter.simulator.builder import read_certificates, read_identity
from exporter.simulator.faults import UnknownNameError
from exporter.simulator.model import Application, ClientSecret
from exporter.simulator.simulator import Simulator

_FILE_KINDS = (CredentialKind.CLIENT_SECRET, CredentialKind.CONNECTOR_SECRET, CredentialKind.CLIENT_CERTIFICATE)


@dataclass(frozen=True, slots=True)
class _FileContents:
    """The contents of one credential's files, or the problem with them."""

    client_id: str = ""
    secrets: tuple[ClientSecret, ...] = ()
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    problem: str | None = None


async def reload_credentials(simulator: Simulator, config: Config) -> Mapping[str, str]:
    """Accept the current contents of the credential files.

    Returns the result for each credential with files, by its name; never a secret.
    """
    credentials = [one for one in config.credentials.values() if one.kind in _FILE_KINDS]
    contents = await asyncio.to_thread(lambda: {one.name: _read(one) for one in credentials})
    return {name: one.problem or _accept(simulator, one) for name, one in contents.items()}


def _read(credential: Credential) -> _FileContents:
    """Read the files of one credential. Blocks."""
    try:
        identity, certificates = read_identity(credential), read_certificates(credential)
    except (SecretUnreadableError, FileUnreadableError, OSError) as error:
        return _FileContents(problem=f"cannot be read: {error}")
    if identity is None:
        return _FileContents(problem="cannot be used: it names no application")
    if not identity[1] and not certificates:
        return _FileContents(problem="cannot be used: it holds no certificate with its key")
    return _FileContents(*identity, certificates)


def _accept(simulator: Simulator, contents: _FileContents) -> str:
    """Add the new secrets and certificates to the application, and return the result."""
    new = 0

    def add(known: Application) -> Application:
        nonlocal new
        values = {secret.value for secret in known.secrets}
        secrets = tuple(one for one in contents.secrets if one.value not in values)
        certificates = tuple(one for one in contents.certificates if one not in known.certificates)
        new = len(secrets) + len(certificates)
        return replace(known, secrets=(*known.secrets, *secrets), certificates=(*known.certificates, *certificates))

    try:
        simulator.state.change_application(contents.client_id, add)
    except UnknownNameError:
        return "is another application's now: restart the simulator"
    return "new" if new else "as before"
