"""Which addresses belong to private networks."""

import pytest

from exporter.core.names import is_private


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
    ],
)
def test_address_of_a_private_network_is_private(address):
    assert is_private(address) is True


@pytest.mark.parametrize("address", ["203.0.113.7", "172.32.0.1", "100.128.0.1", "2603:1030::1", "::ffff:203.0.113.7"])
def test_address_of_the_internet_is_public(address):
    assert is_private(address) is False


@pytest.mark.parametrize("text", ["", "localhost", "10.1.2", "10.1.2.3/32"])
def test_text_that_is_no_address_is_neither(text):
    assert is_private(text) is None
