"""Callers share one task per key; none of them ends it for the others."""

import asyncio
import gc

import pytest

from exporter.runtime.tasks import SingleFlight

BUG = ZeroDivisionError("a bug")


class Work:
    """Work that ends when `go` is set, with `outcome`."""

    def __init__(self, outcome="done"):
        self.outcome, self.go, self.started, self.cancelled = outcome, asyncio.Event(), 0, 0

    async def __call__(self):
        self.started += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0)  # closes its connections
            raise
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
async def flight():
    made = SingleFlight()
    yield made
    await made.aclose()
    assert len(asyncio.all_tasks()) == 1


def callers(flight, work, count=3, key="a"):
    return [asyncio.create_task(flight.join(key, work, name="work")) for _ in range(count)]


async def begun(work):
    while not work.started:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)


async def test_callers_of_one_key_share_one_task(flight):
    work, other = Work(), Work("other")
    waiting = [*callers(flight, work), *callers(flight, other, 1, key="b")]
    await begun(work)
    work.go.set()
    other.go.set()
    assert await asyncio.gather(*waiting) == ["done"] * 3 + ["other"]
    assert (work.started, other.started) == (1, 1)


async def test_ended_task_is_not_shared(flight):
    work = Work()
    work.go.set()
    assert await flight.join("a", work, name="work") == await flight.join("a", work, name="work")
    assert work.started == 2
    assert not flight.running("a")


async def test_cancelled_caller_cancels_no_other(flight):
    work = Work()
    gone, stays = callers(flight, work, 2)
    await begun(work)
    gone.cancel()
    await asyncio.wait([gone])
    work.go.set()
    assert (await stays, work.cancelled) == ("done", 0)


async def test_error_reaches_every_caller(flight):
    work = Work(BUG)
    waiting = callers(flight, work)
    work.go.set()
    assert await asyncio.gather(*waiting, return_exceptions=True) == [BUG] * 3


async def test_error_without_a_waiting_caller_is_not_logged(flight, caplog):
    work = Work(BUG)
    (gone,) = callers(flight, work, 1)
    await begun(work)
    gone.cancel()
    work.go.set()
    await flight.wait()
    gc.collect()
    assert not caplog.records


async def test_started_task_is_cancelled_once_and_counts_until_it_ended(flight):
    work = Work()
    task = flight.start("a", work(), name="work")
    await begun(work)
    flight.cancel("a")
    await asyncio.sleep(0)
    flight.cancel("a")
    assert flight.running("a")
    await flight.wait()
    assert (task.cancelled(), work.cancelled, task.cancelling()) == (True, 1, 1)


async def test_cancel_of_an_unknown_key_does_nothing(flight):
    flight.cancel("a")
    await flight.wait()


async def test_close_cancels_all_tasks_and_their_callers(flight):
    first, second = Work(), Work()
    waiting = [*callers(flight, first), *callers(flight, second, 1, key="b")]
    await begun(second)
    await flight.aclose()
    assert (first.cancelled, second.cancelled) == (1, 1)
    assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*waiting, return_exceptions=True))
