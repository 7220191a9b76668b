"""Counted events: groups, limits of time, masked details, text and JSON."""

import json

import pytest

from exporter.explain import event
from exporter.explain.event import EventSummary, as_data, as_text, moment_of
from tests.support.event_records import CONNECTOR, logged


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
    assert "        Entra ID refused the credential (401), so SQL Server gets no token" in text
    assert "        First: List the secrets and their expiry:" in text
    assert "3076 (3112 on connector 1.0.5.0)" in text
    assert max(map(len, text.splitlines())) <= 120


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
    ("since", "until", "count"),
    [("", "", 4), ("10:05", "", 2), ("", "10:05", 2), ("10:05", "10:05", 1), ("11:00", "", 0)],
)
def test_limits_of_time_are_included(since, until, count):
    limits = {name: moment_of(f"2026-11-24T{text}") if text else None for name, text in (("since", since), ("until", until))}
    events = [logged("error 3303", at=f"2026-11-24T{time}:00Z") for time in ("10:00", "10:05", "10:10")]
    assert summary_of(*events, logged("error 3303", at="never"), **limits).count == count


def test_empty_summary_has_one_line():
    assert as_text(EventSummary()) == "No event of the connector, and no message of SQL Server about a key provider.\n"


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
    monkeypatch.setattr(event, "MOST_DETAILS", 2)
    monkeypatch.setattr("exporter.explain.event.MOST_DETAILS", 2)
    summary = summary_of(*(logged(f"error 3303 number {number}") for number in range(5)), details=True)
    assert "The last 2 of 5 events:" in as_text(summary)
    assert [detail.text for detail in summary.details] == ["error 3303 number 3", "error 3303 number 4"]


def test_json_has_groups_and_details():
    summary = summary_of(logged("error 3303", number=9), details=True)
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


def test_code_without_an_action_has_its_meaning_alone():
    text = as_text(summary_of(logged("Provider error code: 0", provider="MSSQLSERVER", number=33049)))
    assert text.endswith("0 scp_err_Success\n        The provider completed the operation.\n")
