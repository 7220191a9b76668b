"""Proxy settings of Windows: as values, as bytes, and the route to one host."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.doctor.host_rules import ProxySettings, read_connection, read_values, with_values

VAULT = "contoso-prod.vault.azure.net"


def blob(flags, *texts, size=0x46):
    parts = b"".join(struct.pack("<I", len(text)) + text.encode() for text in texts)
    return struct.pack("<III", size, 7, flags) + parts


@pytest.mark.parametrize(
    ("settings", "text", "route"),
    [
        (ProxySettings(), "direct", ""),
        (ProxySettings(proxy="p:8080"), "through p:8080", "p:8080"),
        (ProxySettings(proxy="http=a:80;https=b:443"), "through http=a:80;https=b:443", "b:443"),
        (ProxySettings(proxy="http=a:80"), "through http=a:80", ""),
        (ProxySettings(proxy="http://p:8080"), "through http://p:8080", "p:8080"),
        (ProxySettings(proxy="p:8080", bypass="*.vault.azure.net;<local>"), "through p:8080 except *.vault.azure.net;<local>", ""),
        (ProxySettings(proxy="p:8080", bypass="https://CONTOSO-prod.vault.azure.net"), "through p:8080 except https://CONTOSO-prod.vault.azure.net", ""),
        (ProxySettings(proxy="p:8080", bypass="*.contoso.example"), "through p:8080 except *.contoso.example", "p:8080"),
        (ProxySettings(script="http://wpad/x.pac", detects=True), "by the script http://wpad/x.pac, automatic detection", None),
        (ProxySettings(detects=True), "automatic detection", None),
        (ProxySettings(proxy="p:8080", detects=True), "through p:8080, automatic detection", None),
    ],
)  # fmt: skip
def test_settings_have_a_text_and_a_route(settings, text, route):
    assert (str(settings), settings.route(VAULT)) == (text, route)


def test_local_names_and_ports_can_be_bypassed():
    settings = ProxySettings(proxy="p:8080", bypass="<local>;vault.example:8443")
    assert settings.route("sqlhost") == ""
    assert settings.route("vault.example:8443") == ""
    assert settings.route("vault.example:443") == "p:8080"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (blob(1, "", "", ""), ProxySettings()),
        (blob(3, "p:8080", "<local>", ""), ProxySettings(proxy="p:8080", bypass="<local>")),
        (blob(1, "p:8080", "<local>", "http://x/"), ProxySettings()),  # stored, and switched off
        (blob(13, "", "", "http://x/y.pac") + b"\0" * 32, ProxySettings(script="http://x/y.pac", detects=True)),
        (blob(3, "p:8080", "*.a", size=0x18), ProxySettings(proxy="p:8080", bypass="*.a")),  # WinHTTP has two texts
    ],
)
def test_bytes_of_a_connection_are_read(data, expected):
    assert read_connection(data) == expected


@pytest.mark.parametrize(
    "data", [b"", blob(3, "p:8080")[:-2], blob(3), struct.pack("<IIII", 0x46, 1, 3, 2) + b"\xff\xff" + bytes(4)]
)
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match="no settings of a connection"):
        read_connection(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    try:
        assert isinstance(read_connection(data), ProxySettings)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"ProxyServer": "p:1"}, None),
        ({"ProxyEnable": 0, "ProxyServer": "p:1", "ProxyOverride": "x"}, ProxySettings()),
        ({"ProxyEnable": 1, "ProxyServer": "p:1", "ProxyOverride": "x"}, ProxySettings(proxy="p:1", bypass="x")),
        ({"AutoConfigURL": "http://x/"}, ProxySettings(script="http://x/")),
    ],
)
def test_values_of_internet_settings_are_read(values, expected):
    assert read_values(values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ProxySettings(proxy="p:1", detects=True)),
        ({"ProxyEnable": 0}, ProxySettings(proxy="p:1", detects=True)),
        ({"ProxyEnable": 1, "ProxyServer": "p:2"}, ProxySettings(proxy="p:2", detects=True)),
        ({"ProxyEnable": 0, "AutoConfigURL": "http://x/"}, ProxySettings(script="http://x/", detects=True)),
    ],
)
def test_values_name_a_proxy_and_only_the_connection_a_detection(values, expected):
    assert with_values(ProxySettings(proxy="p:1", detects=True), values) == expected
