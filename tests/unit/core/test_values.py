"""Faults, deadlines, keys and operations: what follows from the values of a probe."""

import re

import pytest

from exporter.core.values import (
    KEY_PATTERN,
    OPERATIONS,
    CredentialKind,
    Facts,
    Fault,
    KeyFacts,
    KeyReference,
    Mode,
    Phase,
    Step,
    TokenResult,
    different_key,
    has_limits,
    is_discarded,
    is_disturbed,
    key_operations_limit,
    key_state,
    operation_limit,
    operations_of,
    parse_key,
    slow_in,
    slowest,
)

# Which failures this host may have caused by itself, and from which lateness on.

WITHOUT_ANSWER = {
    *("dns_timeout", "connect_timeout", "tls_timeout", "proxy_timeout", "read_timeout", "body_timeout", "secret_timeout"),
    *("connect_reset", "tls_reset", "connection_reset", "connection_closed", "dns_temporary"),
}


def test_only_a_timeout_a_reset_a_close_and_try_again_can_be_discarded():
    assert {fault for fault in Fault if is_discarded(fault, late=60.0, took=60.0)} == WITHOUT_ANSWER


@pytest.mark.parametrize(
    ("late", "took", "discarded"),
    [
        (0.0, 10.0, False),
        (0.499, 0.5, False),
        (0.5, 0.5, True),
        (0.5, 0.999, True),
        (0.5, 1.0, False),  # half is not more than half
        (5.0, 10.0, False),
        (5.001, 10.0, True),
        (9.999, 10.0, True),
    ],
)
def test_a_failure_counts_unless_the_host_was_late_for_half_a_second_and_most_of_the_step(*, late, took, discarded):
    assert is_discarded(Fault.READ_TIMEOUT, late=late, took=took) is discarded


@pytest.mark.parametrize(
    ("late", "took", "disturbed"),
    [(0.0, 0.0, False), (0.099, 0.1, False), (0.1, 0.1, True), (0.1, 1.0, True), (0.1, 1.01, False), (1.0, 10.0, True)],
)
def test_a_duration_is_disturbed_by_a_tenth(*, late, took, disturbed):
    assert is_disturbed(late=late, took=took) is disturbed


# A timeout is charged to the step that used the time.


@pytest.mark.parametrize(
    ("spent", "left", "culprit"),
    [
        ({Step.CHALLENGE: 9.5}, 0.5, Step.CHALLENGE),
        ({Step.CHALLENGE: 9.5}, -0.1, Step.CHALLENGE),
        ({Step.CHALLENGE: 1.0, Step.TOKEN: 8.9}, 0.1, Step.TOKEN),
        ({Step.CHALLENGE: 9.0}, 1.0, None),  # a fair share
        ({}, 0.0, None),
        ({Step.CHALLENGE: 0.01}, 0.02, None),
    ],
)
def test_slowest_is_the_step_that_used_the_time(spent, left, culprit):
    assert slowest(spent, left=left, timeout=10.0) is culprit


def test_slow_step_fails_in_its_longest_phase():
    assert slow_in({Phase.DNS: 0.1, Phase.TLS: 3.0, Phase.WAIT: 0.2}) is Fault.TLS_TIMEOUT
    assert slow_in({}) is Fault.READ_TIMEOUT


# Keys are named by NAME, NAME/VERSION or the KeyUri.

VERSION = "cgacf4f763ar42ffb0a1gca546aygd87"
PROD = "contoso.vault.azure.net"


def key(*, name="k", version="v", **attributes):
    given = {"kid": "kid", "kty": "RSA", "size_bits": 2048, "modulus": b"n", "exponent": b"e"} | attributes
    return KeyFacts(name=name, version=version, **given)


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
    assert re.fullmatch(KEY_PATTERN, text)


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
    found = key(name="Key0", version=VERSION)
    assert different_key(name, version, found) == expected


NOW = 10.0


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, None),
        ({"enabled": True, "not_before": NOW, "expires": NOW + 0.5}, None),
        ({"enabled": False, "expires": 1.0}, "disabled"),
        ({"expires": NOW}, "expired"),
        ({"not_before": NOW + 0.5}, "not_yet_valid"),
    ],
)
def test_key_state_follows_the_attributes(attributes, expected):
    assert key_state(key(**attributes), NOW) == expected


# The key operations of a probe, and the limits of vaults.


@pytest.mark.parametrize(
    ("vault", "key", "limit"),
    [
        ("contoso.vault.azure.net", {}, 500),
        ("contoso.vault.azure.net", {"hardware": False, "size_bits": 2048}, 4000),
        ("contoso.managedhsm.azure.net", {}, 3600),
        ("contoso.managedhsm.azure.net", {"size_bits": 2048}, 11000),
        ("vault.corp.example", {}, 500),
    ],
)
def test_key_and_kind_of_vault_select_the_limit(vault, key, limit):
    assert key_operations_limit(vault, **key) == limit


def test_mode_read_only_uses_no_key():
    assert operations_of(Mode.READ_ONLY) == (Step.CHALLENGE, Step.GET_KEY)
    assert operations_of(Mode.FULL) == tuple(step for step in Step if step is not Step.TOKEN)


@pytest.mark.parametrize(
    ("vault", "key", "limits"),
    [
        ("contoso.vault.azure.net", {}, [4000, 500, 500, 500]),
        ("contoso.vault.azure.net", {"hardware": True, "size_bits": 2048}, [4000, 2000, 2000, 2000]),
        ("contoso.vault.azure.net", {"hardware": False, "size_bits": 1024}, [4000, 500, 500, 500]),
        ("contoso.managedhsm.azure.net", {}, [4000, 4000, 3600, 3600]),
    ],
)
def test_requests_about_a_key_have_the_limit_of_the_key(vault, key, limits):
    assert [operation_limit(operation, vault, **key) for operation in OPERATIONS] == limits


@pytest.mark.parametrize(
    ("vault", "published"),
    [("contoso.vault.azure.net", True), ("contoso.managedhsm.azure.net", False), ("vault.corp.example", False)],
)
def test_limits_are_published_for_vaults_of_a_known_cloud(vault, published):
    assert has_limits(vault) is published


def test_only_a_managed_identity_belongs_to_one_host():
    assert [kind for kind in CredentialKind if kind.is_managed] == [CredentialKind.MANAGED_IDENTITY]


def test_token_is_in_no_representation_of_its_result():
    result = TokenResult(facts=Facts(), token="MARKED", expires_at=5.0)
    shown = f"{result!r} {result.__rich_repr__()}"
    assert "MARKED" not in shown
    assert "expires_at=5.0" in shown
