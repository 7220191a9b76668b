"""How a long loop shares the event loop with other tasks."""

import asyncio
from types import SimpleNamespace

import pytest

from exporter.runtime import loop
from exporter.runtime.loop import MOST_AT_ONCE, pause, yield_with_pauses


@pytest.fixture
def clock(monkeypatch):
    """The clocks of `pause`: `worked` seconds of this thread, and `turn` seconds between two readings of the other one."""
    clock = SimpleNamespace(worked=1.0, turn=0.0, at=0.0, turns=0)

    def elapsed():
        clock.at += clock.turn
        clock.turns += 0.5
        return clock.at

    monkeypatch.setattr(loop, "time", SimpleNamespace(thread_time=lambda: clock.worked, perf_counter=elapsed))
    monkeypatch.setattr(loop, "_turn", loop._Turn())
    return clock


async def turns_of(clock, items, seconds):
    """The turns of other tasks during items that take so many seconds each."""
    async for _ in yield_with_pauses(range(items), 1):
        clock.worked += seconds
    return clock.turns


@pytest.mark.parametrize(
    ("turn", "turns"),
    [
        pytest.param(0.0, 100, id="an idle loop: after each item"),
        pytest.param(MOST_AT_ONCE / 2, 10, id="as long as the others took"),
        pytest.param(0.06, 5, id="at most so much at once"),
    ],
)
async def test_a_long_loop_has_as_much_of_the_loop_as_all_others(clock, turn, turns):
    clock.turn = turn
    assert await turns_of(clock, 100, MOST_AT_ONCE / 20) == turns


async def test_an_idle_loop_has_each_turn_although_the_clock_of_the_thread_stands_between_two_ticks(clock):
    clock.turn = 0.00002
    assert await turns_of(clock, 100, 0.0) == 100


async def test_a_long_turn_is_remembered_for_a_second(clock):
    clock.turn = 1.0
    await turns_of(clock, 2, MOST_AT_ONCE)
    clock.turn = 0.0
    await turns_of(clock, 200, MOST_AT_ONCE / 20)  # the last slice of a slow loop
    clock.turns = 0
    assert await turns_of(clock, 100, MOST_AT_ONCE / 20) < 7
    clock.at += 1.5
    await turns_of(clock, 20, MOST_AT_ONCE / 20)
    clock.turns = 0
    assert await turns_of(clock, 100, MOST_AT_ONCE / 20) == 100


async def test_after_a_late_turn_a_long_loop_has_half_of_what_it_was_late(clock):
    clock.turn = 0.07
    assert await turns_of(clock, 800, MOST_AT_ONCE / 20) == 20
    clock.turn, clock.turns = 9.0, 0
    assert await turns_of(clock, 800, MOST_AT_ONCE / 20) == 4


async def test_several_long_loops_share_the_time(clock):
    clock.turn = 1.0
    alone = await turns_of(clock, 1000, MOST_AT_ONCE / 20)
    clock.turns = 0
    await asyncio.gather(*(turns_of(clock, 1000, MOST_AT_ONCE / 20) for _ in range(2)))
    assert clock.turns > 3 * alone


async def test_a_cancelled_loop_takes_no_share(clock):
    clock.turn = 1.0
    waiting = asyncio.create_task(pause())
    await asyncio.sleep(0)
    assert loop._turn.waiting == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert loop._turn.waiting == 0
