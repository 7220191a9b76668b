"""The support bundle: its content, what it leaves out, and its requests."""

import json
from pathlib import Path

import pytest

from exporter.config.settings import Module, Proxy, SecretSource
from exporter.core.values import Phase, Step
from exporter.knowledge.reasons import Reason
from exporter.presentation.text import exchanges
from exporter.state.history import ProbeContext
from tests.support.values import replace
from tests.support.web_factories import STARTED, bad, config, good, target
from tests.support.web_server import Service, get, serving, unzipped

PATH = "/api/v1/targets/contoso-key0/support-bundle"
MARKS = ("MARKED", "203.0.113.", "2001:db8", "hush")


async def bundle(*reports, configuration=None, limit=None):
    service = Service(configuration)
    service.state._limit = limit or service.state._limit
    if reports:
        service.add_reports(*reports)
    async with serving(service) as session, session.get(PATH) as response:
        assert response.status == 200
        return response.headers, unzipped(await response.read())


def everything_marked():
    """Return a configuration whose private values carry a mark."""
    hidden = SecretSource(file=Path("/MARKED/secret"))
    proxy = Proxy(
        url="http://someone:MARKED@203.0.113.7:3128",
        no_proxy=("203.0.113.9", "2001:db8::9", ".contoso.example"),
        username="MARKED",
        password=SecretSource(env="MARKED"),
    )
    module = Module(name="default", proxy=proxy, ca_file=Path("/MARKED/ca.pem"), connect_to={"contoso:443": "203.0.113.7:443"})
    instances = (
        {"sql_instance": "SQLPRD01", "host": "n1.contoso.example", "ag": "AG7", "note": "MARKED"},
        {"sql_instance": "203.0.113.8\\INST2", "host": "203.0.113.8"},
        {"sql_instance": "SQLPRD03", "host": "2001:db8::8"},
    )
    marked = target(labels={"team": "MARKED"}, instances=instances)
    made = config(marked, target("another", vault="MARKED.vault.azure.net"), modules={"default": module})
    credential = replace(
        made.credentials["sql-prod"], secret=hidden, password=SecretSource(env="MARKED"), certificate_file=Path("/MARKED/sp.pem")
    )
    return replace(made, credentials={"sql-prod": credential, "MARKED": replace(credential, name="MARKED")})


async def test_bundle_has_report_transcript_versions_and_readme():
    headers, files = await bundle(good(started_at=STARTED - 60), bad())
    assert set(files) == {"README.txt", "report.json", "transcript.txt", "ticket.txt", "environment.txt"}
    assert files["ticket.txt"].startswith("To: the identity team (Entra ID)\n")
    assert headers["Content-Disposition"].startswith('attachment; filename="ekm-support-contoso-key0-')
    report = json.loads(files["report.json"])
    assert report["format"] == 1
    assert [entry["success"] for entry in report["history"]] == [False, True]
    assert report["history"][0]["steps"][1]["request_id"] == "r-1"
    assert report["verdict"].startswith("vault side")
    assert "3303" in files["transcript.txt"]
    assert "ekm-exporter  1.2.3" in files["environment.txt"]
    assert "azure-keyvault-keys" in files["environment.txt"]


async def test_bundle_has_no_private_value():
    _, files = await bundle(bad(), configuration=everything_marked())
    assert {name: mark for name, text in files.items() for mark in MARKS if mark in text} == {}
    for name in ("SQLPRD01", "n1.contoso.example", "AG7", ".contoso.example"):
        assert name in files["environment.txt"]
    assert "url: http://<secret>@<address>:3128" in files["environment.txt"] or "<secret>" in files["environment.txt"]


async def test_bundle_has_the_ids_that_support_needs():
    _, files = await bundle(replace(bad(), tenant="11111111-2222-3333-4444-555555555555"))
    assert "tenant        11111111-2222-3333-4444-555555555555" in files["environment.txt"]
    assert "client_id=66666666" in files["transcript.txt"]
    assert "< request id: r-1" in files["transcript.txt"]


async def test_a_target_never_probed_has_a_bundle():
    _, files = await bundle()
    assert files["transcript.txt"] == "No probe has finished yet.\n"
    assert json.loads(files["report.json"])["history"] == []


async def test_a_long_history_is_shortened():
    _, files = await bundle(*(bad(started_at=STARTED - n) for n in range(300, 0, -1)), limit=400)
    assert len(json.loads(files["report.json"])["history"]) == 200
    assert files["transcript.txt"].count("Requests and responses, masked") == 20


async def test_an_unknown_target_has_no_bundle():
    async with serving(Service()) as session:
        status, _, text = await get(session, "/api/v1/targets/unknown/support-bundle")
    assert (status, json.loads(text)) == (404, {"error": "unknown target"})


def wire_lines(report, **changes):
    made = config(target(**changes))
    found = exchanges(ProbeContext(made.targets["contoso-key0"], made.modules["default"], made.credentials["sql-prod"]), report)
    return dict(found)


def test_each_step_has_its_request_and_response():
    failed = bad(
        step=Step.UNWRAP_KEY, code=3077, reason=Reason.FORBIDDEN_POLICY, status=403, service_code="Forbidden", aadsts=None
    )
    lines = wire_lines(replace(failed, key=good().key))
    assert lines[Step.CHALLENGE][0] == "> GET https://contoso-prod.vault.azure.net/keys?api-version=7.4"
    version = "cgacf4f763ar42ffb0a1gca546aygd87"
    assert lines[Step.UNWRAP_KEY] == [
        f"> POST https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/{version}/unwrapkey?api-version=7.4",
        "> Authorization: Bearer <token>",
        '> {"alg": "RSA-OAEP", "value": "<32 random bytes>"}',
        "< HTTP status: 403",
        "< service code: Forbidden",
        "< request id: r-1",
        "< phase reached: transfer",
    ]


def test_an_unsent_request_is_not_shown():
    report = bad(
        step=Step.CHALLENGE, code=3900, reason=Reason.DNS_NOT_FOUND, phase_reached=Phase.DNS, status=None, request_id=None
    )
    assert wire_lines(report)[Step.CHALLENGE][0] == "> (no request left this host)"


@pytest.mark.parametrize("version", [None, "0123"])
def test_a_key_is_requested_with_its_pinned_version(version):
    line = wire_lines(good(), key_version=version)[Step.GET_KEY][0]
    assert line.removeprefix("> GET https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0") == (
        f"{'/0123' if version else ''}?api-version=7.4"
    )
