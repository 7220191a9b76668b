"""Read the dates of a Key Vault secret from the list of its versions.

`/secrets/NAME/versions` returns attributes without values, page by page. No request goes to `/secrets/NAME` or to one version:
those return the secret itself, and the exporter does not need the permission for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from exporter.clients.paged_session import MOST_PAGES, PagedSession
from exporter.core.credential_expiry import SecretVersion
from exporter.core.model import Facts
from exporter.core.parsing.credential_lists import read_secret_versions

__all__ = ["MOST_PAGES", "SecretName", "SecretVersionsSession", "split_secret_url"]


@dataclass(frozen=True, slots=True)
class SecretName:
    """A configured secret. `vault` is the host, with a port unless it is 443."""

    vault: str
    name: str
    version: str | None


def split_secret_url(url: str) -> SecretName:
    """Split a valid https://VAULT/secrets/NAME[/VERSION] into its parts."""
    parts = urlsplit(url)
    _, _, name, *version = parts.path.split("/")
    return SecretName(parts.netloc.lower().removesuffix(":443"), name, version[0] if version else None)


class SecretVersionsSession(PagedSession):
    """A session that lists secret versions of one vault, as an async context manager."""

    async def list_versions(self, token: str, name: str, *, deadline: float) -> tuple[Facts, tuple[SecretVersion, ...] | None]:
        """Return every version of the secret.

        The versions are None if a page cannot be read or there are more than `MOST_PAGES` pages.
        """
        return await self.entries(f"/secrets/{quote(name, safe='')}/versions", token, read_secret_versions, deadline=deadline)
