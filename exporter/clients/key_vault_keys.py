"""List the keys of a vault and their versions, and read public keys.

Listing needs the permission `list`, reading one version needs `get`. Only GET requests are sent.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from exporter.clients.paged_session import PagedSession
from exporter.core.model import Facts, KeyFacts
from exporter.core.parsing.key_lists import ListedKey, read_key_list
from exporter.core.parsing.key_vault import read_key

_MOST_PAGES: Final = 400  # of 25 entries


class KeyListSession(PagedSession):
    """A session that lists keys of one vault, as an async context manager. `deadline` is in loop time."""

    async def list_keys(self, token: str, *, deadline: float) -> tuple[Facts, tuple[ListedKey, ...] | None]:
        """Return the names of all keys; None if a page cannot be read."""
        return await self.entries("/keys", token, read_key_list, deadline=deadline, most_pages=_MOST_PAGES)

    async def list_versions(self, token: str, name: str, *, deadline: float) -> tuple[Facts, tuple[ListedKey, ...] | None]:
        """Return all versions of a key, without key material; None if a page cannot be read."""
        path = f"/keys/{quote(name, safe='')}/versions"
        return await self.entries(path, token, read_key_list, deadline=deadline, most_pages=_MOST_PAGES)

    async def get_key(self, token: str, name: str, version: str | None, *, deadline: float) -> tuple[Facts, KeyFacts | None]:
        """Return a key version with its public key; the newest if `version` is None."""
        path = "/".join(quote(part, safe="") for part in (name, version) if part)
        return await self.get(f"/keys/{path}?{self.query}", token, read_key, deadline=deadline)
