"""The series of the differences between the configuration and a SQL Server."""

from __future__ import annotations

import pytest

from exporter.metrics.sql_server import difference_samples
from exporter.metrics.sql_server_families import FEW
from tests.support.metric_factories import a_recorder, scrape, series, show_reading
from tests.support.sql_differences import URI, a_difference
from tests.support.sql_readings import a_reading

FAMILY = "mssql_ekm_difference_databases"


@pytest.mark.parametrize(
    ("changes", "target"), [({}, "sales"), ({"target": "", "other": "claims"}, "claims"), ({"target": "", "other": ""}, "")]
)
def test_sample_names_target_and_key_and_counts_databases(changes, target):
    labels = (("kind", "other_version"), ("target", target), ("thumbprint", "0x2C56"), ("key_uri", URI))
    assert difference_samples([a_difference(**changes)]) == {FAMILY: [(labels, 2.0)]}


def test_samples_are_bounded_in_number_and_length():
    samples = difference_samples([a_difference(thumbprint="0x" + "A" * 999, target=f"t{number}") for number in range(FEW + 1)])
    assert len(samples[FAMILY]) == FEW
    assert {len(dict(labels)["thumbprint"]) for labels, _ in samples[FAMILY]} == {256}


def test_next_reading_replaces_the_differences_of_its_server():
    recorder = a_recorder()
    show_reading(recorder, a_reading(), a_difference())
    show_reading(recorder, a_reading(address="n2", host="n2"), a_difference(target="other"))
    show_reading(recorder, a_reading())
    assert {dict(labels)["host"] for name, *labels in series(scrape(recorder)) if name == FAMILY} == {"n2"}
