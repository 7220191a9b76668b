"""The doctor's report: columns, summary, JSON and request ids."""

import json
import re

import pytest

from exporter.doctor.run import as_data, as_text
from exporter.knowledge.checks import CHECKS
from exporter.knowledge.checks_vault import CheckOutcome, CheckResult
from tests.support.doctor_simulated import SECRET, TARGET, VAULT

STARTS = re.compile(r"^(pass|warn|fail|skipped|unknown) ", re.MULTILINE)


@pytest.mark.parametrize("verbose", [True, False])
async def test_lines_have_80_columns_except_commands(harness, verbose):
    harness.simulator.apply("secret_expired", vault=VAULT)
    results = list((await harness.results()).values())
    text = as_text(harness.target, results, verbose=verbose)
    for line in text.splitlines():
        assert len(line) <= 80 or line.startswith(" " * 10), line
        assert line == line.rstrip()
    passed = sum(result.outcome is CheckOutcome.PASS for result in results)
    assert len(STARTS.findall(text)) == len(CHECKS) - (0 if verbose else passed)
    assert f" {passed} passed, " in text


def test_what_failed_stands_first_then_what_warns_then_a_line_of_what_was_not_seen():
    outcomes = [
        CheckOutcome.PASS,
        CheckOutcome.SKIPPED,
        CheckOutcome.WARN,
        CheckOutcome.UNKNOWN,
        CheckOutcome.FAIL,
        CheckOutcome.WARN,
    ]
    rows = zip(("dns_vault", "dns_entra", "path", "clock", "token", "tenant"), outcomes, strict=True)
    results = [CheckResult(check=check, outcome=outcome, detail="word " * 30, fix=("Do it.",)) for check, outcome in rows]
    head, *groups = as_text(TARGET, results).split("\n\n")
    assert STARTS.search(head) is None
    assert [STARTS.findall(group) for group in groups] == [["fail"], ["warn", "warn"], ["skipped", "unknown"], []]
    assert [group.count("Do it.") for group in groups] == [1, 2, 0, 0]
    assert all(line.endswith(" word …") for line in groups[2].splitlines())
    assert groups[3].startswith(
        "1 failed, 2 warned, 1 passed, 1 skipped, 1 not visible from this host.\nTo see every check: --verbose\n"
    )
    whole = as_text(TARGET, results, verbose=True).split("\n\n")[1]
    assert STARTS.findall(whole) == [outcome.value for outcome in outcomes]


def test_success_alone_is_a_count():
    text = as_text(TARGET, [CheckResult(check="token", outcome=CheckOutcome.PASS)])
    assert text.split("\n\n")[1:] == [
        "1 passed.\nTo see every check: --verbose\nNothing visible from this host would stop SQL Server.\n"
    ]


@pytest.mark.parametrize("scenario", ["wrap_forbidden", "wrap_not_in_key_ops"])
async def test_wrap_failure_reports_that_databases_open(harness, scenario):
    harness.simulator.apply(scenario, vault=VAULT)
    text = " ".join(as_text(harness.target, list((await harness.results()).values())).split())
    assert "when it opens an encrypted database" not in text
    assert text.count("when a database encryption key is created or re-encrypted") == 2
    assert "do not restart" not in text
    assert "Encrypted databases still open" in text


def failure(check, code):
    return CheckResult(check=check, outcome=CheckOutcome.FAIL, code=code, detail="d")


def test_failure_that_stops_databases_takes_precedence():
    harmless = [failure("retained_versions", 3077), failure("path", None), failure("permission_wrap", 3077)]
    end = " ".join(as_text(TARGET, harmless).split("\n\n")[-1].split())
    assert "do not restart" not in end
    for expected in ("cannot be restored", "than the module expects", "still open"):
        assert end.count(expected) == 1
    worse = " ".join(as_text(TARGET, [*harmless, failure("token", 3303)]).split("\n\n")[-1].split())
    assert "do not restart" in worse
    assert "still open" not in worse


def test_every_failure_has_an_effect_text():
    for check in CHECKS:
        if not check.on_host and check.code is not None:
            assert not as_text(TARGET, [failure(check.name, check.code)]).rstrip().endswith(f"explain {check.code}"), check.name


async def test_fix_with_support_has_the_request_ids(harness):
    harness.simulator.apply("key_missing", vault=VAULT)
    result = (await harness.results())["vault_answers"]
    assert "prints" not in "\n".join(result.fix)
    position = result.fix.index("The request ids of this run:")
    steps = [line.split()[0] for line in result.fix[position + 1 :]]
    assert steps[-1] == "get_key"
    assert all(len(line.split()[1]) == 36 for line in result.fix[position + 1 :])


async def test_json_follows_the_contract(harness):
    harness.simulator.apply("role_removed", vault=VAULT)
    shape = json.loads(json.dumps(as_data(harness.target, list((await harness.results()).values()))))
    assert {"target", "ok", "checks"} <= set(shape)
    assert (shape["target"], shape["ok"]) == ("contoso-key0", False)
    assert [check["check"] for check in shape["checks"]] == [check.name for check in CHECKS]
    for check in shape["checks"]:
        assert {"check", "outcome", "code", "detail", "fix"} <= set(check)
        assert check["outcome"] in ("pass", "warn", "fail", "skipped", "unknown")
        assert check["code"] is None or isinstance(check["code"], int)
        assert check["fix"] is None or isinstance(check["fix"], str)
    refused = next(check for check in shape["checks"] if check["check"] == "permission_get")
    assert (refused["outcome"], refused["code"]) == ("fail", 3077)
    assert "az role assignment create --role" in refused["fix"]


def test_warnings_and_unknown_checks_are_ok():
    results = [CheckResult(check="path", outcome=outcome) for outcome in CheckOutcome if outcome is not CheckOutcome.FAIL]
    assert as_data(TARGET, results)["ok"] is True
    assert as_data(TARGET, [*results, CheckResult(check="path", outcome=CheckOutcome.FAIL)])["ok"] is False


async def test_report_has_no_secret_and_no_token(harness):
    for fault in ("secret_wrong", "token_unusable", "token_ended", "html"):
        harness.simulator.set_fault(fault, application="sql-prod")
        results = list((await harness.results()).values())
        harness.simulator.clear()
        whole = as_text(harness.target, results, verbose=True) + json.dumps(as_data(harness.target, results)) + repr(results)
        assert SECRET not in whole
        assert "eyJ" not in whole
