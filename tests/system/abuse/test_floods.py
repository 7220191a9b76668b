"""Floods from many addresses: a known scraper gets every scrape, at once, and memory stays bounded."""

import socket
from contextlib import ExitStack

from tests.support.patience import PATIENCE
from tests.system.abuse.test_unread_responses import MOST_MEMORY_GROWN, large_exporter, scraped
from tests.system.endurance.procfs import held

STRANGERS = [f"127.0.1.{number}" for number in range(1, 61)]
SCRAPES = 12


def strangers_without_reading(held_open, port, path):
    """One client of each address, that requests and never reads."""
    for address in STRANGERS:
        client = held_open.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.bind((address, 0))
        client.connect(("127.0.0.1", port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())


async def test_known_scraper_is_served_during_a_flood_of_strangers(tmp_path):
    async with large_exporter(tmp_path) as (pid, port):
        _, whole = await scraped(port, "/metrics", "identity")
        before, statuses = held(pid).memory, []
        with ExitStack() as held_open:
            for _ in range(SCRAPES):
                strangers_without_reading(held_open, port, "/metrics")
                status, text = await scraped(port, "/metrics", "identity")
                statuses.append((status, len(text) > len(whole) // 2))
            assert held(pid).memory - before < MOST_MEMORY_GROWN
        assert statuses == [(200, True)] * SCRAPES
