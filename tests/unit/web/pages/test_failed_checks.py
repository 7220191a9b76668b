"""The last preflight run on the target page and in JSON."""

import json

from exporter.knowledge.checks_vault import CheckOutcome, CheckResult, CheckRun
from tests.support.web_factories import bad, good
from tests.support.web_server import Service, get, serving, words

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


async def test_failed_checks_are_on_the_page_with_their_fix():
    html, _ = await shown(*QUIET, FAILED, CODED)
    text = words(html)

    assert "Failed preflight checks" in text
    assert "Revocation, port 80" in text
    assert "Test-NetConnection crl.example.com -Port 80" in text
    assert "port 80 of &lt;crl&gt; is closed" in html
    assert "not to be seen" not in text


async def test_check_of_the_failed_step_refers_to_its_actions():
    token = CheckResult(check="token", outcome=CheckOutcome.FAIL, code=3303, detail="secret expired", fix=("A fix of the check",))
    text = words((await shown(token, FAILED, report=bad()))[0])
    assert "secret expired The cause and its actions are stated above." in text
    assert "A fix of the check" not in text
    assert "Test-NetConnection crl.example.com -Port 80" in text
    assert "A fix of the check" in words((await shown(token))[0])


async def test_failed_checks_are_in_json():
    _, payload = await shown(*QUIET, FAILED, CODED)

    assert payload == {
        "at": "2026-01-02T03:03:20.000Z",
        "failed": [
            {
                "check": "revocation",
                "title": "Revocation, port 80",
                "code": None,
                "detail": "port 80 of <crl> is closed",
                "fix": "Let the host through:\n  Test-NetConnection crl.example.com -Port 80",
            },
            {"check": "token", "title": "Token", "code": 3303, "detail": "secret expired", "fix": None},
        ],
    }


async def test_successful_run_is_only_in_json():
    html, payload = await shown(*QUIET)

    assert "Failed preflight checks" not in html
    assert payload == {"at": "2026-01-02T03:03:20.000Z", "failed": []}


async def test_before_the_first_run_page_and_json_are_empty():
    html, payload = await shown()

    assert "Failed preflight checks" not in html
    assert payload is None
