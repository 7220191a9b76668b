"""Handlers of the audit sheet of a target's key, as a page and as JSON."""

from __future__ import annotations

import time

from aiohttp import web

from exporter.presentation.audit import AuditSources, audit_payload
from exporter.presentation.payloads import Payload
from exporter.presentation.sql_proofs import SqlProofs
from exporter.runtime.computer import computer_name
from exporter.web.interfaces import ExporterService
from exporter.web.ui.audit import audit_page
from exporter.web.ui.layout import Urls

_HTML = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
_NO_STORE = {"Cache-Control": "no-store"}


class AuditHandlers:
    def __init__(self, service: ExporterService, proofs: SqlProofs, urls: Urls) -> None:
        self._service = service
        self._proofs = proofs
        self._urls = urls

    async def page(self, request: web.Request) -> web.Response:
        found = self._facts(request)
        if found is None:
            return web.Response(status=404, text="No target has this name. /targets lists all targets.\n")
        return web.Response(text=audit_page(self._urls, request.match_info["name"], found), headers=_HTML)

    async def json(self, request: web.Request) -> web.Response:
        found = self._facts(request)
        if found is None:
            return web.json_response({"error": "unknown target"}, status=404)
        return web.json_response(found, headers=_NO_STORE)

    def _facts(self, request: web.Request) -> Payload | None:
        service = self._service
        target = service.config.targets.get(request.match_info["name"])
        if target is None:
            return None
        self._proofs.refresh()
        sources = AuditSources(
            config=service.config,
            record_of=service.record_of,
            expiries_of=service.credential_expiries,
            proofs=self._proofs,
            version=service.version,
            host=computer_name(),
            now=time.time(),
        )
        return audit_payload(sources, target)
