"""Password guesses from a hundred addresses over TLS do not block Prometheus or a new client."""

import asyncio
import contextlib
import ssl
from collections import Counter
from itertools import count

import aiohttp

from tests.support.patience import PATIENCE
from tests.system.abuse.harness import PASSWORD, USERS, exporter, tls
from tests.unit.web.serving import basic

ADDRESSES = [f"127.0.1.{number}" for number in range(1, 101)]
SCRAPES = 10
LOGIN_SECONDS = 30.0  # for a scrape with a new password; its check continues after that


def client(address, context, seconds=PATIENCE):
    connector = aiohttp.TCPConnector(ssl=context, limit=1, local_addr=(address, 0))
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=seconds))


async def guess_on(port, address, context, answered, over):
    """Send guesses one after another until `over` is set."""
    async with client(address, context) as session:
        for number in count():
            if over.is_set():
                return
            headers = {"Authorization": basic(USERS[0], f"guess {address} {number}")}
            try:
                async with session.get(f"https://127.0.0.1:{port}/metrics", headers=headers) as answer:
                    answered[answer.status] += 1
            except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError):
                answered["cut"] += 1


async def scrape(session, port, user):
    async with session.get(f"https://127.0.0.1:{port}/metrics", headers={"Authorization": basic(user, PASSWORD)}) as answer:
        return answer.status, "ekm_target_info{" in await answer.text()


async def first_login(session, port, user):
    """Scrape until a response arrives in time, as Prometheus does. A refusal is final."""
    while True:
        with contextlib.suppress(TimeoutError):
            return await scrape(session, port, user)


async def test_guesses_from_many_addresses_block_no_client(tmp_path):
    answered, context, over = Counter(), tls(), asyncio.Event()
    async with (
        exporter(tmp_path) as found,
        client("127.0.0.2", context) as prometheus,
        client("127.0.0.4", context, LOGIN_SECONDS) as replica,
    ):
        assert await scrape(prometheus, found.port, USERS[0]) == (200, True)
        storm = [asyncio.create_task(guess_on(found.port, address, context, answered, over)) for address in ADDRESSES]
        try:
            async with asyncio.timeout(PATIENCE):
                while answered[401] < len(ADDRESSES) // 4:
                    assert await scrape(prometheus, found.port, USERS[0]) == (200, True)
            async with asyncio.timeout(PATIENCE):  # at most one check for each address without a guess so far
                assert await first_login(replica, found.port, USERS[1]) == (200, True)
            for _ in range(SCRAPES):
                assert await scrape(prometheus, found.port, USERS[0]) == (200, True)
                assert await scrape(replica, found.port, USERS[1]) == (200, True)
            async with client("127.0.0.2", context) as restarted:  # a new connection from a known address
                assert await scrape(restarted, found.port, USERS[0]) == (200, True)
        finally:
            over.set()  # a cancellation during a timeout is lost
            for each in storm:
                each.cancel()
            await asyncio.gather(*storm, return_exceptions=True)
        assert set(answered) <= {401, 429, "cut"}
        assert (await found.numbers())[("ekm_exporter_internal_errors_total",)] == 0
