"""Output of sqlcmd, reg and inventory.ps1 as documents; damage is an error, never a short list."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sqlserver.document import (
    SECTIONS,
    KeyVersion,
    RegistryUri,
    as_json,
    document_from,
    key_version,
    read_documents,
    read_section,
    thumbprint_of,
)
from exporter.sqlserver.instance import instance_of
from tests.support.sql_inventory import lines_of, reg_query, rows_of, sqlcmd

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
    "damaged", [{}, {"rows": None}, {"rows": {}}, {"rows": [7]}, {"rows": [{"name": 1.5}]}, {"rows": [{"name": ["x"]}]}]
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


def test_lines_of_a_result_are_one_section():
    rows = [{"name": "a" * 200, "n": 1}]
    assert read_section(lines_of("keys", rows)) == tuple(rows)


@pytest.mark.parametrize("lines", [[], lines_of("keys", [{"name": "a" * 200}])[1:]])
def test_incomplete_result_is_damaged(lines):
    assert read_section(lines) is None
