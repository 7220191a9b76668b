"""The API for programs, and the rules of every path."""

import asyncio
import json
import logging
import socket

import pytest
from aiohttp import ClientSession
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.settings import Module, Settings
from exporter.core.values import Generation, Mode, Vantage
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.sqlserver.gate.exporters import read_readings
from exporter.sqlserver.reading import reading_values
from exporter.web.access import OPEN_PATHS
from exporter.web.api import json_pieces, readings_json
from exporter.web.app import create_app
from exporter.web.listener import SECURITY_HEADERS, ListenAddress, WebServer
from exporter.web.options import web_options
from tests.support import client_model, factories
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, with_growing_logs
from tests.support.turns import MOST_CALLS, counted_calls
from tests.support.values import replace
from tests.support.web_factories import STARTED, bad, config, good, target
from tests.support.web_server import Service, answer, get, serving


async def test_metrics_are_text_unless_openmetrics_is_requested():
    async with serving(Service()) as session:
        _, plain_headers, plain = await get(session, "/metrics", headers={"Accept": "*/*", "Accept-Encoding": "identity"})
        accept = {"Accept": "application/openmetrics-text;version=2.0.0,*/*;q=0.1"}
        _, open_headers, opened = await get(session, "/metrics", headers=accept)
    assert plain_headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in plain_headers
    assert open_headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert opened.endswith("# EOF\n")
    assert "# EOF" not in plain
    names = {family.name for family in text_string_to_metric_families(plain)}
    assert {"ekm_target_info", "ekm_exporter_build_info"} <= names
    assert {family.name for family in openmetrics_families(opened)} >= {"ekm_target_info", "ekm_probes"}


async def test_metrics_are_protobuf_if_requested():
    accept = {
        "Accept": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,*/*;q=0.2"
    }
    async with serving(Service()) as session:
        async with session.get("/metrics", headers=accept) as response:  # gzipped, as the client accepts it
            body = await response.read()
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Vary"] == "Accept, Accept-Encoding"
        async with session.head("/metrics", headers=accept) as response:
            assert response.headers["Content-Type"].startswith("application/vnd.google.protobuf; proto=io.prometheus.client.")
    names = {family.name for family in client_model.families(body)}
    assert {"ekm_target_info", "ekm_probes_total", "ekm_step_duration_seconds", "process_cpu_seconds_total"} <= names


async def test_health_and_readiness():
    service = Service()
    async with serving(service) as session:
        assert (await get(session, "/-/healthy"))[::2] == (200, "Healthy\n")
        assert (await get(session, "/-/ready"))[::2] == (200, "Ready\n")
        service.ready = False
        assert (await get(session, "/-/healthy"))[0] == 200
        assert (await get(session, "/-/ready"))[0] == 503


async def test_service_discovery_has_one_group_per_target():
    times, labels = {"interval": 30.0, "timeout": 5.0}, {"team": "dba", "env": "prod"}
    chosen = target("a", **times, module="fast", modules=("default",), generation=Generation.CURRENT, labels=labels)
    settings = Settings(vantage=Vantage.SQL_HOST)
    modules = {"fast": Module(name="fast", mode=Mode.CANARY), "default": Module(name="default")}
    service = Service(config(chosen, target("b", instances=(), labels={}), settings=settings, modules=modules))
    _, headers, text = await answer(service, "/sd/targets", headers={"Host": "exporter.localhost:10377"})
    first, second = json.loads(text)
    assert headers["Content-Type"].startswith("application/json")
    assert first == {
        "targets": ["exporter.localhost:10377"],
        "labels": {
            "__param_target": "a",
            "__param_module": "fast",
            "__scrape_interval__": "30s",
            "__scrape_timeout__": "5s500ms",
            "__meta_ekm_target": "a",
            "__meta_ekm_vault": "contoso-prod.vault.azure.net",
            "__meta_ekm_key": "ContosoRSAKey0/cgacf4f763ar42ffb0a1gca546aygd87",
            "__meta_ekm_credential": "sql-prod",
            "__meta_ekm_module": "fast",
            "__meta_ekm_mode": "canary",
            "__meta_ekm_generation": "current",
            "__meta_ekm_vantage": "sql_host",
            "__meta_ekm_label_team": "dba",
            "__meta_ekm_label_env": "prod",
            "__meta_ekm_sql_instances": ",SQLPRD01,SQLPRD02,",
        },
    }
    assert "__meta_ekm_sql_instances" not in second["labels"]


async def test_service_discovery_timeout_never_exceeds_the_interval():
    service = Service(config(target(interval=0.9, timeout=0.45)))
    _, _, text = await answer(service, "/sd/targets")
    assert json.loads(text)[0]["labels"]["__scrape_timeout__"] == "900ms"


async def test_service_discovery_ignores_a_forged_host(monkeypatch):
    monkeypatch.setattr("exporter.web.access.on_loopback", lambda _: False)  # loopback refuses a foreign name
    async with serving(Service(), external_url="https://ekm.example:8443/x", route_prefix="/") as session:
        _, _, text = await get(session, "/sd/targets", headers={"Host": "client"})
        assert json.loads(text)[0]["targets"] == ["ekm.example:8443"]
    async with serving(Service()) as session:
        _, _, text = await get(session, "/sd/targets", headers={"Host": 'a"b<script>'})
        assert json.loads(text)[0]["targets"] == ["localhost"]


@pytest.mark.parametrize(
    ("host", "options", "listed"),
    [
        ("sqlhost1:10378", {"shard_offsets": range(-1, 2)}, ["sqlhost1:10377", "sqlhost1:10378", "sqlhost1:10379"]),
        ("[::1]:10377", {"shard_offsets": range(2)}, ["[::1]:10377", "[::1]:10378"]),
        ("sqlhost1:10377", {}, ["sqlhost1:10377"]),
        ("sqlhost1", {"shard_offsets": range(2)}, ["sqlhost1"]),
        (
            "x:1",
            {"shard_offsets": range(2), "external_url": "https://ekm.example:8443/0", "route_prefix": "/"},
            ["ekm.example:8443"],
        ),
    ],
)
async def test_shards_of_the_host_follow_from_the_requested_address(host, options, listed, monkeypatch):
    monkeypatch.setattr("exporter.web.access.on_loopback", lambda _: False)  # loopback refuses a foreign name
    status, headers, text = await answer(Service(), "/sd/shards", headers={"Host": host}, flags=options)
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(text) == [{"targets": listed, "labels": {}}]


@pytest.mark.parametrize("path", ["/", "/metrics", "/probe", "/targets/x", "/config", "/nowhere", "/static/style.css"])
async def test_every_response_has_the_security_headers(path):
    _, headers, _ = await answer(Service(), path)
    assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Server"] == "ekm-exporter"


@pytest.mark.parametrize("path", ["/nowhere", "/metrics/", "/targets/a/b", "/Metrics", "/static/%2e%2e%2f%2e%2e%2fetc/passwd"])
async def test_unknown_path_is_not_found(path):
    assert (await answer(Service(), path))[0] == 404


@pytest.mark.parametrize("path", ["/", "/metrics", "/probe", "/config", "/-/healthy", "/sd/targets"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_unsupported_method_is_refused(path, method):
    async with serving(Service()) as session, session.request(method, path) as response:
        assert response.status == 405


async def test_handler_error_is_counted_and_logged_without_its_text(caplog):
    service = Service()

    def broken(_target):
        raise RuntimeError("client_secret=Marked~Secret.8Q-9w_0123456789abcdefghij")

    service.answer = broken
    async with serving(service) as session:
        with caplog.at_level(logging.ERROR):
            status, _, text = await get(session, "/probe?target=contoso-key0")
        _, _, metrics = await get(session, "/metrics")
    assert (status, text) == (500, "Internal error. See the exporter's log.\n")
    [record] = caplog.records
    assert (record.getMessage(), record.fields["exception"]) == ("request failed", "RuntimeError")
    assert "Marked" not in str(record.fields)
    assert "ekm_exporter_internal_errors_total 1.0" in metrics


def own_address():
    """Return an address of this machine other than loopback without sending anything; None without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


# A machine without a network has only loopback. test_access tests the rule itself.
ELSEWHERE = [address for address in (own_address(),) if address is not None]


@pytest.mark.parametrize("address", ELSEWHERE)
async def test_another_address_serves_metrics_and_health_only(address):
    async with serving(Service(), address=address) as session:
        for path in ("/", "/targets", "/targets/contoso-key0", "/config", "/api/v1/targets", "/explain/3303", "/nowhere"):
            status, _, text = await get(session, path)
            assert status == 403
            assert text.startswith("This listener is not on loopback")
            assert text.count("\n") == 1
        assert (await get(session, "/probe?target=contoso-key0&debug=true"))[::2] == (403, text)
        for path in OPEN_PATHS:
            status, _, _ = await get(session, f"{path}?target=contoso-key0")
            assert status == 200


@pytest.mark.parametrize("address", ELSEWHERE)
async def test_listener_on_all_interfaces_serves_pages_locally_only(address):
    server = WebServer(create_app(Service(), web_options()), [ListenAddress("", 0)])
    async with server, ClientSession() as session:
        port = server.listening[0].port
        assert (await get(session, f"http://127.0.0.1:{port}/"))[0] == 200
        assert (await get(session, f"http://{address}:{port}/"))[0] == 403


async def test_the_list_of_targets_as_json():
    service = Service(config(*(target(f"target-{number}") for number in range(60))))
    service.add_reports(good("target-0"), bad("target-1"))
    _, headers, text = await answer(service, "/api/v1/targets")
    rows = json.loads(text)["targets"]
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert [row["target"] for row in rows] == [f"target-{number}" for number in range(60)]
    assert (rows[1]["success"], rows[1]["code"], rows[1]["reason"]) == (False, 3303, "secret_expired")
    assert rows[2]["success"] is None
    assert rows[0]["ready_since"] is None  # that probe is too old
    assert (rows[0]["credential"], rows[0]["credential_type"]) == ("sql-prod", "client_secret")
    assert rows[0]["credential_expires_at"] == "2026-01-02T03:04:05.678Z"  # of the refusal, as no source has a date
    assert json.loads(text)["at"].endswith("Z")


async def test_list_and_target_have_the_expiry_of_the_credential():
    service = Service()
    service.ends["sql-prod"] = (CredentialExpiry(credential="sql-prod", source=Source.GRAPH, expires_at=1800000000.0),)
    async with serving(service) as session:
        (row,) = json.loads((await get(session, "/api/v1/targets"))[2])["targets"]
        detail = json.loads((await get(session, "/api/v1/targets/contoso-key0"))[2])
    assert row["credential_expires_at"] == detail["credential_expires_at"] == "2027-01-15T08:00:00.000Z"


async def test_reload_during_the_list_does_not_change_it():
    before, after = config(*(target(f"target-{number}") for number in range(60))), factories.a_config(factories.a_target())

    class Reloaded(Service):
        """A service that is reloaded while it is read, at one of the requests for a record."""

        def record_of(self, name):
            self.left -= 1
            if not self.left:
                self.config = after
            return super().record_of(name)

    for moment in (1, 61, 121, 150):  # expiries, causes, and two in the list of targets
        service = Reloaded(before)
        service.left = moment
        listed = json.loads((await answer(service, "/api/v1/targets"))[2])
        assert service.config is after
        assert [row["credential"] for row in listed["targets"]] == ["sql-prod"] * 60


@pytest.mark.parametrize(("vantage", "host"), [(Vantage.SQL_HOST, "sql7.contoso.com"), (Vantage.CENTRAL, None)])
async def test_list_names_the_host_of_a_sql_server(monkeypatch, vantage, host):
    monkeypatch.setattr("socket.gethostname", lambda: "SQL7.contoso.com.")
    service = Service(config(settings=Settings(vantage=vantage)))
    assert json.loads((await answer(service, "/api/v1/targets"))[2])["host"] == host


@pytest.mark.parametrize("count", [0, 1, 24, 25, 26, 50])
def test_list_in_several_pieces_is_valid_json(count):
    items = [{"n": number, "of": [count]} for number in range(count)]
    for value in (items, tuple(items), iter(items)):
        assert json.loads("".join(json_pieces({"empty": {}, "items": value}))) == {"empty": {}, "items": items}


async def test_one_target_as_json_has_its_history():
    service = Service()
    identity = service.add_reports(good(started_at=STARTED - 60), bad())
    async with serving(service) as session:
        _, _, text = await get(session, "/api/v1/targets/contoso-key0")
        status, _, unknown = await get(session, "/api/v1/targets/unknown")
    detail = json.loads(text)
    assert [entry["success"] for entry in detail["history"]] == [False, True]
    assert detail["history"][0]["id"] == identity
    assert detail["history"][0]["steps"][1]["aadsts"] == 7000222
    assert detail["consecutive_failures"] == 1
    assert (status, json.loads(unknown)) == (404, {"error": "unknown target"})


class Reloads:
    def __init__(self, *problems):
        self.problems, self.calls = problems, 0

    async def __call__(self):
        self.calls += 1
        return self.problems


async def post(session, path, **options):
    async with session.post(path, **options) as response:
        return response.status, await response.text()


async def test_reload_response_has_every_problem():
    fine, broken = Reloads(), Reloads("ekm.yml:3:1: modules: unknown key", "ekm.yml:9:5: targets[0].key: missing")
    async with serving(Service(), reload=fine) as session:
        assert await post(session, "/-/reload") == (200, "Configuration reloaded\n")
        assert (await get(session, "/-/reload"))[0] == 405
    async with serving(Service(), reload=broken) as session:
        assert await post(session, "/-/reload") == (
            400,
            "ekm.yml:3:1: modules: unknown key\nekm.yml:9:5: targets[0].key: missing\n",
        )
    assert (fine.calls, broken.calls) == (1, 1)


@pytest.mark.parametrize(
    ("headers", "status"), [({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example:10377"}, 421)]
)
async def test_cross_site_reload_is_refused(headers, status):
    reload = Reloads()
    async with serving(Service(), reload=reload) as session:
        assert (await post(session, "/-/reload", headers=headers))[0] == status
    assert reload.calls == 0


async def test_reload_is_absent_without_a_reload_function():
    async with serving(Service()) as session:
        assert (await post(session, "/-/reload"))[0] == 404


async def test_concurrent_scrapes_get_complete_responses():
    service = Service(config(*(target(f"target-{number}") for number in range(600))))
    async with serving(service) as session:
        answers = await asyncio.gather(*(get(session, "/metrics") for _ in range(8)))
    assert {text.count("ekm_target_info{") for _, _, text in answers} == {600}


PATH = "/api/v1/sql-servers"
DATABASES = [f"database {number}" for number in range(5_000)]


def a_service(*readings):
    service = Service()
    service.readings = list(readings)
    return service


async def body_of(*readings):
    return "".join(readings_json(readings, now=READ_AT)).encode()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_readings_are_those_of_the_exporter(encoding):
    readings = with_growing_logs(a_reading("sales", "hr")), an_unread_server("n2")
    async with serving(a_service(*readings)) as session:
        status, headers, text = await get(session, PATH, headers={"Accept-Encoding": encoding})
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert headers.get("Content-Encoding", "identity") == encoding
    listed = json.loads(text)
    assert listed["at"].endswith("Z")
    assert listed["sql_servers"] == json.loads(json.dumps([reading_values(reading) | {"readiness": []} for reading in readings]))
    assert listed["sql_servers"][1]["document"] is None


async def test_exporter_without_sql_servers_has_an_empty_list():
    assert json.loads((await answer(a_service(), PATH))[2])["sql_servers"] == []


@pytest.mark.parametrize("rows", [1, 100, 101, 200])
async def test_rows_in_several_pieces_are_the_same(rows):
    reading = a_reading(*DATABASES[:rows])
    (found,) = read_readings(await body_of(reading), "http://localhost")
    assert found.document.sections == reading.document.sections


async def test_large_reading_does_not_hold_the_event_loop():
    large = with_growing_logs(a_reading(*DATABASES))
    async with serving(a_service(large, replace(large, address="n2"))) as session, counted_calls() as found:
        status, _, text = await get(session, PATH, headers={"Accept-Encoding": "identity"})
    assert status == 200
    assert max(found) < MOST_CALLS
    assert len(json.loads(text)["sql_servers"]) == 2


async def test_no_piece_of_a_large_reading_is_large():
    sizes = [len(piece) for piece in readings_json([with_growing_logs(a_reading(*DATABASES))], now=READ_AT)]
    assert len(sizes) > 100
    assert max(sizes) < 128 * 1024
