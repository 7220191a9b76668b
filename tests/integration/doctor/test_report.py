"""The doctor's report: columns, JSON, T-SQL statements and commands."""

import contextlib
import json
import re

import pytest
import sqlglot

from exporter.core.checks import CHECKS, CheckOutcome, CheckResult
from exporter.core.checks.fixes import FIXES, REAL_EXPIRY, UNKNOWN, WARNED
from exporter.core.checks.select_fix import Words, filled, in_lines, remedy
from exporter.core.codes.actions import identity_of
from exporter.core.faults import Reason
from exporter.doctor.report import as_data, as_text
from tests.integration.doctor.check_causes import CAUSES
from tests.repo.deploy.system_views import VIEWS
from tests.support.doctor_simulated import CLIENT, PINNED, SECRET, TARGET, VAULT

WORDS = Words(vault=VAULT, entra="login.microsoftonline.com", key="K", version="v1", again="again")
EVERY_FIX = [
    *(lines for table in (FIXES, WARNED, UNKNOWN) for lines in table.values()),
    *(in_lines(reason.row.actions, WORDS) for reason in Reason),
    REAL_EXPIRY,
]
EVERY_LINE = [line for lines in EVERY_FIX for line in lines]
IS_SQL = re.compile(r"  (SELECT|EXEC|ALTER|CREATE) ")


def statements():
    """Every statement of the tables, with all its lines."""
    for lines in FIXES.values():
        found = ""
        for line in filled(lines, WORDS):
            if IS_SQL.match(line) or found:
                found += line + "\n"
            if found and line.endswith(";"):
                yield found
                found = ""
        assert found == ""


async def test_lines_have_80_columns_except_commands(harness):
    harness.simulator.apply("secret_expired", vault=VAULT)
    text = as_text(harness.target, list((await harness.results()).values()))
    for line in text.splitlines():
        assert len(line) <= 80 or line.startswith(" " * 10), line
        assert line == line.rstrip()
    starts = re.findall(r"^(pass|warn|fail|skipped|unknown) +(.+?)(?:  |$| (?=\S))", text, re.MULTILINE)
    assert len(starts) == len(CHECKS)


async def test_summary_has_the_code_of_sql_server(harness):
    harness.simulator.apply("secret_expired", vault=VAULT)
    text = as_text(harness.target, list((await harness.results()).values()))
    end = " ".join(text.split("\n\n")[-1].split())
    assert "1 failed, 3 warned" in end
    assert "SQL Server would show 3303 when it opens its session with the provider" in end
    assert "ekm-exporter explain 3303" in end
    assert "do not restart" in end


async def test_counterpart_code_is_shown_with_both_numbers(harness):
    harness.simulator.set_fault("throttled", vault=VAULT)
    text = as_text(harness.target, list((await harness.results()).values()))
    assert text.count("3011 (3109 on connector 1.0.5.0)") == 2


async def test_success_has_a_summary(harness):
    text = as_text(harness.target, list((await harness.results()).values()))
    assert text.endswith("Nothing visible from this host would stop SQL Server.\n")
    assert "restart or fail over" not in text


@pytest.mark.parametrize("scenario", ["wrap_forbidden", "wrap_not_in_key_ops"])
async def test_wrap_failure_reports_that_databases_open(harness, scenario):
    harness.simulator.apply(scenario, vault=VAULT)
    text = " ".join(as_text(harness.target, list((await harness.results()).values())).split())
    assert "when it opens an encrypted database" not in text
    assert text.count("when a database encryption key is created or re-encrypted") == 2
    assert "do not restart" not in text
    assert "Encrypted databases still open" in text


# The last text for each cause that leaves databases open; every other failure warns of a restart.
NO_DANGER = {
    ("path", "public where private is expected"): "over another network path than the module expects.",
    ("clock", "six minutes ahead"): "Entra accepts a client secret even if the clock is wrong",
    ("clock", "six minutes behind"): "Entra accepts a client secret even if the clock is wrong",
    ("secret", "the file is gone"): "This is the exporter's copy of the secret.",
    ("credential_string", "121 characters"): "SQL Server cannot sign in with such a string.",
    ("credential_string", "no secret behind the client id"): "SQL Server cannot sign in with such a string.",
    ("vault_answers", "a wrap without a value"): "Encrypted databases still open.",
    ("key_name", "27 characters"): "only when a credential or a key is created",
    ("key_name", "an underscore"): "only when a credential or a key is created",
    ("key_type", "4096 bits"): "only when a credential or a key is created",
    ("key_type", "an elliptic curve"): "only when a credential or a key is created",
    ("key_ops", "it may not wrap"): "Encrypted databases still open.",
    ("permission_wrap", "the role is gone"): "Encrypted databases still open.",
    ("retained_versions", "an old one is disabled"): "backups that need that key version cannot be restored",
}


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: f"{cause.check}: {cause.how}")
async def test_restart_warning_only_if_databases_stay_closed(harness, cause):
    async with contextlib.AsyncExitStack() as stack:
        await cause.cause(harness, stack)
        results = list((await harness.results()).values())
    end = " ".join(as_text(harness.target, results).split("\n\n")[-1].split())
    expected = NO_DANGER.get((cause.check, cause.how))
    assert ("do not restart" in end) is (cause.outcome is CheckOutcome.FAIL and expected is None), end
    assert expected is None or expected in end


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


async def test_key_without_operations_warns_of_a_restart(harness):
    harness.simulator.apply("unwrap_not_in_key_ops", vault=VAULT)
    text = " ".join(as_text(harness.target, list((await harness.results()).values())).split())
    assert "when it opens an encrypted database" in text
    assert "do not restart" in text


async def test_fix_with_support_has_the_request_ids(harness):
    harness.simulator.apply("key_missing", vault=VAULT)
    result = (await harness.results())["vault_answers"]
    assert "prints" not in "\n".join(result.fix)
    position = result.fix.index("The request ids of this run:")
    steps = [line.split()[0] for line in result.fix[position + 1 :]]
    assert steps[-1] == "get_key"
    assert all(len(line.split()[1]) == 36 for line in result.fix[position + 1 :])


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("application_disabled", "accountEnabled=true"),
        ("conditional_access", "sign-in log of service principals"),
        ("tenant_unknown", "properties.tenantId"),
        ("wrong_cloud", "az cloud show"),
        ("resource_principal_missing", "az ad sp create"),
        ("certificate_refused", "https://login.microsoftonline.com/error?code=700030"),  # SQL Server's string has a secret
        ("sign_in_throttled", "the one that loops"),
    ],
)
async def test_correct_string_needs_no_new_credential(harness, scenario, expected):
    harness.simulator.apply(scenario, vault=VAULT)
    fix = "\n".join((await harness.results())["token"].fix)
    assert expected in fix
    assert "ALTER CREDENTIAL" not in fix


async def test_wrong_client_id_needs_a_new_credential(harness):
    harness.simulator.apply("application_unknown", vault=VAULT)
    fix = "\n".join((await harness.results())["token"].fix)
    assert "ALTER CREDENTIAL" in fix
    assert f"--id {CLIENT} " in fix


async def test_client_id_is_filled_in_from_configuration_and_string(harness):
    harness.simulator.apply("secret_expired", vault=VAULT)
    assert f"--id {CLIENT} --append" in "\n".join((await harness.results())["token"].fix)
    harness.typed(CLIENT.replace("-", "") + SECRET)
    assert f"--id {CLIENT} --append" in "\n".join((await harness.results())["token"].fix)


async def test_missing_certificate_skips_revocation(harness):
    harness.simulator.apply("vault_deleted", vault=VAULT)
    harness.module = {"connect_to": {}}
    result = (await harness.results())["revocation"]
    assert result.detail == "no certificate was seen"


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


@pytest.mark.parametrize("statement", list(statements()))
def test_statements_are_valid_t_sql(statement):
    (parsed,) = sqlglot.parse(statement.replace("; RECONFIGURE", ""), dialect="tsql")
    assert parsed is not None
    views = [table.name for table in parsed.find_all(sqlglot.exp.Table) if table.db == "sys" and table.name in VIEWS]
    known = {"name", "encryptor_thumbprint"}.union(*(VIEWS[view][1].split() for view in views))
    assert not views or {column.name for column in parsed.find_all(sqlglot.exp.Column)} <= known


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("connector_version", "15.0.2000.440, DLL of 9 November 2024"),
        ("vc_runtime", "2015 (or 2015-2022) for SQL Server 2016 to 2025"),
        ("ekm_enabled", "Expected: 1"),
        ("cluster_checkpoint", r"SOFTWARE\Microsoft\SQL Server Cryptographic Provider"),
    ],
)
def test_host_check_names_the_expected_value(check, expected):
    assert any(expected in line for line in remedy(check, CheckOutcome.UNKNOWN, None, WORDS))


@pytest.mark.parametrize("command", ["set-policy", "--ops"])
def test_fix_that_replaces_all_permissions_warns_before(command):
    places = [(lines, place) for lines in EVERY_FIX for place, line in enumerate(lines) if command in line]
    assert places
    assert [lines for lines, place in places if "replaces them all" not in lines[place - 1]] == []


def test_newest_version_fix_keeps_the_old_key_for_backups():
    fix = "\n".join(remedy("newest_version", CheckOutcome.WARN, None, WORDS))
    order = ("CREATE ASYMMETRIC KEY", "CREATE LOGIN", "DROP CREDENTIAL", "ADD CREDENTIAL", "ALTER DATABASE", "Keep the old key")
    positions = [fix.index(step) for step in order]
    assert positions == sorted(positions)
    assert "backups" in fix[positions[-1] :]


def test_host_checks_have_sql_statements():
    assert len(list(statements())) > 8


def test_managed_hsm_fix_has_its_role_and_flags():
    words = Words(vault="contoso.managedhsm.azure.net", entra="e", key="K", version=PINNED, again="again")
    lines = "\n".join(remedy("permission_wrap", CheckOutcome.FAIL, Reason.FORBIDDEN_RBAC, words))
    assert "--hsm-name contoso" in lines
    assert "Managed HSM Crypto Service Encryption User" in lines
    assert "Key Vault Crypto" not in lines
    assert "--hsm-name contoso --name K" in remedy("key_enabled", CheckOutcome.FAIL, None, words)[1]


@pytest.mark.parametrize(
    ("vault", "identity"),
    [
        ("contoso.vault.azure.net", "contoso"),
        ("contoso.vault.usgovcloudapi.net", "contoso.vault.usgovcloudapi.net"),
        ("contoso.managedhsm.azure.net", "contoso.managedhsm.azure.net"),
        ("contoso.vault.azure.cn:8443", "contoso.vault.azure.cn"),
    ],
)
def test_fix_has_the_credential_identity_of_each_cloud(vault, identity):
    assert identity_of(vault) == identity


def test_texts_mention_secrets_only_as_templates():
    with_secret = [line for line in EVERY_LINE if "SECRET =" in line]
    assert with_secret
    assert [line for line in with_secret if not line.endswith("SECRET = 'STRING';")] == []


async def test_report_has_no_secret_and_no_token(harness):
    for fault in ("secret_wrong", "token_unusable", "token_ended", "html"):
        harness.simulator.set_fault(fault, application="sql-prod")
        results = list((await harness.results()).values())
        harness.simulator.clear()
        whole = as_text(harness.target, results) + json.dumps(as_data(harness.target, results)) + repr(results)
        assert SECRET not in whole
        assert "eyJ" not in whole
