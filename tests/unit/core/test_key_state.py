"""The state of a key version follows its attributes."""

import pytest

from exporter.core.values import KeyFacts, key_state

NOW = 10.0


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, None),
        ({"enabled": True, "not_before": NOW, "expires": NOW + 0.5}, None),
        ({"enabled": False, "expires": 1.0}, "disabled"),
        ({"expires": NOW}, "expired"),
        ({"not_before": NOW + 0.5}, "not_yet_valid"),
    ],
)
def test_key_state_follows_the_attributes(attributes, expected):
    key = KeyFacts(name="k", version="v", kid="kid", kty="RSA", size_bits=2048, modulus=b"n", exponent=b"e", **attributes)
    assert key_state(key, NOW) == expected
