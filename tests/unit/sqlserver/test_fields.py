"""Rows and key URIs that no SQL Server has."""

import hashlib
import time

import pytest

from exporter.sqlserver.document import (
    DAMAGED,
    SECTIONS,
    RegistryUri,
    completed,
    document_from,
    read_documents,
    read_section,
    section_problem,
    uris_problem,
)
from tests.support.sql_inventory import lines_of, rows_of

ACTION = "find out who or what changed this reading"


def document(**changed):
    """A document in which the first row of a section has other values."""
    rows = rows_of("N1", ag="AG7") | {section: [{**rows_of("N1")[section][0], **cells}] for section, cells in changed.items()}
    return document_from({"inventory": 1, "sections": [{"section": name, "rows": rows[name]} for name in SECTIONS]})


def test_rows_of_a_server_have_no_problem():
    assert [section_problem(name, rows) for name, rows in rows_of("N1", ag="AG7").items()] == [None] * len(SECTIONS)


@pytest.mark.parametrize(
    ("section", "cells", "problem"),
    [
        (
            "credentials",
            {"name": "c" * 17_000_000},
            f"the field name has 17000000 characters, more than the 128 that SQL Server allows: {ACTION}",
        ),
        ("credentials", {"name": " "}, f"the field name is blank, which no name in SQL Server is: {ACTION}"),
        ("keys", {"credential": ""}, f"the field credential is blank, which no name in SQL Server is: {ACTION}"),
        (
            "keys",
            {"public_key": "A" * 8001},
            f"the field public_key has 8001 characters, more than the 8000 that SQL Server allows: {ACTION}",
        ),
        ("replicas", {"server_name": "n" * 257}, None),
        (
            "providers",
            {"node": "a\nb"},
            f"the field node has a control character or a line break, which no name of a computer has: {ACTION}",
        ),
        ("providers", {"x" * 200: "y"}, f"a field has a name that no section has: {ACTION}"),
        ("providers", {"is_enabled": 10**4000}, None),
    ],
)
def test_impossible_value_is_an_error_of_its_section(section, cells, problem):
    rows = [{**(rows_of("N1", ag="AG7")[section][0]), **cells}]
    found = section_problem(section, rows)
    if problem is None:
        assert (found is None) is (section == "providers")
    else:
        assert found == problem
        read = document(**{section: cells})
        assert (read.failure, read.errors) == (None, {section: problem})
        assert section not in read.sections


@pytest.mark.parametrize("cells", [{"server_name": "n" * 300}, {"instance_name": "\t"}, {"machine": "a\u2028b"}])
def test_impossible_name_of_the_instance_is_a_failure(cells):
    assert document(instance=cells).failure.startswith("the field ")


def test_name_of_a_database_may_be_blank_but_not_too_long():
    assert section_problem("databases", [{"name": " \n"}]) is None
    for section in ("encryption", "opened", "backups", "logs"):
        assert section_problem(section, [{"database": " "}]) is None
    assert "has 129 characters" in section_problem("databases", [{"name": "d" * 129}])


@pytest.mark.parametrize("value", [-1, 2**63, 10**400, "7", ""])
def test_number_of_a_proof_is_one_that_sql_server_has(value):
    assert section_problem("logs", [{"used_kb": 2**63 - 1, "vlf_count": 0}]) is None
    problem = f"the field used_kb is no number that SQL Server has: {ACTION}"
    assert section_problem("logs", [{"used_kb": value}]) == problem


@pytest.mark.parametrize("value", ["", "yesterday", "2026-13-01T00:00:00", "2026-11-24T12:00:00Z", 20261124])
def test_time_of_a_proof_is_a_time(value):
    assert section_problem("backups", [{"finished_utc": "2026-11-24T12:00:00"}]) is None
    assert section_problem("backups", [{"finished_utc": value}]) == f"the field finished_utc is no time: {ACTION}"


@pytest.mark.parametrize(
    ("section", "field", "longest"), [("errors", "code", 20), ("backups", "type", 1), ("loaded", "friendly_name", 2048)]
)
def test_text_that_becomes_a_label_has_a_limit(section, field, longest):
    assert section_problem(section, [{field: "x" * longest}]) is None
    assert f"has {longest + 1} characters" in section_problem(section, [{field: "x" * (longest + 1)}])


@pytest.mark.parametrize(("thumbprint", "uri"), [("A" * 129, "https://x"), ("AA", "https://" + "x" * 2048)])
def test_impossible_key_uri_is_an_error_of_the_registry(thumbprint, uri):
    uris = (RegistryUri("BB", "https://y"), RegistryUri(thumbprint, uri))
    problem = uris_problem(uris)
    read = completed(document().__class__(sections=document().sections, key_uris=uris))
    assert (read.errors["registry"], read.key_uris) == (problem, ())
    assert completed(document().__class__(key_uris=uris)).failure == problem


def test_long_message_is_cut():
    read = document_from({"inventory": 1, "failure": "x" * 100_000, "errors": [{"section": "keys", "message": "y" * 100_000}]})
    assert (len(read.failure), len(read.errors["keys"])) == (2048, 2048)


@pytest.mark.parametrize(
    ("section", "most"), [("credentials", 5_000), ("errors", 5_000), ("databases", 40_000), ("backups", 40_000)]
)
def test_rows_of_a_section_have_a_limit(section, most):
    rows = [{"name": "x"}] * most
    assert section_problem(section, rows) is None
    assert section_problem(section, [*rows, rows[0]]) == f"the section has {most + 1} rows, more than {most}: {ACTION}"


def test_section_of_millions_of_values_is_damaged():
    assert read_section(lines_of("keys", [{}] * 10)) == ({},) * 10
    text = '{"section":"keys","rows":[' + "{}," * 2_000_000 + "{}]}"
    assert read_section([f"|{text} sha256:{hashlib.sha256((text).encode('utf-16-le')).hexdigest()}|"]) is None


def test_line_that_never_ends_is_damaged_within_seconds():
    started = time.monotonic()
    (read,) = read_documents("|a\n" + "x\n" * 300_000)
    assert read.failure == DAMAGED
    assert time.monotonic() - started < 20


def test_file_of_millions_of_values_is_refused():
    (read,) = read_documents("[{}," + "[]," * 4_000_000 + "[]]")
    assert read.failure == "not JSON, or too much of it: the file is incomplete or was edited"
