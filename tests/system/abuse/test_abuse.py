"""All attacks at once on a real process: probes stay on schedule, resources stay bounded, no secret leaks."""

import asyncio
import time

from tests.support.patience import PATIENCE
from tests.system.abuse import attacks
from tests.system.abuse.harness import INTERVAL, PASSWORD, SECRET, TARGETS, exporter
from tests.system.endurance.procfs import held

CONNECTIONS = 1000
GUESSES = 3_000
GUESSERS = 32
MOST_MEMORY_GROWN = 96 * 1024 * 1024  # half a megabyte of TLS for each of the 128 waiting clients, and unsent responses
LATE = 1.0  # seconds within which every probe starts


async def watch(found, over):
    """The peak memory and sockets, the slowest scrape and the number of scrapes, until `over` is set."""
    memory, sockets, slowest, scrapes = 0, 0, 0.0, 0
    while not over.is_set():
        began = time.monotonic()
        await found.numbers()
        slowest, scrapes = max(slowest, time.monotonic() - began), scrapes + 1
        now = held(found.pid)
        memory, sockets = max(memory, now.memory), max(sockets, now.sockets)
        await asyncio.sleep(0.5)
    return memory, sockets, slowest, scrapes


async def attack(found):
    over, held_open = asyncio.Event(), asyncio.Event()
    watching = asyncio.create_task(watch(found, over))
    slow = [
        asyncio.create_task(attacks.slow(found.port, number, until=held_open, shaken=number % 4 == 0))
        for number in range(CONNECTIONS)
    ]
    numbers = iter(range(GUESSES))  # shared: each client takes the next number after a response
    shares = [attacks.guesses(found.port, numbers) for _ in range(GUESSERS)]
    wrong, large, nowhere = await asyncio.gather(
        asyncio.gather(*shares), attacks.oversized(found.port), attacks.unknown(found.port, 500)
    )
    over.set()
    seen = await watching
    held_open.set()
    await asyncio.gather(*slow)
    return wrong, large, nowhere, seen


async def test_probes_stay_on_schedule_during_attacks(tmp_path):
    async with exporter(tmp_path) as found:
        await found.numbers()
        quiet, before, began = held(found.pid), await found.numbers(), time.monotonic()
        wrong, large, nowhere, (memory, sockets, slowest, scrapes) = await attack(found)
        lasted, after = time.monotonic() - began, await found.numbers()

        def grown(name, **labels):
            key = (name, *sorted(labels.items()))
            return after[key] - before[key]

        for target in TARGETS:
            made = grown("ekm_probes_total", target=target, vault=f"{target}.vault.azure.net")
            assert made >= lasted / INTERVAL * 0.8 - 1
            assert grown("ekm_probe_failures_total", target=target, vault=f"{target}.vault.azure.net") == 0
        lag = "ekm_exporter_schedule_lag_seconds"
        assert grown(f"{lag}_bucket", le=str(LATE)) == grown(f"{lag}_count") > 0
        assert grown("ekm_exporter_internal_errors_total") == 0

        guessed = sum(wrong, start=type(wrong[0])())
        assert sum(guessed.values()) == GUESSES
        assert set(guessed) <= {401, 429, "cut"}
        assert guessed[401] > 0
        assert set(large) <= {"400", "431", "cut"}
        assert sum(large.values()) == 20
        assert set(nowhere) <= {200, 400, 404}
        assert scrapes >= 3
        assert slowest < 5.0
        assert memory - quiet.memory < MOST_MEMORY_GROWN
        assert sockets < quiet.sockets + 250

        async with asyncio.timeout(PATIENCE):
            while held(found.pid).sockets > quiet.sockets + 20:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
    log = found.log.read_text()
    for private in (PASSWORD, SECRET, "guess ", "Traceback", "Task exception", "Unclosed"):
        assert private not in log
    assert log.count("wrong user or password") <= 2
    assert len(log.splitlines()) < 40
