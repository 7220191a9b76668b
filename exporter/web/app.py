"""The application: every path and its handler in one table, behind the door.

For: the list of what is served, under the route prefix.
Not for: any handler's work, listening.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.web.access import LARGEST_BODY, LOCK, header_writer, keeper
from exporter.web.handlers.api import Machines
from exporter.web.handlers.pages import People
from exporter.web.handlers.probe import Probing
from exporter.web.interfaces import Reload, Service
from exporter.web.options import WebOptions
from exporter.web.webconfig import Lock


def create_app(service: Service, options: WebOptions, *, reload: Reload | None = None) -> web.Application:
    """The web endpoint of a service. `/-/reload` exists where `reload` is given."""
    people, machines, probing = People(service, options), Machines(service, options, reload), Probing(service, options)
    app = web.Application(middlewares=[keeper(options, service.recorder.internal_error)], client_max_size=LARGEST_BODY)
    readable = {
        "/": people.status,
        "/targets": people.targets,
        "/targets/{name}": people.target,
        "/targets/{name}/probes/{id}": people.probe,
        "/explain": people.codes,
        "/explain/{code}": people.explain,
        "/config": people.config,
        "/static/{name}": people.asset,
        "/metrics": machines.metrics,
        "/sd/targets": machines.discovery,
        "/api/v1/targets": machines.targets,
        "/api/v1/targets/{name}": machines.target,
        "/api/v1/targets/{name}/support-bundle": machines.support_bundle,
        "/api/v1/openapi.json": machines.openapi,
        "/-/healthy": machines.healthy,
        "/-/ready": machines.ready,
    }
    for path, handler in readable.items():
        app.router.add_get(options.route_prefix + path, handler)
    # Without HEAD, which would make a whole probe for an answer nobody reads.
    app.router.add_get(f"{options.route_prefix}/probe", probing.handle, allow_head=False)
    if reload is not None:
        app.router.add_post(f"{options.route_prefix}/-/reload", machines.reload)
    if options.route_prefix:
        app.router.add_get("/", _to(f"{options.link_prefix}/"))
        app.router.add_get(options.route_prefix, _to(f"{options.link_prefix}/"))
    app.on_response_prepare.append(header_writer(options.lock))
    app.on_shutdown.append(probing.close)
    if options.lock is not None:
        app[LOCK] = options.lock
        app.cleanup_ctx.append(_watching(options.lock))
    return app


def _watching(lock: Lock) -> Callable[[web.Application], AsyncIterator[None]]:
    async def watch(_app: web.Application) -> AsyncIterator[None]:
        async with lock.watching():
            yield

    return watch


def _to(address: str) -> Handler:
    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound(address)

    return redirect
