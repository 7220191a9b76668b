"""The code of an event, in any layout of its text."""

import pytest

from exporter.explain.event import explain_event, read_event
from tests.support.event_records import CONNECTOR, logged, record


def code(*texts, **more):
    found = explain_event(logged(*texts, **more))
    return found.rows[0].code if found is not None and found.is_code else None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("Provider error code: 3303. (Provider Error - No explanation is available)",), 3303),
        (("provider error code 0xCE7",), 3303),
        (("3303",), 3303),
        (("(3303)",), 3303),
        (("0x00000CE7",), 3303),
        (("0x80040CE7",), 3303),  # an HRESULT
        (("Operation acquireToken failed with error 3303 for vault contoso-prod",), 3303),
        (("code=3303",), 3303),
        (("[Error: 3303] AKV",), 3303),
        (("3303 was returned by the provider",), 3303),
        (("error 0xce7",), 3303),
        (("scp_err_AuthFailure",), 5),
        (("ErrorGetTokenBadCredentials",), 3303),
        (("Operation: acquireToken, Info: 401",), 3303),
        (("operation getKeyByName info 404",), 3076),
        (("The server name could not be resolved: 12007",), None),
    ],
)
def test_event_of_the_connector_leads_to_its_code(texts, expected):
    assert code(*texts) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Started at 2026-11-24 with version 15.0.2000.440",
        "The port 3303 is open",
        "Listening on 10.0.0.4:3303",
        "Process 3303 has started",
        "error in file C:/3303/x.dll",
        "everything is fine",
        "5",
        "error 9999",
    ],
)
def test_number_of_another_meaning_is_no_code(text):
    assert explain_event(logged(text)) is None


def test_event_id_is_the_code_if_the_text_has_none():
    assert code("no number", number=3303) == 3303
    assert code("no number", number=4096) is None


def test_message_of_sql_server_has_the_provider_code_among_its_strings():
    assert code("0xAB12", "asymmetric key", "3303", "Provider Error", provider="MSSQLSERVER", number=33049) == 3303
    assert code("cryptographic provider", "AKV", "2", provider="MSSQL$ONE", number=33028) == 2


def test_message_that_no_table_has_is_not_explained():
    assert explain_event(logged("Provider error", provider="MSSQLSERVER", number=17)) is None


@pytest.mark.parametrize(
    ("texts", "number", "expected"),
    [
        (("3100", "3303", "Provider Error"), 33035, 3303),
        (("cryptographic provider", "3100", "3303", "Anbieterfehler"), 33028, 3303),
        (("Der Schl\u00fcssel '3100' kann nicht erstellt werden. Anbieterfehlercode: 3303. (Anbieterfehler)",), 33035, 3303),
        (("La cl\u00e9 '3100' n'existe pas. Code d'erreur du fournisseur\u00a0: 3113. (Erreur)",), 33049, 3113),
        (("\u30ad\u30fc '3100' \u304c\u3042\u308a\u307e\u305b\u3093\u3002 \u30b3\u30fc\u30c9: 2058\u3002",), 33049, 2058),
        (("Nyckeln '3100' finns inte. Providerfelkod: 2. (fel)",), 33049, 2),
        (("Cannot create key '3100' in the provider. Provider error code: 3303. (Provider Error)",), 33035, 3303),
    ],
)
def test_code_of_a_message_is_found_in_any_language(texts, number, expected):
    assert code(*texts, provider="MSSQLSERVER", number=number) == expected


@pytest.mark.parametrize(
    ("texts", "provider", "number"),
    [
        (("Vault Name: contoso, Operation: createKey, Key Name: 3100, Message: [state: 16] failed",), CONNECTOR, 1),
        (("The key '3100' was not created: failed",), CONNECTOR, 1),
        (("failed for key 3100",), CONNECTOR, 1),
        (("find", "asymmetric key", "3100"), "MSSQLSERVER", 15151),
        (("asymmetric key", "3100"), "MSSQLSERVER", 33111),
        (("find", "asymmetric key", "5"), "MSSQLSERVER", 15151),
    ],
)
def test_name_of_a_key_is_no_code(texts, provider, number):
    assert code(*texts, provider=provider, number=number) is None


def test_code_of_the_connector_is_found_next_to_a_key_with_a_number_as_name():
    assert code("Operation: getKeyByName, Key Name: 3100, Message: [error: 3112, state: 16]") == 3112
    assert code("contoso", "3100", "Message: error 3112") == 3112
    assert code("contoso", "3100", "3112") == 3112


@pytest.mark.parametrize("number", [33035, 33037, 33047, 33082, 33111, 37563])
def test_every_message_about_the_provider_is_an_event(number):
    assert explain_event(logged("text", provider="MSSQLSERVER", number=number)).title.startswith(f"Message {number} ")


@pytest.mark.parametrize("number", [3013, 3414, 9001])
def test_message_that_may_have_another_cause_is_no_event(number):
    assert read_event(record("MSSQLSERVER", number, "BACKUP LOG is terminating abnormally.")) is None


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Error when accessing registry: 5", "The connector cannot access its registry key: Windows error 5"),
        ("request failed with 0x80072EE7", "Windows error 12007 (0x80072EE7): the host name did not resolve"),
        ("The remote name could not be resolved", "dns_not_found"),
        ("AADSTS7000222: the secret has expired", "AADSTS7000222: secret_expired"),
    ],
)
def test_text_of_the_connector_without_a_code_is_explained(text, title):
    assert explain_event(logged(text)).title == title
