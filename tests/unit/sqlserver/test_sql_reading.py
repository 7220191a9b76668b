"""Rules of SQL Servers' readings: who keeps a name that several answer."""

from dataclasses import replace

import pytest

from exporter.sqlserver.reading import contested_addresses, shown_name
from tests.support.sql_readings import a_reading, an_unread_server


def named(address, host="n1", **changes):
    return a_reading(address=address, host=host, **changes)


@pytest.mark.parametrize(
    ("readings", "contested"),
    [
        ([named("n1"), named("n2", "n2")], set()),
        ([named("10.0.0.5"), named("n1.contoso.com")], {"10.0.0.5"}),  # the address proves the name
        ([named("n1"), named("10.0.0.5", "N1", sql_instance="sqlprd01")], {"10.0.0.5"}),  # names ignore case
        ([named("n1"), named("10.0.0.5", configured=True)], {"n1"}),  # the configuration has the name
        ([named("10.0.0.5"), named("10.0.0.6")], {"10.0.0.5", "10.0.0.6"}),  # nothing proves it
        ([named("n1,1433"), named("n1,1434")], {"n1,1433", "n1,1434"}),
        ([named("10.0.0.5", sql_instance="N2"), an_unread_server("n2")], {"10.0.0.5"}),  # the address stands for the names
        ([named("n1", sql_instance="N1")], set()),
        ([an_unread_server("n1"), an_unread_server("n2")], set()),
    ],
)
def test_name_is_kept_by_the_best_claim_alone(readings, contested):
    assert contested_addresses(readings) == contested
    assert contested_addresses(readings[::-1]) == contested


def test_contested_name_is_shown_with_the_address():
    assert shown_name(named("10.0.0.5")) == "SQLPRD01 on n1"
    assert shown_name(replace(named("10.0.0.5"), contested=True)) == "10.0.0.5 (answers as SQLPRD01 on n1)"
