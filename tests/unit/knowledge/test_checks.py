"""The fix of a check, its findings, and the rights that SQL Server demands."""

import re
from itertools import product

import pytest
import sqlglot

from exporter.core.values import CredentialKind, Step
from exporter.knowledge.advice import reason_actions
from exporter.knowledge.checks import (
    BY_NAME,
    CHECKS,
    action_lines,
    blocked,
    check_actions,
    combined,
    failed,
    passed,
    skipped,
    unknown,
    warned,
)
from exporter.knowledge.checks_host import SQL_RIGHTS, missing_right
from exporter.knowledge.checks_vault import CheckOutcome, CheckResult, CheckRun
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.names import Names
from exporter.knowledge.reasons import Reason
from exporter.sqlserver.document import PROOF_SECTIONS, SECTIONS, unseen
from exporter.sqlserver.keys import REGISTRY
from tests.repo.deploy.system_views import VIEWS
from tests.support.values import replace

# The fix of a check: the actions of its reason, its row or its code, as lines with the names of the target.

NAMES = Names(target="t", vault="contoso.vault.azure.net:8443", key="K0", version=None, again="again")
HSM = replace(NAMES, vault="contoso.managedhsm.azure.net", version="v")
FAIL, WARN, UNKNOWN = CheckOutcome.FAIL, CheckOutcome.WARN, CheckOutcome.UNKNOWN
TEXTS = [
    *(texts for check in CHECKS for texts in (check.actions, check.of_certificate, check.on_hsm) if texts),
    *(reason.row.actions for reason in Reason),
]
EVERY_FIX = [action_lines(texts, NAMES) for texts in TEXTS]
KINDS = [*CredentialKind, None]


def fix(check, outcome=FAIL, names=NAMES, **failure):
    return action_lines(check_actions(BY_NAME[check], outcome, names, **failure), names, ready=outcome is WARN)


def statements():
    """Every T-SQL statement of the rows, with all its lines."""
    commands = "\n".join(line[2:] for lines in EVERY_FIX for line in lines if line.startswith("  "))
    return re.findall(r"^(?:SELECT|EXEC|ALTER|CREATE) [^;]*;", commands, re.MULTILINE)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_unknown_outcome_has_the_commands_that_show_more(check):
    shown = check.on_host or check.name in ("credential_expiry", "thumbprint")
    lines = fix(check.name, UNKNOWN, reason=Reason.FORBIDDEN_RBAC)
    assert (lines == fix(check.name, WARN) != ()) if shown else lines == ()


@pytest.mark.parametrize("reason", list(Reason))
def test_reason_selects_before_row_and_code(reason):
    for kind, step, name in product(KINDS, (None, *Step), ("dns_entra", "clock", "vault_answers")):
        names, check = replace(NAMES, kind=kind), BY_NAME[name]
        expected = reason_actions(reason, step, names) or check.actions or BY_CODE[3013].actions
        assert check_actions(check, FAIL, names, code=3013, reason=reason, step=step) == expected
    assert check_actions(BY_NAME["round_trip"], FAIL, names) == ()


def test_certificate_and_managed_hsm_have_actions_of_their_own():
    signed = replace(NAMES, kind=CredentialKind.CLIENT_CERTIFICATE)
    assert fix("credential_expiry", WARN)[1].endswith("--output tsv")
    assert fix("credential_expiry", WARN, signed)[1].endswith("--cert")
    assert "set-policy" in " ".join(fix("permission_list", WARN))
    assert "set-policy" not in " ".join(fix("permission_list", WARN, HSM))
    assert "privatelink.managedhsm.azure.net" in " ".join(fix("path", FAIL, HSM))


@pytest.mark.parametrize("reason", [Reason.FORBIDDEN_RBAC, Reason.KEY_DISABLED, Reason.KEY_UNSUPPORTED])
def test_lines_for_a_managed_hsm_have_its_flags(reason):
    lines = "\n".join(fix("key_type", FAIL, HSM, code=3077, reason=reason))
    assert "--hsm-name contoso" in lines
    assert "--vault-name" not in lines
    assert "Key Vault Crypto" not in lines


def test_each_command_has_lines_of_its_own():
    assert fix("key_expiry", WARN)[1] == (
        "  az keyvault key set-attributes --vault-name contoso --name K0 --version VERSION --expires 2030-01-01T00:00:00Z"
    )
    first, second, third, fourth = action_lines(("Run twice: `a\n  b;`. Then read `c`.", "All of it: `d`."), NAMES)[:4]
    assert (first, second, third, fourth) == ("Run twice:", "  a", "    b;", "Then read `c`.")


def test_check_replaces_the_probe_and_its_restart_warning():
    texts = (*Reason.SECRET_EXPIRED.row.actions, *Reason.SERVER_ERROR.row.actions, *Reason.FORBIDDEN_RBAC.row.actions)
    lines = " ".join(action_lines(texts, replace(NAMES, object_id="0a1b")))
    assert "then run `again`" in lines
    assert "the request id that `again` shows" in lines
    assert "SET ONLINE" in lines
    assert "SET ONLINE" not in " ".join(action_lines(texts, NAMES, ready=True))
    assert not re.search("ekm-exporter probe|Do not restart|OBJECT_ID is", lines)
    assert "OBJECT_ID is" in " ".join(action_lines(texts, NAMES))


def test_support_bundle_is_that_of_the_probe_with_the_own_credential():
    names = replace(NAMES, config_file="ekm.yml", other_credential="next")
    assert "  ekm-exporter probe t --config.file ekm.yml --bundle FILE" in action_lines(Reason.INTERNAL.row.actions, names)


def test_target_named_like_a_placeholder_stays_as_it_is():
    odd = replace(NAMES, target="VAULT", again="ekm-exporter doctor KEY --config.file 'VERSION'")
    assert "then run `ekm-exporter doctor KEY --config.file 'VERSION'`" in " ".join(
        action_lines(Reason.SECRET_EXPIRED.row.actions, odd)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_expiring_credential_is_replaced_by_the_staged_one(kind):
    names = replace(NAMES, staged="sql-2027", kind=kind)
    first, test, *others = fix("credential_expiry", WARN, names, code=3303, reason=Reason.SECRET_EXPIRED)
    assert first == "The credential sql-2027 is staged. Test it first, on every SQL Server host:"
    assert test == "  again --credential sql-2027"
    assert "`credential: sql-2027`" in " ".join(others)
    assert ("alter-credential.sql" in " ".join(others)) is (kind is None or kind.has_secret)
    assert "credential reset" not in " ".join(others)


@pytest.mark.parametrize("check", ["token", "credential_string", "credential_expiry"])
@pytest.mark.parametrize("kind", KINDS)
def test_proven_staged_credential_is_the_fix_of_a_refused_one(check, kind):
    failure = {"code": 3303, "reason": Reason.SECRET_TOO_SHORT, "step": Step.TOKEN}
    staged = replace(NAMES, staged="sql-2027", kind=kind)
    first, *others = fix(check, FAIL, replace(staged, staged_usable=True), **failure)
    assert first.startswith("The staged credential sql-2027 is usable.")
    assert "`credential: sql-2027`" in " ".join((first, *others))
    assert ("alter-credential.sql" in " ".join((first, *others))) is (kind is None or kind.has_secret)
    assert "sql-2027" not in " ".join(fix(check, FAIL, staged, **failure))


def test_credential_that_expires_soon_gets_a_new_secret_first():
    lines = fix("credential_expiry", WARN, code=3303, reason=Reason.SECRET_EXPIRED)
    assert lines[1] == "  az ad app credential reset --id CLIENT_ID --append"
    assert lines[2:4] == ("Stage it as `next_credential`, so that the exporter tests it:", "  ekm-exporter docs rollover")
    assert "client_secret_file" not in " ".join(lines)
    assert "  ekm-exporter script alter-credential.sql" in lines
    assert "SET ONLINE" not in " ".join(lines)


@pytest.mark.parametrize("statement", statements())
def test_statements_are_valid_t_sql(statement):
    (parsed,) = sqlglot.parse(statement, dialect="tsql")
    assert parsed is not None
    views = [table.name for table in parsed.find_all(sqlglot.exp.Table) if table.db == "sys" and table.name in VIEWS]
    known = {"name", "encryptor_thumbprint"}.union(*(VIEWS[view][1].split() for view in views))
    assert not views or {column.name for column in parsed.find_all(sqlglot.exp.Column)} <= known


def test_rows_have_statements_and_no_line_ends_inside_one():
    assert len(statements()) > 12
    assert [line for lines in EVERY_FIX for line in lines if "`" in line and line.startswith("  ")] == []


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("connector_version", "15.0.2000.440, DLL of 9 November 2024"),
        ("vc_runtime", "2015 (or 2015-2022) for SQL Server 2016 to 2025"),
        ("ekm_enabled", "Expected: 1"),
        ("cluster_checkpoint", r"SOFTWARE\Microsoft\SQL Server Cryptographic Provider"),
        ("sql_credential", "`credential_identity` must be `'contoso'`"),
    ],
)
def test_host_check_names_the_expected_value(check, expected):
    assert any(expected in line for line in fix(check, UNKNOWN))


@pytest.mark.parametrize("command", ["set-policy", "--ops"])
def test_fix_that_replaces_all_permissions_warns_before(command):
    places = [(lines, place) for lines in EVERY_FIX for place, line in enumerate(lines) if command in line]
    assert places
    assert [lines for lines, place in places if "replaces" not in lines[place - 1] or " OTHER_" not in lines[place]] == []


def test_newest_version_fix_keeps_the_old_key_for_backups():
    lines = "\n".join(fix("newest_version", WARN, replace(NAMES, newest="f" * 32)))
    assert f"PROVIDER_KEY_NAME = 'K0/{'f' * 32}'" in lines
    order = ("CREATE ASYMMETRIC KEY", "CREATE LOGIN", "DROP CREDENTIAL", "ADD CREDENTIAL", "ALTER DATABASE", "Keep the old key")
    positions = [lines.index(step) for step in order]
    assert positions == sorted(positions)
    assert "backups" in lines[positions[-1] :]


def test_only_a_failed_check_counts_as_failed():
    results = tuple(CheckResult(check=outcome, outcome=outcome, detail="") for outcome in CheckOutcome)
    assert [result.check for result in CheckRun(at=0.0, results=results).failed] == ["fail"]


# Findings.

PASSED, WARNED, FAILED, SKIPPED, NOT_KNOWN = passed("p"), warned("w"), failed("f", code=3008), skipped("s"), unknown("u")


def test_worst_finding_gives_outcome_and_code_and_all_give_their_detail():
    found = combined(SKIPPED, PASSED, NOT_KNOWN, WARNED, FAILED)
    assert (found.outcome, found.code, found.detail) == (CheckOutcome.FAIL, 3008, "f; w; u; p; s")
    assert combined(PASSED, NOT_KNOWN).outcome is CheckOutcome.UNKNOWN
    assert combined(PASSED, SKIPPED).outcome is CheckOutcome.PASS
    assert combined(WARNED) == WARNED


def test_blocked_check_names_the_one_that_reports_the_cause():
    found = blocked("token")
    assert (found.outcome, found.blocked_by, found.detail) == (CheckOutcome.SKIPPED, "token", "")


# The right that a section lacks, by the message of SQL Server.

DENIED = "message 229: The SELECT permission was denied on the object 'backupset', database 'msdb', schema 'dbo'."
STATE = "message 300: VIEW SERVER SECURITY STATE permission was denied on object 'server', database 'master'."


@pytest.mark.parametrize(
    ("section", "message", "name"),
    [
        ("backups", DENIED, "SELECT on msdb.dbo.backupset"),
        ("backups", 'message 916: The server principal "ekm" is not able to access the database "msdb".', "SELECT on msdb.dbo.backupset"),
        ("encryption", STATE, "VIEW SERVER SECURITY STATE"),
        ("opened", STATE.replace(" SECURITY", ""), "VIEW SERVER SECURITY STATE"),
        ("logs", STATE.replace(" SECURITY", ""), "VIEW SERVER PERFORMANCE STATE"),
        ("errors", DENIED.replace("SELECT", "EXECUTE"), "EXECUTE on sys.xp_readerrorlog"),
        (REGISTRY, DENIED.replace("SELECT", "EXECUTE"), "EXECUTE on xp_regenumkeys and xp_regread"),
        ("loaded", "message 33029: Cannot load the library.", None),
        ("backups", "message 1222: Lock request time out period exceeded.", None),
        ("flags", DENIED, None),
    ],
)  # fmt: skip
def test_right_is_found_by_name_or_section(section, message, name):
    right = missing_right(section, message)
    assert (None if right is None else right.name) == name


@pytest.mark.parametrize(
    ("own", "sections"),
    [
        ({"may_view_databases": 0}, {"databases", "encryption", "opened"}),
        ({"may_view_definitions": 0, "may_view_security_definitions": 0}, {"credentials", "keys", "logins"}),
    ],
)
def test_section_that_is_silently_shorter_lacks_a_right(own, sections):
    found = unseen({"instance": [own], "opened": []})
    assert found.keys() == sections
    names = {missing_right(section, message).name for section, message in found.items()}
    assert names == {"VIEW ANY DATABASE" if "may_view_databases" in own else "VIEW ANY DEFINITION"}


def test_every_section_that_needs_a_right_has_one():
    listed = [section for right in SQL_RIGHTS for section in right.sections]
    visible_to_public = {"instance", "providers", "configurations", "start", "flags", "loaded"}
    assert sorted(listed) == sorted({*SECTIONS, *PROOF_SECTIONS, REGISTRY} - visible_to_public)


def test_action_names_the_loss():
    assert SQL_RIGHTS[4].action == (
        "`SELECT on msdb.dbo.backupset` is missing: run part 3 of `login.sql`. "
        "Without it, no backup proves a key, so a secret counts as not proven until the next start."
    )
