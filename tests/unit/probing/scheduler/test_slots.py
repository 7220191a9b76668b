"""The slots of probes: in turn, and fewer on a host that is too busy."""

import asyncio

import pytest

from exporter.core.limits import FEWEST_AT_ONCE
from exporter.probing.schedule import ProbeSlots


@pytest.fixture
def slots():
    return ProbeSlots(100)


async def taken(slots, number):
    return [await slots.take() for _ in range(number)]


async def waiting(slots):
    task = asyncio.create_task(slots.take())
    await asyncio.sleep(0)
    return task


async def test_probe_waits_until_a_slot_is_free(slots):
    at, *_ = await taken(slots, 100)
    first, second = await waiting(slots), await waiting(slots)
    slots.release(at, made=True)
    await first
    assert not second.done()


async def test_probe_that_could_not_be_made_halves_those_at_once(slots):
    at, *_ = await taken(slots, 80)
    slots.release(at, made=False)
    assert slots.limit == 40


async def test_probes_begun_before_the_reduction_reduce_nothing_more(slots):
    for at in await taken(slots, 80):
        slots.release(at, made=False)
    assert slots.limit == 40


async def test_later_failure_reduces_again_but_never_below_the_fewest(slots):
    for _ in range(8):
        await asyncio.sleep(1.0)
        for at in await taken(slots, slots.limit):
            slots.release(at, made=False)
    assert slots.limit == FEWEST_AT_ONCE


async def test_probes_that_were_made_restore_all_slots(slots):
    at, *others = await taken(slots, 100)
    slots.release(at, made=False)
    for at in others:
        slots.release(at, made=True)
    assert slots.limit == 54
    for _ in range(1000):
        slots.release(await slots.take(), made=True)
    assert slots.limit == 100


async def test_uncertain_probe_changes_nothing(slots):
    at, *others = await taken(slots, 80)
    slots.release(at, made=False)
    for at in others:
        slots.release(at, made=None)
    assert slots.limit == 40


async def test_cancelled_wait_takes_no_slot(slots):
    at, *_ = await taken(slots, 100)
    gone, next_one = await waiting(slots), await waiting(slots)
    gone.cancel()
    slots.release(at, made=True)
    await next_one
    assert gone.cancelled()


async def test_slot_given_at_the_moment_of_a_cancellation_is_free(slots):
    at, *_ = await taken(slots, 100)
    gone, next_one = await waiting(slots), await waiting(slots)
    slots.release(at, made=True)
    gone.cancel()
    await next_one


async def test_more_slots_apply_to_probes_that_wait(slots):
    await taken(slots, 100)
    waits = await waiting(slots)
    slots.resize(101)
    await waits


async def test_fewer_slots_apply_at_once_and_a_reduction_stays(slots):
    at, *_ = await taken(slots, 60)
    slots.release(at, made=False)
    slots.resize(200)
    assert slots.limit == 30
    slots.resize(20)
    assert slots.limit == 20
