"""Keys are named by NAME, NAME/VERSION or the KeyUri."""

import re

import pytest

from exporter.core.values import PATTERN, KeyFacts, KeyReference, different_key, parse_key

VERSION = "cgacf4f763ar42ffb0a1gca546aygd87"
PROD = "contoso.vault.azure.net"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Key0", ("Key0", None, None)),
        (f"Key0/{VERSION}", ("Key0", VERSION, None)),
        (f"https://{PROD}/keys/Key0/{VERSION}", ("Key0", VERSION, PROD)),
        (f"https://{PROD}:443/keys/Key0/{VERSION}", ("Key0", VERSION, PROD)),
        (f"HTTPS://Contoso.Vault.Azure.NET/keys/Key0/{VERSION}", ("Key0", VERSION, PROD)),
        (f"https://{PROD}:8443/keys/Key0/{VERSION}", ("Key0", VERSION, f"{PROD}:8443")),
        (f"https://{PROD}/keys/Key0", ("Key0", None, PROD)),
        (f"https://hsm.managedhsm.azure.net:443/keys/Key0/{VERSION}", ("Key0", VERSION, "hsm.managedhsm.azure.net")),
        (f"https://contoso.vault.azure.cn/keys/Key0/{VERSION}", ("Key0", VERSION, "contoso.vault.azure.cn")),
    ],
)
def test_key_is_parsed_and_matches_the_schema(text, expected):
    assert parse_key(text) == KeyReference(*expected)
    assert re.fullmatch(PATTERN, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "/v",
        "Key0/",
        "Key0/a/b",
        "Key0/a-b",
        f"http://{PROD}/keys/Key0/{VERSION}",
        f"https://{PROD}/secrets/Key0/{VERSION}",
        f"https://{PROD}/keys/Key0/{VERSION}/",
        f"https://{PROD}/keys/Key0/{VERSION}?api-version=7.4",
        f"https://{PROD}/keys/",
        f"https://contoso/keys/Key0/{VERSION}",
        f"https://user:word@{PROD}/keys/Key0/{VERSION}",
        f"{PROD}/keys/Key0/{VERSION}",
    ],
)
def test_other_texts_are_refused_without_a_quotation(text):
    with pytest.raises(ValueError, match="expected NAME/VERSION or the KeyUri") as raised:
        parse_key(text)
    assert "word@" not in str(raised.value)
    assert "Key0" not in str(raised.value)


@pytest.mark.parametrize(("host", "message"), [(f"{PROD}:99999", "port"), ("con_toso.vault.azure.net", "host name")])
def test_impossible_host_of_a_key_uri_is_refused(host, message):
    with pytest.raises(ValueError, match=message):
        parse_key(f"https://{host}/keys/Key0/{VERSION}")


def test_key_uri_contradicts_another_vault_only():
    reference = parse_key(f"https://{PROD}/keys/Key0/{VERSION}")
    assert reference.contradicts("contoso-dr.vault.azure.net")
    assert not reference.contradicts(PROD)
    assert not reference.contradicts(None)
    assert not parse_key(f"Key0/{VERSION}").contradicts(PROD)


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("Key0", VERSION, None),
        ("KEY0", VERSION.upper(), None),
        ("Key0", None, None),
        ("Key1", VERSION, "key Key0"),
        ("Key1", None, "key Key0"),
        ("Key0", "f" * 32, f"version {VERSION}"),
    ],
)
def test_response_about_another_key_is_named(name, version, expected):
    found = KeyFacts(
        name="Key0",
        version=VERSION,
        kid=f"https://{PROD}/keys/Key0/{VERSION}",
        kty="RSA",
        size_bits=2048,
        modulus=b"",
        exponent=b"",
    )
    assert different_key(name, version, found) == expected
