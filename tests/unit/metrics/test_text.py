"""A scrape equals the output of prometheus_client byte for byte, and both parsers accept it."""

from __future__ import annotations

import asyncio
import io
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_fd_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.settings import Module, Settings
from exporter.core.values import (
    Facts,
    Fault,
    Generation,
    Mode,
    Outcome,
    PeerCertificate,
    Phase,
    Readiness,
    Step,
    Vantage,
    VaultHeaders,
)
from exporter.knowledge.codes import CODES
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.metrics import text as text_module
from exporter.metrics.families import BY_NAME
from exporter.metrics.text import LabelSet, histograms, lines
from exporter.state.causes import cause_groups, linked
from tests.support.metric_factories import a_config, a_credential, a_key, a_recorder, a_report, a_target, add, probed, scrape
from tests.unit.metrics.reference import Reference

RESERVED = {*BY_NAME["ekm_target_info"].labels, "le"}
# Texts of operators and vaults, with the characters that the format must escape.
text = st.text(st.one_of(st.sampled_from('"\\\n{},= #'), st.characters(exclude_categories=["Cs"])), max_size=12)
name = text.filter(bool)
label_names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,6}", fullmatch=True).filter(lambda label: label not in RESERVED)
seconds = st.one_of(st.floats(0, 40), st.floats(0, 1e300), st.just(0.025), st.just(10.0))
unix_times = st.one_of(st.floats(1, 4e9), st.integers(1, 4_000_000_000).map(float))
FAULTS = st.sampled_from([Fault.HTTP_STATUS, Fault.PROXY_STATUS]) | st.sampled_from(Fault)
finite = st.floats(allow_nan=False, allow_infinity=False).map(
    lambda value: value + 0.0
)  # no -0.0: it equals 0.0, so nothing changed


@st.composite
def facts_of(draw, fault):
    return Facts(
        fault=fault,
        status=draw(st.sampled_from([None, 200, 401, 403, 429, 503])),
        retry_after_seconds=draw(st.none() | st.floats(0, 1e9)),
        phases=draw(st.dictionaries(st.sampled_from(Phase), seconds, max_size=5)),
        server_time=draw(st.none() | unix_times),
        endpoint=draw(st.sampled_from([None, "contoso.vault.azure.net:443", "elsewhere.test:8443"]) | name),
        vault=draw(
            st.none()
            | st.builds(
                VaultHeaders,
                region=st.none() | name,
                service_version=st.none() | name,
                connection=st.sampled_from([None, "private", "public"]),
            )
        ),
        certificate=draw(st.none() | st.builds(PeerCertificate, not_after=finite, issuer=name)),
    )


@st.composite
def steps_of(draw):
    steps = []
    for step in Step:
        outcome = draw(st.sampled_from(Outcome))
        if outcome is Outcome.SKIPPED:
            steps.append(StepResult(step=step, outcome=outcome))
            continue
        bad = outcome is Outcome.FAILED
        steps.append(
            StepResult(
                step=step,
                outcome=outcome,
                duration=draw(seconds),
                code=draw(st.sampled_from(CODES)).code if bad else None,
                reason=draw(st.sampled_from(Reason)) if bad else None,
                facts=draw(facts_of(draw(FAULTS) if bad else Fault.NONE)),
                shared=step is Step.TOKEN and draw(st.booleans()),
            )
        )
    return tuple(steps)


@st.composite
def reports(draw, targets):
    kty = st.sampled_from(["RSA", "RSA-HSM", "EC", "oct-HSM"])
    key = st.builds(
        a_key,
        name=name, version=text, kty=kty, size_bits=st.sampled_from([0, 2048, 3072, 4096]),
        enabled=st.sampled_from([None, True, False]), not_before=st.none() | finite, expires=st.none() | finite,
    )  # fmt: skip
    return ProbeReport(
        target=draw(st.sampled_from(targets)).name,
        started_at=draw(unix_times),
        duration=draw(seconds),
        steps=draw(steps_of()),
        readiness=Readiness(ready=draw(st.sampled_from([None, True, False])), why="stale"),
        key=draw(st.none() | key),
        tenant=draw(st.none() | name),
    )


@st.composite
def configs(draw):
    labels = st.dictionaries(label_names, text, max_size=3)
    credentials = draw(
        st.lists(
            st.builds(a_credential, name, tenant_id=st.none() | name, expires_on=st.none() | st.dates()),
            min_size=1, max_size=2, unique_by=lambda credential: credential.name,
        )
    )  # fmt: skip
    names = [credential.name for credential in credentials]
    modules = (Module(name=draw(name), mode=draw(st.sampled_from(Mode))),)
    target = st.builds(
        a_target,
        name,
        vault=st.sampled_from(["contoso.vault.azure.net", "fabrikam.vault.azure.net", "elsewhere.test:8443"]) | name,
        key_name=text,
        key_version=st.none() | name,
        credential=st.sampled_from(names),
        next_credential=st.none() | st.sampled_from(names),
        module=st.just(modules[0].name),
        interval=st.floats(1, 1e6),
        generation=st.sampled_from(Generation),
        backup_on=st.none() | st.dates(),
        thumbprint=st.none() | name,
        labels=labels,
        instances=st.lists(labels, max_size=3).map(tuple),
    )
    targets = draw(st.lists(target, min_size=1, max_size=3, unique_by=lambda each: each.name))
    vantage = draw(st.sampled_from(Vantage))
    return a_config(*targets, credentials=credentials, modules=modules, settings=Settings(vantage=vantage))


def causes_on_pages(recorder, config):
    """Link, name and reason of each cause, with its targets."""
    records = [record for name in config.targets if (record := recorder.records.get(name)).last is not None]
    shown = (linked(each.target, config.modules[each.target.module], each, each.last.started_at) for each in records)
    groups = asyncio.run(cause_groups(shown))
    labels = [{"link": each.link, "name": each.name, "reason": each.reason or ""} for each in (group.cause for group in groups)]
    return [(own, group.targets) for own, group in zip(labels, groups, strict=True) if not group.cause.unsteady]


def read(text, *, openmetrics):
    families = read_openmetrics(io.StringIO(text)) if openmetrics else text_string_to_metric_families(text)
    return sum(len(family.samples) for family in families)


# No shrinking: it takes minutes, and the differing lines are enough.
@settings(
    max_examples=60,
    deadline=None,
    phases=(Stage.explicit, Stage.reuse, Stage.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data(), st.booleans())
def test_a_scrape_equals_the_output_of_prometheus_client(data, openmetrics):
    disable_created_metrics()
    config = data.draw(configs())
    targets = list(config.targets.values())
    recorder, reference = a_recorder(config=config), Reference(config)
    for target in targets:
        reference.add(target)
    for report in data.draw(st.lists(reports(targets), max_size=4)):
        times = ("last_success_at", "next_probe_at")
        known = data.draw(st.fixed_dictionaries(dict.fromkeys(times, st.none() | unix_times)))
        probed(recorder, report, **known)
        record = recorder.records.get(report.target)
        reference.take(report, record, recorder._failures.advice_of(record.target, report, record))
    reference.group(causes_on_pages(recorder, config))
    registry = CollectorRegistry()
    registry.register(reference)
    expected = generate_openmetrics(registry).removesuffix(b"# EOF\n") if openmetrics else generate_latest(registry)
    scraped = scrape(recorder, openmetrics=openmetrics)
    actual, wanted = (each.split(b"\n") for each in (scraped[: len(expected)], expected))
    assert [pair for pair in zip(actual, wanted, strict=True) if pair[0] != pair[1]][:3] == []
    assert scraped[len(expected) :].startswith(b"# HELP ekm_exporter_build_info")
    assert scraped.count(b"# EOF\n") == openmetrics
    assert read(scraped.decode(), openmetrics=openmetrics) == sum(
        not each.startswith(b"#") for each in scraped.removesuffix(b"\n").split(b"\n")
    )


@given(st.dictionaries(label_names, text), st.dictionaries(st.sampled_from(["target", "vault", "b", "m"]), text), st.floats())
def test_any_line_equals_the_line_of_prometheus_client(own, base, value):
    own = {label: each for label, each in own.items() if label not in base}
    family = GaugeMetricFamily("a_name", "help")
    family.add_sample("a_name", own | base, value)
    registry = CollectorRegistry()
    registry.register(type("One", (), {"collect": lambda _: [family]})())
    actual = lines("a_name", [(tuple(own.items()), value)], LabelSet.from_labels(*base.items()))
    assert actual.encode() == generate_latest(registry).split(b"\n", 2)[2]


@given(st.lists(st.integers(0, 3_000_000), min_size=4, max_size=4), st.floats(0, 1e300))
def test_any_histogram_equals_that_of_prometheus_client(counts, total):
    named = ["0.5", "1.0", "1e+06", "+Inf"]
    family = HistogramMetricFamily("a_name", "help", labels=["step", "target"])
    summed = [math.fsum(counts[: place + 1]) for place in range(4)]
    family.add_metric(["s", "t"], list(zip(named, summed, strict=True)), total)
    registry = CollectorRegistry()
    registry.register(type("One", (), {"collect": lambda _: [family]})())
    base = LabelSet.from_labels(("target", "t"))
    actual = histograms("a_name", base, (0.5, 1.0, 1e6), {(("step", "s"),): (counts, total)})
    assert actual.whole() == generate_latest(registry).split(b"\n", 2)[2]


def test_histograms_of_two_targets_share_all_but_labels_and_values():
    counted = {(("step", "s"),): ([1, 2, 3], 0.5)}
    one, other = (histograms("a_name", LabelSet.from_labels(("target", name)), (0.5, 1.0), counted) for name in "tu")
    assert one.starts is other.starts
    assert all(mine is its for mine, its in zip(one.ends[:-1], other.ends[:-1], strict=True))  # the counts


@pytest.mark.parametrize("label", ["env", "le", "step"])
def test_histogram_with_a_base_label_before_its_own_is_refused(label):
    base = LabelSet.from_labels((label, "prod"), ("target", "t"))
    with pytest.raises(ValueError, match=f"a_name: labels do not sort before '{label}'"):
        histograms("a_name", base, (0.5,), {(("step", "s"),): ([1, 2], 0.5)})


def test_histogram_without_base_labels_is_refused():
    with pytest.raises(ValueError, match="a_name"):
        histograms("a_name", LabelSet.from_labels(), (0.5,), {(("step", "s"),): ([1, 2], 0.5)})


def test_labels_of_a_forgotten_target_stay_in_no_cache():
    recorder = a_recorder(a_target())
    probed(recorder, a_report(key=a_key(), ready=True))
    size = text_module._cached_frame.cache_info().currsize
    for number in range(20):
        target = a_target(f"t{number}", vault=f"vault-{number}.vault.azure.net", labels={"team": f"team-{number}"})
        add(recorder, target)
        probed(recorder, a_report(target.name, key=a_key(version=f"{number:032}"), ready=True))
        recorder.forget(target.name)
    assert text_module._cached_frame.cache_info().currsize == size


def test_half_a_surrogate_pair_in_a_label_is_replaced():
    recorder = a_recorder(a_target(labels={"team": "a\ud800b"}))
    assert b'team="a?b"' in scrape(recorder)
