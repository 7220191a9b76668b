import asyncio

import pytest

from exporter.runtime.loop_lag import LoopLag


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
    assert not lag.lagged_between(begin, now())


async def test_worst_lag_expires_after_a_minute(lag):
    for seconds in (0.3, 0.9, 0.2):
        stall(seconds)
        await asyncio.sleep(10.0)
    assert lag.worst() == pytest.approx(0.9, abs=0.06)
    await asyncio.sleep(45.0)
    assert lag.worst() == pytest.approx(0.2, abs=0.06)
    await asyncio.sleep(45.0)
    assert lag.worst() == pytest.approx(0.0, abs=1e-6)


async def test_lagged_between_covers_only_stalled_spans(lag):
    await asyncio.sleep(1.0)
    before = now()
    await asyncio.sleep(1.0)
    stalled_from = now()
    stall(0.5)
    stalled_until = now()
    await asyncio.sleep(1.0)
    assert lag.lagged_between(before, now())
    assert lag.lagged_between(stalled_from + 0.2, stalled_from + 0.3)
    assert not lag.lagged_between(before, stalled_from - 0.1)
    assert not lag.lagged_between(stalled_until + 0.1, now())


async def test_stall_counts_before_the_late_tick(lag):
    begin = now()
    await asyncio.sleep(1.0)
    stall(0.5)
    assert lag.lagged_between(begin, now())
    assert lag.worst() == pytest.approx(0.5, abs=0.06)


async def test_short_pause_is_no_stall(lag):
    begin = now()
    for _ in range(20):
        stall(0.04)
        await asyncio.sleep(0.2)
    assert not lag.lagged_between(begin, now())
    assert 0.0 < lag.worst() < 0.1


async def test_stalls_are_forgotten_after_a_minute(lag):
    for _ in range(1000):
        stall(0.2)
        await asyncio.sleep(0.2)
    assert len(lag._stalls) < 400
    assert len(lag._worst) < 400


async def test_stopped_lag_keeps_its_worst_value(lag):
    stall(0.4)
    await asyncio.sleep(1.0)
    lag.stop()
    assert lag.worst() == pytest.approx(0.4, abs=0.06)
    stall(10.0)
    assert lag.worst() == pytest.approx(0.4, abs=0.06)
    assert not lag.lagged_between(now() - 5.0, now())
