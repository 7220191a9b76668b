"""Throw an exception at the n-th suspension of a probe and its tasks."""

import asyncio
import types
from contextvars import ContextVar

import aiohttp

_PLAN = ContextVar("plan", default=None)


class Plan:
    """Throw `error` at suspension number `at`, counted over all tasks of a probe.

    `thrown_in` are the functions that waited there.
    """

    def __init__(self, at, error):
        self.at, self.error = at, error
        self.suspensions = 0
        self.thrown_in = ()

    def is_due(self, coroutine):
        self.suspensions += 1
        if self.suspensions - 1 != self.at:
            return False
        self.thrown_in = tuple(_waiting(coroutine))
        return True

    @property
    def threw(self):
        return bool(self.thrown_in)

    @property
    def harmless(self):
        """Whether all responses have arrived. A cancellation also ends the task that closes the connection.

        Before Python 3.12 aiohttp closes in a task of its own.
        """
        return not {"HostConnection.close", "_wait_for_close"}.isdisjoint(self.thrown_in) and not isinstance(
            self.error, asyncio.CancelledError
        )

    @property
    def may_be_harmless(self):
        """A broken body of the challenge is harmless: only its headers are used."""
        return "VaultSession.challenge" in self.thrown_in and isinstance(self.error, (OSError, aiohttp.ClientError))


class _Driven:
    def __init__(self, coroutine, plan):
        self._coroutine, self._plan = coroutine, plan

    def __await__(self):
        step = self._coroutine.send
        value = None
        while True:
            try:
                waits_for = step(value)
            except StopIteration as end:
                return end.value
            if self._plan.is_due(self._coroutine):
                if waits_for is not None:  # this future has no waiter: cancel it
                    waits_for._asyncio_future_blocking = False
                    waits_for.cancel()
                step, value = self._coroutine.throw, self._plan.error
                continue
            try:
                yield waits_for
                step, value = self._coroutine.send, None
            except BaseException as error:  # noqa: BLE001 - what the loop throws belongs to the probe
                step, value = self._coroutine.throw, error


async def _drive(coroutine, plan):
    return await _Driven(coroutine, plan)


def _waiting(coroutine):
    while isinstance(coroutine, types.CoroutineType):
        yield coroutine.cr_code.co_qualname
        coroutine = coroutine.cr_await
    yield type(coroutine).__name__


async def thrown_into(probe, plan):
    """Run the coroutine `probe`; return its result and its pending tasks."""
    loop, started = asyncio.get_running_loop(), []

    def factory(loop, coroutine, **options):
        plan = _PLAN.get()
        if plan is not None and isinstance(coroutine, types.CoroutineType):
            coroutine = _drive(coroutine, plan)
        task = asyncio.Task(coroutine, loop=loop, **options)
        if plan is not None:
            started.append(task)
        return task

    loop.set_task_factory(factory)
    token = _PLAN.set(plan)
    try:
        task = loop.create_task(probe)
    finally:
        _PLAN.reset(token)
    try:
        result = await task
    finally:
        loop.set_task_factory(None)
    return result, [each for each in started if not each.done()]
