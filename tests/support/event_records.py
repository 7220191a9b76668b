"""Records of a saved event log as the parser's JSON."""

import json

from exporter.explain.event import read_event

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
