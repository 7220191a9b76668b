"""Pages of a large fleet let other tasks run."""

import pytest

from exporter.web.handlers import pages
from tests.support.turns import MOST_CALLS, counted_calls
from tests.support.web_fleets import all_silent, firewall_change, three_causes
from tests.support.web_server import get, serving

NOW = 1767323050.0
TARGETS = 2000


@pytest.fixture(scope="module", params=[three_causes, all_silent, firewall_change])
def service(request):
    return request.param(TARGETS, NOW)


@pytest.mark.parametrize(
    "path", ["/", "/?causes=all&label=env", "/targets", "/changes", "/explain", "/api/v1/targets", "/calendar.ics"]
)
async def test_no_part_of_a_page_holds_the_event_loop(monkeypatch, service, path):
    monkeypatch.setattr(pages.time, "time", lambda: NOW)
    async with serving(service) as session:
        await get(session, "/explain")  # made once
        async with counted_calls() as found:
            status, _, _ = await get(session, path)
    assert status == 200
    assert max(found) < MOST_CALLS
