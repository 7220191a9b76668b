"""Each section is of its last good reading; what was not read removes nothing."""

from __future__ import annotations

from dataclasses import replace

from exporter.core.durations import unix_time
from exporter.inventory.plan import HandWritten, make_plan
from exporter.sqlserver.document import Document, RegistryUri, as_json, completed, document_from
from exporter.sqlserver.instance import Kind, instance_of
from exporter.sqlserver.reading import is_good, merged, with_known_backups, with_known_changes
from tests.support.sql_inventory import rows_of

URI = RegistryUri("2C56", "https://contoso-prod.vault.azure.net/keys/K/1111")
MONDAY, TUESDAY, FRIDAY = "2026-11-23T20:00:00", "2026-11-24T20:00:00", "2026-11-27T20:00:00"


def reading(time, *missing, uris=(URI,), errors=None, **changes):
    rows = {name: tuple(one) for name, one in rows_of("N1").items() if name not in missing}
    rows["instance"][0].update(read_at_utc=time, **changes)
    return completed(Document(address="n1", sections=rows, errors=errors or {}, key_uris=uris))


def with_kept_keys(time=FRIDAY):
    return merged(reading(time, "keys", errors={"keys": "no answer"}), reading(MONDAY))


def plan_of(document):
    return make_plan([instance_of(document)], [], HandWritten(), {})


def a_backup(kind, database="sales", day=23):
    return {"database": database, "type": kind, "finished_utc": f"2026-11-{day}T20:00:00"}


def document_of(*backups, encrypted=("sales",)):
    databases = tuple({"name": name, "is_encrypted": int(name in encrypted)} for name in ("sales", "hr"))
    return Document(sections={"databases": databases, "backups": backups})


def test_backups_that_were_not_searched_are_kept():
    earlier = document_of(a_backup("D"), a_backup("I"), a_backup("L"))
    found = with_known_backups(document_of(a_backup("I", day=27)), earlier)
    assert found.sections["backups"] == (a_backup("I", day=27), a_backup("D"), a_backup("L"))


def test_backups_of_a_database_without_encryption_are_dropped():
    earlier = document_of(a_backup("D", "hr"), a_backup("D", "gone"))
    assert with_known_backups(document_of(), earlier).sections["backups"] == ()


def test_backups_that_were_never_read_stay_unknown():
    later = Document(sections={"databases": ()})
    assert with_known_backups(later, document_of(a_backup("D"))) is later
    assert with_known_backups(document_of(a_backup("D")), later).sections["backups"] == (a_backup("D"),)


def credentials_of(*rows):
    return Document(sections={"credentials": rows})


def a_credential(modified, **changes):
    return {"name": "tde", "modified_utc": modified, **changes}


def test_credential_keeps_when_it_was_altered_before():
    changed = with_known_changes(credentials_of(a_credential(TUESDAY), {"name": "new"}), credentials_of(a_credential(MONDAY)))
    assert changed.sections["credentials"] == (a_credential(TUESDAY, earlier_utc=MONDAY), {"name": "new"})
    assert with_known_changes(credentials_of(a_credential(TUESDAY)), changed).sections["credentials"][0]["earlier_utc"] == MONDAY
    again = with_known_changes(credentials_of(a_credential(FRIDAY)), changed)
    assert again.sections["credentials"] == (a_credential(FRIDAY, earlier_utc=TUESDAY),)
    assert with_known_changes(Document(), changed) == Document()


def test_empty_registry_is_good_without_provider_and_keys():
    expected = {(): True, ("providers",): False, ("keys",): False, ("providers", "keys"): False}
    for used, good in expected.items():
        rows = {name: ({"name": "EKM"},) * (name in used) for name in ("providers", "keys")}
        assert is_good(Document(sections=rows), "registry") is good
    assert not is_good(Document(sections={"providers": ()}), "registry")


def test_section_that_timed_out_is_kept_with_its_time():
    found = with_kept_keys()
    assert (found.kept, found.errors) == ({"keys": MONDAY}, {"keys": "no answer"})
    plan = plan_of(found)
    assert len(plan.targets) == 1
    ((text, servers),) = plan.findings.gaps.items()
    assert text == f"the section keys is of {MONDAY}Z, because it was not read again: no answer"
    assert (servers, plan.findings.kinds[text]) == (["N1"], Kind.SECTION_KEPT)


def test_kept_section_has_its_age():
    now, found = unix_time(FRIDAY), with_kept_keys()
    assert instance_of(found, now).kept["keys"].when == f"{MONDAY}Z (4d ago)"
    assert instance_of(replace(found, kept={"keys": "?"}), now).kept["keys"].when == "?"


def test_impossible_section_of_a_file_is_not_kept():
    content = as_json(with_kept_keys())
    content["sections"] = [
        {**one, "rows": [{"name": "x" * 129}]} if one["section"] == "keys" else one for one in content["sections"]
    ]
    held = document_from(content)
    assert held.kept == {}
    assert "128" in held.errors["keys"]
    content["sections"] = [one for one in content["sections"] if one["section"] != "keys"]
    assert document_from(content).kept == {}


def test_kept_section_survives_the_file():
    found = with_kept_keys()
    assert document_from(as_json(found)) == found


def test_next_good_reading_replaces_the_kept_section():
    again = merged(reading(FRIDAY, "keys", errors={"keys": "denied"}), with_kept_keys(TUESDAY))
    assert (again.kept, again.errors) == ({"keys": MONDAY}, {"keys": "denied"})
    assert merged(reading(FRIDAY), again).kept == {}


def test_revoked_right_is_not_an_empty_list():
    revoked = reading(FRIDAY, "credentials", "keys", "logins", "replicas", may_view_definitions=0)
    emptied = completed(Document(sections={**revoked.sections, "credentials": (), "keys": (), "logins": (), "replicas": ()}))
    found = merged(emptied, reading(MONDAY))
    assert set(found.kept) >= {"credentials", "keys", "logins"}
    assert len(plan_of(found).targets) == 1


def test_hidden_databases_are_not_gone():
    hidden = reading(FRIDAY, may_view_databases=0)
    emptied = completed(Document(sections={**hidden.sections, "databases": (), "encryption": ()}))
    assert set(merged(emptied, reading(MONDAY)).kept) == {"databases", "encryption", "registry"}


def test_section_that_was_read_removes():
    empty = reading(FRIDAY)
    empty = completed(Document(sections={**empty.sections, "encryption": (), "databases": ()}, key_uris=(URI,)))
    assert plan_of(merged(empty, reading(MONDAY))).targets == []


def test_server_that_was_not_read_is_kept_as_a_whole():
    found = merged(Document(address="n1", failure="no answer"), reading(MONDAY, "modules", errors={"modules": "denied"}))
    assert found.failure is None
    assert found.errors["modules"] == "denied"
    plan = plan_of(found)
    assert len(plan.targets) == 1
    text = f"not read in the latest run, so everything is of {MONDAY}Z: no answer"
    assert plan.findings.kinds[text] is Kind.INSTANCE_KEPT
    assert merged(reading(FRIDAY), found).kept == {}


def test_registry_that_shows_nothing_keeps_its_entries():
    found = merged(reading(FRIDAY, uris=()), reading(MONDAY))
    assert (found.key_uris, found.kept) == ((URI,), {"registry": MONDAY})
    plan = plan_of(found)
    assert plan.findings.gaps == {}
    assert len(plan.targets) == 1
    assert any("the section registry is of" in text for text in plan.findings.notes)


def test_older_file_fills_what_the_newer_reading_lacks():
    newer = with_kept_keys()
    found = merged(newer, reading(TUESDAY))
    assert found.kept == {"keys": TUESDAY}
    assert found.sections["instance"] == newer.sections["instance"]


def test_damaged_section_without_an_earlier_one_stays_an_error():
    first = reading(MONDAY, "keys", errors={"keys": "denied"})
    found = merged(reading(FRIDAY, "keys", errors={"keys": "no answer"}), first)
    assert (found.kept, found.errors) == ({}, {"keys": "no answer"})
