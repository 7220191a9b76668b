"""JSON of others is parsed within a number of values and a depth."""

import pytest

from exporter.core.json import TooManyValuesError, parse


def test_text_within_the_limit_is_parsed():
    assert parse('{"a": [1, 2]}', 4) == {"a": [1, 2]}


def test_text_above_the_limit_is_not_parsed():
    with pytest.raises(TooManyValuesError, match="more than 3 values"):
        parse('{"a": [1, 2]}', 3)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_text_that_is_no_json_is_refused(text: str):
    with pytest.raises(ValueError, match=r"Expecting|nested too deeply"):
        parse(text, 1_000_000)
