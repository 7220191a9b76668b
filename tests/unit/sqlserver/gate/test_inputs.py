"""Instances of the inventory's file and of the exporters' readings."""

import pytest

from exporter.sqlserver.document import RegistryUri
from exporter.sqlserver.gate.assess import assess
from exporter.sqlserver.gate.conditions import GateReason, reason
from exporter.sqlserver.gate.inputs import Inventory, Question, RestartReadiness
from exporter.sqlserver.gate.render import as_json, as_text
from tests.support.gate_factories import NOW, URIS, URL, V2, VAULT, answer, answer_of, conditions, document, row, state
from tests.support.sql_inventory import altering, replacing
from tests.support.sql_readings import a_reading, an_unread_server, with_growing_logs
from tests.support.values import replace

MISSING = reason("inventory_missing", path="targets.d/inventory.json", folder="targets.d")
OTHER = "http://n2:10377"
TIMES = dict.fromkeys(a_reading().read_at, NOW - 300)


def with_uri(reading, uri=URIS[0]):
    return replace(reading, document=replace(reading.document, key_uris=(uri,)))


def minutes_old(**changes):
    """A reading of five minutes ago, which is newer than a file of a day ago."""
    return with_uri(a_reading(**{"read_at": TIMES} | changes))


def yesterday(**changes):
    return document(change=altering("instance", read_at_utc="2026-11-25T20:00:00"), **changes)


def kept(reading, **sections):
    """The reading, with sections that were not read again since these times."""
    return replace(reading, document=replace(reading.document, kept=sections, errors=dict.fromkeys(sections, "denied")))


def test_reading_needs_no_inventory_file():
    found = assess(Question(every=True), MISSING, {URL: state(URL, readings=[minutes_old()])}, now=NOW)
    assert (found.verdict, found.instances) == ("ready", ("N1\\SQLPRD01",))
    line = f"inventory: N1\\SQLPRD01 was read 2026-11-26T19:55:00.000Z (5m ago), read by the exporter at {URL}"
    assert line in as_text(found).splitlines()
    assert as_json(found)["readings"][0]["source"] == f"read by the exporter at {URL}"


@pytest.mark.parametrize("question", [Question(instances=("SQLPRD01", "GONE")), Question(group="AG7")])
def test_missing_file_matters_for_a_server_without_a_reading(question):
    found = assess(question, MISSING, {URL: state(URL, readings=[minutes_old()])}, now=NOW)
    assert conditions(found) == ["inventory_missing", "instance_not_read"]


def test_missing_file_matters_for_a_replica_without_a_reading():
    group = [{"ag": "AG7", "server_name": name} for name in ("N1\\SQLPRD01", "N2\\SQLPRD01")]
    databases = [{"name": "sales", "state": "ONLINE", "is_encrypted": 1, "in_group": 1, "ag": "AG7"}]
    reading = with_uri(a_reading(sections={"replicas": group, "databases": databases}))
    found = assess(Question(every=True), MISSING, {URL: state(URL, readings=[reading])}, now=NOW)
    assert conditions(found) == ["inventory_missing", "instance_not_read"]


def test_damaged_file_stays_a_reason():
    damaged = reason("inventory_unusable", cause="not JSON", folder="targets.d")
    found = assess(Question(every=True), damaged, {URL: state(URL, readings=[minutes_old()])}, now=NOW)
    assert conditions(found) == ["inventory_unusable"]


def test_server_that_was_never_read_is_not_known():
    found = assess(Question(every=True), MISSING, {URL: state(URL, readings=[an_unread_server()])}, now=NOW)
    assert conditions(found) == ["inventory_missing"]


def test_newer_of_file_and_reading_counts():
    off = [{"name": "EKM provider enabled", "value": 0, "value_in_use": 0}]
    reading = minutes_old(sections={"configurations": off})
    assert conditions(answer(inventory=[yesterday()], readings=[reading])) == ["ekm_disabled"]
    found = answer(inventory=[document()], readings=[reading])
    assert (conditions(found), found.readings[0].source) == ([], "inventory file")
    # The newest of two exporters in high availability.
    later = minutes_old(read_at=dict.fromkeys(TIMES, NOW - 60))
    both = answer_of(state(URL, readings=[later]), state(OTHER, readings=[reading]), inventory=[])
    assert (conditions(both), both.readings[0].url) == ([], URL)


def test_readings_of_two_exporters_are_one():
    # The later one may not read the error log. The logs of the earlier one are newer than those of an hour ago.
    codes = [{"code": "3303", "lines": 1, "first_utc": "2026-11-26T19:10:00", "last_utc": "2026-11-26T19:50:00"}]
    earlier = with_growing_logs(with_uri(a_reading(sections={"errors": codes}, read_at=TIMES | {"errors": NOW - 300})))
    later = minutes_old(sections={"errors": None}, read_at=TIMES | {"instance": NOW - 60, "logs": NOW - 3600})
    for states in ([later, earlier], [earlier, later]):
        found = answer_of(*(state(f"http://n{at}:1", readings=[each]) for at, each in enumerate(states)), inventory=[])
        assert conditions(found) == ["backups_fail"]
        (proof,) = found.proofs
        assert (proof.reading.read_at["instance"], proof.reading.read_at["logs"]) == (NOW - 60, NOW - 300)
        assert proof.reading.earlier_logs == earlier.earlier_logs
    # A backup that only the later one knows ends it.
    backups = [
        a_reading().document.sections["backups"][2]
        | {"started_utc": "2026-11-26T19:55:00", "finished_utc": "2026-11-26T19:56:00"}
    ]
    proven = minutes_old(sections={"errors": None, "backups": backups}, read_at=TIMES | {"instance": NOW - 60})
    assert conditions(answer_of(state(URL, readings=[proven]), state(OTHER, readings=[earlier]), inventory=[])) == []


def test_section_that_the_exporter_may_not_read_is_of_the_file():
    reading = minutes_old(sections={"encryption": None})
    unread = replace(reading, document=replace(reading.document, errors={"encryption": "denied"}, key_uris=()))
    found = answer(inventory=[yesterday()], readings=[unread], vault_side=True)
    assert (found.verdict, [len(one.usage.databases) for one in found.dependencies]) == ("ready", [1])
    alone = assess(Question(every=True), Inventory((), URIS), {URL: state(URL, readings=[unread])}, now=NOW)
    assert "inventory_gap" in conditions(alone)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"keys": "2026-11-26T19:00:00"}, []),
        ({"keys": "2026-11-26T18:59:59"}, ["N1\\SQLPRD01 (section keys) was read 1h ago"]),
        ({"encryption": "2026-11-23T20:00:00"}, ["N1\\SQLPRD01 (section encryption) was read 3d ago"]),
        ({"credentials": "2026-11-23T20:00:00"}, ["N1\\SQLPRD01 (section credentials) was read 3d ago"]),
        ({"keys": "yesterday"}, ["N1\\SQLPRD01 (section keys) was read at an unknown time"]),
        ({"modules": "2026-01-01T00:00:00", "replicas": "2026-01-01T00:00:00"}, []),
    ],
)
def test_section_counts_by_its_own_time(sections, expected):
    found = answer(inventory=[], readings=[kept(minutes_old(), **sections)])
    assert [one.text for one in found.reasons] == [
        f"the inventory of {text}, longer ago than 1h, so databases may have moved" for text in expected
    ]


def test_old_section_of_groups_matters_in_a_group():
    databases = [{"name": "sales", "state": "ONLINE", "is_encrypted": 1, "in_group": 1, "ag": "AG7"}]
    reading = minutes_old(sections={"databases": databases, "replicas": [{"ag": "AG7", "server_name": "N1\\SQLPRD01"}]})
    assert conditions(answer(inventory=[], readings=[kept(reading, replicas="2026-01-01T00:00:00")])) == ["inventory_old"]


def test_readings_of_two_domains_are_two_servers():
    readings = [minutes_old(address=f"n1.{domain}\\SQLPRD01") for domain in ("a.com", "b.com")]
    rows = [row(instances=[{"sql_instance": "SQLPRD01", "host": f"n1.{domain}"}]) for domain in ("a.com", "b.com")]
    file = [
        document(
            address="n1.a.com\\SQLPRD01",
            databases={"old": "0x2C57"},
            change=altering("instance", read_at_utc="2026-11-20T00:00:00"),
        )
    ]
    found = answer(*rows, inventory=file, readings=readings)
    assert (found.instances, found.verdict) == (("N1.a.com\\SQLPRD01", "N1.b.com\\SQLPRD01"), "ready")
    # An address without a domain may mean both.
    unclear = answer(*rows, inventory=[], readings=[*readings, minutes_old(address="10.0.0.1,1433")], every=True)
    assert len(unclear.instances) == 3


def test_reading_by_an_address_is_of_the_only_server_of_its_name():
    found = answer(inventory=[yesterday(address="n1.a.com\\SQLPRD01")], readings=[minutes_old(address="10.0.0.1,1433")])
    assert (found.instances, found.readings[0].url) == (("N1\\SQLPRD01",), URL)
    readings = [minutes_old(address="10.0.0.1,1433"), minutes_old(address="n1.b.com\\SQLPRD01")]
    two = answer(inventory=[yesterday(address="n1.a.com\\SQLPRD01")], readings=readings)
    assert two.instances == ("N1.a.com\\SQLPRD01", "N1.b.com\\SQLPRD01")


def test_reading_that_takes_a_name_hides_no_other_one():
    codes = [{"code": "3303", "lines": 1, "first_utc": "2026-11-26T19:10:00", "last_utc": "2026-11-26T19:50:00"}]
    liar, honest = minutes_old(address="10.0.0.5"), minutes_old(address="10.0.0.6", sections={"errors": codes})
    for readings in ([liar, honest], [honest, liar]):
        found = answer(row(), inventory=[], readings=readings)
        assert found.verdict == "not_ready"
        assert sorted(found.instances) == ["N1\\SQLPRD01 (10.0.0.5)", "N1\\SQLPRD01 (10.0.0.6)"]
        assert answer(row(), inventory=[], readings=readings, instances=("n1\\sqlprd01",)).verdict == "not_ready"


START = [{"started_utc": "2026-11-02T00:00:00"}]
OTHER_KEYS = [{"name": "other", "thumbprint": "0x2C57", "provider": "AzureKV"}]


@pytest.mark.parametrize("address", ["localhost\\SQLPRD01", "10.0.0.5,1433", "listener,1433"])
@pytest.mark.parametrize(
    ("sections", "is_one"), [({}, True), ({"start": START}, False), ({"start": None}, False), ({"keys": OTHER_KEYS}, False)]
)
def test_two_exporters_know_one_server_by_two_addresses(address, sections, is_one):
    own, other = minutes_old(address="n1.contoso.com\\SQLPRD01"), minutes_old(address=address, sections=sections)
    for pair in ((own, other), (other, own)):
        found = answer_of(*(state(f"http://n{at}:1", readings=[each]) for at, each in enumerate(pair)), inventory=[])
        if is_one:
            assert (found.verdict, found.instances) == ("ready", ("N1\\SQLPRD01",))
            continue
        (text,) = [one.text for one in found.reasons if one.condition == "server_contested"]
        both = " and ".join(sorted([address, "n1.contoso.com\\SQLPRD01"]))
        assert text == f"{both} both answer as N1\\SQLPRD01, so which of them is that SQL Server is not known"
        assert found.verdict == "not_known"
        assert "server_not_listed" not in conditions(found)


def test_registry_of_the_file_counts_if_the_exporter_may_not_read_it():
    file = replace(yesterday(), key_uris=(RegistryUri("2C56", f"https://{VAULT}/keys/K/{V2}"),))
    reading = minutes_old()
    unread = replace(reading, document=replace(reading.document, key_uris=(), errors={"registry": "denied"}))
    held = Inventory((file,))
    found = assess(Question(every=True), held, {URL: state(URL, row(key_version=V2), readings=[unread])}, now=NOW)
    assert (found.verdict, found.dependencies[0].key) == ("ready", f"https://{VAULT}/keys/K/{V2}")


def test_file_alone_keeps_its_reasons_for_kept_sections():
    file = replace(document(change=replacing()), kept={"keys": "2026-11-26T10:00:00"}, errors={"keys": "denied"})
    assert conditions(answer(inventory=[file])) == ["section_kept"]


def test_what_is_wrong_is_missing_first():
    doubtful, wrong = (GateReason("not_ready", "text", "fix", known=known) for known in (False, True))
    for missing, first in (((doubtful, wrong), wrong), ((doubtful,), doubtful), ((), None)):
        readiness = RestartReadiness("n1", "n1", "", "key", missing, NOW)
        assert readiness.first_missing is first
