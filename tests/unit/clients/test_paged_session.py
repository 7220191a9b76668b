"""A list of a vault that never ends."""

from exporter.clients.key_vault import PagedSession
from exporter.core.values import Facts, Fault


class Endless(PagedSession):
    """Each page has many entries and a link to the next one."""

    def __init__(self, entries: int) -> None:
        self.host, self.query, self.requests, self._entries = "v.vault.azure.net", "api-version=7.4", 0, entries

    async def get(self, *_request, **_options):
        self.requests += 1
        return Facts(fault=Fault.NONE, status=200), (("x",) * self._entries, f"https://{self.host}/keys?page={self.requests}")


async def test_list_ends_after_the_entries_of_its_pages():
    session = Endless(1000)
    facts, found = await session.entries("/keys", "t", lambda _: (Fault.NONE, (), None), deadline=1.0, most_pages=100)
    assert (facts.fault, facts.detail, found) == (Fault.BODY_TOO_LARGE, "more than 100 pages of 25", None)
    assert session.requests == 3


async def test_list_ends_after_its_pages():
    session = Endless(25)
    facts, found = await session.entries("/keys", "t", lambda _: (Fault.NONE, (), None), deadline=1.0, most_pages=7)
    assert (facts.fault, found, session.requests) == (Fault.BODY_TOO_LARGE, None, 7)
