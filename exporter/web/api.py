"""Handlers of the API: exposition, service discovery, JSON, health and reload.

`probe` handles `/probe`; `presentation.payloads` defines the JSON. Each target is one group of Prometheus' HTTP service discovery,
over `/probe`: its labels become the parameters of `/probe` and input for relabelling.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from itertools import islice
from typing import Any, Final

from aiohttp import hdrs, web

from exporter.config.settings import Config, Target
from exporter.core.durations import moment, write
from exporter.core.values import Vantage
from exporter.knowledge.verdict import NOT_TESTED
from exporter.presentation import payloads
from exporter.presentation.audit import AuditSources, audit_payload
from exporter.presentation.bundle import archive, collect_bundle
from exporter.presentation.expiries import all_endings, calendar
from exporter.presentation.payloads import Payload
from exporter.presentation.sql import (
    SqlProofs,
    causes_payload,
    differences_payload,
    readiness_payload,
    sql_causes,
    sql_servers_payload,
    target_differences,
    unread_payload,
)
from exporter.presentation.ticket import last_ticket
from exporter.runtime.process import computer_name
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.reading import SqlServerReading, reading_values
from exporter.state.causes import MOST_CAUSES, cause_groups, linked
from exporter.state.record import readiness_at
from exporter.web.interfaces import ExporterService, Reload
from exporter.web.listener import (
    OPENMETRICS,
    PROTOBUF,
    encoded,
    format_for,
    header,
    stream,
)
from exporter.web.options import WebOptions
from exporter.web.pages.views import expiries_of

_JSON = {"Content-Type": "application/json; charset=utf-8", "Vary": "Accept-Encoding"}
_CALENDAR = {"Content-Type": "text/calendar; charset=utf-8", "Cache-Control": "no-store"}
_ITEMS_AT_ONCE: Final = 25
_OPENAPI: Mapping[str, object] = json.loads(files("exporter.web").joinpath("static", "openapi.json").read_text("utf-8"))
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


async def audit_facts(service: ExporterService, proofs: SqlProofs, target: Target) -> Payload:
    """Return what is known now of the key of a target."""
    proofs.refresh()
    sources = AuditSources(
        config=service.config,
        record_of=service.record_of,
        expiries_of=service.credential_expiries,
        proofs=proofs,
        version=service.version,
        host=computer_name(),
        now=time.time(),
        restart=service.sql_readiness(),
    )
    return await audit_payload(sources, target)


def _labels(config: Config, target: Target, timeout_offset: float) -> dict[str, str]:
    settings, module = config.settings, config.modules[target.module]
    labels = {
        "__param_target": target.name,
        "__param_module": target.module,
        "__scrape_interval__": write(target.interval),
        # Prometheus refuses a timeout above the interval. /probe subtracts the offset again.
        "__scrape_timeout__": write(min(target.interval, target.timeout + timeout_offset)),
        "__meta_ekm_target": target.name,
        "__meta_ekm_vault": target.vault,
        "__meta_ekm_key": target.key,
        "__meta_ekm_credential": target.credential,
        "__meta_ekm_module": target.module,
        "__meta_ekm_mode": module.mode.value,
        "__meta_ekm_generation": target.generation.value,
        "__meta_ekm_vantage": settings.vantage.value,
    }
    labels |= {f"__meta_ekm_label_{name}": value for name, value in target.labels.items()}
    servers = list(dict.fromkeys(each["sql_instance"] for each in target.instances if "sql_instance" in each))
    if servers:
        # A comma at both ends, as in Prometheus' own discoveries: a rule can match `.*,SQLPRD01,.*`.
        labels["__meta_ekm_sql_instances"] = f",{','.join(servers)},"
    return labels


def json_pieces(value: Any) -> Iterator[str]:
    """Yield the JSON of a value. The items of a tuple or of an iterator are small, and encoded many at once."""
    if isinstance(value, tuple | Iterator):
        items, opening = iter(value), "["
        while batch := list(islice(items, _ITEMS_AT_ONCE)):
            yield opening + json.dumps(batch)[1:-1]
            opening = ", "
        yield "[]" if opening == "[" else "]"
    elif isinstance(value, dict | list):
        named = isinstance(value, dict)
        yield "{" if named else "["
        for number, (name, each) in enumerate(value.items() if isinstance(value, dict) else (("", each) for each in value)):
            yield (", " if number else "") + (f"{json.dumps(name)}: " if named else "")
            yield from json_pieces(each)
        yield "}" if named else "]"
    else:
        yield json.dumps(value)


def readings_json(
    readings: Iterable[SqlServerReading], readiness: Iterable[RestartReadiness] = (), *, now: float
) -> Iterator[str]:
    """Yield the whole response in short pieces: the reading of a large server has many thousands of rows.

    The restart readiness is as this exporter sees it: another one may have other targets of a SQL Server.
    """
    known = defaultdict[str, list[Payload]](list)
    for each in readiness:
        known[each.address].append(readiness_payload(each, now))
    yield f'{{"at": "{moment(now)}", "sql_servers": ['
    for number, reading in enumerate(readings):
        yield ", " if number else ""
        yield from json_pieces(reading_values(reading) | {"readiness": known[reading.address]})
    yield "]}"


class ApiHandlers:
    def __init__(self, service: ExporterService, options: WebOptions, reload: Reload | None, proofs: SqlProofs) -> None:
        self._service, self._options, self._reload, self._proofs = service, options, reload, proofs

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        content_type, recorder = format_for(header(request, hdrs.ACCEPT)), self._service.recorder
        pieces = (
            recorder.scrape_protobuf() if content_type == PROTOBUF else recorder.scrape(openmetrics=content_type == OPENMETRICS)
        )
        return await stream(request, pieces, headers={"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}, gzip=True)

    async def discovery(self, request: web.Request) -> web.StreamResponse:
        """Serve one group per target, with this exporter's address as Prometheus reaches it."""
        config, offset, address = self._service.config, self._options.timeout_offset, self._address(request)
        targets = config.targets.values()
        return await _send(request, ({"targets": [address], "labels": _labels(config, each, offset)} for each in targets))

    async def shards(self, request: web.Request) -> web.StreamResponse:
        """Serve the addresses of all shards of this host, as far as they follow from the own address."""
        address = self._address(request)
        host, _, port = address.rpartition(":")
        if port.isdigit() and not self._options.external_host:  # otherwise a proxy stands before the exporter
            shards = [f"{host}:{int(port) + offset}" for offset in self._options.shard_offsets]
        else:
            shards = [address]
        return await _send(request, [{"targets": shards, "labels": {}}])

    def _address(self, request: web.Request) -> str:
        """Return the external address, else the Host header if it is valid: the address that the client used."""
        host = request.headers.get(hdrs.HOST, "")
        return self._options.external_host or (host if _HOST.fullmatch(host) else "localhost")

    async def targets(self, request: web.Request) -> web.StreamResponse:
        # One configuration for the whole response: a reload may replace that of the service between two pieces.
        service, config, now = self._service, self._service.config, time.time()
        self._proofs.refresh()
        rows = (
            self._gate_row(target, config, now) | sql_servers_payload(self._proofs.target_proofs(target), now=now)
            for target in config.targets.values()
        )
        endings = await all_endings(config, service.record_of, service.credential_expiries)
        modules, every = config.modules, config.targets.values()
        causes = await cause_groups(linked(each, modules[each.module], service.record_of(each.name), now) for each in every)
        records = ((each, service.record_of(each.name)) for each in every)
        own = await sql_causes(((each, readiness_at(each, record, now).ready, record) for each, record in records), self._proofs)
        shown = {
            "at": moment(now),
            "vantage": config.settings.vantage.value,
            "host": computer_name() if config.settings.vantage is Vantage.SQL_HOST else None,
            "not_tested": NOT_TESTED,
            "causes": causes_payload(causes[:MOST_CAUSES], own),
            **differences_payload(service.sql_differences()),
            **unread_payload(self._proofs.unread(now)),
            "expiring": (payloads.ending_payload(each, now=now) for each in endings),
            "targets": rows,
        }
        return await _send(request, shown)

    async def sql_servers(self, request: web.Request) -> web.StreamResponse:
        """Serve what this exporter read of each SQL Server."""
        pieces = readings_json(self._service.sql_readings(), self._service.sql_readiness(), now=time.time())
        return await stream(request, encoded(pieces), headers=_JSON, gzip=True)

    async def calendar(self, request: web.Request) -> web.StreamResponse:
        """Serve all known expiry dates as a calendar feed."""
        service, now = self._service, time.time()
        endings = await all_endings(service.config, service.record_of, service.credential_expiries)
        return await stream(request, encoded(calendar(endings, now=now)), headers=_CALENDAR)

    async def target(self, request: web.Request, target: Target) -> web.StreamResponse:
        self._proofs.refresh()
        service, config, now, record = self._service, self._service.config, time.time(), self._service.record_of(target.name)
        expiries = [expiry for each in expiries_of(service, target).values() for expiry in each]
        # A list, because a probe that ends while this response is sent changes the history.
        entries = [] if record is None else list(record.history)
        shown = {
            **self._gate_row(target, config, now),
            **payloads.schedule_payload(record),
            **sql_servers_payload(self._proofs.target_proofs(target), now=now),
            **differences_payload(target_differences(target, service.sql_differences())),
            **payloads.verdict_payload(
                readiness_at(target, record, now), config.settings.vantage, self._proofs.not_tested(target, now)
            ),
            **payloads.target_details_payload(target, record, expiries, config.modules[target.module].expect_path, now=now),
            "preflight": payloads.checks_payload(service.last_checks(target.name)),
            "ticket": last_ticket(target, record, computer_name(), now=now) or None,
            "earlier_failures": [payloads.earlier_payload(each) for each in payloads.earlier(record, entries)],
            "history": (payloads.entry_payload(target, entry) for entry in entries),
        }
        return await _send(request, shown)

    async def audit(self, request: web.Request, target: Target) -> web.StreamResponse:
        found = await audit_facts(self._service, self._proofs, target)
        return await _send(request, {name: iter(each) if isinstance(each, list) else each for name, each in found.items()})

    async def support_bundle(self, _request: web.Request, target: Target) -> web.Response:
        service = self._service
        self._proofs.refresh()
        bundle = collect_bundle(
            service.config,
            target,
            service.record_of(target.name),
            [expiry for each in expiries_of(service, target).values() for expiry in each],
            self._proofs.target_proofs(target),
            version=service.version,
            now=time.time(),
            differences=target_differences(target, service.sql_differences()),
        )
        headers = {"Content-Disposition": f'attachment; filename="{bundle.name}.zip"', "Cache-Control": "no-store"}
        return web.Response(body=await asyncio.to_thread(archive, bundle), content_type="application/zip", headers=headers)

    async def openapi(self, _request: web.Request) -> web.Response:
        """Serve the OpenAPI document, with the link prefix as its server."""
        return web.json_response({**_OPENAPI, "servers": [{"url": self._options.link_prefix or "/"}]})

    def _gate_row(self, target: Target, config: Config, now: float) -> payloads.Payload:
        service, credential = self._service, config.credentials[target.credential]
        expiries = service.credential_expiries(target.credential)
        return payloads.gate_row(target, service.record_of(target.name), credential, expiries, now=now)

    async def healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="Healthy\n")

    async def ready(self, _request: web.Request) -> web.Response:
        if self._service.ready:
            return web.Response(text="Ready\n")
        return web.Response(status=503, text="Not ready: the first probes have not finished yet. Wait for them.\n")

    async def reload(self, _request: web.Request) -> web.Response:
        problems = [] if self._reload is None else list(await self._reload())
        if problems:
            return web.Response(status=400, text="".join(f"{problem}\n" for problem in problems))
        return web.Response(text="Configuration reloaded\n")


async def _send(request: web.Request, value: Any) -> web.StreamResponse:
    return await stream(request, encoded(json_pieces(value)), headers=_JSON, gzip=True)
