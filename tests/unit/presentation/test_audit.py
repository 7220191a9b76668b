"""The audit sheet of a target's key: the facts of the exporter as JSON, and the same as a page."""

import json
import re
from datetime import date

import pytest

from exporter.config.settings import Retained
from exporter.core.durations import moment
from exporter.core.values import CredentialKind, PeerCertificate
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.presentation.audit import MOST_SERVERS, MOST_TARGETS
from exporter.sqlserver.audit import sheet
from exporter.sqlserver.gate.conditions import GateReason
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.web import api
from tests.support import factories
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, proof_rows, sections_of
from tests.support.values import replace
from tests.support.web_factories import OLD, VERSION, auxiliary_result, bad, config, good, target
from tests.support.web_server import Service, answer, words

PATH = "/targets/contoso-key0/audit"
NOW = READ_AT + 600
INSTANCES = ({"sql_instance": "SQLPRD01", "host": "n1"}, {"sql_instance": "SQLPRD02", "ag": "AG7"}, {"host": "n9"})
ENDS = (CredentialExpiry(credential="sql-prod", source=Source.GRAPH, expires_at=NOW + 86400.0, looked_up_at=NOW),)


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    monkeypatch.setattr(api.time, "time", lambda: NOW)
    monkeypatch.setattr(api, "computer_name", lambda: "mon1")


def service(*more, **changes):
    """A service with a target whose SQL Server was read, and whose vault was probed."""
    known = {"instances": INSTANCES, "thumbprint": "0x2C56", "recovery_vault": "contoso-dr.vault.azure.net"}
    made = Service(config(target(**(known | changes)), *more))
    made.readings = [a_reading()]
    made.ends = {"sql-prod": ENDS}
    made.add_reports(good(started_at=NOW - 60))
    return made


async def facts_of(made):
    status, _, body = await answer(made, f"/api/v1{PATH}")
    assert status == 200
    return json.loads(body)


async def test_sheet_has_dependents_proofs_and_queries_with_real_names():
    made = service()
    made.add_auxiliary(auxiliary_result(AuxiliaryKind.RECOVERY, at=NOW - 30))
    made.record_of("contoso-key0").certificates["contoso-prod:443"] = PeerCertificate(not_after=NOW + 5, issuer="CN=R1")
    facts = await facts_of(made)
    assert (facts["at"], facts["exporter"]) == (moment(NOW), {"version": "1.2.3", "host": "mon1", "vantage": "central"})
    assert [(each["server"], each["read_at"] is None) for each in facts["sql_servers"]] == [
        ("SQLPRD01 on n1", False),
        ("SQLPRD02", True),
    ]
    assert facts["dependents"] == {
        "sql_servers": 2,
        "read": 1,
        "unused": 0,
        "databases": 1,
        "proven_at": facts["sql_servers"][0]["proven_at"],
    }
    assert facts["sql_servers"][0]["databases"] == ["sales"]
    assert facts["sql_servers"][0]["proven_by"] == "log_backup"
    assert [(each["version"], each["targets"]) for each in facts["versions"]] == [(VERSION, ["contoso-key0"])]
    assert facts["probes"][0]["last_unwrap"] == facts["probes"][0]["last_round_trip"] == moment(NOW - 60)
    assert facts["probes"][0]["from"] == "mon1, a central host"
    assert facts["credentials"][0]["expiries"][0]["expires_at"] == moment(NOW + 86400)
    assert facts["recovery"][0]["usable"] is True
    assert facts["tls_certificates"] == [{"endpoint": "contoso-prod:443", "issuer": "CN=R1", "expires_at": moment(NOW + 5)}]
    used, callers = (each["text"] for each in facts["who_did"])
    assert 'let vault = "contoso-prod.vault.azure.net";' in used
    assert 'let key = "ContosoRSAKey0";' in used
    assert "let key_limit = 4000;" in callers  # the key of the factories is RSA 2048 in software
    assert facts["requests_in_10_seconds"] == 4000


async def test_server_without_a_database_under_the_key_is_read_and_does_not_use_it():
    made = service(instances=tuple({"sql_instance": "SQLPRD01", "host": host} for host in ("n1", "n2", "n3", "n4")))
    unencrypted = {"databases": [], "encryption": [], "opened": [], "backups": [], "logs": []}
    no_right = {"encryption": None}
    made.readings += [
        a_reading(address="n2", host="n2", sections=unencrypted),
        a_reading(address="n3", host="n3", sections=unencrypted | no_right),
        an_unread_server("n4", sql_instance="SQLPRD01", host="n4"),
    ]
    facts = await facts_of(made)
    assert {each["server"]: (each["uses_key"], each["read_at"] is None) for each in facts["sql_servers"]} == {
        "SQLPRD01 on n1": (True, False),
        "SQLPRD01 on n2": (False, False),
        "SQLPRD01 on n3": (None, False),
        "SQLPRD01 on n4": (None, True),
    }
    assert facts["dependents"] | {"proven_at": 0} == {"sql_servers": 3, "read": 1, "unused": 1, "databases": 1, "proven_at": 0}
    shown = words((await answer(made, PATH))[2])
    assert "SQLPRD01 on n2 read, does not use it" in shown
    assert "SQLPRD01 on n4 declared; its databases are not known" in shown


async def test_server_has_its_restart_readiness():
    made = service()
    assert (await facts_of(made))["sql_servers"][0]["restart"] is None
    reading = made.readings[0]
    made.restart = [RestartReadiness("N1", reading.address, "0x2C56", "key_2C56", (), NOW + 60)]
    assert (await facts_of(made))["sql_servers"][0]["restart"] == "ready"
    unread = GateReason("instance_not_read", "the inventory does not have N1", "Read it again", known=False)
    made.restart = [replace(made.restart[0], missing=(unread,))]
    row = (await facts_of(made))["sql_servers"][0]
    assert (row["restart"], row["restart_missing"]) == ("not_known", unread.text)


async def test_oldest_proof_of_the_nodes_counts_with_what_fails():
    made = service(instances=tuple({"sql_instance": "SQLPRD01", "host": host} for host in ("n1", "n2")))
    old = [
        row | {"started_utc": "2026-11-26T01:00:00", "finished_utc": "2026-11-26T01:05:00"}
        for row in proof_rows("sales")["backups"]
    ]
    errors = [{"code": "3303", "lines": 2, "first_utc": "2026-11-26T19:10:00", "last_utc": "2026-11-26T19:50:00"}]
    closed = [sections_of()["databases"][0] | {"state": "RECOVERY_PENDING"}]
    made.readings.append(a_reading(address="n2", host="n2", sections={"backups": old, "errors": errors, "databases": closed}))
    facts = await facts_of(made)
    assert facts["dependents"]["proven_at"] == "2026-11-26T01:05:00.000Z"
    shown = words((await answer(made, PATH))[2])
    assert (
        "last proven by SQL Server 2026-11-26 01:05 UTC (19h5m ago), the oldest of 2 SQL Servers: SQLPRD01 on n2; SQLPRD01 on n2: closed: sales (RECOVERY PENDING), its error log has 3303 since"
        in shown
    )


async def test_unwrap_outlives_a_reload_that_drops_the_verdict():
    made = service()
    made.record_of("contoso-key0").invalidate_verdict()
    probe = (await facts_of(made))["probes"][0]
    assert (probe["last_unwrap"], probe["last_round_trip"]) == (moment(NOW - 60), moment(NOW - 60))
    assert "no unwrap is known" not in words((await answer(made, PATH))[2])


async def test_versions_of_old_backups_have_their_probe():
    old = Retained(
        key_name="ContosoRSAKey0",
        key_version=OLD,
        vault="contoso-prod.vault.azure.net",
        credential="sql-prod",
        until=date(2033, 1, 1),
    )
    made = service(retained_versions=(old,))
    made.add_auxiliary(auxiliary_result(AuxiliaryKind.RETAINED, at=NOW - 30))
    assert (await facts_of(made))["retained_versions"] == [
        {
            "key": f"ContosoRSAKey0/{OLD}",
            "vault": old.vault,
            "until": "2033-01-01",
            "usable": True,
            "last_probe": moment(NOW - 30),
        }
    ]


async def test_credential_has_every_one_of_its_uses():
    old = Retained(key_name="K", key_version=OLD, vault="contoso-prod.vault.azure.net", credential="sql-prod")
    facts = await facts_of(service(recovery_credential="sql-prod", retained_versions=(old,)))
    assert facts["credentials"][0]["uses"] == ["current", "recovery vault", "retained version"]


async def test_targets_of_one_key_share_a_sheet():
    other = target("second", key_version="0123", credential="sql-prod", next_credential="staged")
    made = service(other, target("third", key_name="Other"))
    facts = await facts_of(made)
    assert [each["target"] for each in facts["probes"]] == ["contoso-key0", "second"]
    assert [(each["version"], each["read"]) for each in facts["versions"]] == [(VERSION, True), ("0123", False)]


async def test_sheet_of_a_key_of_many_targets_has_the_first_ones():
    made = Service(config(*(target(f"t{number}") for number in range(MOST_TARGETS + 1))))
    _, _, body = await answer(made, f"/api/v1/targets/t{MOST_TARGETS}/audit")
    facts = json.loads(body)
    assert (facts["targets"], len(facts["probes"])) == (MOST_TARGETS + 1, MOST_TARGETS)
    assert facts["probes"][0]["target"] == f"t{MOST_TARGETS}"


async def test_sheet_of_a_key_of_many_servers_has_the_first_ones():
    instances = tuple({"sql_instance": "SQLPRD01", "host": f"n{number}"} for number in range(MOST_SERVERS + 5))
    facts = await facts_of(service(instances=instances))
    assert facts["dependents"]["sql_servers"] == MOST_SERVERS + 5
    assert len(facts["sql_servers"]) == MOST_SERVERS
    assert facts["sql_servers"][0]["read_at"] is not None


async def test_target_without_a_probe_has_only_unknown_facts():
    made = Service(config(target(key_version=None, backup_on=date(2026, 11, 1))))
    facts = await facts_of(made)
    assert facts["versions"][0] | {"targets": 0, "uri": 0} == {
        "version": None, "pinned": False, "uri": 0, "targets": 0, "thumbprint": None, "type": None, "size_bits": None, "enabled": None,
        "not_before": None, "expires": None, "read": False,
    }  # fmt: skip
    assert facts["probes"][0]["last_probe"] is None
    assert facts["recovery"][0] | {"target": 0} == {
        "target": 0, "recovery_vault": None, "usable": None, "last_probe": None, "last_unwrap": None, "backup_on": "2026-11-01"
    }  # fmt: skip
    assert facts["requests_in_10_seconds"] == 500
    assert all(text for part in sheet(facts) for _, text in part.lines)


async def test_managed_hsm_has_no_published_limit_and_local_roles():
    facts = await facts_of(Service(config(target(vault="contoso.managedhsm.azure.net"))))
    assert facts["requests_in_10_seconds"] is None
    assert "--hsm-name contoso" in facts["who_may"][0]["text"]


async def test_refused_caller_and_identity_without_a_secret_are_named():
    made = service()
    managed = factories.a_credential("sql-prod", kind=CredentialKind.MANAGED_IDENTITY)
    made.config.credentials["sql-prod"] = managed
    made.add_reports(bad(started_at=NOW - 5, object_id="0b1ec7", client_id="a991"))
    facts = await facts_of(made)
    assert facts["credentials"][0]["object_id"] == "0b1ec7"
    assert (facts["credentials"][0]["may_expire"], facts["credentials"][0]["expiries"]) == (False, [])
    assert facts["probes"][0]["code"] == 3303
    assert (facts["probes"][0]["ready"], facts["probes"][0]["not_ready_since"]) == (False, moment(NOW - 5))


async def test_page_has_the_sheet_and_is_linked_from_the_target():
    made = service()
    status, headers, html = await answer(made, PATH)
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    shown = words(html)
    assert "Audit of key ContosoRSAKey0" in shown
    assert "last proven by SQL Server 2026-11-26 19:05 UTC (1h5m ago)" in shown
    assert "az role assignment list --include-inherited" in shown
    assert f'href="/api/v1{PATH}"' in html
    assert not re.search(r"<script(?! src)|style=", html)
    _, _, of_target = await answer(made, "/targets/contoso-key0")
    assert f'href="{PATH}"' in of_target


@pytest.mark.parametrize("path", ["/targets/unknown/audit", "/api/v1/targets/unknown/audit"])
async def test_unknown_target_has_no_sheet(path):
    status, _, text = await answer(service(), path)
    assert status == 404
    assert "target" in text
