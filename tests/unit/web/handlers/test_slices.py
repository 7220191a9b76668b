"""Pages of a large fleet let other tasks run: the work between two turns is counted in function calls, not in time."""

import asyncio
import sys

import pytest

from exporter.web.handlers import pages
from tests.support.web_fleets import all_silent, three_causes
from tests.support.web_server import get, serving

NOW = 1767323050.0
TARGETS = 2000
MOST_CALLS = 50_000  # calls and returns: a few milliseconds


async def slices(session, path):
    """Return the function calls between each two turns of another task, while a page is made."""
    calls, found = 0, []

    def count(_frame, _event, _argument):
        nonlocal calls
        calls += 1

    async def others():
        nonlocal calls
        while True:
            calls = 0
            await asyncio.sleep(0)
            found.append(calls)

    busy = asyncio.create_task(others())
    sys.setprofile(count)
    try:
        status, _, _ = await get(session, path)
    finally:
        sys.setprofile(None)
        busy.cancel()
    assert status == 200
    return found


@pytest.fixture(scope="module", params=[three_causes, all_silent])
def service(request):
    return request.param(TARGETS, NOW)


@pytest.mark.parametrize("path", ["/", "/targets", "/changes", "/explain", "/api/v1/targets", "/calendar.ics"])
async def test_no_part_of_a_page_holds_the_event_loop(monkeypatch, service, path):
    monkeypatch.setattr(pages.time, "time", lambda: NOW)
    async with serving(service) as session:
        await get(session, "/explain")  # made once
        found = await slices(session, path)
    assert max(found) < MOST_CALLS
