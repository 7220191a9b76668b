"""The application: one table of the paths that only read, and `/probe`, `/-/reload` and the redirects; the handlers of the pages and of `/docs/`.

All are behind access control. Every listener serves `/docs/`, the documentation of the running version.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import structs

from exporter.config.schema import effective_pieces
from exporter.config.settings import Target
from exporter.explain.explanation import LONGEST
from exporter.explain.search import explain
from exporter.presentation.documentation import NOT_BUILT, Documentation
from exporter.presentation.expiries import all_endings
from exporter.presentation.sql import SqlProofs, cause_log_texts, target_differences
from exporter.runtime.loop import yield_with_pauses
from exporter.runtime.tasks import SingleFlight
from exporter.state.causes import recent_changes
from exporter.state.history import ProbeContext
from exporter.web.access import LARGEST_BODY, OPEN_PATHS, access_middleware, header_writer, serves_pages
from exporter.web.api import ApiHandlers, audit_facts
from exporter.web.interfaces import ExporterService, Reload
from exporter.web.listener import LISTENER_TLS, encoded, stream
from exporter.web.options import WebOptions
from exporter.web.pages.causes import ListPage, group_tickets
from exporter.web.pages.codes import SHOWN, changes_page, codes_page, explanation_page
from exporter.web.pages.fleet import fleet, read
from exporter.web.pages.html import Html, Urls, audit_page, foot, head
from exporter.web.pages.status import notices, overview
from exporter.web.pages.target import probe_page, target_page
from exporter.web.pages.views import expiries_of, view
from exporter.web.probe import ProbeHandler

_HTML = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
_DOCUMENT = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
_TYPES = {"style.css": "text/css", "live.js": "text/javascript", "search.js": "text/javascript", "icon.svg": "image/svg+xml"}
_ASSETS = {name: files("exporter.web").joinpath("static", name).read_text("utf-8") for name in _TYPES}
_TAG = hashlib.sha256("".join(_ASSETS.values()).encode()).hexdigest()[:16]


class PageHandlers:
    def __init__(self, service: ExporterService, options: WebOptions, proofs: SqlProofs) -> None:
        self._service, self._options, self._proofs = service, options, proofs
        self._urls = Urls(options.link_prefix, service.version, assets=_TAG)
        self._documentation = Documentation.load()
        self.flights = SingleFlight[object, list[str]]()  # of pages

    async def changes(self, request: web.Request) -> web.StreamResponse:
        service, targets = self._service, self._service.config.targets  # a reload may replace them meanwhile
        found = await recent_changes((service.record_of(name) for name in targets), most=SHOWN)
        return await stream(request, encoded(changes_page(self._urls, found, targets, time.time())), headers=_HTML)

    async def target(self, request: web.Request, target: Target) -> web.StreamResponse:
        service, now, record = self._service, time.time(), self._service.record_of(target.name)
        self._proofs.refresh()
        restart = {(each.address, each.thumbprint): each for each in service.sql_readiness()}
        shown = view(service.config, target, record, now=now)
        pieces = target_page(
            self._urls,
            structs.replace(shown, own=self._proofs.target_proofs(target), restart=restart),
            [] if record is None else list(record.history),
            expiries=expiries_of(service, target),
            checks=service.last_checks(target.name),
            vantage=service.config.settings.vantage,
            untested=self._proofs.not_tested(target, now),
            unread=self._proofs.not_read(target, now),
            differences=target_differences(target, service.sql_differences()),
        )
        return await stream(request, encoded(pieces), headers=_HTML)

    async def audit(self, request: web.Request, target: Target) -> web.StreamResponse:
        found = await audit_facts(self._service, self._proofs, target)
        return await stream(request, encoded(audit_page(self._urls, target.name, found)), headers=_HTML)

    async def probe(self, request: web.Request) -> web.Response:
        config = self._service.config
        target = config.targets.get(request.match_info["name"])
        record = None if target is None else self._service.record_of(target.name)
        entries = () if record is None else record.history
        entry = next((entry for entry in entries if entry.id == request.match_info["id"]), None)
        if target is None or entry is None:
            kept = "The exporter keeps the last probes of a target, and failures longer."
            return _not_found(f"This probe is no longer stored. {kept}")
        context = entry.context or ProbeContext(target, config.modules[target.module], config.credentials[target.credential])
        return _page(probe_page(self._urls, context, entry.report, vantage=config.settings.vantage))

    async def explain(self, request: web.Request) -> web.Response:
        found = explain(request.match_info["code"])
        if found is None:
            return _not_found("This text is no known code, message or reason. /explain lists all codes.")
        return _page(explanation_page(self._urls, found))

    async def config(self, request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
        return await stream(request, encoded(effective_pieces(self._service.config)), headers=headers)

    async def codes(self, request: web.Request) -> web.Response:
        text = request.query.get("code", "").strip()[:LONGEST]
        found = explain(text)
        if found is not None and found.is_code and not found.also:
            raise web.HTTPFound(self._urls.code(found.rows[0].code))
        return _page(codes_page(self._urls, text) if found is None else explanation_page(self._urls, found))

    async def asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _ASSETS:
            return _not_found("There is no such file.")
        headers = {"Cache-Control": "public, max-age=86400"}
        return web.Response(text=_ASSETS[name], content_type=_TYPES[name], charset="utf-8", headers=headers)

    async def document(self, request: web.Request) -> web.StreamResponse:
        """Return a page, the index of the search, or a redirect."""
        if self._documentation is None:
            return web.Response(status=404, text=NOT_BUILT)
        name = request.match_info["name"]
        if name == "search.json":
            index = await asyncio.to_thread(self._documentation.search_index)  # some milliseconds
            return await _document(request, index, {**_DOCUMENT, "Content-Type": "application/json"})
        if (page := self._documentation.find(name)) is None:
            # A redirect to the new page of an old name. 301, since Windows PowerShell 5.1 does not follow 308.
            if (moved := self._documentation.moved_to(name)) is None:
                return _not_found("No page of the documentation has this name. /docs/ lists all pages.")
            where = {"Location": self._urls.to(f"/docs/{moved}"), "Cache-Control": _DOCUMENT["Cache-Control"]}
            return web.Response(status=301, headers=where, text=f"The page is now /docs/{moved}.\n")
        urls = replace(self._urls, served=None if serves_pages(request, self._options) else OPEN_PATHS | {"/docs/"})
        start = head(urls, page.title, at="/docs/", heading=False, script="" if page.source else "search.js")
        document = f'{start}<article class="document">{self._documentation.html(page)}</article>{foot(urls)}'
        return await _document(request, document, _DOCUMENT)

    async def listed(self, request: web.Request, path: str) -> web.StreamResponse:
        """Serve the status page, or the list of targets. Readers of one page and configuration at once share its making."""
        parameters = tuple(request.query.items())
        key = path, parameters, id(self._service.config)  # which the making keeps
        pieces = await self.flights.join(key, partial(self._made, path, parameters), name="page")
        return await stream(request, encoded(pieces), headers=_HTML)

    async def _made(self, path: str, parameters: Sequence[tuple[str, str]]) -> list[str]:
        service, now = self._service, time.time()
        config = service.config  # a reload may replace it while other tasks run
        cached_expiries = cache(service.credential_expiries)
        views = (
            view(config, target, service.record_of(target.name), cached_expiries(target.credential), now=now)
            for target in config.targets.values()
        )
        whole = await fleet(views, read(parameters, config.targets.values()), self._proofs, now)
        page, unread = ListPage(path=path, fleet=whole, vantage=config.settings.vantage), list[tuple[str, str]]()
        if page.is_status:
            within = replace(config, targets={name: config.targets[name] for name in whole.scope})
            endings = await all_endings(within, service.record_of, cached_expiries, soon_at=now)
            unread = [] if whole.query.scope else self._proofs.unread(now)
            differences = [each for each in service.sql_differences() if not whole.query.scope or each.subject in whole.scope]
            page = replace(page, differences=differences, endings=endings, restart=service.sql_readiness())
        delayed = service.first_probes().text()
        shown = notices(whole, delayed, unread, ready=service.ready, keeps_state=service.keeps_state)
        page = replace(page, notices=shown, log_texts=await cause_log_texts(page.cards, config.targets, self._proofs, now=now))
        page = replace(page, tickets=await group_tickets(self._urls, page, self._proofs))
        return [str(piece) async for piece in yield_with_pauses(overview(self._urls, page), 1)]


async def _document(request: web.Request, document: str, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send a text of the documentation, unless the client has it. Its tag is that of its content, so that an update shows at once."""
    tag = hashlib.sha256(document.encode()).hexdigest()[:32]
    headers = {**headers, "ETag": f'W/"{tag}"'}  # weak: the same for plain and gzip
    if any(each.value in (tag, "*") for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return await stream(request, encoded([document]), headers=headers, gzip=True)


def _page(markup: Html) -> web.Response:
    return web.Response(text=markup, headers=_HTML)


def _not_found(why: str) -> web.Response:
    return web.Response(status=404, text=f"{why}\n")


_TargetHandler = Callable[[web.Request, Target], Awaitable[web.StreamResponse]]


def create_app(service: ExporterService, options: WebOptions, *, reload: Reload | None = None) -> web.Application:
    """Build the web endpoint of a service. `/-/reload` exists only if `reload` is given."""
    proofs = SqlProofs(service.sql_readings)
    pages, api = PageHandlers(service, options, proofs), ApiHandlers(service, options, reload, proofs)
    probing = ProbeHandler(service, options)
    app = web.Application(middlewares=[access_middleware(options, service.recorder.internal_error)], client_max_size=LARGEST_BODY)
    readable: dict[str, Handler] = {
        "/": partial(pages.listed, path="/"),
        "/targets": partial(pages.listed, path="/targets"),
        "/changes": pages.changes,
        "/targets/{name}/probes/{id}": pages.probe,
        "/explain": pages.codes,
        "/explain/{code}": pages.explain,
        "/config": pages.config,
        "/static/{name}": pages.asset,
        "/docs/{name:.*}": pages.document,
        "/metrics": api.metrics,
        "/sd/targets": api.discovery,
        "/sd/shards": api.shards,
        "/calendar.ics": api.calendar,
        "/api/v1/targets": api.targets,
        "/api/v1/sql-servers": api.sql_servers,
        "/api/v1/openapi.json": api.openapi,
        "/-/healthy": api.healthy,
        "/-/ready": api.ready,
    }
    of_targets: dict[str, _TargetHandler] = {
        "/targets/{name}": pages.target,
        "/targets/{name}/audit": pages.audit,
        "/api/v1/targets/{name}": api.target,
        "/api/v1/targets/{name}/support-bundle": api.support_bundle,
        "/api/v1/targets/{name}/audit": api.audit,
    }
    readable |= {path: _for_target(service, each, is_page=path.startswith("/targets/")) for path, each in of_targets.items()}
    for path, handler in readable.items():
        app.router.add_get(options.route_prefix + path, handler)
    # No HEAD: it would run a whole probe for a response without a body.
    app.router.add_get(f"{options.route_prefix}/probe", probing.handle, allow_head=False)
    if reload is not None:
        app.router.add_post(f"{options.route_prefix}/-/reload", api.reload)
    home = {"/": "/", options.route_prefix: "/"} if options.route_prefix else {}
    for path, to in {f"{options.route_prefix}/docs": "/docs/", **home}.items():
        app.router.add_get(path, partial(_redirect, address=f"{options.link_prefix}{to}"))
    app.on_response_prepare.append(header_writer(options.access_control))
    app.on_shutdown.append(probing.cache.close)
    app.on_shutdown.append(lambda _: pages.flights.aclose())
    if options.access_control is not None:
        app[LISTENER_TLS] = options.access_control
        app.cleanup_ctx.append(options.access_control.watching)
    return app


def _for_target(service: ExporterService, handler: _TargetHandler, *, is_page: bool) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        target = service.config.targets.get(request.match_info["name"])
        if target is not None:
            return await handler(request, target)
        unknown = web.json_response({"error": "unknown target"}, status=404)
        return _not_found("No target has this name. /targets lists all targets.") if is_page else unknown

    return handle


async def _redirect(_request: web.Request, address: str) -> web.Response:
    raise web.HTTPFound(address)
