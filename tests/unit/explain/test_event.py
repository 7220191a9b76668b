"""Events of Windows: read from XML and JSON, explained in any layout, and counted."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.explain.event import EventSummary, as_data, as_text, explain_event, moment_of, read_event, read_event_xml
from exporter.knowledge.codes import BY_CODE
from tests.support.windows_facts import event_xml

CONNECTOR = "SQL Server Connector for Microsoft Azure Key Vault"


def record(provider=CONNECTOR, number=1, *texts, at="2026-11-24T10:02:00.000000Z"):
    system = {
        "Provider": {"#attributes": {"Name": provider}},
        "EventID": {"#attributes": {"Qualifiers": 0}, "#text": number},
        "TimeCreated": {"#attributes": {"SystemTime": at}},
        "Computer": "n1.contoso.invalid",
    }
    return json.dumps({"Event": {"System": system, "EventData": {"Data": {"#text": list(texts)}}}})


def logged(*texts, provider=CONNECTOR, number=1, at="2026-11-24T10:02:00Z"):
    event = read_event(record(provider, number, *texts, at=at))
    assert event is not None
    return event


def test_event_of_the_connector_has_its_strings_and_time():
    event = read_event_xml(event_xml("Operation failed &amp; ended", " 3303 ", ""))
    assert event.origin == "connector"
    assert event.at == datetime(2026, 11, 24, 10, 2, 3, 123456, UTC)
    assert (event.number, event.computer, event.texts) == (4096, "n1.contoso.example", ("Operation failed & ended", "3303"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no XML",
        "<Event/>",
        event_xml("x", provider="Service Control Manager"),
        event_xml("x").replace("System", "Other"),
        "<Event>&a;",
    ],
)
def test_other_texts_are_no_event(text):
    assert read_event_xml(text) is None


@pytest.mark.parametrize(("number", "expected"), [("x", None), ("123456", None), ("0", 0)])
def test_number_of_an_event_may_be_unreadable(number, expected):
    assert read_event_xml(event_xml("x", number=number)).number == expected


# JSON of a saved log.


def test_record_of_the_connector_has_its_strings_and_time():
    event = read_event(record(CONNECTOR, 4096, "Operation failed", "3303", at="2026-11-24T10:02:03.1234567Z"))
    assert event.origin == "connector"
    assert event.at == datetime(2026, 11, 24, 10, 2, 3, 123456, UTC)
    assert (event.provider, event.number, event.computer) == (CONNECTOR, 4096, "n1.contoso.invalid")
    assert event.texts == ("Operation failed", "3303")


@pytest.mark.parametrize("provider", [CONNECTOR, "AzureKeyVault", "Contoso EKM"])
def test_names_of_the_connector_are_recognised(provider):
    assert read_event(record(provider, 1, "text")).origin == "connector"


@pytest.mark.parametrize(
    ("provider", "number", "texts", "origin"),
    [
        ("MSSQLSERVER", 33049, ("0xAB", "3303"), "sql_server"),
        ("MSSQL$SQLPRD01", 33028, ("2",), "sql_server"),
        ("mssqlserver", 1, ("Provider error code: 3303",), "sql_server"),
        ("MSSQLSERVER", 15151, ("find", "asymmetric key", "TdeKey"), "sql_server"),
        ("MSSQLSERVER", 15151, ("find", "object", "x"), None),
        ("MSSQLSERVER", 17806, ("SSPI handshake failed",), None),
        ("SQLSERVERAGENT", 33049, ("3303",), None),
        ("Microsoft-Windows-Kernel-General", 3303, ("error 3303",), None),
    ],
)
def test_messages_of_sql_server_about_a_provider_are_selected(provider, number, texts, origin):
    event = read_event(record(provider, number, *texts))
    assert (event and event.origin) == origin


def test_forwarded_event_has_its_message_and_numbers_but_no_binary_data():
    body = json.loads(record(CONNECTOR, 1, "one"))
    body["Event"]["EventData"] |= {"Named": 3303, "Binary": "0xFF", "flag": True, "empty": " "}
    body["Event"]["RenderingInfo"] = {"Message": "whole message"}
    assert read_event(json.dumps(body)).texts == ("one", "3303", "whole message")


def test_long_and_deep_events_are_read_in_part():
    long = ("a" * 3000, "b" * 3000, "c")
    for event in (read_event(record(CONNECTOR, 1, *long)), read_event_xml(event_xml(*long))):
        assert [len(text) for text in event.texts] == [3000, 1000]
    deep = "text"
    for _ in range(40):
        deep = {"more": deep}
    body = json.loads(record(CONNECTOR, 1))
    body["Event"]["UserData"] = deep
    assert read_event(json.dumps(body)).texts == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"Event": 1}', '{"Event": {"System": 1}}', '{"Event": {"System": {}}}', "[" * 100_000]
)
def test_other_documents_are_no_event(text):
    assert read_event(text) is None


@pytest.mark.parametrize(
    ("number", "read"), [(1, 1), ("7", 7), ({"#text": "9"}, 9), (70000, None), ("123456", None), ("x", None), (None, None)]
)
def test_event_id_may_have_qualifiers(number, read):
    body = json.loads(record(CONNECTOR, 1))
    body["Event"]["System"]["EventID"] = number
    assert read_event(json.dumps(body)).number == read


@pytest.mark.parametrize("provider", [None, {}, {"#attributes": 1}, {"#attributes": {"Name": 1}}])
def test_event_without_a_provider_is_left_out(provider):
    body = json.loads(record(CONNECTOR, 1))
    body["Event"]["System"]["Provider"] = provider
    assert read_event(json.dumps(body)) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T10:00", datetime(2026, 11, 24, 10, tzinfo=UTC)),
        ("2026-11-24T11:00+01:00", datetime(2026, 11, 24, 10, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("yesterday", None),
        ("0001-01-01T00:00+01:00", None),
        ("", None),
    ],
)
def test_times_are_in_utc(text, moment):
    assert moment_of(text) == moment


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_event_data_is_read(data):
    body = json.loads(record(CONNECTOR, 1))
    body["Event"]["EventData"] = data
    assert all(read_event(json.dumps(body)).texts)


# The code of an event.


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


# Counted events.


def summary_of(*events, **options):
    summary = EventSummary(**options)
    for one in events:
        summary.add(one)
    return summary


def test_events_of_one_code_are_one_line_with_count_and_times():
    summary = summary_of(
        logged("error 3303", at="2026-11-24T10:02:00Z"),
        logged("error 3303", at="2026-11-24T10:07:00Z"),
        logged("0xAB", "key", "3303", provider="MSSQLSERVER", number=33049, at="2026-11-24T10:05:00Z"),
        logged("error 3076", at="2026-11-24T11:00:00Z"),
    )
    assert [(group.label, group.count) for group in summary.groups] == [("3303", 3), ("3076", 1)]
    text = as_text(summary)
    assert "     3  2026-11-24 10:02:00  2026-11-24 10:07:00  3303 ErrorGetTokenBadCredentials\n" in text
    assert "        Entra ID refused the credential (401), or a device on the route" in text
    assert "        First: Does a probe succeed:" in text
    assert "3076 (3112 on connector 1.0.5.0)" in text
    assert max(map(len, text.splitlines())) <= 120


def test_log_without_an_event_of_the_connector_is_no_proof():
    message, own = logged("0xAB", "key", "3303", provider="MSSQLSERVER", number=33049), logged("error 3303")
    assert "this must not show 2" in " ".join(as_text(summary_of(message)).split())
    assert "proves nothing" not in as_text(summary_of(message, own))


@pytest.mark.parametrize(("code", "title"), [(0, "Message 33029 "), (1, "Message 33029 "), (3303, "")])
def test_code_that_names_no_cause_leads_to_its_message(code, title):
    found = explain_event(logged(str(code), "Provider Error", provider="MSSQLSERVER", number=33029))
    assert found.title.startswith(title)
    assert found.is_code is (code == 3303)


def test_events_without_a_code_come_last():
    summary = summary_of(
        *[logged("hello", number=7)] * 3,
        logged("0xAB", provider="MSSQLSERVER", number=33111),
        logged("AADSTS7000222: expired"),
        logged("hello", provider=f"{CONNECTOR}\x1b[31m", number=None),
    )
    assert [group.label for group in summary.groups] == [
        "AADSTS7000222: secret_expired",
        "Message 33111 of SQL Server: Cannot find server asymmetric key with thumbprint",
        "no code (connector, event 7)",
        "no code (connector, event -)",
    ]
    assert "Read the text: add --all." in as_text(summary)
    assert [group.code for group in summary.groups] == [3303, None, None, None]


@pytest.mark.parametrize(
    ("since", "until", "count"), [("", "", 4), ("10:05", "", 2), ("", "10:05", 2), ("10:05", "10:05", 1), ("11:00", "", 0)]
)
def test_limits_of_time_are_included(since, until, count):
    limits = {name: moment_of(f"2026-11-24T{text}") if text else None for name, text in (("since", since), ("until", until))}
    events = [logged("error 3303", at=f"2026-11-24T{time}:00Z") for time in ("10:00", "10:05", "10:10")]
    assert summary_of(*events, logged("error 3303", at="never"), **limits).count == count


def test_empty_summary_has_one_line():
    first, *others = as_text(EventSummary()).splitlines()
    assert first == "No event of the connector, and no message of SQL Server about a key provider."
    assert r'`reg query "HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault\Log" /v Level`.' in others


def test_summary_of_an_incomplete_file_says_so_alone():
    assert as_text(EventSummary(), complete=False) == "No such event in the records that were read. Not every record was read.\n"


def test_event_without_a_time_has_a_dash():
    summary = summary_of(logged("error 3303", at="never"), details=True)
    assert "     1  -                    -                    3303" in as_text(summary)
    assert as_data(summary)["details"][0]["time"] is None


def test_details_are_masked_and_have_no_control_characters():
    secret = "client_secret=abcdef0123456789"
    summary = summary_of(logged(f"error 3303\x1b]0;x\x07 {secret}", number=None), details=True)
    text = as_text(summary)
    assert "abcdef" not in text + json.dumps(as_data(summary))
    assert text.isprintable() or not {sign for sign in text if not sign.isprintable()} - {"\n"}
    assert "2026-11-24 10:02:00  3303  n1.contoso.invalid  SQL Server Connector for Microsoft Azure Key Vault  event -" in text
    assert "client_secret=<secret>" in text


def test_only_the_last_details_are_kept(monkeypatch):
    monkeypatch.setattr("exporter.explain.event.MOST_DETAILS", 2)
    summary = summary_of(*(logged(f"error 3303 number {number}") for number in range(5)), details=True)
    assert "The last 2 of 5 events:" in as_text(summary)
    assert [event.texts[0] for _, event in summary.details] == ["error 3303 number 3", "error 3303 number 4"]


def test_json_has_groups_and_details():
    summary = summary_of(logged("error 3303", number=9, at="2026-11-24T10:02:00.7Z"), details=True)
    data = as_data(summary)
    group = data["groups"][0]
    assert data["events"] == 1
    assert {name: group[name] for name in ("label", "code", "count", "first", "origins", "event_ids")} == {
        "label": "3303",
        "code": 3303,
        "count": 1,
        "first": "2026-11-24T10:02:00Z",
        "origins": ["connector"],
        "event_ids": [9],
    }
    assert data["details"][0]["text"] == "error 3303"
    assert "details" not in as_data(summary_of(logged("error 3303")))


def test_each_code_has_json():
    groups = json.loads(json.dumps(as_data(summary_of(*(logged(f"error {code}") for code in BY_CODE)))))["groups"]
    assert {group["code"]: group["first_action"] for group in groups}[3821] == BY_CODE[3821].actions[0]


def test_code_without_an_action_has_its_meaning_alone():
    text = as_text(summary_of(logged("Provider error code: 0", provider="MSSQLSERVER", number=33049)))
    assert "0 scp_err_Success\n        The provider completed the call.\n\n" in text
