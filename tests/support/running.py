"""Probers and exporters that run in the process of the test."""

import contextlib

from aiohttp import ClientSession

from exporter.app.service import Service
from exporter.app.web_endpoint import RunOptions
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop import LoopLag
from exporter.web.listener import parse_address
from exporter.web.options import web_options


def _raise(error):
    raise error


@contextlib.asynccontextmanager
async def a_prober(config, *, lag=None, on_internal_error=_raise, on_shortage=lambda _shortage: None, **callbacks):
    """Yield a prober whose bugs fail the test, unless it collects them."""
    events = ProberCallbacks(on_internal_error=on_internal_error, on_shortage=on_shortage, **callbacks)
    prober = Prober(config, lag=lag or LoopLag(), callbacks=events)
    try:
        yield prober
    finally:
        await prober.aclose()


def a_service(config, **options):
    """Return an exporter for a free port on loopback. The caller starts and stops it."""
    return Service(config, RunOptions(listen=(parse_address("127.0.0.1:0"),), web=web_options(), **options))


@contextlib.asynccontextmanager
async def answering(config, **options):
    """Yield a running exporter without a scheduler, and a client session for it."""
    service = a_service(config, scheduler=False, **options)
    try:
        await service.start()
        async with ClientSession(service._web.urls[0]) as session:
            yield service, session
    finally:
        await service.stop()
