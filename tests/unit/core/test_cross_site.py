"""Requests that a browser sends on behalf of another site, by their headers."""

import pytest

from exporter.core.names import is_cross_site, is_loopback, parse_authority


@pytest.mark.parametrize(
    ("host", "authority"),
    [
        ("EKM.corp:10377", ("ekm.corp", 10377)),
        ("ekm.corp.", ("ekm.corp", None)),
        ("ekm.corp:", ("ekm.corp", None)),
        (" ekm_1.corp:80\t", ("ekm_1.corp", 80)),
        ("[::1]:10377", ("::1", 10377)),
        ("[0:0::0:1]", ("::1", None)),
        ("[fe80::1%eth0]", ("fe80::1%eth0", None)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
    ],
)
def test_host_header_has_a_name_and_a_port(host, authority):
    assert parse_authority(host) == authority


NO_AUTHORITY = [
    "", ":80", ".", "localhost..", ".localhost", "a..b", "localhost:10377@evil.com", "user@localhost", "localhost@", "[::1].evil.com",
    "[::1]evil.com", "[::1", "::1", "[localhost]", "[127.0.0.1]", "[::1%]", "[::1]:80:80", "localhost:80:90", "localhost:99999",
    "localhost:-1", "localhost:0x50", "localhost:\u0661", "localhost/x", "localhost?x", "localhost#x", "localhost\\x", "local host",
    "localhost,evil.com", "localhost;x", "%6cocalhost", "localhost%00.evil.com", "localhost\n", "localhost\u0085", "localhost\0.evil.com",
    "\uff4cocalhost", "localhost\u3002", "\u2488.0.0.1", "http://localhost", "a" * 64, "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("host", NO_AUTHORITY)
def test_anything_else_is_no_host(host):
    assert parse_authority(host) is None
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST.:80", True),
        ("127.0.0.9", True),
        ("[::1]:1", True),
        ("10.0.0.5", False),
        ("localhost.example", False),
        ("0x7f.1", False),
        ("0177.0.0.1", False),
        ("2130706433", False),
        ("127.1", False),
    ],
)
def test_loopback_is_localhost_or_a_loopback_address(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"Origin": "http://ekm.corp:10377"}, False),
        ({"Origin": "https://ekm.corp:10377", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": "http://ekm.corp"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://"}, True),
        ({"Origin": "http://EKM.corp.:10377"}, False),
        ({"Origin": "http://ekm.corp:10377@evil.example"}, True),
        ({"Origin": "http://[::1"}, True),
        ({"Origin": "file://ekm.corp:10377"}, True),
        ({"Referer": "http://ekm.corp:10377/targets?x=1"}, False),
        ({"Referer": "https://evil.example/?ekm.corp:10377"}, True),
        ({"Origin": "http://ekm.corp:10377", "Referer": "https://evil.example/"}, False),  # the origin is the newer word
    ],
)
def test_headers_of_a_browser_name_the_origin(headers, foreign):
    assert is_cross_site(headers, ["ekm.corp:10377", ""]) is foreign


@pytest.mark.parametrize(
    ("origin", "foreign"), [("http://ekm.corp:80", False), ("https://ekm.corp", False), ("http://ekm.corp:443", True)]
)
def test_omitted_port_is_that_of_the_scheme(origin, foreign):
    assert is_cross_site({"Origin": origin}, ["ekm.corp", "@"]) is foreign
