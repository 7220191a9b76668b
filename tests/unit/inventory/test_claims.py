"""No server takes the place of another one by the name that it answers."""

from __future__ import annotations

import pytest

from exporter.inventory.claims import DocumentReading, take_in
from exporter.sqlserver.document import Document
from exporter.sqlserver.instance import identity_of, instances_of
from tests.support.sql_inventory import rows_of

MONDAY, FRIDAY = "2026-11-23T20:00:00", "2026-11-27T20:00:00"


def document(name, address, time=FRIDAY, **changes):
    rows = rows_of(name)
    rows["instance"][0].update(read_at_utc=time, **changes)
    return Document(address=address, sections=rows)


def taken(*documents, held=None, direct=True, prune=False):
    readings = [DocumentReading(one, one.address or "?", direct) for one in documents]
    return take_in(held or {}, readings, prune=prune)


def addresses(found):
    return {key: one.address for key, one in found.documents.items()}


@pytest.mark.parametrize(
    ("name", "address", "proven", "key"),
    [
        ("N1\\PROD", "n1\\PROD", True, "N1\\PROD"),
        ("N1\\PROD", "n1.contoso.com\\prod", True, "N1.CONTOSO.COM\\PROD"),
        ("N1", "n1.contoso.com,1433", True, "N1.CONTOSO.COM"),
        ("N1", "10.0.0.5", False, "N1"),
        ("N1", "evil.contoso.com", False, "N1"),
        ("N1", "not a server", False, "N1"),
        ("N1", None, False, "N1"),
        ("N1", "file n1.txt", True, "N1"),
        ("N1\\PROD", "file N1_PROD.txt", True, "N1\\PROD"),
        ("N1", "file n10.txt", False, "N1"),
    ],
)
def test_address_proves_the_name(name, address, proven, key):
    found = identity_of(document(name, address))
    assert (found.proven, found.key) == (proven, key)


def test_two_domains_with_one_name_are_two_servers():
    found = taken(document("N1", "n1.contoso.com"), document("N1", "n1.fabrikam.com"))
    assert set(found.documents) == {"N1.CONTOSO.COM", "N1.FABRIKAM.COM"}
    assert found.failures == []
    assert [(one.server_name, one.host) for one in instances_of(found.documents.values())] == [
        ("N1.contoso.com", "n1.contoso.com"),
        ("N1.fabrikam.com", "n1.fabrikam.com"),
    ]


def test_name_of_two_domains_needs_its_domain():
    held = taken(document("N1", "n1.contoso.com"), document("N1", "n1.fabrikam.com")).documents
    found = taken(document("N1", "n1"), held=held)
    assert found.documents == held
    assert "a name of servers in several domains, so it was not used: name it with its domain" in found.failures[0]
    assert taken(document("N1", "n1.contoso.com"), held=held).failures == []


def test_domain_that_appears_later_is_the_same_server():
    held = taken(document("N1", "n1")).documents
    found = taken(document("N1", "n1.contoso.com"), held=held)
    assert addresses(found) == {"N1.CONTOSO.COM": "n1.contoso.com"}
    (one,) = instances_of(found.documents.values())
    assert (one.server_name, one.host) == ("N1", "n1")
    assert addresses(taken(document("N1", "n1"), held=found.documents)) == {"N1.CONTOSO.COM": "n1"}


@pytest.mark.parametrize("prune", [False, True])
def test_forged_name_does_not_replace_a_server_of_the_run(*, prune):
    found = taken(document("N1", "evil"), document("N1", "n1"), prune=prune)
    assert addresses(found) == {"N1": "n1"}
    assert found.failures == ["evil: N1 was read from another source too (n1), and this one was not used: name it once"]


def test_forged_name_does_not_replace_a_known_server():
    held = taken(document("N1", "10.0.0.5")).documents
    found = taken(document("N1", "evil"), held=held)
    assert found.documents == held
    assert "answers as N1, which is known from 10.0.0.5, so it was not used" in found.failures[0]
    assert addresses(taken(document("N1", "10.0.0.5"), held=held)) == {"N1": "10.0.0.5"}


def test_known_server_without_an_address_takes_one():
    held = taken(document("N1", None)).documents
    assert addresses(taken(document("N1", "10.0.0.5"), held=held)) == {"N1": "10.0.0.5"}


def test_prune_gives_the_name_to_another_address():
    held = taken(document("N1", "10.0.0.5"), document("N2", "n2")).documents
    found = taken(document("N1", "10.0.0.6"), held=held, prune=True)
    assert addresses(found) == {"N1": "10.0.0.6"}
    assert found.failures == []


def test_machine_of_another_server_is_refused():
    found = taken(document("N1", "n1", machine="N2"))
    assert found.documents == {}
    assert "with the machine name of another server" in found.failures[0]


def test_same_server_under_two_names_is_named():
    found = taken(document("N1", "n1"), document("N1", "n1,1433"))
    assert addresses(found) == {"N1": "n1,1433"}
    assert "N1 was read from another source too (n1)" in found.failures[0]


def test_older_file_does_not_replace_a_newer_reading():
    held = taken(document("N1", "n1", FRIDAY)).documents
    found = taken(document("N1", "n1", MONDAY, edition="older"), held=held, direct=False)
    assert found.documents["N1"].sections["instance"] == held["N1"].sections["instance"]
    assert found.late == [f"n1: the reading is of {MONDAY}Z, older than the last one of N1"]
    assert taken(document("N1", "n1", MONDAY), held=held).documents["N1"].kept == {}  # a server with a corrected clock


def of_exporters(*documents, held=None):
    readings = [DocumentReading(one, f"http://e{number}", of_exporter=True) for number, one in enumerate(documents)]
    return take_in(held or {}, readings)


@pytest.mark.parametrize("order", [(MONDAY, FRIDAY), (FRIDAY, MONDAY)])
def test_newer_reading_of_two_exporters_counts(order):
    found = of_exporters(*(document("N1", "n1", time, edition=time) for time in order))
    assert found.documents["N1"].sections["instance"][0]["edition"] == FRIDAY
    assert (found.failures, found.late) == ([], [])


def test_reading_of_an_exporter_does_not_replace_a_direct_one():
    documents = document("N1", "n1", FRIDAY, edition="direct"), document("N1", "n1", MONDAY)
    readings = [DocumentReading(documents[0], "n1", direct=True), DocumentReading(documents[1], "http://e", of_exporter=True)]
    for order in (readings, readings[::-1]):
        found = take_in({}, order)
        assert found.documents["N1"].sections["instance"][0]["edition"] == "direct"
        assert (found.failures, found.late) == ([], [])


def test_forged_name_of_an_exporter_replaces_no_server():
    found = of_exporters(document("N1", "evil"), document("N1", "n1"))
    assert addresses(found) == {"N1": "n1"}
    assert "N1 was read from another source too (http://e1), and this one was not used" in found.failures[0]


def test_exporter_that_has_an_old_reading_is_named():
    held = taken(document("N1", "n1", FRIDAY)).documents
    found = of_exporters(document("N1", "n1", MONDAY), held=held)
    assert found.late == [f"http://e0: the reading is of {MONDAY}Z, older than the last one of N1"]


def failed(address):
    return Document(address=address, failure="no answer")


@pytest.mark.parametrize("address", ["n1\\PROD", "N1\\prod", "n1.contoso.com\\PROD"])
def test_server_that_failed_is_marked(address):
    held = taken(document("N1\\PROD", "n1\\PROD"), document("N2", "n2")).documents
    found = taken(failed(address), held=held)
    assert found.documents["N1\\PROD"].errors["instance"] == "no answer"
    assert found.documents["N2"].kept == {}


@pytest.mark.parametrize("address", ["n3", "n1", "n1,1433", None, "not a server"])
def test_other_servers_are_not_marked(address):
    held = taken(document("N1\\PROD", "n1\\PROD")).documents
    assert taken(failed(address), held=held).documents == held


def test_server_that_another_source_read_is_not_marked():
    assert taken(document("N1", "n1"), failed("n1")).documents["N1"].kept == {}
