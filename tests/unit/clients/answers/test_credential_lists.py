"""Valid and malformed responses of Graph and Key Vault."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clients.answers import read_application, read_secret_versions
from exporter.core.values import Fault
from exporter.knowledge.expiry import ListedCredential, SecretVersion

SHA1 = bytes(range(20))


def application(secrets=(), certificates=()):
    return json.dumps({"passwordCredentials": list(secrets), "keyCredentials": list(certificates)}).encode()


def page(*versions, link=None):
    return json.dumps({"value": list(versions), "nextLink": link}).encode()


def one(version="a1", **attributes):
    return {"id": f"https://contoso.vault.azure.net/secrets/sql/{version}", "attributes": {"enabled": True, **attributes}}


def test_secrets_are_listed_with_their_hint_and_expiry():
    body = application(
        [
            {"hint": "abc", "endDateTime": "2027-03-01T00:00:00Z", "secretText": None},
            {"hint": None, "endDateTime": "2027-03-01T00:00:00.1234567Z"},
            {"endDateTime": None},
            {"hint": 7, "endDateTime": "2027-03-01T00:00:00"},
        ]
    )
    fault, found = read_application(body)
    assert fault is Fault.NONE
    assert [(entry.mark, entry.expires and int(entry.expires)) for entry in found.secrets] == [
        ("abc", 1803859200),
        (None, 1803859200),
        (None, None),
        (None, 1803859200),
    ]


@pytest.mark.parametrize(
    ("identifier", "mark"),
    [
        (base64.b64encode(SHA1).decode(), SHA1.hex()),
        (SHA1.hex().upper(), SHA1.hex()),
        (base64.b64encode(SHA1.hex().upper().encode()).decode(), SHA1.hex()),
        (None, None),
        ("any other text", None),
        (base64.b64encode(b"short").decode(), None),
        ("x" * 500, None),
        (20, None),
    ],
)
def test_a_thumbprint_is_read_in_each_format_of_graph(identifier, mark):
    _, found = read_application(application((), [{"customKeyIdentifier": identifier, "endDateTime": None}]))
    assert found.certificates == (ListedCredential(mark=mark, expires=None),)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault.ANSWER_NOT_JSON),
        (b"<html>", Fault.ANSWER_NOT_JSON),
        (b"[]", Fault.ANSWER_NOT_JSON),
        (b"{}", Fault.VALUE_MISSING),
        (b'{"passwordCredentials": []}', Fault.VALUE_MISSING),
        (b'{"passwordCredentials": {}, "keyCredentials": []}', Fault.VALUE_MISSING),
        (application(["x"]), Fault.VALUE_UNUSABLE),
        (application([{"endDateTime": "soon"}]), Fault.VALUE_UNUSABLE),
        (application([{"endDateTime": 1803859200}]), Fault.VALUE_UNUSABLE),
        (application([{"endDateTime": "0001-01-01T00:00:00Z"}]), Fault.VALUE_UNUSABLE),
        (application([{"endDateTime": "2027-03-01" + "0" * 100}]), Fault.VALUE_UNUSABLE),
        (application([{}] * 1001), Fault.VALUE_UNUSABLE),
    ],
)
def test_an_unreadable_response_is_a_fault(body, fault):
    assert read_application(body) == (fault, None)


def test_versions_are_listed_with_attributes_and_next_link():
    body = page(one("A1", created=10, exp=100), one("b2", enabled=False), link="https://contoso.vault.azure.net:443/x")
    assert read_secret_versions(body) == (
        Fault.NONE,
        (
            SecretVersion(version="a1", enabled=True, created=10, expires=100),
            SecretVersion(version="b2", enabled=False),
        ),
        "https://contoso.vault.azure.net:443/x",
    )


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault.ANSWER_NOT_JSON),
        (b"{}", Fault.VALUE_MISSING),
        (b'{"value": "secret"}', Fault.VALUE_MISSING),
        (page(one(exp="never")), Fault.VALUE_UNUSABLE),
        (page(one(exp=-1)), Fault.VALUE_UNUSABLE),
        (page(one(created=[])), Fault.VALUE_UNUSABLE),
        (page({"id": "https://contoso.vault.azure.net/keys/sql/a1", "attributes": {}}), Fault.VALUE_UNUSABLE),
        (page({"id": 1, "attributes": {}}), Fault.VALUE_UNUSABLE),
        (page({"id": "https://contoso.vault.azure.net/secrets/sql/a1"}), Fault.VALUE_UNUSABLE),
    ],
)
def test_unreadable_page_is_a_fault(body, fault):
    assert read_secret_versions(body) == (fault, (), None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["hint", "endDateTime", "customKeyIdentifier", "id", "attributes", "enabled", "exp"])


@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=3), JSON)
def test_no_response_raises(entries, other):
    for body in (application(entries, entries), page(*entries, link=other), json.dumps(other).encode()):
        assert read_application(body)[0] in Fault
        assert read_secret_versions(body)[0] in Fault


@given(st.binary(max_size=200))
def test_no_bytes_raise(body):
    assert read_application(body)[0] in Fault
    assert read_secret_versions(body)[0] in Fault
