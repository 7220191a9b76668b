"""Thumbprints are normalized, and contradictions between pins are found."""

import re

import pytest

from exporter.core.names import PATTERN, Pin, contradiction, is_hash, length_of, normalize_thumbprint

HASH, OTHER = "0x" + "00FF" * 10, "0x" + "00FE" * 10
NAMED = "0x2C5677D76F76D77F80"  # of connector 1.0.4.0


@pytest.mark.parametrize("text", [HASH, HASH.lower(), "0X" + HASH[2:]])
def test_thumbprint_is_written_as_sql_server_does(text):
    assert normalize_thumbprint(text) == HASH
    assert re.fullmatch(PATTERN, text)


@pytest.mark.parametrize("text", ["", "0x", "0x0", HASH[2:], HASH + "0", "0x" + "00" * 33, "0x0G", f" {HASH}"])
def test_other_texts_are_no_thumbprint(text):
    with pytest.raises(ValueError, match="hex digits"):
        normalize_thumbprint(text)
    assert not re.fullmatch(PATTERN, text)


@pytest.mark.parametrize(("thumbprint", "length", "hash_"), [(HASH, 20, True), (NAMED, 9, False), ("0x" + "00" * 32, 32, False)])
def test_hash_is_known_by_its_length(thumbprint, length, hash_):
    assert (length_of(thumbprint), is_hash(thumbprint)) == (length, hash_)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Pin(HASH, "Tde", "1"), Pin(HASH, "TDE", "1"), ""),
        (Pin(HASH, "Tde", "1"), Pin(HASH, "Tde", "2"), "the same thumbprint, but another version"),
        (Pin(HASH, "Tde", "1"), Pin(HASH, "Tde2", "1"), "the same thumbprint, but another key name"),
        (Pin(HASH, "Tde", "1"), Pin(OTHER, "Tde", "1"), "the same key version, but another thumbprint"),
        (Pin(HASH, "Tde", "1"), Pin(OTHER, "Tde", "2"), ""),
        (Pin(HASH, "Tde", None), Pin(OTHER, "Tde", None), ""),
        (Pin(NAMED, "Tde", "1"), Pin(NAMED, "Tde", "2"), ""),
        (Pin(NAMED, "Tde", "1"), Pin(NAMED, "Tde2", "1"), "the same thumbprint, but another key name"),
        (Pin(NAMED, "Tde", "1"), Pin(HASH, "Tde", "1"), ""),
    ],
)
def test_pins_contradict_each_other(one, other, expected):
    assert contradiction(one, other) == contradiction(other, one) == expected
