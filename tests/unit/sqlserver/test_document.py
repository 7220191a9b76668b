"""Output of sqlcmd, reg and inventory.ps1 as documents; damage, impossible values and missing rights are errors, never a short list."""

from __future__ import annotations

import hashlib
import json
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core import json as core_json
from exporter.sqlserver.document import (
    DAMAGED,
    SECTIONS,
    Document,
    KeyVersion,
    RegistryUri,
    as_json,
    completed,
    document_from,
    joined_codes,
    key_version,
    known_codes,
    read_documents,
    read_section,
    section_problem,
    thumbprint_of,
    unseen,
    without_future,
)
from exporter.sqlserver.instance import instance_of
from tests.support.sql_inventory import lines_of, reg_query, rows_of, sqlcmd
from tests.support.values import replace

URI = "https://contoso-prod.vault.azure.net/keys/K/v1"


def only(text):
    (document,) = read_documents(text)
    return document


def test_sqlcmd_output_has_every_section():
    document = only(sqlcmd(rows_of()))
    assert document.failure is None
    assert document.errors == {}
    assert set(document.sections) == set(SECTIONS)
    assert document.sections["credentials"][0]["identity"] == "contoso-prod"


def test_proof_section_has_its_own_name():
    text = sqlcmd(rows_of()) + "\r\n" + "\r\n".join(lines_of("loaded", [{"provider": "AzureKV"}]))
    document = only(text)
    assert document.errors == {}
    assert document.sections["loaded"] == ({"provider": "AzureKV"},)
    assert document_from(as_json(document)) == document


def test_refused_sections_have_the_servers_message():
    document = only(sqlcmd(rows_of(), failing={"modules": "denied a", "encryption": "denied b"}))
    assert document.errors == {"modules": "message 300: denied a", "encryption": "message 300: denied b"}
    assert "keys" in document.sections


def test_section_that_fails_halfway_does_not_damage_the_next():
    text = sqlcmd(rows_of(), failing={"encryption": "denied"}).replace("Msg 300", "|sha256:|\r\nMsg 300")
    document = only(text)
    assert document.errors == {"encryption": "message 300: denied"}
    assert document.sections["databases"]


def test_wrapped_lines_are_joined():
    wrapped = "\n".join(line[start : start + 30] for line in lines_of("providers", [{"name": "x"}]) for start in range(0, 74, 30))
    assert only(wrapped).sections["providers"] == ({"name": "x"},)


@pytest.mark.parametrize(
    "damage", [lambda lines: lines[:1] + lines[2:], lambda lines: [line.replace("ü", "?") for line in lines]]
)
def test_damaged_section_is_an_error(damage):
    good = sqlcmd(rows_of())
    lines = lines_of("credentials", [{"name": "Schlüssel" * 20}])
    text = good.replace(
        "\r\n".join(line.ljust(74) for line in lines_of("credentials", rows_of()["credentials"])), "\r\n".join(damage(lines))
    )
    document = only(text)
    assert "credentials" not in document.sections
    assert "were lost" in document.errors["credentials"]
    assert "keys" in document.sections


def test_cut_file_is_an_error():
    text = sqlcmd(rows_of())
    document = only(text[: text.index("tde_login")])
    assert "were lost" in document.errors["keys"]
    assert document.errors["encryption"] == "missing in the output"


def test_several_instances_in_one_file_are_apart():
    documents = read_documents(sqlcmd(rows_of("A")) + "\r\n" + sqlcmd(rows_of("B")))
    assert [one.sections["instance"][0]["server_name"] for one in documents] == ["A", "B"]


def test_failed_sign_in_is_a_failure():
    assert only("Sqlcmd: Error: Login failed for user 'x'.\r\n").failure == "Sqlcmd: Error: Login failed for user 'x'."


@pytest.mark.parametrize("text", ["", "hello", "{", '{"a": 1}', "[]", '[{"inventory": 2}]', "|", "|x|", '{"inventory": 1}'])
def test_other_text_is_a_failure(text):
    assert only(text).failure


EXPORT = f'[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\X\\https://contoso-prod.vault.azure.net\\2C56]\r\n"KeyUri"="{URI}"\r\n'


@pytest.mark.parametrize(
    "text",
    [reg_query({"2C56": URI}), EXPORT, sqlcmd(rows_of()) + reg_query({"2C56": URI})],
    ids=["query", "export", "after sqlcmd"],
)
def test_output_of_the_registry_has_key_uris(text):
    document = only(text)
    assert (document.failure, document.errors) == (None, {})
    assert document.key_uris == (RegistryUri("2C56", URI),)


def test_correct_checksum_of_other_text_is_an_error():
    for wrong in ("[]", "keys", "[" * 100_000):
        checksum = hashlib.sha256(wrong.encode("utf-16-le")).hexdigest()
        document = only(f"|{wrong}|\n|sha256:{checksum}|\n")
        assert document.sections == {}
        assert "were lost" in document.errors["instance"]


@given(
    st.lists(
        st.sampled_from(
            [*sqlcmd(rows_of()).split("\r\n"), *reg_query({"AB": URI}).split("\r\n"), "|", "Msg 1, Level 2, State 3, x"]
        )
    )
)
def test_shuffled_lines_never_raise(lines):
    for document in read_documents("\n".join(lines)):
        if document.failure is None and document.sections:
            instance_of(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "0xAB"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["section", "rows", "instance", "name", "keys"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from(["address", "failure", "sections", "errors", "key_uris"]), JSON))
def test_any_json_never_raises(content):
    document = document_from({"inventory": 1, **content})
    assert document_from(json.loads(json.dumps(as_json(document)))).failure == document.failure


def test_json_is_read_back():
    document = only(sqlcmd(rows_of(), failing={"modules": "no"}) + reg_query({"2C56": URI}))
    assert document_from(json.loads(json.dumps(as_json(document)))) == document


def test_json_of_an_unreadable_instance_is_a_failure():
    document = only(
        json.dumps({"inventory": 1, "address": "n3", "failure": "no network", "sections": [], "errors": [], "key_uris": []})
    )
    assert (document.address, document.failure) == ("n3", "no network")


def test_json_section_of_another_name_is_ignored():
    sections = [{"section": "instance", "rows": [{"server_name": "A"}]}, {"section": "new", "rows": []}, 7]
    assert set(document_from({"inventory": 1, "sections": sections}).sections) == {"instance"}


def test_json_with_wrong_types_does_not_raise():
    sections = [{"section": "instance", "rows": [{"server_name": "A", "node": None}]}, {"section": []}]
    document = document_from({"inventory": 1, "sections": sections, "errors": 3})
    assert document.sections == {"instance": ({"server_name": "A"},)}


@pytest.mark.parametrize(
    "damaged",
    [{}, {"rows": None}, {"rows": {}}, {"rows": [7]}, *({"rows": [{"name": cell}]} for cell in (1.5, True, ["x"]))],
)
def test_section_without_whole_rows_is_an_error_not_a_shorter_list(damaged):
    kept = [{"section": "keys", "read_at": "2026-11-26T20:00:00"}]
    sections = [{"section": "instance", "rows": [{"server_name": "A"}]}, {"section": "keys", **damaged}]
    document = document_from({"inventory": 1, "sections": sections, "kept": kept})
    assert "keys" not in document.sections
    assert document.kept == {}
    assert document.errors["keys"].startswith("the section has no list of whole rows: ")
    text = json.dumps({"section": "keys", **damaged})
    assert read_section([f"|{text}sha256:{hashlib.sha256(text.encode('utf-16-le')).hexdigest()}|"]) is None


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (URI, KeyVersion("contoso-prod.vault.azure.net", "K", "v1")),
        (URI.replace("contoso-prod", "CONTOSO-PROD") + "/", KeyVersion("contoso-prod.vault.azure.net", "K", "v1")),
        ("https://contoso-prod.vault.azure.net/keys/K", None),
        ("http://contoso-prod.vault.azure.net/keys/K/v1", None),
        ("https://a b/keys/K/v1", None),
        ("K/v1", None),
    ],
)
def test_key_uri_is_split(uri, expected):
    assert key_version(uri) == expected


@pytest.mark.parametrize("text", ["0x2c56", "2C56", " 0X2C56"])
def test_thumbprint_has_one_form(text):
    assert thumbprint_of(text) == "0x2C56"


@pytest.mark.parametrize("lines", [[], lines_of("keys", [{"name": "a" * 200}])[1:]])
def test_incomplete_result_is_damaged(lines):
    assert read_section(lines) is None


ACTION = "find out who or what changed this reading"


def a_document(**changed):
    """A document in which the first row of a section has other values."""
    rows = rows_of("N1", ag="AG7")
    rows |= {section: [{**rows[section][0], **cells}] for section, cells in changed.items()}
    return document_from({"inventory": 1, "sections": [{"section": name, "rows": rows[name]} for name in SECTIONS]})


def test_rows_of_a_server_have_no_problem():
    assert [section_problem(name, rows) for name, rows in rows_of("N1", ag="AG7").items()] == [None] * len(SECTIONS)


LONG = "characters, more than the"


@pytest.mark.parametrize(
    ("section", "cells", "problem"),
    [
        ("credentials", {"name": "c" * 17_000_000}, f"the field name has 17000000 {LONG} 128 that SQL Server allows"),
        ("credentials", {"name": " "}, "the field name is blank, which no name in SQL Server is"),
        ("keys", {"credential": ""}, "the field credential is blank, which no name in SQL Server is"),
        ("keys", {"public_key": "A" * 8001}, f"the field public_key has 8001 {LONG} 8000 that SQL Server allows"),
        ("replicas", {"server_name": "n" * 257}, f"the field server_name has 257 {LONG} 256 that SQL Server allows"),
        (
            "providers",
            {"node": "a\nb"},
            "the field node has a control character or a line break, which no name of a computer has",
        ),
        ("providers", {"x" * 200: "y"}, "a field has a name that no section has"),
        ("providers", {"is_enabled": 10**4000}, "the field is_enabled is no number that SQL Server has"),
        ("configurations", {"value_in_use": "0"}, "the field value_in_use is no number that SQL Server has"),
        ("databases", {"state": 0}, "the field state is no text"),
    ],
)
def test_impossible_value_is_an_error_of_its_section(section, cells, problem):
    rows = [{**(rows_of("N1", ag="AG7")[section][0]), **cells}]
    assert section_problem(section, rows) == f"{problem}: {ACTION}"
    read = a_document(**{section: cells})
    assert (read.failure, read.errors) == (None, {section: f"{problem}: {ACTION}"})
    assert section not in read.sections


@pytest.mark.parametrize("cells", [{"server_name": "n" * 300}, {"instance_name": "\t"}, {"machine": "a\u2028b"}])
def test_impossible_name_of_the_instance_is_a_failure(cells):
    assert a_document(instance=cells).failure.startswith("the field ")


def test_name_of_a_database_may_be_blank_but_not_too_long():
    assert section_problem("databases", [{"name": " \n"}]) is None
    for section in ("encryption", "opened", "backups", "logs"):
        assert section_problem(section, [{"database": " "}]) is None
    assert "has 129 characters" in section_problem("databases", [{"name": "d" * 129}])


@pytest.mark.parametrize(("thumbprint", "uri"), [("A" * 129, "https://x"), ("AA", "https://" + "x" * 2048)])
def test_impossible_key_uri_is_an_error_of_the_registry(thumbprint, uri):
    uris = (RegistryUri("BB", "https://y"), RegistryUri(thumbprint, uri))
    read = completed(a_document().__class__(sections=a_document().sections, key_uris=uris))
    assert (read.errors["registry"].startswith("the field "), read.key_uris) == (True, ())
    assert completed(a_document().__class__(key_uris=uris)).failure == read.errors["registry"]


def test_long_message_is_cut():
    read = document_from({"inventory": 1, "failure": "x" * 100_000, "errors": [{"section": "keys", "message": "y" * 100_000}]})
    assert (len(read.failure), len(read.errors["keys"])) == (2048, 2048)


@pytest.mark.parametrize(
    ("section", "most"), [("credentials", 5_000), ("errors", 40_000), ("databases", 40_000), ("backups", 40_000)]
)
def test_rows_of_a_section_have_a_limit(section, most):
    rows = [{"code": "other", "lines": 0}] * most
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


GROUP = {"name": "x", "in_group": 1}


@pytest.mark.parametrize(
    ("own", "databases", "expected"),
    [
        ({"may_view_definitions": 1}, [GROUP], set()),
        ({"may_view_definitions": 0}, [], {"credentials", "keys", "logins"}),
        ({"may_view_definitions": 0, "may_view_security_definitions": 1}, [{"name": "x", "in_group": 0}], set()),
        ({"may_view_definitions": 0, "may_view_security_definitions": 1}, [GROUP], {"replicas"}),
        ({"may_view_definitions": 0, "may_view_security_definitions": 1}, [GROUP | {"ag": "AG7"}], set()),
        ({"may_view_definitions": 0, "may_view_security_definitions": 1}, [{"name": "x"}], {"replicas"}),
        ({"may_view_databases": 0}, [], {"databases", "encryption"}),
    ],
)
def test_right_leaves_sections_unseen(own, databases, expected):
    assert set(unseen({"instance": [own], "databases": databases})) == expected


def test_hidden_databases_leave_the_proofs_unseen_that_were_read():
    own = {"may_view_databases": 0}
    assert set(unseen({"instance": [own], "opened": [], "flags": []})) == {"databases", "encryption", "opened"}


def test_output_without_an_instance_has_no_rights():
    assert unseen({}) == {}


EARLY, LATE = "2026-11-24T10:00:00", "2026-11-24T12:00:00"


def a_code(code, lines=1, first=EARLY, last=LATE):
    return {"code": code, "lines": lines, "first_utc": first, "last_utc": last}


def test_numbers_keep_their_rows_known_or_not():
    rows = (a_code("3303"), a_code("9999", 7), a_code("18204", 2))
    assert known_codes(rows) == ({"code": "other", "lines": 0}, *rows)


def test_what_has_no_number_is_one_row():
    rows = (
        a_code("", 2, first="2026-11-24T11:00:00"),
        a_code("33030x", 3, last="2026-11-24T11:00:00"),
        {"lines": 1},
        a_code("\uff13"),
    )
    assert known_codes(rows) == (a_code("other", 7),)


def test_failed_backups_are_apart_by_what_they_are_of():
    rows = (a_code("3041") | {"backup_of": "sales"}, a_code("3041") | {"backup_of": "hr"}, a_code("3041"))
    assert known_codes((*rows, rows[0] | {"last_utc": "2026-11-24T13:00:00"}))[1:] == (
        {**rows[0], "lines": 2, "last_utc": "2026-11-24T13:00:00"},
        *rows[1:],
    )


def test_document_keeps_the_numbers():
    content = {"inventory": 1, "sections": [{"section": "errors", "rows": [a_code("3303", 4), a_code("x")]}]}
    document = document_from(content)
    assert document.sections["errors"] == (a_code("other"), a_code("3303", 4))
    assert completed(document).sections == document.sections


def test_lines_of_two_readings_count_once():
    first, again = a_code("3303", 4), a_code("3303", 6, first="2026-11-24T11:00:00", last="2026-11-24T13:00:00")
    later = a_code("3303", 5, first="2026-11-24T14:00:00", last="2026-11-24T15:00:00")
    assert joined_codes([first], [again]) == (a_code("3303", 6, last="2026-11-24T13:00:00"),)
    assert joined_codes([later], [first]) == (a_code("3303", 9, last="2026-11-24T15:00:00"),)
    assert joined_codes([{"code": "other", "lines": 0}], []) == ({"code": "other", "lines": 0},)


CODE = {"code": "x", "lines": 0}
CHANGE = {"what": "option", "since_utc": LATE, "first": 1}
NO_NUMBER, NO_OFFSET = "is no number that SQL Server has", "is no offset of a time zone"


@pytest.mark.parametrize(
    ("section", "row", "problem"),
    [
        ("logs", {"used_kb": 2**63 - 1, "vlf_count": 0}, None),
        *(("logs", {"used_kb": value}, f"the field used_kb {NO_NUMBER}") for value in (-1, 2**63, 10**400, "7", "")),
        ("backups", {"finished_utc": LATE}, None),
        *(
            ("backups", {"finished_utc": value}, "the field finished_utc is no time")
            for value in ("", "yesterday", "2026-13-01T00:00:00", f"{LATE}Z", 20261124)
        ),
        *(
            (section, known | {field: "x" * (longest + above)}, f"the field {field} has {longest + 1} {LONG} " if above else None)
            for section, known, field, longest in (
                ("errors", CODE, "code", 20),
                ("errors", CODE, "backup_of", 140),
                ("backups", {}, "type", 1),
                ("loaded", {}, "friendly_name", 2048),
                ("changes", CHANGE, "value", 64),
            )
            for above in (0, 1)
        ),
        ("instance", {"utc_offset_minutes": -210}, None),
        ("instance", {"utc_offset_minutes": "60"}, f"the field utc_offset_minutes {NO_OFFSET}"),
        ("backups", {"offset_minutes": 1441}, f"the field offset_minutes {NO_OFFSET}"),
        ("databases", {"name": "x", "auto_close": True}, f"the field auto_close {NO_NUMBER}"),
        ("history", {"newest_id": 7}, None),
        ("service", {"started_utc": "yesterday"}, "the field started_utc is no time"),
        ("log", {"since_utc": LATE, "until_utc": 7}, "the field until_utc is no time"),
        ("log", {"since_utc": LATE}, "a row lacks the field until_utc"),
        ("changes", {"what": "option", "since_utc": LATE}, "a row lacks the field first"),
        ("errors", {"code": "3303"}, "a row lacks the field lines"),
        ("errors", {"code": "3303", "lines": 1, "first_utc": LATE}, "a row lacks the field last_utc"),
        ("errors", {"lines": 0}, "a row lacks the field code"),
        ("credentials", {"name": "x", "modified_utc": "?"}, "the field modified_utc is no time"),
    ],
)
def test_row_that_proves_nothing_is_an_error_of_its_section(section, row, problem):
    found = section_problem(section, [row])
    assert found is None if problem is None else found.startswith(problem)


def test_log_without_what_it_shows_was_not_read():
    log = {"section": "log", "rows": [{"since_utc": EARLY, "until_utc": LATE}]}
    for errors in ([], [{"section": "errors"}], [{"section": "errors", "rows": [{"lines": "7"}]}]):
        document = document_from({"inventory": 1, "sections": [*errors, log]})
        assert "log" not in document.sections
        assert document.errors["log"] == "what the error log shows was not read"
    assert "log" in document_from({"inventory": 1, "sections": [{"section": "errors", "rows": []}, log]}).sections


def test_time_after_the_reading_is_an_error_of_its_section():
    end = {"what": "secret_end", "since_utc": "2027-11-24T12:00:00", "first": 1}
    rows = {"flags": (), "backups": ({"finished_utc": "2026-11-24T12:05:01"},), "errors": (), "changes": (end,)}
    document = Document(sections={"instance": ({"read_at_utc": LATE},), **rows}, kept={"backups": EARLY, "flags": EARLY})
    found = without_future(document)
    assert {*found.sections} == {"instance", "flags", "errors", "changes"}
    assert found.errors == {"backups": f"the field finished_utc is a time after the reading: {ACTION}"}
    assert found.kept == {"flags": EARLY}
    in_time = replace(document, sections={**document.sections, "backups": ({"finished_utc": "2026-11-24T12:05:00"},)})
    assert without_future(in_time) is in_time
    assert without_future(replace(document, sections=rows)).sections == rows


def test_section_is_parsed_row_by_row(monkeypatch):
    """While the parser works, no other thread runs: a large section must not hold the event loop."""
    parsed, real = [], core_json._DECODER.raw_decode

    def recorded(text, at):
        value, end = real(text, at)
        parsed.append(end - at)
        return value, end

    monkeypatch.setattr(core_json, "_DECODER", SimpleNamespace(raw_decode=recorded))
    rows = tuple({"database": f"d{number}", "type": "L"} for number in range(3000))
    assert read_section(lines_of("backups", rows)) == rows
    assert len(parsed) == 3000
    assert max(parsed) < 40
