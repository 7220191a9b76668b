"""Expiry in a whole exporter: metrics, restarts, and no secret in any output."""

import json
import logging
import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator.environment import ClientSecret
from tests.support.expiry_simulated import CLIENT, GRAPH, MONITOR_SECRET, PASSWORD, SECRET, TYPED_SECRET, by_source
from tests.support.running import a_service
from tests.support.web_server import until

NOW = float(int(time.time()))
MONTH = 30 * 86400.0
EXPIRY, KNOWN = "ekm_credential_expiry_timestamp_seconds", "ekm_credential_expiry_known"
LOOKED_UP = "ekm_credential_expiry_lookup_last_success_timestamp_seconds"


@pytest.fixture
async def run(tmp_path):
    """Start exporters with the configuration of a expiry_harness and one state directory. Stop them after the test."""
    services = []

    async def begin(expiry_harness, **more):
        service = a_service(expiry_harness.config, state_dir=tmp_path / "state", history_limit=3, **more)
        services.append(service)
        await service.start()
        return service

    yield begin
    for service in services:
        await service.stop()


@pytest.fixture
def no_periodic_lookup(monkeypatch):
    """On a slow machine one would be counted, and its answer has another time than the stored one."""
    monkeypatch.setattr("exporter.probing.expiry_monitor.first_delay", lambda *_: 3600.0)


async def text_of(service):
    return b"".join([chunk async for chunk in service.recorder.scrape(openmetrics=False)]).decode()


async def shown(service, name):
    """The values of a family by its label values."""
    families = text_string_to_metric_families(await text_of(service))
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in samples}


async def look_up(service, *names):
    for name in names:
        await service._expiry.look_up(name)


@pytest.mark.usefixtures("no_periodic_lookup")
async def test_each_source_has_a_series_and_an_answer_time(set_up, run):
    expiry_harness = await set_up(("client_secret_file: sql,", "client_secret_file: sql, expires_on: 2031-05-01,"))
    expiry_harness.secrets_of(CLIENT, ClientSecret(value=SECRET, expires=NOW + MONTH))
    service = await run(expiry_harness)
    assert (await shown(service, EXPIRY))["sql", "declared"] == 1935360000.0
    assert (await shown(service, KNOWN))["typed",] == 0
    await look_up(service, "sql", "typed", "cert")
    expiries = await shown(service, EXPIRY)
    assert {source for name, source in expiries if name == "sql"} == {"declared", "graph", "key_vault"}
    assert {source for name, source in expiries if name == "cert"} == {"certificate", "graph"}
    assert expiries["sql", "graph"] == NOW + MONTH
    assert set((await shown(service, KNOWN)).items()) == {(("cert",), 1), (("monitor",), 0), (("sql",), 1), (("typed",), 1)}
    assert (await shown(service, "ekm_credential_info"))[CLIENT, "sql"] == 1
    looked_up = await shown(service, LOOKED_UP)
    assert ("sql", "declared") not in looked_up
    assert NOW <= looked_up["sql", "graph"] <= time.time()
    ends = by_source(service.credential_expiries("sql"))
    assert ends["graph"].looked_up_at == looked_up["sql", "graph"]
    assert (await shown(service, "ekm_exporter_requests_total"))["graph",] == 3


async def test_certificate_is_known_soon_after_the_start(expiry_harness, run):
    service = await run(expiry_harness)
    await until(lambda: by_source(service.credential_expiries("cert"))["certificate"].looked_up_at is not None)
    assert (await shown(service, KNOWN))["cert",] == 1


@pytest.mark.usefixtures("no_periodic_lookup")
async def test_restart_shows_expiry_before_any_lookup(expiry_harness, run):
    first = await run(expiry_harness)
    await look_up(first, "sql", "typed", "cert")
    before = await shown(first, EXPIRY), await shown(first, LOOKED_UP)
    await first.stop()
    expiry_harness.simulator.set_fault("graph_throttled", graph=GRAPH)
    requests = sum(expiry_harness.requests_to(GRAPH).values())
    second = await run(expiry_harness)
    after = await shown(second, EXPIRY), await shown(second, LOOKED_UP)
    assert sum(expiry_harness.requests_to(GRAPH).values()) == requests
    assert after == before
    await look_up(second, "sql")
    assert await shown(second, EXPIRY) == before[0]
    assert "HTTP 429" in by_source(second.credential_expiries("sql"))["graph"].failure


async def test_secrets_are_in_no_metric_log_state_or_page(expiry_harness, run, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    service = await run(expiry_harness)
    await look_up(service, "sql", "typed", "cert")
    expiry_harness.secrets_of(CLIENT, ClientSecret(value="Q~1another-secret", expires=NOW + MONTH))
    expiry_harness.simulator.set_fault("secret_wrong", application="monitor")
    service._expiry._lookup._tokens._fetches.clear()  # the shared token would still serve
    await look_up(service, "sql", "typed", "cert")
    reported = [await text_of(service)]
    reported += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.name.startswith("exporter")]
    reported += [repr(service.credential_expiries(name)) for name in expiry_harness.config.credentials]
    await service.stop()
    files = sorted((tmp_path / "state").glob("*.json"))
    reported += [path.read_text() for path in files]
    assert any("AADSTS" in text for text in reported)
    assert sum("credential" in path.name for path in files) == 3
    for secret in (SECRET, TYPED_SECRET, MONITOR_SECRET, "Q~1another-secret"):
        for mark in (secret, secret[:3]):
            assert not [text for text in reported if mark in text]
    assert not [text for text in reported if PASSWORD in text]


@pytest.mark.usefixtures("no_periodic_lookup")
async def test_state_document_has_dates_and_subjects_only(expiry_harness, run, tmp_path):
    service = await run(expiry_harness)
    await look_up(service, "sql")
    await service.stop()
    documents = [json.loads(path.read_text()) for path in (tmp_path / "state").glob("credential-*.json")]
    (document,) = [one for one in documents if one["name"] == "sql"]
    assert set(document) == {"sources", "version", "kind", "name"}
    assert {frozenset(entry) for entry in document["sources"].values()} == {frozenset({"subject", "expires_at", "looked_up_at"})}
    fingerprint = re.compile(r"\b[0-9a-f]{32,}\b")
    assert not fingerprint.search(json.dumps(document["sources"]))
