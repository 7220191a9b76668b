"""Lag of the event loop and long callbacks, in virtual time."""

import asyncio

import pytest

from exporter.core.values import Fault, is_discarded
from exporter.runtime.loop import KEPT, MOST_KEPT, TICK, TOLERATED, LoopLag


def now():
    return asyncio.get_running_loop().time()


def stall(seconds):
    asyncio.get_running_loop().stall(seconds)


@pytest.fixture
async def lag():
    lag = LoopLag()
    lag.start()
    yield lag
    lag.stop()


async def test_undisturbed_loop_has_no_lag(lag):
    begin = now()
    await asyncio.sleep(30.0)
    assert lag.worst() == pytest.approx(0.0, abs=1e-6)
    assert lag.late_between(begin, now()) == 0.0


async def test_worst_lag_expires_after_a_minute(lag):
    for seconds in (0.3, 0.9, 0.2):
        stall(seconds)
        await asyncio.sleep(10.0)
    assert lag.worst() == pytest.approx(0.9, abs=0.03)
    await asyncio.sleep(45.0)
    assert lag.worst() == pytest.approx(0.2, abs=0.03)
    await asyncio.sleep(45.0)
    assert lag.worst() == pytest.approx(0.0, abs=1e-6)


async def test_late_between_is_the_part_of_the_span_in_which_a_tick_was_late(lag):
    await asyncio.sleep(1.0)
    before = now()
    await asyncio.sleep(1.0)
    stalled_from = now()
    stall(0.5)
    stalled_until = now()
    await asyncio.sleep(1.0)
    assert lag.late_between(before, now()) == pytest.approx(0.5, abs=TICK)
    assert lag.late_between(stalled_from + 0.2, stalled_from + 0.3) == pytest.approx(0.1)
    assert lag.late_between(before, stalled_from) == 0.0
    assert lag.late_between(stalled_until, now()) == 0.0


async def test_the_tick_in_progress_counts(lag):
    begin = now()
    await asyncio.sleep(1.0)
    stall(0.5)
    assert lag.late_between(begin, now()) == pytest.approx(0.5, abs=TICK)
    assert lag.late_between(now() - 0.1, now()) == pytest.approx(0.1)
    assert lag.worst() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("delay", "late"), [(TOLERATED - 0.001, 0.0), (TOLERATED + 0.001, TOLERATED + 0.001)])
async def test_a_tick_that_is_later_than_tolerated_counts_with_its_whole_delay(lag, *, delay, late):
    begin = now()
    stall(TICK + delay)
    assert lag.late_between(begin, now()) == pytest.approx(late)
    await asyncio.sleep(1.0)
    assert lag.late_between(begin, now()) == pytest.approx(late)
    assert lag.worst() == pytest.approx(delay)


async def test_a_clock_with_the_steps_of_windows_is_never_late(monkeypatch):
    """It shows the last multiple of 15.625 ms, and a timer runs once that has passed."""
    loop = asyncio.get_running_loop()
    exact, step = loop.time, 1 / 64
    monkeypatch.setattr(loop, "time", lambda: exact() // step * step)
    lag, begin = LoopLag(), now()
    lag.start()
    await asyncio.sleep(10.0)
    assert lag.late_between(begin, now()) == 0.0
    lag.stop()


@pytest.mark.parametrize(
    ("every", "pause", "step", "discarded"),
    [
        (3.0, 0.0, 10.0, False),
        (3.0, 0.15, 10.0, False),  # 5 % of the time
        (3.0, 0.6, 10.0, False),  # 20 % of the time
        (0.1, 0.02, 10.0, False),  # a quota of 80 %
        (0.1, 0.085, 10.0, True),  # a quota of 15 %
        (0.1, 0.085, 1.0, True),
        (61.0, 60.0, 10.0, True),  # a stop of a minute
        (3.0, 0.15, 2.0, False),
        (3.0, 0.6, 2.0, False),
    ],
)
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.7])
async def test_a_timeout_counts_unless_the_host_took_most_of_its_time(lag, *, every, pause, step, discarded, offset):
    """A step of ten seconds, wherever the pauses are in it; the one of a minute is inside it."""
    await asyncio.sleep(offset)
    begin = now()
    while now() < begin + step:
        await asyncio.sleep(min(every - pause, step) / 2 if every > step else every - pause)
        stall(pause)
    assert is_discarded(Fault.READ_TIMEOUT, late=lag.late_between(begin, now()), took=now() - begin) is discarded


async def test_records_are_bounded_and_cover_the_longest_step(lag):
    assert KEPT == 12 * 3600.0
    begin = now()
    for _ in range(1000):
        stall(0.2)
        await asyncio.sleep(0.2)
    assert lag.late_between(begin, now()) == pytest.approx(1000 * (0.2 - TICK), rel=0.01)
    assert len(lag._worst) < 400
    await asyncio.sleep(1.0)
    assert len(lag._late) == 1000
    stall(KEPT)
    await asyncio.sleep(1.0)
    assert len(lag._late) == 1
    assert lag._late.maxlen == MOST_KEPT


async def test_stopped_lag_keeps_its_worst_value(lag):
    stall(0.4)
    await asyncio.sleep(1.0)
    lag.stop()
    assert lag.worst() == pytest.approx(0.4, abs=0.03)
    stall(10.0)
    assert lag.worst() == pytest.approx(0.4, abs=0.03)
    assert lag.late_between(now() - 5.0, now()) == 0.0
