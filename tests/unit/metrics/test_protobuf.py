"""A scrape in protobuf has the values of a scrape as text, and Google's library reads it by the official definition."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.core.values import Step
from exporter.metrics import text
from exporter.metrics.counters import STEP_BUCKETS
from exporter.metrics.families import EXPORTER_METRICS
from exporter.metrics.protobuf import ZERO_THRESHOLD, NativeHistogram, bucket_of, spans_and_deltas
from exporter.metrics.spec import Level, MetricType
from exporter.metrics.target_families import TARGET_METRICS
from tests.support import client_model
from tests.support.metric_factories import START, a_config, a_key, a_recorder, a_report, a_target, add, ok, probed, scrape, series
from tests.unit.metrics.test_text import configs, reports

STEPS, LAG = "ekm_step_duration_seconds", "ekm_exporter_schedule_lag_seconds"
CHANGING = ("process_", "python_")  # counted by the client library between two scrapes


async def _whole(recorder) -> bytes:
    return b"".join([piece async for piece in recorder.scrape_protobuf()])


def scrape_protobuf(recorder) -> bytes:
    return asyncio.run(_whole(recorder))


def unchanging(found):
    return {name: value for name, value in found.items() if not name[0].startswith(CHANGING)}


def family(body, name):
    return next(each for each in client_model.families(body) if each.name == name)


# No shrinking, as in test_text.
@settings(
    max_examples=60,
    deadline=None,
    phases=(Stage.explicit, Stage.reuse, Stage.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data(), st.booleans(), st.sampled_from(Level))
def test_protobuf_has_the_series_and_values_of_text(data, early, level):
    config = data.draw(configs())
    targets = list(config.targets.values())
    recorder = a_recorder(config=config, level=level)
    if early:  # from now on every sample is encoded when it is rendered, else all are encoded by the scrape below
        scrape_protobuf(recorder)
    for report in data.draw(st.lists(reports(targets), max_size=4)):
        probed(recorder, report, last_success_at=data.draw(st.none() | st.floats(1, 4e9)))
    recorder.schedule_lag(data.draw(st.floats(0, 100)))
    body = scrape_protobuf(recorder)
    assert unchanging(client_model.series(body)) == pytest.approx(unchanging(series(scrape(recorder))), nan_ok=True, abs=0, rel=0)
    assert [message.SerializeToString() for message in client_model.families(body)] == list(client_model.delimited(body))


def test_early_and_late_encoding_give_the_same_bytes():
    labels = {"team": 'a "b"\n\\n', "zone": "\ud800"}
    bodies = []
    for early in (True, False):
        recorder = a_recorder(a_target(labels=labels))
        if early:
            scrape_protobuf(recorder)
        probed(recorder, a_report(ready=True, key=a_key(expires=START)))
        body = scrape_protobuf(recorder)
        own = {spec.name for spec in EXPORTER_METRICS}
        bodies.append(
            [each for each in client_model.families(body) if each.name not in own and not each.name.startswith(CHANGING)]
        )
    assert bodies[0] == bodies[1]
    assert any(each.name == "ekm_target_info" for each in bodies[0])


def test_types_and_help_equal_those_of_text():
    recorder = a_recorder(a_target())
    probed(recorder, a_report(ready=True, key=a_key()))
    found = {
        each.name: (client_model.TYPES[each.type].lower(), each.help) for each in client_model.families(scrape_protobuf(recorder))
    }
    text = scrape(recorder).decode()
    wanted = {
        each.name + ("_total" if each.type == "counter" else ""): (each.type, each.documentation)
        for each in text_string_to_metric_families(text)
    }
    assert {name: each for name, each in found.items() if name.startswith("ekm_")} == {
        name: each for name, each in wanted.items() if name.startswith("ekm_")
    }


def test_counters_and_histograms_have_the_start_of_the_target():
    recorder = a_recorder(a_target())
    add(recorder, a_target("later"), now=START + 60.25)
    body = scrape_protobuf(recorder)
    counters = {spec.name for spec in TARGET_METRICS if spec.kind is MetricType.COUNTER}
    found = {name: family(body, name).metric for name in (*counters, STEPS)}
    for metric in chain.from_iterable(found.values()):
        counted = metric.counter if metric.HasField("counter") else metric.histogram
        after = 60_250_000_000 if ("target", "later") in [(label.name, label.value) for label in metric.label] else 0
        assert counted.created_timestamp.ToNanoseconds() == int(START) * 10**9 + after


def test_own_counters_have_a_start_and_those_of_the_client_library_have_none():
    body = scrape_protobuf(a_recorder(a_target()))
    for each in client_model.families(body):
        if each.type == 0 and "exporter" in each.name:
            assert all(metric.counter.HasField("created_timestamp") for metric in each.metric)
        if each.name.startswith(CHANGING) and each.type == 0:
            assert not any(metric.counter.HasField("created_timestamp") for metric in each.metric)
    assert family(body, LAG).metric[0].histogram.HasField("created_timestamp")


@pytest.mark.parametrize("level", Level)
def test_native_buckets_count_every_observation(level):
    durations = (0.0, 0.0005, 0.02, 0.021, 0.3, 0.3, 1.0, 29.0)
    recorder = a_recorder(a_target(), level=level)
    for seconds in durations:
        probed(recorder, a_report(steps=[ok(Step.CHALLENGE, duration=seconds)], ready=True))
        recorder.schedule_lag(seconds)
    body = scrape_protobuf(recorder)
    of_challenge = next(metric for metric in family(body, STEPS).metric if metric.label[0].value == "challenge")
    for histogram in (of_challenge.histogram, family(body, LAG).metric[0].histogram):
        assert histogram.schema == 3
        assert histogram.sample_count == len(durations)
        assert histogram.sample_sum == pytest.approx(sum(durations))
        assert histogram.zero_count == 2
        assert client_model.native_buckets(histogram) == {
            bucket_of(seconds): durations.count(seconds) for seconds in durations[2:]
        }


def test_a_histogram_without_observations_is_recognised_as_native():
    histogram = family(scrape_protobuf(a_recorder(a_target())), STEPS).metric[0].histogram
    assert histogram.zero_threshold == ZERO_THRESHOLD > 0
    assert histogram.sample_count == 0
    assert len(histogram.bucket) == len(STEP_BUCKETS)


@given(st.floats(min_value=ZERO_THRESHOLD, max_value=1e6, exclude_min=True))
def test_a_value_is_within_the_bounds_of_its_bucket(value):
    index = bucket_of(value)
    exact = math.log2(value) * 8
    assert index - 1 <= exact + 1e-9
    assert exact <= index + 1e-9


@pytest.mark.parametrize("power", range(-10, 8))
def test_a_power_of_two_belongs_to_the_bucket_that_it_bounds(power):
    assert bucket_of(2.0**power) == 8 * power
    assert bucket_of(math.nextafter(2.0**power, math.inf)) == 8 * power + 1


@given(st.dictionaries(st.integers(-80, 80), st.integers(1, 10**12), max_size=12))
def test_spans_and_deltas_return_the_counts(buckets):
    spans, deltas = spans_and_deltas(buckets)
    read = client_model.MetricFamily().metric.add().histogram
    for offset, length in spans:
        read.positive_span.add(offset=offset, length=length)
    read.positive_delta.extend(deltas)
    assert client_model.native_buckets(read) == buckets
    assert all(offset > 2 for offset, _ in spans[1:])


def test_an_observation_up_to_the_threshold_is_a_zero():
    histogram = NativeHistogram()
    for value in (0.0, ZERO_THRESHOLD, math.nextafter(ZERO_THRESHOLD, 1.0)):
        histogram.observe(value)
    assert (histogram.zeros, histogram.buckets) == (2, {-79: 1})


@given(st.lists(st.floats(ZERO_THRESHOLD, 100, exclude_min=True)))
def test_a_native_histogram_counts_each_bucket_in_any_order(values):
    histogram = NativeHistogram()
    for value in values:
        histogram.observe(value)
    assert histogram.buckets == Counter(map(bucket_of, values))


@given(st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1))
def test_integers_are_read_by_the_library(unsigned, signed):
    histogram = client_model.MetricFamily.FromString(
        text.nested(0x22, text.nested(0x3A, b"\x08" + text.varint(unsigned) + b"\x68" + text.zigzag(signed)))
    ).metric[0].histogram  # fmt: skip
    assert (histogram.sample_count, *histogram.positive_delta) == (unsigned, signed)


async def test_targets_that_change_during_the_first_scrape_are_whole_afterwards():
    names = [f"t{number}" for number in range(200)]
    recorder = a_recorder(*(a_target(name) for name in names))
    first = asyncio.ensure_future(_whole(recorder))
    await asyncio.sleep(0)
    for name in names[100:150]:
        recorder.forget(name)
    probed(recorder, a_report("t0"))
    add(recorder, a_target("t100"))
    second = await _whole(recorder)
    await first
    wanted = b"".join([piece async for piece in recorder.scrape(openmetrics=False)])
    assert unchanging(client_model.series(second)) == unchanging(series(wanted))


def test_a_forgotten_target_has_no_messages():
    recorder = a_recorder(config=a_config(a_target("gone")))
    scrape_protobuf(recorder)
    recorder.forget("gone")
    assert b"gone" not in scrape_protobuf(recorder)
