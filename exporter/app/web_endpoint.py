"""The web endpoint of a running exporter: it listens at once, and answers after the first probe.

Pages, API and preflight checks are a third of the exporter's modules, and no probe needs them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.app.reload import Shard
from exporter.metrics.spec import Level
from exporter.web.listener import ListenAddress, WebServer, bind, real_addresses, urls_of
from exporter.web.options import WebOptions

if TYPE_CHECKING:
    from aiohttp import web

    from exporter.web.interfaces import ExporterService, Reload

# How an exporter runs: what the command line decides, and no configuration.

DEMO = "demo"  # the mode of a command that ends with its terminal
DEFAULT_HISTORY = 100
OnListening = Callable[[Sequence[str]], None]  # receives the URLs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    listen: tuple[ListenAddress, ...]
    web: WebOptions
    history_limit: int = DEFAULT_HISTORY
    metrics_level: Level = Level.FULL
    state_dir: Path | None = None
    shard: Shard | None = None
    scheduler: bool = True
    config_file: Path | None = None  # to reload from; None: no reload
    auto_reload: bool = False
    mode: str = "run"
    files: int | None = None  # that probes and readings may open; None: no limit
    on_listening: OnListening | None = None  # once clients are answered


LONGEST_WAIT_SECONDS = 0.5  # for the first probe


class WebEndpoint:
    """Listening sockets at first, then a server. Clients that connect before are answered once it has started."""

    def __init__(self, service: ExporterService, options: RunOptions, reload: Reload | None) -> None:
        self._service, self._options, self._reload = service, options, reload
        self._bound: list[socket.socket] = []
        self._server: WebServer | None = None
        self.first_probe = asyncio.Event()  # set once it has ended: `serve` waits for it

    @property
    def urls(self) -> tuple[str, ...]:
        """URLs of the listeners; none before `bind`."""
        access = self._options.web.access_control
        addresses = real_addresses(self._options.listen, self._bound) if self._bound else ()
        return urls_of(addresses, None if access is None else access.context)

    async def bind(self) -> None:
        """Listen on every address, or raise ListenError and listen on none."""
        self._bound = await bind(self._options.listen)

    async def serve(self) -> None:
        """Import the handlers after the first probe, in a thread so that other probes continue, and answer clients."""
        if self._options.scheduler and self._service.config.targets:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                    await self.first_probe.wait()
        try:
            create_app = await asyncio.to_thread(_import_handlers)
        except RuntimeError:  # name resolution has every thread that the system grants
            create_app = _import_handlers()
        app = create_app(self._service, self._options.web, reload=self._reload)
        self._server = WebServer(app, list(self._options.listen))
        await self._server.start([*self._bound])

    async def stop(self) -> None:
        """Stop the server and close the sockets."""
        if self._server is not None:
            await self._server.stop()
        for each in self._bound:
            each.close()
        self._bound = []


def _import_handlers() -> Callable[..., web.Application]:
    import exporter.doctor.run  # noqa: F401, PLC0415 - a periodic run would import it on the event loop
    from exporter.web.app import create_app  # noqa: PLC0415 - see above

    return create_app
