"""Texts of a credential's alerts that name no wrong vault, no wrong date and no wrong number of SQL Servers."""

import re
from dataclasses import replace

import pytest

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
    assert re.search(r"First, for t-0: [^.]*az keyvault show --name contoso-00 --query", text)
    assert re.search(r"Targets: t-0, t-1, (?:t-\d+, ){7}t-7 and 2 more\.", text)


def test_forbidden_credential_has_the_reason_that_all_vaults_share(tmp_path):
    refused = Failed("get_key", 3077, "forbidden_policy")
    vaults = [f"contoso-{number:02}.vault.azure.net" for number in range(3)]
    text = description(tmp_path, "EkmCredentialForbidden", refused, *vaults)["description"]
    assert "(3113 on connector 1.0.5.0), reason forbidden_policy. First: undo the change: az monitor activity-log list" in text
    assert re.search(r"If it was intended, allow the application or its address; for t-\d: .*az keyvault", text)


def test_refusal_of_a_proxy_has_no_meaning_of_the_code(tmp_path):
    text = description(tmp_path, "EkmVaultSideNotReady", Failed("challenge", 3012, "proxy_auth"), "contoso.vault.azure.net")
    assert text["description"].endswith("The proxy requires a login, or rejected it. No request reached the vault.")


def test_text_shows_whether_sql_server_uses_the_credential(tmp_path):
    wrong = Failed("token", 3303, "secret_wrong")
    for mode, closed in (("full", True), ("canary", False)):
        (tmp_path / mode).mkdir()
        found = description(tmp_path / mode, "EkmCredentialRefused", wrong, "contoso-a.vault.azure.net", info={"mode": mode})
        assert ("RECOVERY PENDING" in found["impact"], "No target of this page" in found["impact"]) == (closed, not closed)


def test_later_date_of_an_expired_credential_is_wrong(tmp_path):
    ended = Failed("token", 3303, "secret_expired")
    name = 'ekm_credential_expiry_timestamp_seconds{credential="sql",source="%s"}'
    dates = {name % "declared": "9000000x20", name % "graph": "60x20"}
    text = description(tmp_path, "EkmCredentialExpired", ended, "contoso-a.vault.azure.net", more=dates)["description"]
    assert "The date of source declared, 1970-04-15, is wrong." in text
    assert "graph" not in text


def test_expired_credential_has_its_command(tmp_path):
    text = description(tmp_path, "EkmCredentialExpired", Failed("token", 3303, "secret_expired"), "contoso-a.vault.azure.net")[
        "description"
    ]
    assert f"First, for t-0: Create a new secret and keep the old one: az ad app credential reset --id {CLIENT} --append." in text
    assert "Then write a new secret with alter-credential.sql on every replica." in text


def test_renewed_credential_has_the_present_failure(tmp_path):
    """A date after the expiry is right once the secret is new, and nobody needs another one."""
    ended, broken = Failed("token", 3303, "secret_expired"), Failed("get_key", 3013, "server_error")
    dates = {'ekm_credential_expiry_timestamp_seconds{credential="sql",source="declared"}': "9000000x20"}
    text = description(tmp_path, "EkmCredentialExpired", ended, "contoso-a.vault.azure.net", then=broken, more=dates)[
        "description"
    ]
    assert text.startswith("sql, as configured on mon1:10377: 3013 at get_key, reason server_error. First, for t-0: ")
    assert not re.search("secret|wrong", text)


@pytest.mark.parametrize(
    ("days", "vaults", "first"),
    [
        (
            20,
            ["contoso-a.vault.azure.net"],
            "sql expires in 19d 23h 50m 0s, seen from mon1:10377. First: create a second secret, ",
        ),
        (
            -1,
            [],
            "sql has expired, seen from mon1:10377. First: create a new secret, or a new certificate, and give it to the exporter.",
        ),
    ],
)
def test_ticket_before_the_date_depends_on_who_uses_the_credential(tmp_path, days, vaults, first):
    more = {'ekm_credential_expiry_timestamp_seconds{credential="sql",source="declared"}': f"{days * 86400:.0f}x20"}
    assert description(tmp_path, "EkmCredentialExpires", OK, *vaults, more=more)["description"].startswith(first)


@pytest.mark.parametrize("source", ["certificate", "declared"])
def test_first_action_before_the_date_is_for_its_kind(tmp_path, source):
    more = {f'ekm_credential_expiry_timestamp_seconds{{credential="sql",source="{source}"}}': "43200x20"}
    text = description(tmp_path, "EkmCredentialExpiresIn1Day", OK, "contoso-a.vault.azure.net", more=more)["description"]
    first = text[text.index("First: create a ") :].partition(".")[0]
    assert ("secret" in first, "certificate" in first) == (source == "declared", source == "certificate")


def test_an_instance_in_two_groups_is_one_sql_server(tmp_path):
    ended = Failed("token", 3303, "secret_expired")
    found = description(tmp_path, "EkmCredentialExpired", ended, "contoso-a.vault.azure.net", instances=BOTH_GROUPS)
    assert re.fullmatch(r"PROD on n[12] \(AG[12]\), PROD on n[12] \(AG[12]\)", found["sql_servers"])
