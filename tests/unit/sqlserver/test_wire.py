"""Bytes of TDS: packet sizes wherever packets cut the stream, and the encryption option of a PRELOGIN packet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sqlserver.wire import ENCRYPT_NOT_SUPPORTED, ENCRYPT_ON, LARGEST_PACKET, PacketSizes, encryption_at, with_encryption


def packet(content):
    return bytes([4, 1]) + (8 + len(content)).to_bytes(2, "big") + bytes(4) + content


def token(size):
    value = size.encode("utf-16-le")
    return b"\xe3\x00\x00\x04" + bytes([len(size)]) + value + b"\x00"


@pytest.mark.parametrize(
    ("size", "refused"),
    [
        ("4096", False),
        (str(LARGEST_PACKET), False),
        (str(LARGEST_PACKET + 1), True),
        ("2000000000", True),
        ("+2_000_000", True),
        (" 2000000 ", True),
        ("٢٠٠٠٠٠٠", True),
        ("", False),
        ("-2000000", False),
        ("x", False),
    ],
)
def test_packet_size_counts_as_the_driver_reads_it(size, refused):
    assert PacketSizes().too_large(packet(token(size))) is refused


@given(
    before=st.binary(max_size=600),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=80),
    reads=st.lists(st.integers(1, 40), min_size=1),
)
def test_packet_size_is_found_across_packets_and_reads(before, cuts, reads):
    content = before + token("2000000000") + bytes(20)
    packets, rest = [], content
    for cut in cuts:
        packets.append(packet(rest[:cut]))
        rest = rest[cut:]
    stream = b"".join([*packets, packet(rest)])
    sizes, found = PacketSizes(), False
    while stream:
        found |= sizes.too_large(stream[: reads[0]])
        stream, reads = stream[reads[0] :], [*reads[1:], reads[0]]
    assert found


def test_header_of_an_impossible_length_has_no_content():
    sizes = PacketSizes()
    assert not sizes.too_large(bytes([4, 1, 0, 0, 0, 0, 0, 0]) * 3)
    assert sizes.too_large(packet(token("40000")))


def test_text_that_is_cut_short_is_no_size():
    assert not PacketSizes().too_large(packet(token("2000000000")[:-5]))


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
