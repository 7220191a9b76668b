"""Read the dates of a Key Vault secret from the list of its versions.

`/secrets/NAME/versions` returns attributes without values, page by page. No request goes to `/secrets/NAME` or to one version:
those return the secret itself, and the exporter does not need the permission for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, urlsplit

from exporter.clients.api_session import ApiSession
from exporter.clients.http.network import Network, split_url
from exporter.core.credential_expiry import SecretVersion
from exporter.core.faults import Fault
from exporter.core.model import Facts
from exporter.core.parsing.credential_lists import read_secret_versions

MOST_PAGES: Final = 10
_QUERY = re.compile("[!-~]+")  # printable ASCII without a blank


@dataclass(frozen=True, slots=True)
class SecretName:
    """A configured secret. `vault` is the host, with a port unless it is 443."""

    vault: str
    name: str
    version: str | None


@dataclass(frozen=True, slots=True)
class _Page:
    versions: tuple[SecretVersion, ...]
    link: str | None


def split_secret_url(url: str) -> SecretName:
    """Split a valid https://VAULT/secrets/NAME[/VERSION] into its parts."""
    parts = urlsplit(url)
    _, _, name, *version = parts.path.split("/")
    return SecretName(parts.netloc.lower().removesuffix(":443"), name, version[0] if version else None)


class SecretVersionsSession(ApiSession):
    """A session that lists secret versions of one vault, as an async context manager."""

    def __init__(self, network: Network, vault: str, api_version: str) -> None:
        super().__init__(network, vault)
        self._query = f"api-version={quote(api_version, safe='')}"

    async def list_versions(self, token: str, name: str, *, deadline: float) -> tuple[Facts, tuple[SecretVersion, ...] | None]:
        """Return every version of the secret.

        The versions are None if a page cannot be read or there are more than `MOST_PAGES` pages.
        """
        path = f"/secrets/{quote(name, safe='')}/versions"
        query = self._query
        found: tuple[SecretVersion, ...] = ()
        for _ in range(MOST_PAGES):
            facts, page = await self.get(f"{path}?{query}", token, _read, deadline=deadline)
            if page is None:
                return facts, None
            found = (*found, *page.versions)
            if page.link is None:
                return facts, found
            following = self._query_of(page.link, path)
            if following is None:
                return replace(facts, fault=Fault.REDIRECT, detail="the next page of the list has another host or path"), None
            query = following
        return replace(facts, fault=Fault.BODY_TOO_LARGE, detail=f"more than {MOST_PAGES} pages"), None

    def _query_of(self, link: str, path: str) -> str | None:
        """Return the query of the link to the next page; None if it leaves this list."""
        try:
            parts = urlsplit(link)
            here = parts.scheme == "https" and split_url(parts.netloc) == split_url(self.host)
        except ValueError:
            return None
        same_list = here and parts.path.lower() == path.lower() and _QUERY.fullmatch(parts.query) is not None
        return parts.query if same_list else None


def _read(body: bytes) -> tuple[Fault, _Page | None]:
    fault, versions, link = read_secret_versions(body)
    return (fault, _Page(versions, link)) if fault is Fault.NONE else (fault, None)
