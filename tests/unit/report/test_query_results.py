"""Answers of Prometheus' API that are none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.report.minutes import Exporter, ReportedTarget, exporter_of, key_of, read_range, read_series

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
    ((labels, points),) = read_range(matrix(values=[[START, "1"], [START + 120, "0"]]), START, 3) or [({}, {})]
    assert (exporter_of(labels), key_of(labels)[1], labels["reason"]) == (Exporter("ekm", "a:1"), ReportedTarget("v", "one"), "")
    assert points == {0: 1.0, 2: 0.0}


@pytest.mark.parametrize(
    "at", [float("inf"), float("-inf"), float("nan"), 10**400, START - 60, START + 180, "x", None, [], True, 0]
)
def test_time_outside_the_query_is_refused(at: Any) -> None:
    assert read_range(matrix(values=[[at, "1"]]), START, 3) is None


@pytest.mark.parametrize("value", [[], {}, None, "x", "1" * 5 + "x"])
def test_value_that_is_no_number_is_refused(value: Any) -> None:
    assert read_range(matrix(values=[[START, value]]), START, 3) is None


@pytest.mark.parametrize("label", [1, None, [], {}, ["a"], True, "x" * 1025])
def test_label_that_is_no_short_text_is_refused(label: Any) -> None:
    assert read_range(matrix(metric=METRIC | {"target": label}), START, 3) is None
    assert read_series([METRIC, METRIC | {"instance": label}]) is None


@pytest.mark.parametrize(
    "data", [None, [], {}, {"result": None}, {"result": [1]}, {"result": [{}]}, {"result": [{"metric": {}}]}]
)
def test_data_without_a_matrix_are_refused(data: Any) -> None:
    assert read_range(data, START, 3) is None


def test_labels_become_printable() -> None:
    (labels,) = read_series([METRIC | {"target": "a\ud800\x1b[2Jb", "unused": 1}]) or [{}]
    assert labels["target"] == "a??[2Jb"


@given(JSON)
def test_whatever_is_no_answer_is_none(data: Any) -> None:
    assert read_range(data, START, 3) is None or data["result"] is not None
    assert read_series(data) is None or isinstance(data, list)
