"""Series become minutes with class and party: one character for each minute; months, periods, and answers of Prometheus that are none."""

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, timedelta, timezone
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert

from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.report.minutes import (
    CLASS_TEXTS,
    PARTY_TEXTS,
    Exporter,
    Labels,
    MinuteClass,
    Minutes,
    MinuteState,
    Party,
    Points,
    ReportedTarget,
    Row,
    Slice,
    failed_minute,
    parse_month,
    parse_period,
    read_range,
)

A, B = Exporter("ekm", "a"), Exporter("ekm", "b")
ONE, TWO = ReportedTarget("v", "one"), ReportedTarget("v", "two")
VALUES = {"1": 1.0, "0": 0.0, "t": 0.0, "u": 0.0, "?": 2.0}  # a space is a minute without a sample
FAILURES = {"t": ("get_key", "throttled"), "u": ("challenge", "dns_not_found")}


def points(text: str) -> Points:
    return {number: VALUES.get(mark, 1.0) for number, mark in enumerate(text) if mark != " "}


def part(
    results: Mapping[tuple[Exporter, ReportedTarget], str],
    *,
    alive: Mapping[Exporter, str] | None = None,
    planned: Mapping[tuple[Exporter, ReportedTarget], str] | None = None,
    first: int = 0,
) -> Slice:
    return Slice(
        first=first,
        minutes=max(len(text) for text in results.values()),
        results={key: points(text) for key, text in results.items()},
        failures={
            key: [
                (*failure, {number: 1.0 for number, found in enumerate(text) if found == mark})
                for mark, failure in FAILURES.items()
            ]
            for key, text in results.items()
        },
        maintenance={key: points(text) for key, text in (planned or {}).items()},
        exporters={key: points(text) for key, text in (alive or {}).items()},
    )


def numbers(row: Row) -> dict[str, int]:
    return {kind: row.count(kind) for kind in CLASS_TEXTS if row.count(kind)}


def summed(*parts: Slice) -> Minutes:
    minutes = Minutes(parse_month("2026-11", UTC, "UTC"), {key for each in parts for key in each.results})
    for each in parts:
        minutes.add(each)
    return minutes


def test_each_mark_of_a_series_counts_once() -> None:
    minutes = summed(part({(A, ONE): "11ttu0?  1"}, alive={A: "1111111 11"}))
    assert numbers(minutes.targets[ONE]) == {
        "answered": 3,
        "throttled": 2,
        "unreachable": 1,
        "not_tested": 1,  # failed without a reason
        "no_probe": 1,
        "no_data": 1,
        "not_configured": 1,
    }


def test_answered_series_counts_in_slices_of_any_length() -> None:
    minutes = summed(part({(A, ONE): "1" * 180}), part({(A, ONE): "1"}, first=180))
    assert numbers(minutes.targets[ONE]) == {"answered": 181}
    assert numbers(minutes.vaults["v"]) == {"answered": 181}


def test_gap_over_two_slices_is_one_gap() -> None:
    minutes = summed(part({(A, ONE): "11  "}), part({(A, ONE): " 1?1"}, first=4))
    assert minutes.targets[ONE].gaps == [("no_data", 2, 5), ("no_probe", 6, 7)]


def test_gap_after_an_answer_is_a_second_gap() -> None:
    minutes = summed(part({(A, ONE): "1 1 "}))
    assert minutes.targets[ONE].gaps == [("no_data", 1, 2), ("no_data", 3, 4)]


def test_maintenance_is_left_out_whatever_the_probe_got() -> None:
    minutes = summed(part({(A, ONE): "1tu1"}, planned={(A, ONE): " 111"}))
    assert numbers(minutes.targets[ONE]) == {"answered": 1, "maintenance": 3}


def test_target_that_appears_and_disappears_has_no_gap_while_its_exporter_runs() -> None:
    minutes = summed(part({(A, ONE): "  11  "}, alive={A: "111111"}))
    assert numbers(minutes.targets[ONE]) == {"answered": 2, "not_configured": 4}
    assert minutes.targets[ONE].gaps == []


def test_two_exporters_of_a_target_give_the_better_minute() -> None:
    minutes = summed(part({(A, ONE): "u1 ut", (B, ONE): "1u1u?"}, planned={(B, ONE): "    1"}))
    assert numbers(minutes.targets[ONE]) == {"answered": 3, "unreachable": 1, "maintenance": 1}


def test_vault_has_the_best_minute_of_its_targets() -> None:
    minutes = summed(part({(A, ONE): "1tuuu", (A, TWO): "tut u"}, planned={(A, ONE): "    1"}))
    assert numbers(minutes.targets[TWO]) == {"throttled": 2, "unreachable": 2, "no_data": 1}
    # The last minute is maintenance of one target, so the other target decides.
    assert numbers(minutes.vaults["v"]) == {"answered": 1, "throttled": 2, "unreachable": 2}


def test_vault_answered_if_one_target_always_answered() -> None:
    minutes = summed(part({(A, ONE): "tu?", (A, TWO): "111"}))
    assert numbers(minutes.vaults["v"]) == {"answered": 3}


def test_targets_and_vaults_without_a_minute_are_dropped() -> None:
    other = ReportedTarget("w", "other")
    minutes = summed(part({(A, ONE): "1 ", (A, TWO): "  ", (A, other): "  "}, alive={A: "1"}))
    minutes.drop_absent()
    assert (list(minutes.targets), list(minutes.vaults)) == ([ONE], ["v"])


def test_gaps_of_all_targets_are_counted() -> None:
    minutes = summed(part({(A, ONE): "1  1 1", (A, TWO): "1 1111"}))
    assert minutes.gaps == 3


# Step, reason, class, party.
PROMISED = (
    ("get_key", "throttled", "throttled", "vault"),
    ("token", "throttled", "throttled", "entra"),
    ("unwrap_key", "forbidden_rbac", "refused", "settings"),
    ("challenge", "forbidden_firewall", "refused", "settings"),
    ("get_key", "key_not_found", "refused", "settings"),
    ("get_key", "key_expired", "refused", "settings"),
    ("get_key", "not_found", "refused", "settings"),
    ("get_key", "bad_request", "refused", "settings"),
    ("unwrap_key", "conflict", "refused", "vault"),
    ("token", "secret_expired", "refused", "settings"),
    ("token", "conditional_access", "refused", "settings"),
    ("get_key", "token_expired", "refused", "settings"),
    ("token", "clock_skew", "refused", "host"),
    ("get_key", "token_unverifiable", "failed", "vault"),
    ("unwrap_key", "bytes_differ", "failed", "vault"),
    ("unwrap_key", "server_error", "failed", "vault"),
    ("token", "server_error", "failed", "entra"),
    ("token", "entra_unavailable", "failed", "entra"),
    ("token", "unexpected_status", "failed", "entra"),
    ("get_key", "answer_not_json", "failed", "vault"),
    ("token", "answer_empty", "failed", "entra"),
    ("challenge", "challenge_absent", "failed", "vault"),
    ("wrap_key", "body_timeout", "failed", "vault"),
    ("token", "identity_unavailable", "failed", "host"),
    ("challenge", "dns_not_found", "unreachable", "network"),
    ("token", "connect_timeout", "unreachable", "network"),
    ("challenge", "tls_untrusted", "unreachable", "network"),
    ("get_key", "connection_reset", "unreachable", "network"),
    ("challenge", "proxy_auth", "unreachable", "network"),
    ("token", "forbidden", "unreachable", "network"),
    ("token", "conflict", "unreachable", "network"),
    ("challenge", "read_timeout", "unreachable", "vault"),
    ("token", "read_timeout", "unreachable", "entra"),
    ("challenge", "network_down", "unreachable", "host"),
)


@pytest.mark.parametrize(("step", "reason", "kind", "party"), PROMISED, ids=[f"{row[0]}-{row[1]}" for row in PROMISED])
def test_failed_minute_has_the_documented_class_and_party(step: str, reason: str, kind: str, party: str) -> None:
    state = failed_minute(step, reason)
    assert (state.kind, state.party, state.step, state.reason) == (kind, party, step, reason)


@pytest.mark.parametrize("reason", ["internal", "secret_unreadable", "secret_timeout", "scrape_timeout", "of_a_newer_exporter"])
def test_minute_of_exporter_or_unknown_reason_is_not_tested(reason: str) -> None:
    state = failed_minute("token", reason)
    assert (state.kind, state.party) == ("not_tested", None)


def test_every_step_and_reason_has_a_class_and_measured_ones_a_party() -> None:
    for step in Step:
        for reason in Reason:
            state = failed_minute(step.value, reason.value)
            assert (state.kind == "not_tested") == (state.party is None)
            assert state.kind != "answered"


def test_every_class_and_party_has_a_text() -> None:
    assert list(CLASS_TEXTS) == list(get_args(MinuteClass))
    assert list(PARTY_TEXTS) == list(get_args(Party))


PLUS_ONE = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "minutes", "end"),
    [
        ("2026-02", 28 * 1440, "2026-03-01T00:00Z"),
        ("2028-02", 29 * 1440, "2028-03-01T00:00Z"),
        ("2026-10", 31 * 1440, "2026-11-01T00:00Z"),  # clocks change in Europe, not in UTC
        ("2026-12", 31 * 1440, "2027-01-01T00:00Z"),
    ],
)
def test_month_in_utc_has_all_its_minutes(text: str, minutes: int, end: str) -> None:
    period = parse_month(text, UTC, "UTC")
    assert (period.minutes, period.moment(0), period.moment(minutes)) == (minutes, f"{text}-01T00:00Z", end)


def test_month_of_a_time_zone_starts_at_its_midnight() -> None:
    period = parse_month("2026-11", PLUS_ONE, "+1")
    assert (period.start, period.moment(0)) == (parse_month("2026-11", UTC, "UTC").start - 3600, "2026-11-01T00:00+01:00")


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-01", "0000-01", "9999-12", "2026-01-01"])
def test_bad_month_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write YYYY-MM, as in 2026-11"):
        parse_month(text, UTC, "UTC")


def test_period_between_two_times_is_named_by_them() -> None:
    period = parse_period("2026-11-01T00:00:00+01:00", "2026-11-01T12:30:00Z", UTC, "UTC")
    assert (period.minutes, period.name) == (13 * 60 + 30, "20261031T2300_20261101T1230")


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        ("yesterday", "2026-11-01T00:00:00Z", "--from 'yesterday': write a time of RFC 3339"),
        ("2026-11-01T00:00:00", "2026-11-02T00:00:00Z", "--from '2026-11-01T00:00:00': write a time of RFC 3339"),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:30Z", "--to '2026-11-01T00:00:30Z': write a whole minute"),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z", "--from is not before --to"),
        ("2024-11-01T00:00:00Z", "2026-11-01T00:00:00Z", "longer than 366 days"),
    ],
)
def test_bad_period_is_an_error_with_the_action(start: str, end: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_period(start, end, UTC, "UTC")


METRIC = {"__name__": "x", "job": "ekm", "instance": "a:1", "target": "one", "vault": "v"}
START = 1_000_000_020
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, "NaN", "1e999"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["metric", "values", "result", *METRIC]), inner, max_size=4)
    ),
    max_leaves=12,
)


def matrix(metric: Any = METRIC, values: Any = ((START, "1"),)) -> Any:
    return {"result": [{"metric": metric, "values": values}]}


def test_series_of_a_query_have_labels_and_points_by_minute() -> None:
    ((labels, points),) = read_range(matrix(values=[[START, "1"], [START + 120, "0"]]), START, 3)
    assert (labels.exporter, labels.key[1], labels.reason) == (Exporter("ekm", "a:1"), ReportedTarget("v", "one"), "")
    assert points == {0: 1.0, 2: 0.0}


@pytest.mark.parametrize(
    "at", [float("inf"), float("-inf"), float("nan"), 10**400, START - 60, START + 180, "x", None, [], True, 0]
)
def test_time_outside_the_query_is_refused(at: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_range(matrix(values=[[at, "1"]]), START, 3)


@pytest.mark.parametrize("value", [[], {}, None, "x", "1" * 5 + "x"])
def test_value_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_range(matrix(values=[[START, value]]), START, 3)


@pytest.mark.parametrize("label", [1, None, [], {}, ["a"], True, "x" * 1025])
def test_label_that_is_no_short_text_is_refused(label: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_range(matrix(metric=METRIC | {"target": label}), START, 3)
    with pytest.raises(ValueError, match="Expected `str`"):
        convert([METRIC, METRIC | {"instance": label}], list[Labels])


@pytest.mark.parametrize(
    "data", [None, [], {}, {"result": None}, {"result": [1]}, {"result": [{}]}, {"result": [{"metric": {}}]}]
)
def test_data_without_a_matrix_are_refused(data: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_range(data, START, 3)


def test_labels_become_printable() -> None:
    labels = convert(METRIC | {"target": "a\ud800\x1b[2Jb", "unused": 1}, Labels)
    assert labels.key[1].target == "a??[2Jb"


@given(JSON)
def test_whatever_is_no_answer_is_refused(data: Any) -> None:
    with suppress(ValueError, OverflowError):
        read_range(data, START, 3)
        assert data["result"] is not None


@pytest.mark.parametrize(
    ("answered", "failed", "text"),
    [(0, 0, None), (0, 5, "0.000"), (44639, 1, "99.997"), (999_999, 1, "99.999"), (7, 0, "100.000")],
)
def test_percentage_of_answered_minutes_is_rounded_down(answered: int, failed: int, text: str | None) -> None:
    states = Counter({MinuteState("answered"): answered, MinuteState("failed", "vault"): failed})
    assert Row(states).answered_percent == text
