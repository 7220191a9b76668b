"""The answer of the gate as text and as JSON."""

import json

import pytest

from exporter.core.secrets import remember
from exporter.knowledge.verdict import NOT_TESTED
from exporter.sqlserver.gate.assess import assess
from exporter.sqlserver.gate.conditions import reason
from exporter.sqlserver.gate.inputs import Question
from exporter.sqlserver.gate.render import as_json, as_text
from tests.support.gate_factories import DAY, HOUR, NOW, URL, VAULT, answer, answer_of, document, row, state, time_of
from tests.support.sql_inventory import altering
from tests.support.sql_readings import a_reading
from tests.support.values import replace

KEY = f"https://{VAULT}/keys/K/1111aaaa2222"


def test_ready_text_has_the_answer_first():
    assert as_text(answer()).splitlines() == [
        "ready: the vault side of 1 instance, 1 key, 1 database",
        "inventory: N1\\SQLPRD01 was read 2026-11-26T20:00:00.000Z (0s ago)",
        f"N1\\SQLPRD01: 1 database under {KEY}, probed by contoso-key0",
        f"restart: 1 unwrap in {VAULT}, 0.03% of its request limit in 10 seconds",
        f"Reported as seen from the SQL host. Not tested: {NOT_TESTED}.",
    ]


def test_proof_tests_what_no_probe_can_on_its_server():
    two = [document(), document("N2\\SQLPRD01")]
    rows = row(instances=[{"sql_instance": "SQLPRD01", "host": host} for host in ("n1", "n2")])
    reading = a_reading()
    for inventory, readings, untested in (
        ([document()], [reading], ""),
        (two, [reading], f"{NOT_TESTED}, for N2\\SQLPRD01"),
        ([document()], [a_reading(sections={"backups": [], "opened": []})], NOT_TESTED),
        ([document()], [replace(reading, read_at=dict.fromkeys(reading.read_at, NOW - 2 * HOUR))], NOT_TESTED),
    ):
        found = answer(rows, inventory=inventory, readings=readings)
        last = f" Not tested: {untested}." if untested else ""
        assert as_text(found).splitlines()[-1] == f"Reported as seen from the SQL host.{last}"
        assert as_json(found)["not_tested"] == untested


def test_tested_servers_of_differing_exporters_need_no_last_line():
    states = [state("http://a:1", vantage="central", host=None), state("http://b:1", readings=[a_reading()])]
    assert "Not tested" not in as_text(answer_of(*states))
    assert "Not tested" in as_text(answer_of(states[0], state("http://b:1", vantage="sql_host", host="n9")))


def test_equal_fixes_are_printed_once():
    two = document(databases={"sales": "0x2C57", "hr": "0x2C58"})
    found = answer(inventory=[two])
    alike = [replace(each, fix="Close it.") for each in found.reasons]
    lines = as_text(replace(found, reasons=alike)).splitlines()
    assert len(alike) == 2
    assert [line for line in lines if "first" in line] == ["    first, for these 2: Close it."]
    assert lines[3] == "    first, for these 2: Close it."


def test_known_reasons_come_before_unknown_ones():
    two = document(databases={"sales": "0x2C56", "hr": "0x2C57"})
    lines = as_text(answer(row(vault_side_ready=False, code=3303, step="token"), inventory=[two])).splitlines()
    assert lines[0] == "not ready: 1 reason, and 1 not known"
    assert lines[1].startswith("  - target contoso-key0 is not ready: 3303 at token; needed by N1\\SQLPRD01. While ")
    assert lines[2].startswith("    first: ekm-exporter probe contoso-key0 ")
    assert lines[3].startswith("  - not known: no target probes ")
    assert lines[5] == "  FILE is the configuration of that exporter: its service was started with it"
    assert lines[8].endswith("/3333bbbb4444, probed by no target")


def test_text_of_unknown_state_begins_with_not_known():
    silent = reason("exporter_unreachable", url=URL, cause="connection refused")
    missing = reason("inventory_missing", path="targets.d/inventory.json", folder="targets.d")
    text = as_text(assess(Question(every=True), missing, {URL: silent}, now=NOW))
    assert text.splitlines()[0] == "not known: 2 reasons"
    assert len(text.splitlines()) == 6
    assert "ekm-exporter inventory --from inventory --out targets.d --config.file FILE" in text


@pytest.mark.parametrize(
    ("seconds", "age"), [(-60.0, "0s"), (59.0, "59s"), (7260.0, "2h1m"), (2 * DAY + 3599.0, "2d"), (20 * DAY + 3700.0, "20d1h")]
)
@pytest.mark.parametrize("ready", [True, False])
def test_age_of_the_reading_is_in_every_answer(seconds, age, ready):
    found = answer(row(vault_side_ready=ready, ready_since=time_of(NOW)), now=NOW + seconds, at=NOW + seconds)
    assert f"inventory: N1\\SQLPRD01 was read 2026-11-26T20:00:00.000Z ({age} ago)" in as_text(found).splitlines()
    assert as_json(found)["readings"][0]["age_seconds"] == seconds


def test_oldest_reading_is_named():
    unread = altering("instance", read_at_utc="")
    servers = [document(), document("N2\\SQLPRD01", change=unread), document("N3\\SQLPRD01", change=unread)]
    found = answer(inventory=servers)
    assert (
        "inventory: N2\\SQLPRD01 was read at an unknown time (at an unknown time), the oldest of 3 readings"
        in as_text(found).splitlines()
    )
    assert as_json(found)["readings"][1] == {
        "instance": "N2\\SQLPRD01",
        "read_at": None,
        "age_seconds": None,
        "source": "inventory file",
    }


def test_targets_of_one_name_are_both_in_the_json():
    found = as_json(answer(row(), row(vault_side_ready=False)))
    assert [one["vault_side_ready"] for one in found["targets"]] == [True, False]


def test_instance_without_keys_is_named_if_ready():
    plain = document(databases={}, change=lambda rows: rows["providers"].clear())
    assert "N1\\SQLPRD01: no database depends on a key of a vault; column encryption is not read" in as_text(
        answer(inventory=[plain])
    )
    assert "no database depends" not in as_text(answer(inventory=[plain], instances=("SQLPRD01", "GONE")))


def test_answer_on_a_key_without_a_database_leaves_columns_open():
    """Such a key may protect columns of a database, which no reading shows."""
    columns = document(change=lambda rows: rows["encryption"].clear() or rows["databases"].clear())
    assert columns.sections["keys"]
    found = as_text(answer(inventory=[columns])).splitlines()
    assert found[0] == "ready: the vault side of 1 instance, 0 keys, 0 databases"
    assert "N1\\SQLPRD01: no database depends on a key of a vault; column encryption is not read" in found


def test_json_has_the_documented_fields():
    found = as_json(answer(row(credential_expires_at=None)))
    assert json.loads(json.dumps(found)) == {
        "answer": "not_known",
        "at": "2026-11-26T20:00:00.000Z",
        "vantage": "sql_host",
        "exporters": [
            {
                "url": URL,
                "vantage": "sql_host",
                "host": "n1",
                "at": "2026-11-26T20:00:00.000Z",
                "failure": None,
                "instances": ["N1\\SQLPRD01"],
            }
        ],
        "instances": ["N1\\SQLPRD01"],
        "readings": [
            {"instance": "N1\\SQLPRD01", "read_at": "2026-11-26T20:00:00.000Z", "age_seconds": 0, "source": "inventory file"}
        ],
        "proofs": [],
        "logs": [],
        "keys": [{"instance": "N1\\SQLPRD01", "key": KEY, "databases": ["sales"], "targets": ["contoso-key0"]}],
        "targets": [
            {
                "target": "contoso-key0",
                "vault_side_ready": True,
                "last_unwrap": "2026-11-26T19:59:00.000Z",
                "ready_since": "2026-11-26T18:00:00.000Z",
                "credential": "tde",
                "credential_expires_at": None,
            }
        ],
        "forecast": [{"vault": VAULT, "unwraps": 1, "share_of_limit": 0.0003}],
        "vault_side_only": True,
        "readiness": [
            {
                "instance": "N1\\SQLPRD01",
                "key_name": "key_2C56",
                "thumbprint": "0x2C56",
                "answer": "not_known",
                "missing": ["read", "vault"],
                "holds_until": "2026-11-26T20:00:00.000Z",
            }
        ],
        "reasons": [
            {
                "condition": "expiry_unknown",
                "evidence": "vault",
                "known": False,
                "text": "the expiry of credential tde of target contoso-key0 is not known; needed by N1\\SQLPRD01",
                "fix": "Declare expires_on or graph_credential for it: ekm-exporter docs expiry",
            }
        ],
        "accepted": [],
        "notes": [],
        "not_tested": NOT_TESTED,
    }


def test_json_without_an_exporter_has_nulls():
    silent = reason("exporter_unreachable", url=URL, cause="connection refused")
    found = as_json(assess(Question(every=True), silent, {URL: silent}, now=NOW))
    assert (found["vantage"], found["keys"], found["targets"], found["forecast"]) == (None, [], [], [])


def test_json_of_a_target_that_was_never_ready():
    found = as_json(answer(row(ready_since=None, credential_expires_at=time_of(NOW))))
    assert found["targets"][0]["ready_since"] is None
    assert found["targets"][0]["credential_expires_at"] == "2026-11-26T20:00:00.000Z"


def test_secret_in_an_exporters_names_is_not_printed():
    remember("Marked-secret-8Q9w")
    found = answer(row(target="of-Marked-secret-8Q9w", credential="Marked-secret-8Q9w"))
    assert "8Q9w" not in as_text(found)
    assert "8Q9w" not in json.dumps(as_json(found))
