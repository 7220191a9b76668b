"""What other commands know of a running exporter: targets and readings, or a reason."""

import json

import pytest
from aiohttp import web

from exporter.cli.gate import fetch_exporter, fetch_readings, fetch_state
from exporter.clients.peers import ApiAccess
from exporter.config.settings import SecretSource, read_secret
from exporter.sqlserver.gate.assess import assess
from exporter.sqlserver.gate.conditions import ExporterState
from exporter.sqlserver.gate.inputs import Inventory, Question
from exporter.sqlserver.gate.render import as_json, as_text
from exporter.sqlserver.reading import reading_values
from tests.support.gate_factories import NOW, URIS, body, document
from tests.support.patience import PATIENCE
from tests.support.sql_readings import an_unread_server
from tests.unit.clients.test_peers import answering, giving, raw


@pytest.mark.parametrize(
    ("server", "condition", "text"),
    [
        (raw(b""), "exporter_unreachable", "the exporter at {url} does not respond: it closed the connection without a response"),
        (answering(giving(status=401)), "exporter_refuses", "the exporter at {url} refuses the request with HTTP status 401"),
        (
            answering(giving(status=404)),
            "exporter_foreign",
            "the response of {url} is not that of an exporter: it has HTTP status 404",
        ),
        (
            answering(giving(body=b"{}")),
            "exporter_foreign",
            "the response of {url} is not that of an exporter: it has no list of targets",
        ),
    ],
    ids=["unreachable", "refused", "foreign", "unreadable"],
)
async def test_failed_request_is_a_reason(server, condition, text):
    async with server as url:
        found = await fetch_state(ApiAccess(url=f"{url}/", timeout=PATIENCE))
    assert (found.condition, found.text) == (condition, text.format(url=url))


async def test_readings_of_an_exporter_are_known():
    reading, server = an_unread_server(), reading_values(an_unread_server())
    data = json.dumps({"at": "2026-11-26T20:00:00.000Z", "sql_servers": [server]}).encode()
    async with answering(giving(body=data)) as url:
        assert await fetch_readings(ApiAccess(url=f"{url}/", timeout=PATIENCE)) == (reading,)


@pytest.mark.parametrize(
    ("status", "condition", "text"),
    [
        (403, "exporter_refuses", "the exporter at {url} refuses the request with HTTP status 403"),
        (
            404,
            "exporter_old",
            "the exporter at {url} does not report /api/v1/sql-servers: it has another version than this program",
        ),
        (500, "exporter_foreign", "the response of {url} is not that of an exporter: it has HTTP status 500"),
    ],
)
async def test_readings_that_are_not_given_are_a_reason(status, condition, text):
    async with answering(giving(status=status)) as url:
        found = await fetch_readings(ApiAccess(url=f"{url}/", timeout=PATIENCE))
    assert (found.condition, found.text) == (condition, text.format(url=url))


@pytest.mark.parametrize(
    ("targets", "readings", "condition"),
    [(200, 200, None), (500, 200, "exporter_foreign"), (500, 500, "exporter_foreign"), (200, 404, "exporter_old")],
)
async def test_exporter_has_targets_and_readings(targets, readings, condition):
    listed = json.dumps({"at": "2026-11-26T20:00:00.000Z", "sql_servers": [reading_values(an_unread_server())]}).encode()

    async def respond(request):
        is_targets = request.path.endswith("/targets")
        return web.Response(status=targets if is_targets else readings, body=body() if is_targets else listed)

    async with answering(respond) as url:
        found = await fetch_exporter(ApiAccess(url=f"{url}/", timeout=PATIENCE))
    if targets != 200:
        assert found.condition == condition
        return
    assert (found.url, len(found.targets)) == (url, 1)
    assert found.readings == (() if condition else (an_unread_server(),))
    assert (found.unread and found.unread.condition) == condition


async def test_password_that_is_sent_back_is_hidden(tmp_path):
    file = tmp_path / "pw"
    file.write_text("a-planted-password")
    file.chmod(0o600)
    password = read_secret(SecretSource(file=file))
    planted = json.loads(body())["targets"][0] | {"target": f"x {password}", "vault_side_ready": None, "why": password}
    async with answering(giving(body=body(planted))) as url:
        state = await fetch_state(ApiAccess(url=f"{url}/", timeout=PATIENCE, user="gate", password=password))
    assert isinstance(state, ExporterState)
    seen = assess(Question(instances=("SQLPRD01",)), Inventory((document(),), URIS), {url: state}, now=NOW)
    printed = as_text(seen) + json.dumps(as_json(seen))
    assert "target x <secret> has no verdict: <secret>" in printed
    assert "planted" not in printed
