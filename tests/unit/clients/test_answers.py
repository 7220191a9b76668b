"""Bodies and headers of Key Vault, Entra ID and Graph become a value or a fault, never an exception."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clients.answers import (
    ListedKey,
    Page,
    encode,
    read_application,
    read_challenge,
    read_deleted_key,
    read_key,
    read_key_list,
    read_secret_versions,
    read_token,
    read_value,
)
from exporter.core.json import decode
from exporter.core.secrets import remember
from exporter.core.values import Challenge, Fault
from exporter.knowledge.answers import read_error, unexpected_text
from exporter.knowledge.expiry import ListedCredential, SecretVersion

# Bodies of every kind become a value or a fault, never an exception.

MODULUS = (1 << 2047) + 12345
KID = "https://contoso.vault.azure.net/keys/ContosoRSAKey0/cgacf4f763ar42ffb0a1gca546aygd87"


def number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def key_body(*, drop: tuple[str, ...] = (), attributes: object = None, **changes: object) -> bytes:
    key: dict[str, object] = {"kid": KID, "kty": "RSA", "n": number(MODULUS), "e": "AQAB", "key_ops": ["wrapKey", "unwrapKey"]}
    key.update(changes)
    for name in drop:
        del key[name]
    return json.dumps({"key": key, "attributes": {"enabled": True} if attributes is None else attributes}).encode()


def test_key_response_becomes_the_facts_of_its_version():
    fault, key = read_key(key_body(attributes={"enabled": False, "nbf": 1, "exp": 1893456000}))
    assert fault is Fault.NONE
    assert (key.name, key.version) == ("ContosoRSAKey0", "cgacf4f763ar42ffb0a1gca546aygd87")
    assert (key.kty, key.size_bits, key.supported) == ("RSA", 2048, True)
    assert (key.enabled, key.not_before, key.expires) == (False, 1.0, 1893456000.0)
    assert key.key_ops == ("wrapKey", "unwrapKey")


DEEP = b"[" * 100_000
UNREADABLE_KEYS = [
    (b"", Fault.ANSWER_EMPTY),
    (b" \r\n", Fault.ANSWER_EMPTY),
    (b"<html>", Fault.ANSWER_NOT_JSON),
    (b"[]", Fault.ANSWER_NOT_JSON),
    (b"null", Fault.ANSWER_NOT_JSON),
    (b'"key"', Fault.ANSWER_NOT_JSON),
    (b"\xff\xfe{}", Fault.ANSWER_NOT_JSON),
    (key_body().decode().encode("utf-16"), Fault.ANSWER_NOT_JSON),
    (key_body().decode().encode("utf-32"), Fault.ANSWER_NOT_JSON),
    (b'{"key": "\xed\xa0\x80"}', Fault.ANSWER_NOT_JSON),  # half of a surrogate pair is no UTF-8
    (b'{"key": \x00}', Fault.ANSWER_NOT_JSON),
    (DEEP, Fault.ANSWER_NOT_JSON),
    (b'{"key":' + DEEP, Fault.ANSWER_NOT_JSON),
    (b'{"key": {"n": ' + b"9" * 10_000 + b"}}", Fault.ANSWER_NOT_JSON),
    (b"{}", Fault.KEY_MISSING),
    (b'{"key": []}', Fault.KEY_MISSING),
    (key_body(drop=("kid",)), Fault.KID_MISSING),
    (key_body(kid=7), Fault.KID_MISSING),
    (key_body(kid="https://contoso.vault.azure.net/keys/ContosoRSAKey0"), Fault.KID_UNUSABLE),
    (key_body(kid=KID + "/../../secrets/x"), Fault.KID_UNUSABLE),
    (key_body(kid=KID.replace("contoso.", "contoso\n.")), Fault.KID_UNUSABLE),
    (key_body(kid=KID.replace("contoso.", "c" * 300 + ".")), Fault.KID_UNUSABLE),
    (key_body(drop=("kty",)), Fault.KTY_MISSING),
    (key_body(drop=("n",)), Fault.MODULUS_MISSING),
    (key_body(n=None), Fault.MODULUS_MISSING),
    (key_body(n="***"), Fault.MODULUS_UNUSABLE),
    (key_body(n=""), Fault.MODULUS_UNUSABLE),
    (key_body(n=number(1 << 8 * 4096)), Fault.MODULUS_UNUSABLE),
    (key_body(e=number(1 << 8 * 4096)), Fault.EXPONENT_UNUSABLE),
    (key_body(drop=("e",)), Fault.EXPONENT_MISSING),
    (key_body(e="A"), Fault.EXPONENT_UNUSABLE),
]


@pytest.mark.parametrize(("body", "fault"), UNREADABLE_KEYS)
def test_an_unreadable_key_response_names_its_first_fault(body: bytes, fault: Fault):
    assert read_key(body) == (fault, None)


def test_byte_order_mark_is_ignored():
    assert read_key(b"\xef\xbb\xbf" + key_body()) == read_key(key_body())


@pytest.mark.parametrize("kty", ["EC", "oct-HSM", "EC-HSM"])
def test_another_key_type_is_read_and_unsupported(kty: str):
    fault, key = read_key(key_body(kty=kty, drop=("n", "e")))
    assert fault is Fault.NONE
    assert not key.supported


@pytest.mark.parametrize(("bits", "supported"), [(1024, False), (2048, True), (3072, True), (4096, False)])
def test_only_key_sizes_of_the_connector_are_supported(bits: int, *, supported: bool):
    _, key = read_key(key_body(kty="RSA-HSM", n=number(1 << (bits - 1))))
    assert (key.size_bits, key.supported) == (bits, supported)


@pytest.mark.parametrize("attributes", [[], "x", {"enabled": "yes", "exp": "soon", "nbf": True}, {"exp": -1}, {"exp": 1e300}])
def test_dates_of_a_wrong_type_are_unknown_and_not_wrong(attributes: object):
    fault, key = read_key(key_body(attributes=attributes))
    assert fault is Fault.NONE
    assert (key.enabled, key.not_before, key.expires) == (None, None, None)


def test_last_of_duplicate_json_keys_counts():
    assert read_value(b'{"value": 1, "value": "AQ"}') == (Fault.NONE, b"\x01")


VALUES = [
    (b"", Fault.ANSWER_EMPTY),
    (b"{", Fault.ANSWER_NOT_JSON),
    (b"[1]", Fault.ANSWER_NOT_JSON),
    (b"{}", Fault.VALUE_MISSING),
    (b'{"value": 5}', Fault.VALUE_MISSING),
    (b'{"value": "A"}', Fault.VALUE_UNUSABLE),
    (b'{"value": "a b"}', Fault.VALUE_UNUSABLE),
    (b'{"value": ""}', Fault.VALUE_UNUSABLE),
]


@pytest.mark.parametrize(("body", "fault"), VALUES)
def test_unreadable_wrap_response_is_a_fault(body: bytes, fault: Fault):
    assert read_value(body) == (fault, None)


TOKENS = [
    (b"<html>", Fault.ANSWER_NOT_JSON),
    (b"", Fault.ANSWER_NOT_JSON),
    (b"{}", Fault.TOKEN_MISSING),
    (b'{"access_token": {"a": 1}}', Fault.TOKEN_MISSING),
    (b'{"access_token": ""}', Fault.TOKEN_UNUSABLE),
    (b'{"access_token": "a\\r\\nX-Evil: 1"}', Fault.TOKEN_UNUSABLE),
    ('{"access_token": "tök"}'.encode(), Fault.TOKEN_UNUSABLE),
    (b'{"access_token": "' + b"a" * 65537 + b'"}', Fault.TOKEN_UNUSABLE),
]


@pytest.mark.parametrize(("body", "fault"), TOKENS)
def test_unusable_token_response_is_a_fault(body: bytes, fault: Fault):
    assert read_token(body) == (fault, None)


def test_token_response_has_the_token():
    assert read_token(b'{"access_token": "eyJ.abc-_~.x=="}') == (Fault.NONE, "eyJ.abc-_~.x==")


@given(st.binary(max_size=300))
def test_no_bytes_raise(body: bytes):
    for reader in (read_key, read_value, read_token, read_application):
        fault, value = reader(body)
        assert (fault is Fault.NONE) == (value is not None)
    assert read_secret_versions(body)[0] in Fault
    read_error(body)


@given(st.binary(min_size=1, max_size=600))
def test_base64url_comes_back(data: bytes):
    assert decode(encode(data)) == data
    assert decode(base64.urlsafe_b64encode(data).decode()) == data


DELETED = '{"recoveryId": "https://contoso.vault.azure.net/deletedkeys/ContosoRSAKey0", "scheduledPurgeDate": %s}'


@pytest.mark.parametrize(
    ("body", "fault", "purge_at"),
    [
        (DELETED % "1893456000", Fault.NONE, 1893456000.0),
        (DELETED % '"soon"', Fault.NONE, None),
        ("{}", Fault.NONE, None),
        ("", Fault.ANSWER_NOT_JSON, None),
        ("[]", Fault.ANSWER_NOT_JSON, None),
        ("<html>", Fault.ANSWER_NOT_JSON, None),
    ],
)
def test_a_deleted_key_has_its_purge_date_or_none(body: str, fault: Fault, purge_at: float | None):
    assert read_deleted_key(body.encode()) == (fault, purge_at)


def test_a_response_without_a_version_address_is_described():
    body = key_body(kid="https://contoso.vault.azure.net/keys/K", kty="EC")
    assert unexpected_text(Fault.KID_UNUSABLE, body) == "kid is 'https://contoso.vault.azure.net/keys/K', kty is 'EC'"
    assert unexpected_text(Fault.HTTP_STATUS, body) == ""
    assert unexpected_text(Fault.KID_UNUSABLE, b"[]") == ""


# Pages of a vault's keys and of their versions.

VAULT = "https://contoso-prod.vault.azure.net/keys"


def key_page(*values, link=None):
    return json.dumps({"value": list(values), "nextLink": link}).encode()


def test_keys_and_versions_are_read():
    body = key_page(
        {"kid": f"{VAULT}/tde"},
        {"kid": f"{VAULT}/tde/11aa", "attributes": {"enabled": False}},
        {"kid": f"{VAULT}/tde/22bb", "attributes": {"enabled": "yes"}},
        {"kid": f"{VAULT}/of-a-certificate", "managed": True},
        link="https://next",
    )
    entries = (
        ListedKey("tde", None),
        ListedKey("tde", "11aa", enabled=False),
        ListedKey("tde", "22bb"),
        ListedKey("of-a-certificate", None, managed=True),
    )
    assert read_key_list(body) == (Fault.NONE, Page(entries, "https://next"))


@pytest.mark.parametrize("link", [None, "", 7])
def test_last_page_has_no_link(link):
    assert read_key_list(key_page(link=link)) == (Fault.NONE, Page((), None))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"<html>", Fault.ANSWER_NOT_JSON),
        (b"{}", Fault.VALUE_MISSING),
        (key_page("tde"), Fault.VALUE_UNUSABLE),
        (key_page({"kid": 7}), Fault.VALUE_UNUSABLE),
        (key_page({"kid": "https://contoso-prod.vault.azure.net/secrets/x"}), Fault.VALUE_UNUSABLE),
        (key_page(*[{"kid": f"{VAULT}/tde"}] * 1001), Fault.VALUE_UNUSABLE),
    ],
)
def test_unusable_page_is_a_fault(body, fault):
    assert read_key_list(body) == (fault, None)


# Valid and malformed responses of Graph and Key Vault.

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
        Page(
            (
                SecretVersion(version="a1", enabled=True, created=10, expires=100),
                SecretVersion(version="b2", enabled=False),
            ),
            "https://contoso.vault.azure.net:443/x",
        ),
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
    assert read_secret_versions(body) == (fault, None)


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


# The challenge is parsed as literally as the connector does.

GOOD = 'Bearer authorization="https://login.microsoftonline.com/8dd0-tenant", resource="https://vault.azure.net"'


def test_a_good_challenge_names_authority_tenant_and_resource():
    assert read_challenge(GOOD) == (
        Fault.NONE,
        Challenge(authority="https://login.microsoftonline.com", tenant="8dd0-tenant", resource="https://vault.azure.net"),
    )


BAD = [
    (None, Fault.CHALLENGE_ABSENT),
    ("", Fault.CHALLENGE_ABSENT),
    ("Basic realm=x", Fault.CHALLENGE_NO_AUTHORIZATION),
    (GOOD.replace("authorization=", "authorization_uri="), Fault.CHALLENGE_NO_AUTHORIZATION),
    ('Bearer resource="https://vault.azure.net", authorization="https://l/t"', Fault.CHALLENGE_NO_AUTHORIZATION),
    (GOOD.replace("https://login", "http://login"), Fault.CHALLENGE_NO_AUTHORIZATION),
    (GOOD.replace("Bearer", "bearer"), Fault.CHALLENGE_NO_AUTHORIZATION),
    ('Bearer authorization="https://login.microsoftonline.com/t', Fault.CHALLENGE_OPEN_AUTHORIZATION),
    ('Bearer authorization="https://"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com/"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://user:pw@evil/t", resource="https://x.y"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com/a b", resource="https://x.y"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com/..", resource="https://x.y"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com/t"', Fault.CHALLENGE_NO_RESOURCE),
    ('Bearer authorization="https://login.microsoftonline.com/t", scope="x"', Fault.CHALLENGE_NO_RESOURCE),
    ('Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault', Fault.CHALLENGE_OPEN_RESOURCE),
]


@pytest.mark.parametrize(("header", "fault"), BAD)
def test_unreadable_challenge_is_a_fault(header: str | None, fault: Fault):
    assert read_challenge(header) == (fault, None)


@pytest.mark.parametrize("secret", ["Marked-secret-8Q9w0123456789", "contoso.onmicrosoft.com", "vault.azure.net"])
def test_challenge_is_read_whatever_is_a_secret(secret):
    header = f'Bearer authorization="https://login.example/{secret}", resource="https://{secret}"'
    remember(secret)
    expected = Challenge(authority="https://login.example", tenant=secret, resource=f"https://{secret}")
    assert read_challenge(header) == (Fault.NONE, expected)
