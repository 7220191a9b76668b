"""The page of a target: auxiliary probes and last known facts, charts, and the last preflight run, also in JSON."""

import json
import re

import pytest

from exporter.config.settings import ExpectPath, Module
from exporter.core.values import CredentialKind, Step, VaultHeaders
from exporter.knowledge.checks_vault import CheckOutcome, CheckResult, CheckRun
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import NOT_TESTED, AuxiliaryKind
from exporter.web import api, app
from exporter.web.pages.target import waterfall
from tests.support.values import replace
from tests.support.web_factories import (
    DR,
    OLD,
    STAGED,
    STARTED,
    VERSION,
    auxiliary_result,
    bad,
    config,
    fully_declared_config,
    good,
    pending_auxiliary,
    refused_auxiliary,
    target,
)
from tests.support.web_server import Service, answer, get, serving, words

NOW = STARTED + 60
PRIVATE = Module(name="default", expect_path=ExpectPath.PRIVATE)
EXPIRIES = (
    CredentialExpiry(credential="sql-prod", source=Source.DECLARED, expires_at=NOW + 90 * 86400),
    CredentialExpiry(
        credential="sql-prod", source=Source.GRAPH, expires_at=NOW + 86400, looked_up_at=NOW - 7200, failure="Graph: HTTP 403"
    ),
)


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    monkeypatch.setattr(app.time, "time", lambda: NOW)
    assert api.time is app.time


def gone():
    return replace(bad(step=Step.GET_KEY, code=3076, reason=Reason.KEY_SOFT_DELETED), purge_at=STARTED + 90 * 86400)


def a_service(*reports, module=PRIVATE):
    service = Service(fully_declared_config(module=module))
    service.add_reports(*(reports or (good(),)))
    return service


def troubled():
    """A service with every warning although the probe succeeds."""
    service = a_service()
    service.record_of("contoso-key0").vault = VaultHeaders(region="westeurope", service_version="1.9", connection="public")
    service.add_auxiliary(
        refused_auxiliary(AuxiliaryKind.NEXT),
        refused_auxiliary(AuxiliaryKind.RETAINED, step=Step.UNWRAP_KEY, code=3077, reason=Reason.KEY_DISABLED),
        refused_auxiliary(AuxiliaryKind.RECOVERY, step=Step.GET_KEY, code=3076, reason=Reason.KEY_NOT_FOUND),
        pending_auxiliary(),
    )
    service.ends["sql-prod"] = EXPIRIES
    return service


async def page(service, path="/targets/contoso-key0"):
    status, _, html = await answer(service, path)
    assert status == 200
    return html


async def read(service, path="/api/v1/targets/contoso-key0"):
    status, headers, text = await answer(service, path)
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    return json.loads(text)


async def test_page_shows_auxiliary_probes_key_versions_path_and_credential_expiry():
    shown = words(await page(troubled()))
    for expected in (
        "vault side ready, seen from a central host",
        f"staged credential {STAGED} no step token failed with 3303 ErrorGetTokenBadCredentials, reason secret_expired",
        "Do not give it to SQL Server yet.",
        f"retained version ContosoRSAKey0/{OLD} no step unwrap_key failed with 3077 (3113 on connector 1.0.5.0)",
        "Backups that need this key version could not be restored.",
        f"recovery vault {DR} no step get_key failed with 3076 (3112 on connector 1.0.5.0)",
        "newest version of ContosoRSAKey0 yes",
        "1 min ago",
        f"version {VERSION}",
        "operations wrapKey, unwrapKey",
        f"newest version {'f' * 32} (a rotation is pending: SQL Server uses the pinned version. Delete and disable neither; ekm-exporter docs key-rotation has the steps)",
        "region westeurope service version 1.9 path public as expected no: expect_path is private",
        "sql-prod declared 2026-04-02T03:05:05.678Z, in 90 days",
        "sql-prod graph 2026-01-03T03:05:05.678Z, in 1 day 2 h ago Graph: HTTP 403",
        f"{STAGED} entra has expired: Entra ID refuses it since 2026-01-02T03:04:05.678Z 1 min ago",
        f"Not tested from here: {NOT_TESTED}".replace("'", "&#x27;"),
    ):
        assert expected in shown


async def test_identity_without_expiry_is_not_listed():
    service = troubled()
    staged = replace(service.config.credentials[STAGED], kind=CredentialKind.MANAGED_IDENTITY)
    service.config = replace(service.config, credentials=service.config.credentials | {STAGED: staged})
    assert f"{STAGED} none unknown" not in words(await page(service))


async def test_list_marks_warnings_of_a_ready_target():
    shown = words(await page(troubled(), "/"))
    assert "1 ready" in shown
    marks = "staged credential refused retained version unusable recovery vault unusable rotation pending unexpected path"
    assert marks in shown


async def test_healthy_target_has_no_marks():
    service = a_service(module=Module(name="default"))
    service.add_auxiliary(*(auxiliary_result(what) for what in AuxiliaryKind))
    for path in ("/", "/targets/contoso-key0"):
        assert not re.search("refused|unusable|pending|deleted|unexpected", words(await page(service, path)))


async def test_target_without_auxiliary_probes_has_no_table():
    service = Service(config(target(key_version=None)))
    service.add_reports(good())
    assert "Auxiliary probes" not in await page(service)


# JSON


async def test_json_has_each_auxiliary_probe_with_failure_and_steps():
    shown = await read(troubled())
    staged, retained, newest, recovery = shown["auxiliary_probes"]
    steps = staged.pop("steps")
    about = {"what": "next", "name": STAGED, "vault": "contoso-prod.vault.azure.net", "credential": STAGED, "key_version": None}
    failure = {"step": "token", "code": 3303, "symbol": "ErrorGetTokenBadCredentials", "reason": "secret_expired"}
    assert staged == {**about, "at": "2026-01-02T03:04:05.678Z", "usable": False, **failure}
    outcomes = [("challenge", "ok"), ("token", "failed"), ("get_key", "skipped")]
    assert [(step["step"], step["outcome"]) for step in steps][:3] == outcomes
    assert steps[1]["aadsts"] == 7000222
    assert (retained["what"], retained["name"]) == ("retained", f"ContosoRSAKey0/{OLD}")
    assert (newest["usable"], newest["key_version"], newest["code"]) == (True, "f" * 32, None)
    assert (recovery["vault"], recovery["reason"]) == (DR, "key_not_found")


async def test_json_has_key_path_and_expiry():
    shown = await read(troubled())
    assert shown["key_facts"] == {
        "name": "ContosoRSAKey0", "version": VERSION, "kty": "RSA", "size_bits": 2048, "enabled": True, "not_before": None,
        "expires": "2027-01-15T08:00:00.000Z", "key_ops": ["wrapKey", "unwrapKey"], "supported": True,
    }  # fmt: skip
    path = {"region": "westeurope", "service_version": "1.9", "connection": "public", "expected": "private"}
    assert shown["path"] == path | {"as_expected": False}
    assert (shown["rotation_pending"], shown["newest_version"]) == (True, "f" * 32)
    names = ("credential", "source", "expires_at", "looked_up_at", "failure", "wrong")
    rows = (
        ("sql-prod", "declared", "2026-04-02T03:05:05.678Z", None, None, None),
        ("sql-prod", "graph", "2026-01-03T03:05:05.678Z", "2026-01-02T01:05:05.678Z", "Graph: HTTP 403", None),
        (STAGED, "entra", "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z", None, None),
    )
    assert shown["credential_expiries"] == [dict(zip(names, row, strict=True)) for row in rows]
    verdict = "central", "vault side ready, seen from a central host", NOT_TESTED
    assert (shown["vantage"], shown["verdict"], shown["not_tested"]) == verdict
    assert len(shown["history"]) == 1


async def test_json_has_purge_date_and_last_recovery():
    service = a_service(gone())
    service.add_auxiliary(auxiliary_result(AuxiliaryKind.RECOVERY, at=STARTED - 60))
    shown = await read(service)
    assert shown["scheduled_purge"] == "2026-04-02T03:04:05.678Z"
    assert shown["recovery_last_success"] == "2026-01-02T03:03:05.678Z"


async def test_json_of_a_target_never_probed_has_nulls():
    shown = await read(Service(config(target())))
    unknown = ("key_facts", "rotation_pending", "newest_version", "scheduled_purge", "recovery_last_success")
    assert [shown[name] for name in unknown] == [None] * 5
    assert (shown["auxiliary_probes"], shown["credential_expiries"]) == ([], [])
    assert set(shown["path"].values()) == {None}


async def test_json_list_has_pending_rotations_and_untested_parts():
    listed = await read(troubled(), "/api/v1/targets")
    assert (listed["vantage"], listed["not_tested"]) == ("central", NOT_TESTED)
    assert [row["rotation_pending"] for row in listed["targets"]] == [True]


def pieces(svg):
    """Return class, start and width of each piece; start and width are percentages."""
    found = re.findall(r'<rect x="([\d.]+)%" y="0" width="([\d.]+)%" height="12" class="phase-(\w+)">', svg)
    return [(name, float(x), float(width)) for x, width, name in found]


def test_steps_follow_one_another_on_one_axis():
    bars = waterfall(good())
    starts = [pieces(bars[step])[0][1] for step in Step]
    assert starts == [0.0, 20.0, 40.0, 60.0, 80.0]
    assert {pieces(bars[step])[0][2] for step in Step} == {20.0}


def test_phases_follow_one_another_within_their_step():
    assert pieces(waterfall(good())[Step.TOKEN]) == [("other", 20.0, 20.0), ("dns", 20.0, 1.0), ("wait", 21.0, 10.0)]


def test_a_skipped_step_and_a_token_of_another_probe_have_no_bar():
    report = bad()
    assert set(waterfall(report)) == {Step.CHALLENGE, Step.TOKEN}
    shared = replace(good(), steps=tuple(replace(each, shared=each.step is Step.TOKEN) for each in good().steps))
    assert Step.TOKEN not in waterfall(shared)


def test_nothing_is_drawn_beyond_the_axis():
    report = good()
    long = replace(report, duration=0.0, steps=tuple(replace(each, duration=0.001) for each in report.steps))
    assert all(x + width <= 100.01 for bar in waterfall(long).values() for _, x, width in pieces(bar))


MADE = 1767323000.0
FAILED = CheckResult(
    check="revocation",
    outcome=CheckOutcome.FAIL,
    detail="port 80 of <crl> is closed",
    fix=("Let the host through:", "  Test-NetConnection crl.example.com -Port 80"),
)
CODED = CheckResult(check="token", outcome=CheckOutcome.FAIL, code=3303, detail="secret expired")
QUIET = tuple(
    CheckResult(check=name, outcome=outcome, detail="not to be seen")
    for name, outcome in zip(
        ("clock", "dns_vault", "event_log", "tenant"), [one for one in CheckOutcome if one is not CheckOutcome.FAIL], strict=True
    )
)


async def shown(*results, report=None):
    """Return page and JSON of a target, healthy by default, after a run with these results, or without a run."""
    service = Service()
    service.add_reports(report or good())
    if results:
        service.checks["contoso-key0"] = CheckRun(MADE, results)
    async with serving(service) as session:
        _, _, html = await get(session, "/targets/contoso-key0")
        payload = json.loads((await get(session, "/api/v1/targets/contoso-key0"))[2])
    return html, payload["preflight"]


async def test_failed_checks_are_on_the_page_and_in_json_with_their_fix():
    html, payload = await shown(*QUIET, FAILED, CODED)
    text = words(html)
    assert "Failed preflight checks" in text
    assert "Revocation, port 80" in text
    assert "Test-NetConnection crl.example.com -Port 80" in text
    assert "port 80 of &lt;crl&gt; is closed" in html
    assert "not to be seen" not in text
    revocation = {"check": "revocation", "title": "Revocation, port 80", "code": None, "detail": "port 80 of <crl> is closed"}
    token = {"check": "token", "title": "Token", "code": 3303, "detail": "secret expired", "fix": None}
    fix = "Let the host through:\n  Test-NetConnection crl.example.com -Port 80"
    assert payload == {"at": "2026-01-02T03:03:20.000Z", "failed": [revocation | {"fix": fix}, token]}


async def test_check_of_the_failed_step_refers_to_its_actions():
    token = CheckResult(check="token", outcome=CheckOutcome.FAIL, code=3303, detail="secret expired", fix=("A fix of the check",))
    text = words((await shown(token, FAILED, report=bad()))[0])
    assert "secret expired The cause and its actions are stated above." in text
    assert "A fix of the check" not in text
    assert "Test-NetConnection crl.example.com -Port 80" in text
    assert "A fix of the check" in words((await shown(token))[0])


@pytest.mark.parametrize(("results", "expected"), [(QUIET, {"at": "2026-01-02T03:03:20.000Z", "failed": []}), ((), None)])
async def test_run_without_failures_is_only_in_json(results, expected):
    html, payload = await shown(*results)
    assert "Failed preflight checks" not in html
    assert payload == expected
