"""Lists of a vault, page by page: a link to the next page stays on the same host and path."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

from exporter.clients.api_session import ApiSession
from exporter.clients.http.network import Network, split_url
from exporter.core.faults import Fault
from exporter.core.model import Facts

T = TypeVar("T")

MOST_PAGES: Final = 10
_PAGE: Final = 25  # entries, the most that a vault sends
_QUERY = re.compile("[!-~]+")  # printable ASCII without a blank

# Reads the entries of one page, and the unchecked link to the next page.
ReadPage = Callable[[bytes], tuple[Fault, tuple[T, ...], str | None]]


class PagedSession(ApiSession):
    """A session that reads lists of one vault, as an async context manager."""

    def __init__(self, network: Network, vault: str, api_version: str) -> None:
        super().__init__(network, vault)
        self.query = f"api-version={quote(api_version, safe='')}"

    async def entries(
        self, path: str, token: str, read: ReadPage[T], *, deadline: float, most_pages: int = MOST_PAGES
    ) -> tuple[Facts, tuple[T, ...] | None]:
        """Return the entries of all pages.

        They are None if a page cannot be read or there are more entries than `most_pages` pages have.
        """
        query = self.query
        found: tuple[T, ...] = ()
        for _ in range(most_pages):
            facts, page = await self.get(f"{path}?{query}", token, _whole(read), deadline=deadline)
            if page is None:
                return facts, None
            entries, link = page
            found = (*found, *entries)
            if len(found) > _PAGE * most_pages:
                break
            if link is None:
                return facts, found
            following = self._query_of(link, path)
            if following is None:
                return replace(facts, fault=Fault.REDIRECT, detail="the next page of the list has another host or path"), None
            query = following
        return replace(facts, fault=Fault.BODY_TOO_LARGE, detail=f"more than {most_pages} pages of {_PAGE}"), None

    def _query_of(self, link: str, path: str) -> str | None:
        """Return the query of the link to the next page; None if it leaves this list."""
        try:
            parts = urlsplit(link)
            here = parts.scheme == "https" and split_url(parts.netloc) == split_url(self.host)
        except ValueError:
            return None
        same_list = here and parts.path.lower() == path.lower() and _QUERY.fullmatch(parts.query) is not None
        return parts.query if same_list else None


def _whole(read: ReadPage[T]) -> Callable[[bytes], tuple[Fault, tuple[tuple[T, ...], str | None] | None]]:
    def page(body: bytes) -> tuple[Fault, tuple[tuple[T, ...], str | None] | None]:
        fault, entries, link = read(body)
        return (fault, (entries, link)) if fault is Fault.NONE else (fault, None)

    return page
