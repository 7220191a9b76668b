"""All attacks at once on a real process: probes stay on schedule, resources stay bounded, no secret leaks."""

import asyncio
import os
import time
from dataclasses import dataclass

from tests.support.patience import PATIENCE
from tests.system.abuse import attacks
from tests.system.abuse.harness import INTERVAL, PASSWORD, SECRET, TARGETS, exporter
from tests.system.endurance.procfs import held, used, waited

CONNECTIONS = 1000
GUESSES = 3_000
GUESSERS = 32
MOST_MEMORY_GROWN = 96 * 1024 * 1024  # half a megabyte of TLS for each of the 128 waiting clients, and unsent responses
LATE = 1.0  # seconds within which every probe starts, and its timeout
OWN = 0.75  # of the processors: what waits while the processes of the test use more, waits for them


@dataclass
class Peaks:
    """The peaks of memory and sockets, the slowest scrape, and the seconds in which other programs had the processors."""

    memory: int = 0
    sockets: int = 0
    slowest: float = 0.0
    scrapes: int = 0
    starved: float = 0.0


async def watch(found, over):
    """Scrape until `over` is set. In a starved period, a process waited for more than half of it, and for other programs."""
    seen, pids, processors = Peaks(), (found.pid, found.simulator, "self"), len(os.sched_getaffinity(0))
    while not over.is_set():
        began, waits, before = time.monotonic(), [waited(pid) for pid in pids], sum(map(used, pids))
        await found.numbers()
        scraped = time.monotonic() - began
        now = held(found.pid)
        seen.memory, seen.sockets, seen.scrapes = max(seen.memory, now.memory), max(seen.sockets, now.sockets), seen.scrapes + 1
        await asyncio.sleep(0.5)
        lasted = time.monotonic() - began
        longest = max(waited(pid) - wait for pid, wait in zip(pids, waits, strict=True))
        if longest > lasted / 2 and sum(map(used, pids)) - before < OWN * lasted * processors:
            seen.starved += lasted
        else:
            seen.slowest = max(seen.slowest, scraped)
    return seen


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
        wrong, large, nowhere, seen = await attack(found)
        lasted, after = time.monotonic() - began, await found.numbers()

        def grown(name, **labels):
            key = (name, *sorted(labels.items()))
            return after[key] - before[key]

        excused = int(seen.starved / LATE)  # probes of each target
        for target in TARGETS:
            made = grown("ekm_probes_total", target=target, vault=f"{target}.vault.azure.net")
            assert made >= (lasted - seen.starved) / INTERVAL * 0.8 - 1
            assert grown("ekm_probe_failures_total", target=target, vault=f"{target}.vault.azure.net") <= excused
        lag = "ekm_exporter_schedule_lag_seconds"
        assert grown(f"{lag}_count") > 0
        assert grown(f"{lag}_count") - grown(f"{lag}_bucket", le=str(LATE)) <= len(TARGETS) * excused
        assert grown("ekm_exporter_internal_errors_total") == 0

        guessed = sum(wrong, start=type(wrong[0])())
        assert sum(guessed.values()) == GUESSES
        assert set(guessed) <= {401, 429, "cut"}
        assert guessed[401] > 0
        assert set(large) <= {"400", "431", "cut"}
        assert sum(large.values()) == 20
        assert set(nowhere) <= {200, 400, 404}
        assert seen.scrapes >= 3
        assert seen.starved <= lasted / 2, "no verdict for half of the time: find what uses the processors"
        assert seen.slowest < 5.0
        assert seen.memory - quiet.memory < MOST_MEMORY_GROWN
        assert seen.sockets < quiet.sockets + 250

        async with asyncio.timeout(PATIENCE):
            while held(found.pid).sockets > quiet.sockets + 20:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
    log = found.log.read_text()
    for private in (PASSWORD, SECRET, "guess ", "Traceback", "Task exception", "Unclosed"):
        assert private not in log
    assert log.count("wrong user or password") <= 2
    assert len(log.splitlines()) < 40
