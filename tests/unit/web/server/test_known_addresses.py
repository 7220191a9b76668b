"""Known addresses: who becomes one, for how long, and what is kept for them."""

import pytest

from exporter.web import connections
from exporter.web.connections import KNOWN_SECONDS, MOST_KNOWN, KnownAddresses


@pytest.fixture
def clock(monkeypatch):
    """The time that the module sees; change `now`."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(connections, "loop_time", lambda: Clock.now)
    return Clock


def test_address_is_known_until_its_last_scrape_is_old(clock):
    known = KnownAddresses()
    known.add("prometheus")
    clock.now = KNOWN_SECONDS
    known.add("prometheus")
    clock.now += KNOWN_SECONDS
    assert "prometheus" in known
    clock.now += 1
    assert "prometheus" not in known
    assert "stranger" not in known


def test_flood_displaces_no_known_address(clock):
    known = KnownAddresses()
    known.add("prometheus")
    for number in range(1000):
        known.add(str(number))
    assert "prometheus" in known
    assert "999" not in known
    clock.now = KNOWN_SECONDS + 1
    known.add("later")
    assert "later" in known
    assert len(known._last) == 1


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("most", "share"), [(2048, 64), (40, 1), (1, 1)])
def test_known_address_has_a_share_and_a_stranger_none(most, share):
    known = KnownAddresses()
    known.add("prometheus")
    assert (known.share_of("prometheus", most), known.share_of("stranger", most)) == (share, 0)
    assert MOST_KNOWN * share <= max(most, MOST_KNOWN)
