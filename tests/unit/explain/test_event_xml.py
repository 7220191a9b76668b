"""Events as Windows renders them."""

from datetime import UTC, datetime

import pytest

from exporter.explain.event import Origin, read_event_xml
from tests.support.windows_facts import event_xml


def test_event_of_the_connector_has_its_strings_and_time():
    event = read_event_xml(event_xml("Operation failed &amp; ended", " 3303 ", ""))
    assert event.origin is Origin.CONNECTOR
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


def test_long_event_is_read_in_part():
    assert [len(text) for text in read_event_xml(event_xml("a" * 3000, "b" * 3000, "c")).texts] == [3000, 1000]


@pytest.mark.parametrize(("number", "expected"), [("x", None), ("123456", None), ("0", 0)])
def test_number_of_an_event_may_be_unreadable(number, expected):
    assert read_event_xml(event_xml("x", number=number)).number == expected
