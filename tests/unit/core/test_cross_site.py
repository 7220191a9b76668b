"""Requests that a browser sends on behalf of another site, by their headers."""

import pytest

from exporter.core.cross_site import host_name, is_cross_site, is_loopback


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("EKM.corp:10377", "ekm.corp"),
        ("ekm.corp.", "ekm.corp"),
        ("[::1]:10377", "::1"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("", ""),
    ],
)
def test_a_host_header_has_a_name(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("name", "loopback"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("10.0.0.5", False), ("localhost.example", False), ("", False)],
)
def test_loopback_is_localhost_or_a_loopback_address(name, loopback):
    assert is_loopback(name) is loopback


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
    ],
)
def test_headers_of_a_browser_name_the_origin(headers, foreign):
    assert is_cross_site(headers, ["ekm.corp:10377", ""]) is foreign
