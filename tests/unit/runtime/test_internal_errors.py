"""Internal errors of a block are reported, and only its own cancellation ends a task."""

import asyncio

import pytest

from exporter.runtime.tasks import reported


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
