"""The application: one table of every path and its handler, behind access control."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.config.settings import Target
from exporter.presentation.sql_proofs import SqlProofs
from exporter.web.access import LARGEST_BODY, access_middleware, header_writer
from exporter.web.handlers.api import ApiHandlers
from exporter.web.handlers.documents import DocumentHandler
from exporter.web.handlers.pages import PageHandlers
from exporter.web.handlers.probe import ProbeHandler
from exporter.web.interfaces import ExporterService, Reload
from exporter.web.options import WebOptions
from exporter.web.server.listener import LISTENER_TLS
from exporter.web.webconfig.access_control import AccessControl


def create_app(service: ExporterService, options: WebOptions, *, reload: Reload | None = None) -> web.Application:
    """Build the web endpoint of a service.

    `/-/reload` exists only if `reload` is given.
    """

    def targets() -> Iterable[Target]:
        return service.config.targets.values()  # a reload replaces them

    proofs = SqlProofs(service.sql_readings, targets)
    pages, api = PageHandlers(service, options, proofs), ApiHandlers(service, options, reload, proofs)
    documents, probing = DocumentHandler(pages.urls, options), ProbeHandler(service, options)
    app = web.Application(middlewares=[access_middleware(options, service.recorder.internal_error)], client_max_size=LARGEST_BODY)
    for path, handler in _readable(pages, api, documents).items():
        app.router.add_get(options.route_prefix + path, handler)
    # No HEAD: it would run a whole probe for a response without a body.
    app.router.add_get(f"{options.route_prefix}/probe", probing.handle, allow_head=False)
    if reload is not None:
        app.router.add_post(f"{options.route_prefix}/-/reload", api.reload)
    app.router.add_get(f"{options.route_prefix}/docs", _to(f"{options.link_prefix}/docs/"))
    if options.route_prefix:
        app.router.add_get("/", _to(f"{options.link_prefix}/"))
        app.router.add_get(options.route_prefix, _to(f"{options.link_prefix}/"))
    app.on_response_prepare.append(header_writer(options.access_control))
    app.on_shutdown.append(probing.close)
    if options.access_control is not None:
        app[LISTENER_TLS] = options.access_control
        app.cleanup_ctx.append(_watching(options.access_control))
    return app


def _readable(pages: PageHandlers, api: ApiHandlers, documents: DocumentHandler) -> dict[str, Handler]:
    return {
        "/": pages.status,
        "/targets": pages.targets,
        "/changes": pages.changes,
        "/targets/{name}": pages.target,
        "/targets/{name}/probes/{id}": pages.probe,
        "/targets/{name}/audit": pages.audit,
        "/explain": pages.codes,
        "/explain/{code}": pages.explain,
        "/config": pages.config,
        "/static/{name}": pages.asset,
        "/docs/{name:.*}": documents.handle,
        "/metrics": api.metrics,
        "/sd/targets": api.discovery,
        "/sd/shards": api.shards,
        "/calendar.ics": api.calendar,
        "/api/v1/targets": api.targets,
        "/api/v1/targets/{name}": api.target,
        "/api/v1/targets/{name}/support-bundle": api.support_bundle,
        "/api/v1/targets/{name}/audit": api.audit,
        "/api/v1/sql-servers": api.sql_servers,
        "/api/v1/openapi.json": api.openapi,
        "/-/healthy": api.healthy,
        "/-/ready": api.ready,
    }


def _watching(access_control: AccessControl) -> Callable[[web.Application], AsyncIterator[None]]:
    async def watch(_app: web.Application) -> AsyncIterator[None]:
        async with access_control.watching():
            yield

    return watch


def _to(address: str) -> Handler:
    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound(address)

    return redirect
