"""Texts of a credential's alerts that name no wrong vault, no wrong failure and no wrong number of SQL Servers."""

import re

import pytest

from tests.support.values import replace
from tests.system.alerts.case import RuleCase
from tests.system.alerts.texts import rendered
from tests.system.alerts.timeline import CLIENT, OK, Exporter, Failed, Target

pytestmark = pytest.mark.real
MINUTE = 60
BOTH_GROUPS = tuple({"sql_instance": "PROD", "host": host, "ag": group} for host in ("n1", "n2") for group in ("AG1", "AG2"))


def description(tmp_path, alert, failure, *vaults, then=None, more=None, **changes):
    """Return the annotations of a credential's alert after three failed probes, and after others if the failure is another one `then`."""
    probes = [*[OK] * 5, *[failure] * 4, *[then or failure] * 2]
    targets = [
        Target(name=f"t-{number}", vault=vault, credential="sql", probes=probes, **changes) for number, vault in enumerate(vaults)
    ]
    exporter = replace(Exporter(targets=targets), more=more or {})
    case = RuleCase(name="texts", exporters=[exporter], length=10 * MINUTE, checks=[(10 * MINUTE, alert, [True])], scrape=60)
    return rendered([case], tmp_path)[alert]


def test_action_names_the_target_whose_names_it_has(tmp_path):
    unknown = Failed("token", 3128, "tenant_unknown")
    vaults = [f"contoso-{number:02}.vault.azure.net" for number in range(12)]
    text = description(tmp_path, "EkmCredentialRefused", unknown, *vaults)["description"]
    found = re.search(
        r"First: [^.]*az keyvault show --name contoso-(\d+) --query .* Targets, up to ten: t-(\d+) \(tenant_unknown\), t-", text
    )
    assert int(found[1]) == int(found[2])
    assert text.count("tenant_unknown") == 10


def test_forbidden_credential_has_what_to_undo_and_each_reason(tmp_path):
    refused = Failed("get_key", 3077, "forbidden_policy")
    vaults = [f"contoso-{number:02}.vault.azure.net" for number in range(3)]
    text = description(tmp_path, "EkmCredentialForbidden", refused, *vaults)["description"]
    assert (
        "3 vaults refuse credential sql. First: undo what this shows: az monitor activity-log list --offset 6h --max-events 1000. The last"
        in text
    )
    assert re.search(
        r"The last refusals: [^:]+\. Code 3077 at get_key\. Acts: vault team\. If that is intended: Show the present permissions: az keyvault",
        text,
    )
    assert text.endswith("Targets, up to ten: t-0 (forbidden_policy), t-1 (forbidden_policy), t-2 (forbidden_policy).")


def test_expired_credential_has_its_command_and_its_dates(tmp_path):
    name = 'ekm_credential_expiry_timestamp_seconds{credential="sql",source="%s"}'
    dates = {name % "declared": "9000000x20", name % "graph": "60x20"}
    ended = Failed("token", 3303, "secret_expired")
    text = description(tmp_path, "EkmCredentialExpired", ended, "contoso-a.vault.azure.net", more=dates)["description"]
    assert f"First: Create a new secret and keep the old one: az ad app credential reset --id {CLIENT} --append." in text
    assert " Then the DBA: alter-credential.sql per node. Date: " in text
    for date in ("1970-04-15 04:00:00 +0000 UTC (declared)", "1970-01-01 00:01:00 +0000 UTC (graph)"):
        assert f" Date: {date}." in text


def test_page_of_a_refused_credential_has_the_failures_with_the_next_one(tmp_path):
    wrong, rolled = Failed("token", 3303, "secret_wrong"), (11 * MINUTE, "sql-2027")
    target = Target(name="t-0", credential="sql", probes=[OK] * 5 + [wrong] * 15, rolled=rolled)
    checks = [(15 * MINUTE, "EkmCredentialRefused", [True])]
    case = RuleCase(name="texts", exporters=[Exporter(targets=[target])], length=15 * MINUTE, checks=checks, scrape=60)
    text = rendered([case], tmp_path)["EkmCredentialRefused"]
    assert text["description"].startswith("sql: The client secret is wrong. Code 3303. Acts: identity team. First: ")
    assert text["description"].endswith("Targets, up to ten: t-0 (secret_wrong).")
    assert text["sql_servers"] == "SQLPRD01 on n1, SQLPRD02"


def test_recovery_vault_is_no_version_without_a_name(tmp_path):
    more = {'ekm_recovery_usable{target="t-0",vault="contoso-a.vault.azure.net",key="tde"}': "0x40"}
    target = Target(name="t-0", vault="contoso-a.vault.azure.net", probes=[OK] * 31)
    exporter = replace(Exporter(targets=[target]), more=more)
    case = RuleCase(
        name="texts", exporters=[exporter], length=30 * MINUTE, checks=[(30 * MINUTE, "EkmRecoveryUnusable", [True])], scrape=60
    )
    text = rendered([case], tmp_path)["EkmRecoveryUnusable"]["description"]
    assert text.startswith("t-0: the recovery vault does not unwrap. First: ")


@pytest.mark.parametrize(
    ("days", "vaults", "left"), [(20, ["contoso-a.vault.azure.net"], "19d 23h 50m 0s"), (-1, [], "-1d 0h 10m 0s")]
)
def test_ticket_before_the_date_has_the_time_left(tmp_path, days, vaults, left):
    more = {'ekm_credential_expiry_timestamp_seconds{credential="sql",source="declared"}': f"{days * 86400:.0f}x20"}
    texts = description(tmp_path, "EkmCredentialExpires", OK, *vaults, more=more)
    assert texts["date"].endswith(" UTC (declared).")
    before, after = texts["description"].split("a second secret, az ad app credential reset --id")
    assert (
        before == f"Credential sql expires in {left} (minus: overdue). Acts: identity team. First, today if under 14 days: add "
    )
    then = (
        "Then the DBA: stage it as next_credential, then write it per node, then prove.sql."
        if vaults
        else "No SQL Server uses it."
    )
    assert after == f" CLIENT_ID --append. {then}"


@pytest.mark.parametrize(
    ("series", "values", "kind", "never", "date"),
    [
        (
            "ekm_key_rotation_pending",
            "1x40",
            "has an open rotation (newer version); nothing fails yet. Acts: DBA",
            "backup|14 days",
            "",
        ),
        (
            "ekm_key_expiry_timestamp_seconds",
            "777600x40",
            "has an open rotation (expires soon); nothing fails yet. Acts: DBA",
            "backup",
            "The pinned version expires 1970-01-10 00:00:00 +0000 UTC: rotate before that, today if under 14 days.",
        ),
        ("ekm_key_backup_timestamp_seconds", "-20000000x40", "needs a new backup", "rotat|pin|14 days", ""),
    ],
)
def test_ticket_of_a_key_has_the_care_that_is_due(*, tmp_path, series, values, kind, never, date):
    target = Target(name="t-0", probes=[OK] * 31, more={series: values})
    case = RuleCase(
        name="texts",
        exporters=[Exporter(targets=[target])],
        length=30 * MINUTE,
        checks=[(30 * MINUTE, "EkmKeyCareDue", [True])],
        scrape=60,
    )
    text = rendered([case], tmp_path)["EkmKeyCareDue"]
    assert text["description"].startswith(f"t-0: the key {kind}. First: ")
    assert not re.search(never, text["description"])
    assert text.get("date", "") == date


def test_an_instance_in_two_groups_is_one_sql_server(tmp_path):
    ended = Failed("token", 3303, "secret_expired")
    found = description(tmp_path, "EkmCredentialExpired", ended, "contoso-a.vault.azure.net", instances=BOTH_GROUPS)
    assert found["sql_servers"] == "PROD on n1, PROD on n2"
