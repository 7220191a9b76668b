"""JSON of others is parsed within a number of values and a depth."""

import json

import pytest

from exporter.core.json import TooManyValuesError, parse, parse_objects


def test_text_within_the_limit_is_parsed():
    assert parse('{"a": [1, 2]}', 4) == {"a": [1, 2]}


def test_text_above_the_limit_is_not_parsed():
    with pytest.raises(TooManyValuesError, match="more than 3 values"):
        parse('{"a": [1, 2]}', 3)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_text_that_is_no_json_is_refused(text: str):
    with pytest.raises(ValueError, match=r"Expecting|nested too deeply"):
        parse(text, 1_000_000)


@pytest.mark.parametrize("rows", [[], [{}], [{"a": "]}"}, {"b": [1, {"c": 2}]}]])
def test_objects_of_a_list_are_parsed_one_by_one(rows):
    text = json.dumps({"rows": rows}, separators=(",", ":"))
    assert parse_objects(text, text.index("[") + 1, "]}", 20) == rows


@pytest.mark.parametrize("text", ["", "]", "1]}", "{}]}]}", "{},]}", "{}{}]}", "{},{]}", "{}]} ", '{"a":' * 100_000 + "1"])
def test_text_that_is_no_list_of_objects_is_refused(text):
    with pytest.raises(ValueError, match=r"Expecting|no list of objects|nested too deeply"):
        parse_objects(text, 0, "]}", 1_000_000)


def test_objects_above_the_limit_are_not_parsed():
    with pytest.raises(TooManyValuesError, match="more than 2 values"):
        parse_objects("{},{},{}]}", 0, "]}", 2)
