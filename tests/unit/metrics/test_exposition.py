"""A scrape in pieces is well-formed, and a report renders only what changed: the scrape is the same as if it rendered everything."""

from __future__ import annotations

import asyncio
import io
from contextlib import nullcontext
from types import UnionType
from typing import get_args, get_type_hints
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from prometheus_client.openmetrics.parser import text_fd_to_metric_families

from exporter.core.values import Facts, Generation, Step
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.metrics.exposition import CHUNK_BYTES, STEP_DURATIONS, Exposition, TargetBlock
from exporter.metrics.families import BY_NAME, EXPORTER_METRICS
from exporter.metrics.sql_server_families import SQL_SERVER_METRICS
from exporter.metrics.text import LabelSet, histograms
from exporter.state.history import History
from exporter.state.record import TargetRecord
from tests.support import client_model
from tests.support.metric_factories import (
    START,
    a_key,
    a_recorder,
    a_report,
    a_target,
    add,
    an_auxiliary_result,
    by_identity,
    certificate,
    headers,
    ok,
    probed,
    record_auxiliary,
    refused,
    scrape,
    silent,
    throttled,
)
from tests.support.values import replace
from tests.unit.metrics.test_protobuf import scrape_protobuf

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


GOOD = a_report(ready=True, key=a_key())
# Reports that differ in few families each, so that one after the other leaves most of them as they are.
REPORTS = (
    GOOD,
    replace(GOOD, duration=0.7, key=a_key(expires=START)),
    replace(GOOD, readiness=replace(GOOD.readiness, ready=None)),
    replace(GOOD, steps=tuple(replace(each, disturbed=True) for each in GOOD.steps)),
    replace(GOOD, tenant="another"),
    a_report(ready=False, steps=[silent()]),
    a_report(steps=[silent()], discarded=True),
    a_report(ready=False, steps=[refused()]),
    a_report(ready=False, steps=[throttled(retry_after_seconds=5.0)]),
    a_report(ready=False, steps=[throttled(retry_after_seconds=6.0)], purge_at=START + 9),
    a_report(steps=[throttled(Step.WRAP_KEY)], ready=True),
    a_report(ready=True, steps=[ok(Step.TOKEN, shared=True), ok(Step.GET_KEY, vault=headers(), certificate=certificate())]),
)
CHANGING = (b"process_", b"python_")  # counted by the client library between two scrapes
NEXT = an_auxiliary_result(AuxiliaryKind.NEXT, "staged")


def _reload(recorder, at):
    """Other counters exist at 0 from now on, and the last verdict is too old to show."""
    add(recorder, a_target(next_credential="sql-prod", generation=Generation.CURRENT), now=at + 1000)


def _drop_verdict(recorder, _at):
    recorder.drop_verdict("t")


def _auxiliary(recorder, _at):
    record_auxiliary(recorder, auxiliary=by_identity(NEXT), newest_version="newer")


def _protobuf(recorder, _at):
    scrape_protobuf(recorder)


events = st.lists(
    st.sampled_from(REPORTS) | st.sampled_from([_reload, _drop_verdict, _auxiliary, _protobuf]), min_size=1, max_size=12
)


def always(block, group, value):
    """Stands for `TargetBlock.changed` where nothing is known of what was shown."""
    block.shown[group], block.sums = value, ()
    return group.of(value)


def applied(happened, *, everything):
    recorder = a_recorder(a_target())
    with mock.patch.object(TargetBlock, "changed", always) if everything else nullcontext():
        for number, event in enumerate(happened):
            at = START + 61.0 * number
            if callable(event):
                event(recorder, at)
            else:
                probed(recorder, replace(event, started_at=at), next_probe_at=at + 60)
    return recorder


def text_of(recorder):
    return [line for line in scrape(recorder).splitlines() if not line.startswith(CHANGING)]


def protobuf_of(recorder):
    own = {spec.name for spec in EXPORTER_METRICS}
    found = client_model.families(scrape_protobuf(recorder))
    return [each for each in found if each.name not in own and not each.name.startswith(("process_", "python_"))]


@given(events)
def test_a_scrape_is_that_of_a_recorder_that_renders_everything(happened):
    changed, everything = applied(happened, everything=False), applied(happened, everything=True)
    assert text_of(changed) == text_of(everything)
    assert protobuf_of(changed) == protobuf_of(everything)


FAILED = a_report(
    ready=False,
    steps=[ok(Step.CHALLENGE, vault=headers(), certificate=certificate()), throttled(retry_after_seconds=5.0)],
    key=a_key(),
    purge_at=START,
)
# The target and its history are not rendered; steps are walked; an auxiliary probe has an event of its own.
LEFT_OUT = {
    (ProbeReport, "target"),
    *((TargetRecord, name) for name in ("target", "history", "last", "auxiliary", "certificates")),
}


def fields_of(value, *path):
    """The path to every field of a dataclass and of those in it, and the values that its type allows."""
    hints = get_type_hints(type(value))
    for name in getattr(value, "__struct_fields__", None) or value.__dataclass_fields__:
        inner = getattr(value, name)
        if (type(value), name) in LEFT_OUT:
            continue
        if name == "steps":
            for place, step in enumerate(inner[:3]):
                yield from fields_of(step, *path, "steps", place)
            continue
        codes = st.none() | st.sampled_from(sorted(BY_CODE))
        yield (*path, name), codes if (type(value), name) == (StepResult, "code") else values_of(hints[name])
        if isinstance(inner, Struct):
            yield from fields_of(inner, *path, name)


def values_of(hint):
    if isinstance(hint, UnionType):
        return st.one_of([values_of(each) for each in get_args(hint)])
    if hint is Facts:
        return st.builds(Facts, **{name: values_of(each) for name, each in get_type_hints(Facts).items() if name != "phases"})
    return st.floats(0, 4e9) if hint is float else st.from_type(hint)


def with_field(value, path, new):
    name, *rest = path
    if isinstance(name, int):
        return (*value[:name], with_field(value[name], rest, new), *value[name + 1 :])
    return replace(value, **{name: with_field(getattr(value, name), rest, new) if rest else new})


FIELDS_OF_REPORTS = dict(fields_of(FAILED))
FIELDS_OF_RECORDS = dict(fields_of(TargetRecord(a_target(), History(0))))


def both(*events):
    """The scrapes of a recorder that renders what changed, and of one that renders everything."""
    changed, everything = (applied(events, everything=each) for each in (False, True))
    return text_of(changed), text_of(everything)


@pytest.mark.parametrize("path", FIELDS_OF_REPORTS, ids=lambda path: ".".join(map(str, path)))
@given(st.data())
@settings(max_examples=3)
def test_any_field_of_a_report_is_rendered_when_it_changes(path, data):
    changed = with_field(FAILED, path, data.draw(FIELDS_OF_REPORTS[path]))
    for events in ([FAILED, changed], [changed, FAILED]):
        some, everything = both(*events)
        assert some == everything


@pytest.mark.parametrize("path", FIELDS_OF_RECORDS, ids=".".join)
@given(st.data())
@settings(max_examples=3)
def test_any_field_of_a_record_is_rendered_when_it_changes(path, data):
    new = data.draw(FIELDS_OF_RECORDS[path])

    def change(recorder, _at):
        record = recorder.records.get("t")
        setattr(record, path[0], with_field(record, path, new).vault if len(path) > 1 else new)
        recorder.record(record.last, record)

    some, everything = both(FAILED, change)
    assert some == everything


def test_fields_with_a_part_in_a_series_are_among_them():
    """The two tests above would pass if they changed nothing that is rendered."""
    assert {("steps", 2, "reason"), ("steps", 2, "facts", "retry_after_seconds"), ("purge_at",), ("readiness", "ready")} <= set(
        FIELDS_OF_REPORTS
    )
    assert {("purge_at",), ("consecutive_failures",), ("key",), ("vault", "region")} <= set(FIELDS_OF_RECORDS)


def puts_of(recorder, report, monkeypatch):
    """The families that a report renders."""
    names = []
    put = Exposition.put
    with monkeypatch.context() as patched:
        patched.setattr(Exposition, "put", lambda self, each: names.extend(name for name, *_ in each) or put(self, each))
        probed(recorder, report)
    return set(names)


def test_a_good_probe_after_a_good_one_renders_times_and_counts_alone(monkeypatch):
    recorder = a_recorder(a_target())
    probed(recorder, GOOD)
    found = puts_of(recorder, replace(GOOD, started_at=START + 60, key=replace(GOOD.key)), monkeypatch)
    still = ("ekm_key_", "ekm_step_success", "ekm_target", "ekm_errors", "ekm_credential", "ekm_retained", "ekm_recovery")
    assert not [name for name in found if name.startswith((*still, "ekm_maintenance"))]
    assert {"ekm_probes_total", "ekm_probe_verdicts_total", "ekm_step_duration_seconds", "ekm_probe_duration_seconds"} <= found


def test_a_failure_after_a_good_probe_renders_its_outcome_and_runs(monkeypatch):
    recorder = a_recorder(a_target())
    probed(recorder, GOOD)
    found = puts_of(recorder, a_report(ready=False, steps=[silent()], started_at=START + 60), monkeypatch)
    assert {"ekm_step_success", "ekm_last_failure_info", "ekm_consecutive_failures", "ekm_errors_total"} <= found


def test_protobuf_is_whole_if_a_probe_ends_during_the_first_scrape():
    recorder, other = a_recorder(a_target()), a_recorder(a_target())
    second = replace(GOOD, started_at=START + 60)
    for each in (recorder, other):
        probed(each, GOOD)
    probed(other, second)
    first = asyncio.run(_scraped_while(recorder, lambda: probed(recorder, second)))
    assert _names(first) == _names(scrape_protobuf(other))


async def _scraped_while(recorder, action):
    async def whole():
        return b"".join([piece async for piece in recorder.scrape_protobuf()])

    scraping = asyncio.create_task(whole())
    await asyncio.sleep(0)  # until its first pause
    assert not scraping.done()
    action()
    return await scraping


def _names(body):
    return {each.name for each in client_model.families(body)}
