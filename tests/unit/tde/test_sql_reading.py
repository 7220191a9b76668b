"""The name under which a reading of a SQL Server counts."""

from dataclasses import replace

from exporter.tde.sql_reading import server_key
from tests.support.sql_readings import a_reading


def test_servers_whose_names_differ_in_case_are_one():
    first = replace(a_reading(), sql_instance="SQLPRD01", host="N1")
    second, other = replace(first, sql_instance="sqlprd01", host="n1"), replace(first, host="n2")
    assert server_key(first) == server_key(second)
    assert server_key(first) != server_key(other)
