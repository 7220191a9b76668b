"""The exporter from its start to the signal that ends it."""

from __future__ import annotations

import asyncio
import logging

from exporter.app.options import DEMO, RunOptions
from exporter.app.service import Service
from exporter.clients.entra import quiet_sdk_loggers
from exporter.config.settings import Config
from exporter.runtime import buffers, process, signals

_log = logging.getLogger(__name__)


async def serve(config: Config, options: RunOptions) -> None:
    """Run the exporter until a stop signal.

    Raises ExtraMissingError, ListenError, NetworkError and StateDirError before the first probe.
    """
    stop = asyncio.Event()
    signals.on_stop(stop.set, hangup=options.mode == DEMO)
    process.switch_threads_often()
    buffers.bound_tls_buffers()
    quiet_sdk_loggers()
    service = Service(config, options)
    try:
        await _start(service, stop)
        await stop.wait()
        _log.info("stopping")
    finally:
        await service.stop()


async def _start(service: Service, stop: asyncio.Event) -> None:
    """Start the service; a stop signal cancels a start that waits for a dead mount."""
    starting = asyncio.create_task(service.start(), name="start")
    stopping = asyncio.create_task(stop.wait(), name="stop signal")
    stopping.add_done_callback(lambda _: starting.cancel())
    try:
        await asyncio.wait({starting})
    finally:
        stopping.cancel()
    if not starting.cancelled():
        starting.result()
