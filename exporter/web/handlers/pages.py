"""Handlers of the HTML pages: status, targets, probes, codes and configuration."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from importlib.resources import files

from aiohttp import web

from exporter.config.settings import Config, effective_pieces
from exporter.explain.explanation import LONGEST
from exporter.explain.search import explain
from exporter.presentation.expiries import all_endings
from exporter.presentation.sql_causes import cause_log_texts
from exporter.presentation.sql_differences import target_differences
from exporter.presentation.sql_proofs import SqlProofs
from exporter.state.history import ProbeContext
from exporter.state.recent_changes import recent_changes
from exporter.web.handlers.audit import audit_facts
from exporter.web.interfaces import ExporterService
from exporter.web.options import WebOptions
from exporter.web.server.streaming import encoded, stream
from exporter.web.ui.audit import audit_page
from exporter.web.ui.changes import SHOWN, changes_page
from exporter.web.ui.codes import codes_page, explain_page, explanation_page
from exporter.web.ui.fleet import Fleet, fleet
from exporter.web.ui.html import Html
from exporter.web.ui.layout import Urls
from exporter.web.ui.overview import ListPage, overview
from exporter.web.ui.query import read
from exporter.web.ui.target import probe_page, target_page
from exporter.web.ui.ticket import group_tickets
from exporter.web.ui.view_models import ExpiryCache, expiries_of, view

_HTML = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
_TYPES = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}
_ASSETS = {name: files("exporter.web").joinpath("static", name).read_text("utf-8") for name in _TYPES}
_TAG = hashlib.sha256("".join(_ASSETS.values()).encode()).hexdigest()[:16]
_DAY_SECONDS = 86400


class PageHandlers:
    def __init__(self, service: ExporterService, options: WebOptions, proofs: SqlProofs) -> None:
        self._service = service
        self._proofs = proofs
        self.urls = Urls(options.link_prefix, service.version, assets=_TAG)

    async def status(self, request: web.Request) -> web.StreamResponse:
        return await self._list(request, "Status", "/")

    async def targets(self, request: web.Request) -> web.StreamResponse:
        return await self._list(request, "Targets", "/targets")

    async def changes(self, request: web.Request) -> web.StreamResponse:
        service, targets = self._service, self._service.config.targets  # a reload may replace them meanwhile
        found = await recent_changes((service.record_of(name) for name in targets), most=SHOWN)
        return await stream(request, encoded(changes_page(self.urls, found, targets, time.time())), headers=_HTML)

    async def target(self, request: web.Request) -> web.StreamResponse:
        service, now = self._service, time.time()
        target = service.config.targets.get(request.match_info["name"])
        if target is None:
            return _not_found("No target has this name. /targets lists all targets.")
        record = service.record_of(target.name)
        history = [] if record is None else list(record.history)
        shown, expiries = view(service.config, target, record, now=now), expiries_of(service, target)
        checks, vantage = service.last_checks(target.name), service.config.settings.vantage
        self._proofs.refresh()
        servers = self._proofs.target_proofs(target)
        pieces = target_page(
            self.urls,
            replace(shown, own=servers),
            history,
            expiries=expiries,
            checks=checks,
            vantage=vantage,
            untested=self._proofs.not_tested(target, now),
            unread=self._proofs.not_read(target),
            differences=target_differences(target, service.sql_differences()),
        )
        return await stream(request, encoded(pieces), headers=_HTML)

    async def audit(self, request: web.Request) -> web.StreamResponse:
        target = self._service.config.targets.get(request.match_info["name"])
        if target is None:
            return _not_found("No target has this name. /targets lists all targets.")
        found = await audit_facts(self._service, self._proofs, target)
        return await stream(request, encoded(audit_page(self.urls, target.name, found)), headers=_HTML)

    async def probe(self, request: web.Request) -> web.Response:
        service = self._service
        target = service.config.targets.get(request.match_info["name"])
        record = None if target is None else service.record_of(target.name)
        wanted = request.match_info["id"]
        entry = next((entry for entry in (record.history if record else ()) if entry.id == wanted), None)
        if target is None or entry is None:
            return _not_found(
                "This probe is no longer stored. The exporter keeps the last probes of a target, and failures longer."
            )
        config = service.config
        context = entry.context or ProbeContext(target, config.modules[target.module], config.credentials[target.credential])
        return _page(probe_page(self.urls, context, entry.report, vantage=config.settings.vantage))

    async def explain(self, request: web.Request) -> web.Response:
        found = explain(request.match_info["code"])
        if found is None:
            return _not_found("This text is no known code, message or reason. /explain lists all codes.")
        return _page(explain_page(self.urls, found.rows) if found.is_code else explanation_page(self.urls, found))

    async def config(self, request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
        return await stream(request, encoded(effective_pieces(self._service.config)), headers=headers)

    async def codes(self, request: web.Request) -> web.Response:
        text = request.query.get("code", "").strip()[:LONGEST]
        found = explain(text)
        if found is not None and found.is_code:
            raise web.HTTPFound(self.urls.code(found.rows[0].code))
        return _page(codes_page(self.urls, text) if found is None else explanation_page(self.urls, found))

    async def asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _ASSETS:
            return _not_found("There is no such file.")
        headers = {"Cache-Control": f"public, max-age={_DAY_SECONDS}"}
        return web.Response(text=_ASSETS[name], content_type=_TYPES[name], charset="utf-8", headers=headers)

    async def _list(self, request: web.Request, title: str, path: str) -> web.StreamResponse:
        service, now = self._service, time.time()
        config = service.config  # a reload may replace it while other tasks run
        query = read(request.query.items(), config.targets.values())
        expiries = ExpiryCache(service)
        views = (
            view(config, target, service.record_of(target.name), expiries.target_expiries(target), now=now)
            for target in config.targets.values()
        )
        whole = await fleet(views, query, self._proofs)
        page = ListPage(
            title=title,
            path=path,
            fleet=whole,
            query=replace(query, cause="") if whole.has_ended else query,
            vantage=config.settings.vantage,
            ready=service.ready,
            delayed=service.first_probes().text(),
            keeps_state=service.keeps_state,
            now=now,
        )
        if path == "/":
            endings = await all_endings(_within(config, whole), service.record_of, expiries.credential_expiries, soon_at=now)
            differences = service.sql_differences()
            if query.scope:
                differences = tuple(each for each in differences if each.subject in whole.scope)
            page = replace(page, differences=differences, endings=endings)
        texts = await cause_log_texts(page.cards, config.targets, self._proofs, now=now)
        is_chosen = bool(page.query.cause)
        tickets = await group_tickets(self.urls, page.cards, whole.views, self._proofs, texts, is_chosen=is_chosen)
        page = replace(page, log_texts=texts, tickets=tickets)
        return await stream(request, encoded(overview(self.urls, page)), headers=_HTML)


def _within(config: Config, whole: Fleet) -> Config:
    """Return the configuration with the targets within the scope of a query."""
    if len(whole.scope) == len(config.targets):
        return config
    return replace(config, targets={name: config.targets[name] for name in whole.scope})


def _page(markup: Html) -> web.Response:
    return web.Response(text=markup, headers=_HTML)


def _not_found(why: str) -> web.Response:
    return web.Response(status=404, text=f"{why}\n")
