"""The encryption option of a PRELOGIN packet."""

import pytest

from exporter.sqlserver.wire import ENCRYPT_NOT_SUPPORTED, ENCRYPT_ON, encryption_at, with_encryption

HEADER = bytes([18, 1, 0, 26, 0, 0, 0, 0])
VERSION = bytes([0, 0, 11, 0, 6])
ENCRYPTION = bytes([1, 0, 17, 0, 1])
DATA = bytes(6) + b"\x00"
PACKET = HEADER + VERSION + ENCRYPTION + b"\xff" + DATA


def test_encryption_is_replaced():
    assert encryption_at(PACKET) == 25
    assert with_encryption(PACKET, ENCRYPT_ON) == PACKET[:-1] + b"\x01"
    assert with_encryption(with_encryption(PACKET, ENCRYPT_NOT_SUPPORTED), 0) == PACKET


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        HEADER,
        HEADER + VERSION + b"\xff" + bytes(6),
        HEADER + VERSION,
        PACKET[:-1],
        HEADER + bytes([1, 0, 6, 0, 0]) + b"\xff",
    ],
)
def test_packet_without_the_option_is_refused(packet):
    assert encryption_at(packet) is None
    with pytest.raises(ValueError, match="without the option ENCRYPTION"):
        with_encryption(packet, ENCRYPT_ON)
