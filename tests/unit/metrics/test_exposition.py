"""A scrape is sent in pieces, and changes between two pieces leave it well-formed."""

from __future__ import annotations

import io

import pytest
from prometheus_client.openmetrics.parser import text_fd_to_metric_families

from exporter.core.values import Step
from exporter.metrics.exposition import CHUNK_BYTES, STEP_DURATIONS, Exposition
from exporter.metrics.families import BY_NAME
from exporter.metrics.sql_server_families import SQL_SERVER_METRICS
from exporter.metrics.text import LabelSet, histograms
from tests.support import client_model
from tests.support.metric_factories import a_key, a_recorder, a_report, a_target, add, probed, throttled

MANY = 501
SCRAPES = {
    "openmetrics": (
        lambda recorder: recorder.scrape(openmetrics=True),
        lambda body: list(text_fd_to_metric_families(io.StringIO(body.decode()))),
    ),
    "protobuf": (lambda recorder: recorder.scrape_protobuf(), client_model.families),
}


@pytest.mark.parametrize(("scrape", "read"), SCRAPES.values(), ids=SCRAPES)
async def test_changes_between_pieces_leave_the_scrape_well_formed(scrape, read):
    recorder = a_recorder(*(a_target(f"t{number}") for number in range(MANY)))
    for number in range(MANY):
        probed(recorder, a_report(f"t{number}"))
    pieces = []
    async for piece in scrape(recorder):
        assert len(piece) <= 1.25 * CHUNK_BYTES
        pieces.append(piece)
        turn = len(pieces)
        probed(recorder, a_report(f"t{turn}", steps=[throttled(Step.GET_KEY, code=3012 + turn % 2)], key=a_key()))
        recorder.forget(f"t{MANY - turn}")
        add(recorder, a_target(f"new{turn}"))

    families = read(b"".join(pieces))

    assert len(families) == len({family.name for family in families})
    assert len(pieces) > 10


async def test_text_without_its_protobuf_removes_the_older_one():
    (spec,) = (one for one in SQL_SERVER_METRICS if one.name == "mssql_ekm_read_success")
    exposition = Exposition([spec])
    exposition.put([(spec.name, "n1", b"mssql_ekm_read_success 1\n", b"older")])
    exposition.put([(spec.name, "n1", b"mssql_ekm_read_success 0\n", b"")])
    assert not exposition.is_encoded(spec.name, "n1")
    await exposition.encode_gauges()
    assert exposition.is_encoded(spec.name, "n1")


def test_histogram_without_steps_removes_the_older_one():
    exposition = Exposition([BY_NAME[STEP_DURATIONS]])
    base = LabelSet.from_labels(("target", "t"))
    for counted in ({(("step", "s"),): ([1, 2], 0.5)}, {}):
        exposition.put([(STEP_DURATIONS, "t", histograms(STEP_DURATIONS, base, (0.5,), counted), b"")])
    assert exposition.render(openmetrics=False) == b""
