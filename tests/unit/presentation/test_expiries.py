"""Expiry dates: which counts, in which order, with which alert, and as a calendar."""

import re
from datetime import date
from pathlib import Path

import pytest

from exporter.core.values import PeerCertificate
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.presentation.expiries import ALERTS, DAY, Ending, EndingKind, all_endings, calendar, credential_ending, uid
from tests.support.values import replace
from tests.support.web_factories import STAGED, STARTED, fully_declared_config, good
from tests.support.web_server import Service

ROOT = Path(__file__).parents[3]
NOW = STARTED


def expiry(days, source=Source.GRAPH, credential="sql-prod"):
    return CredentialExpiry(credential=credential, source=source, expires_at=NOW + days * DAY, looked_up_at=NOW)


def an_ending(kind=EndingKind.CREDENTIAL, days=8.0, name="sql-prod", **changes):
    return Ending(kind=kind, name=name, at=NOW + days * DAY, source="graph", **changes)


def test_a_looked_up_date_counts_before_a_declared_one():
    ends = (expiry(1, Source.DECLARED), expiry(9), expiry(8, Source.KEY_VAULT))
    assert credential_ending(ends).source == "key_vault"
    assert credential_ending(ends[:1]).at == NOW + DAY
    assert credential_ending((replace(ends[0], expires_at=None),)) is None


async def test_everything_that_expires_is_listed_once_earliest_first():
    service = Service(fully_declared_config(backup_on=date(2025, 7, 20)))
    service.add_reports(good())
    service.record_of("contoso-key0").certificates["login:443"] = PeerCertificate(not_after=NOW + 3 * DAY, issuer="CN=x")
    service.ends = {"sql-prod": (expiry(8),), STAGED: (expiry(400, credential=STAGED),)}
    found = await all_endings(service.config, service.record_of, service.credential_expiries)
    soon = await all_endings(service.config, service.record_of, service.credential_expiries, soon_at=NOW)
    assert soon == [each for each in found if each.is_soon(NOW)]
    assert 0 < len(soon) < len(found)
    assert [(each.kind.value, each.name.split("/")[0], len(each.targets)) for each in found] == [
        ("tls_certificate", "login:443", 1),
        ("credential", "sql-prod", 1),
        ("backup", "contoso-prod.vault.azure.net", 1),
        ("key", "contoso-prod.vault.azure.net", 1),
        ("other_credential", STAGED, 0),
    ]


@pytest.mark.parametrize(
    ("kind", "days", "alert"),
    [
        (EndingKind.CREDENTIAL, -1, "EkmCredentialExpired"),
        (EndingKind.CREDENTIAL, 0.5, "EkmCredentialExpiresIn1Day"),
        (EndingKind.CREDENTIAL, 29, "EkmCredentialExpires"),
        (EndingKind.CREDENTIAL, 31, None),
        (EndingKind.OTHER_CREDENTIAL, 29, "EkmCredentialExpires"),
        (EndingKind.KEY, 29, "EkmKeyStateInvalid"),
        (EndingKind.BACKUP, -1, "EkmKeyCareDue"),
        (EndingKind.TLS, 15, None),
    ],
)
def test_an_expiry_names_its_alert(kind, days, alert):
    assert an_ending(kind, days).alert(NOW) == alert


def test_every_named_alert_is_shipped():
    shipped = set(re.findall(r"alert: (\w+)", (ROOT / "alerts" / "ekm.rules.yml").read_text()))
    assert {name for rows in ALERTS.values() for _, name in rows} <= shipped


def text_of(*endings):
    return "".join(calendar(endings, now=NOW))


def unfolded(text):
    return text.replace("\r\n ", "").split("\r\n")


def test_a_calendar_has_crlf_short_lines_and_balanced_parts():
    text = text_of(an_ending(name="ü" * 200, targets=("a" * 128, "b" * 128)), an_ending(EndingKind.KEY, name="v/k"))
    assert "\n" not in text.replace("\r\n", "")
    assert "\r" not in text.replace("\r\n", "")
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    lines = unfolded(text)
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines[-2:] == ["END:VCALENDAR", ""]
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == 2
    assert f"SUMMARY:{'ü' * 200}: credential expires" in lines
    for name in ("UID", "DTSTAMP", "DTSTART", "SUMMARY"):
        assert sum(line.split(":")[0].split(";")[0] == name for line in lines) == 2
    assert all(re.match(r"[A-Z-]+(;[A-Z-]+=[A-Z-]+)*:", line) for line in lines[:-1])


def test_an_event_has_the_exact_time_or_the_declared_day():
    looked_up, declared = an_ending(), replace(an_ending(), source="declared")
    assert "DTSTART:20260110T030405Z" in unfolded(text_of(looked_up))
    assert "DTSTART;VALUE=DATE:20260110" in unfolded(text_of(declared))
    assert "DTSTAMP:20260102T030405Z" in unfolded(text_of(looked_up))


def test_a_renewed_credential_keeps_its_uid():
    assert uid(an_ending(days=8)) == uid(an_ending(days=300))
    assert len({uid(an_ending()), uid(an_ending(name="web")), uid(an_ending(EndingKind.OTHER_CREDENTIAL))}) == 3


def test_a_name_cannot_end_its_line_or_begin_another():
    evil = "a;b,c\\d\r\nEND:VCALENDAR\x00"
    lines = unfolded(text_of(an_ending(name=evil)))
    assert "SUMMARY:a\\;b\\,c\\\\d\\nEND:VCALENDAR: credential expires" in lines
    assert lines.count("END:VCALENDAR") == 1
