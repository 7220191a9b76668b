"""Shared tasks, the pool of daemon threads, and internal errors of a block."""

import asyncio
import gc
import threading
import time
import weakref

import pytest

from exporter.runtime import tasks
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, SingleFlight, reported, shortage_of
from tests.support.web_server import until

# Callers share one task per key; none of them ends it for the others.

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


# The pool of daemon threads: waiting calls, exhaustion, and released objects.


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
    await until(entered.is_set)
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
    await until(entered.is_set)
    waiting = asyncio.create_task(pool.run(int))
    await asyncio.sleep(0)
    pool.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(PoolExhausted):
        await pool.run(int)
    blocker.set()
    assert await held is True
    await until(lambda: pool.threads == 0)


async def test_idle_thread_ends(monkeypatch):
    monkeypatch.setattr(tasks, "IDLE_SECONDS", 0.01)
    pool = DaemonThreadPool(3)
    await asyncio.gather(*(pool.run(time.sleep, 0.005) for _ in range(3)))
    await until(lambda: pool.threads == 0)
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
    busy = list[bool]()
    first = [asyncio.create_task(pool.run(lambda: busy.append(True) or ended.acquire())) for _ in range(granted)]
    await until(lambda: len(busy) == granted)  # a thread without a call ends as soon as the system refuses another one
    calls = [*first, *(asyncio.create_task(pool.run(ended.acquire)) for _ in range(13))]
    await until(lambda: pool.threads == 7)
    ended.release(4)
    await until(lambda: pool.threads == 3)
    assert sum(call.done() for call in calls) <= 4
    ended.release(16)
    await asyncio.gather(*calls)
    await until(lambda: pool.threads == 0)
    granted = 20
    calls = [asyncio.create_task(pool.run(ended.acquire)) for _ in range(20)]
    await until(lambda: pool.threads == 20)
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
    await until(lambda: gone() is None)


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


# Internal errors of a block are reported, and only its own cancellation ends a task.


@pytest.mark.parametrize(
    ("thrown", "received"), [(KeyError, KeyError), (TimeoutError, TimeoutError), (asyncio.CancelledError, RuntimeError)]
)
async def test_error_is_reported_and_the_task_continues(thrown, received):
    errors = []
    with reported(errors.append):
        raise thrown
    assert [type(error) for error in errors] == [received]
    assert errors[0].__traceback__ is not None


async def test_cancelled_shared_task_does_not_end_its_waiter():
    errors, shared = [], asyncio.create_task(asyncio.sleep(60))
    shared.cancel()
    with reported(errors.append):
        await shared
    assert [str(error) for error in errors] == ["cancelled from inside"]


async def test_own_cancellation_ends_the_task():
    errors, begun = [], asyncio.Event()

    async def work():
        with reported(errors.append):
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert errors == []
