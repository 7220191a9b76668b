"""The pool of daemon threads: waiting calls, exhaustion, and released objects."""

import asyncio
import gc
import threading
import time
import weakref

import pytest

from exporter.runtime import tasks
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, shortage_of


@pytest.fixture
def pool():
    made = DaemonThreadPool(2, name="test-pool")
    yield made
    made.close()


@pytest.fixture
def blocker():
    event = threading.Event()
    yield event
    event.set()


async def settle(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread's state has no event
            await asyncio.sleep(0.001)


async def test_call_runs_on_a_daemon_thread_and_returns_its_value(pool):
    def where(a, b):
        return a + b, threading.current_thread()

    value, thread = await pool.run(where, 2, 3)
    assert value == 5
    assert thread.daemon
    assert thread is not threading.main_thread()


async def test_exception_reaches_the_caller(pool):
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)


async def test_threads_are_reused_and_limited_to_the_size(pool, blocker):
    assert pool.threads == 0
    seen = {await pool.run(threading.get_ident) for _ in range(20)}
    assert 1 <= len(seen) <= pool.threads <= 2  # a thread that starts late may find no call left
    calls = [asyncio.create_task(pool.run(blocker.wait)) for _ in range(10)]
    await asyncio.sleep(0)
    assert pool.threads == 2
    blocker.set()
    assert await asyncio.gather(*calls) == [True] * 10
    assert pool.threads == 2


async def test_timeout_without_a_thread_is_pool_exhaustion(pool, blocker):
    held = [asyncio.create_task(pool.run(blocker.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    ran = []
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.01):
            await pool.run(ran.append, 1)
    assert shortage_of(caught.value)
    blocker.set()
    await asyncio.gather(*held)
    await pool.run(int)
    assert ran == []  # the call was withdrawn


async def test_timeout_on_a_thread_is_no_pool_exhaustion(pool, blocker):
    entered = threading.Event()

    def slow():
        entered.set()
        blocker.wait()

    call = asyncio.create_task(pool.run(slow))
    await settle(entered.is_set)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.01):
            await call
    assert not shortage_of(caught.value)
    blocker.set()
    assert await pool.run(lambda: 7) == 7


async def test_closed_pool_rejects_calls_and_cancels_waiting_ones(blocker):
    pool = DaemonThreadPool(1)
    entered = threading.Event()
    held = asyncio.create_task(pool.run(lambda: entered.set() or blocker.wait()))
    await asyncio.sleep(0)
    await settle(entered.is_set)
    waiting = asyncio.create_task(pool.run(int))
    await asyncio.sleep(0)
    pool.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(PoolExhausted):
        await pool.run(int)
    blocker.set()
    assert await held is True
    await settle(lambda: pool.threads == 0)


async def test_idle_thread_ends(monkeypatch):
    monkeypatch.setattr(tasks, "IDLE_SECONDS", 0.01)
    pool = DaemonThreadPool(3)
    await asyncio.gather(*(pool.run(time.sleep, 0.005) for _ in range(3)))
    await settle(lambda: pool.threads == 0)
    assert await pool.run(lambda: "again") == "again"
    pool.close()


async def test_refused_thread_raises_pool_exhausted(monkeypatch):
    def refuse(_self):
        raise RuntimeError("can't start new thread")

    pool = DaemonThreadPool(1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(PoolExhausted):
        await pool.run(int)
    pool.close()


async def test_pool_without_more_threads_leaves_some_to_others_until_it_was_idle(monkeypatch):
    """Else a resolver that hangs would hold every thread that the system grants, and no page could be compressed."""
    monkeypatch.setattr(tasks, "IDLE_SECONDS", 0.01)
    start, granted = threading.Thread.start, 7

    def few(thread):
        if pool.threads >= granted:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", few)
    pool, ended = DaemonThreadPool(20), threading.Semaphore(0)
    calls = [asyncio.create_task(pool.run(ended.acquire)) for _ in range(20)]
    await settle(lambda: pool.threads == 7)
    ended.release(4)
    await settle(lambda: pool.threads == 3)
    assert sum(call.done() for call in calls) <= 4
    ended.release(16)
    await asyncio.gather(*calls)
    await settle(lambda: pool.threads == 0)
    granted = 20
    calls = [asyncio.create_task(pool.run(ended.acquire)) for _ in range(20)]
    await settle(lambda: pool.threads == 20)
    ended.release(20)
    await asyncio.gather(*calls)
    pool.close()


async def test_idle_thread_keeps_no_result_alive(pool):
    class Big:
        pass

    value = await pool.run(Big)
    gone = weakref.ref(value)
    del value
    gc.collect()
    await settle(lambda: gone() is None)


def test_result_after_the_loop_closed_is_ignored(recwarn):
    event, done = threading.Event(), threading.Event()
    pool = DaemonThreadPool(1)

    async def give_up():
        started, loop = asyncio.Event(), asyncio.get_running_loop()

        def late():
            loop.call_soon_threadsafe(started.set)
            event.wait(5)
            done.set()

        call = asyncio.ensure_future(pool.run(late))
        await started.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    asyncio.run(give_up())
    event.set()
    assert done.wait(5)
    pool.close()
    deadline = time.monotonic() + 5
    while pool.threads and time.monotonic() < deadline:
        time.sleep(0.001)
    assert pool.threads == 0
    assert not recwarn.list


def test_pool_without_threads_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        DaemonThreadPool(0)
