"""The code of an event, in any layout of its text."""

import pytest

from exporter.core.events.find import explain_event
from tests.support.event_records import logged


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


def test_message_of_sql_server_without_a_code_is_explained():
    found = explain_event(logged("0xAB12", provider="MSSQLSERVER", number=33111))
    assert found.title == "Message 33111 of SQL Server: Cannot find server asymmetric key with thumbprint"


def test_message_that_no_table_has_is_not_explained():
    assert explain_event(logged("find", "asymmetric key", "K", provider="MSSQLSERVER", number=15151)) is None


def test_number_of_entra_id_is_explained():
    found = explain_event(logged("AADSTS7000222: the secret has expired"))
    assert found.title == "AADSTS7000222: secret_expired"
