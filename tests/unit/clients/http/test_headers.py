"""Values of response headers; malformed headers are ignored."""

import time
from email.utils import formatdate

import pytest

from exporter.clients.http import facts
from exporter.clients.http.facts import request_id, retry_after, server_time, vault_headers
from exporter.core.values import VaultHeaders

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 17 ", 17.0),
        ("999999999", 86400.0),
        ("99999999999999", 86400.0),
        ("-5", None),
        ("1.5", 1.5),
        ("1.5.2", None),
        ("9" * 400, None),
        ("1e9", None),
        ("soon", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2195 07:28:00 GMT", 86400.0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(text, seconds):
    assert retry_after({"Retry-After": text, "Date": DATE}) == seconds


def test_retry_date_without_server_date_uses_the_local_clock():
    assert retry_after({"Retry-After": formatdate(time.time() + 100, usegmt=True)}) == pytest.approx(100, abs=3)


def test_server_time_is_the_date_header():
    assert server_time({"Date": DATE}) == 1445412480.0
    assert server_time({"Date": "yesterday"}) is None
    assert server_time({"Date": "Fri, 31 Dec 9999 23:59:59 -0500"}) is None
    assert server_time({"Date": "Mon, 01 Jan 1900 00:00:00 GMT"}) is None
    assert server_time({}) is None


@pytest.mark.parametrize("date", ["Wed Oct 21 07:28:00 2015", "Wed, 21 Oct 2015 07:28:00", "Wed, 21 Oct 2015 07:28:00 -0000"])
def test_date_without_a_zone_is_gmt_on_any_host(date, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        facts._http_date.cache_clear()
        assert server_time({"Date": date}) == 1445412480.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_request_id_must_be_a_word():
    assert request_id({"x-ms-request-id": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"}) == "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
    assert request_id({"x-ms-request-id": "<script>"}) is None
    assert request_id({"x-ms-request-id": "x" * 200}) is None


@pytest.mark.parametrize(
    ("info", "connection"),
    [
        ("conn_type=Ipv4;addr=198.51.100.10;act_addr_fam=InterNetwork;", "public"),
        ("addr=10.4.5.6;act_addr_fam=InterNetworkV6;", "private"),
        ("conn_type=PrivateLink;addr=198.51.100.10;", "private"),
        ("addr=fd00::1;", "private"),
        ("addr=172.32.0.1;", "public"),
        ("addr=nonsense;", None),
        ("", None),
        (";;;=", None),
    ],
)
def test_network_path_is_private_public_or_unknown(info, connection):
    headers = {"x-ms-keyvault-region": "westus2", "x-ms-keyvault-network-info": info}
    assert vault_headers(headers).connection == connection


def test_diagnostic_headers_must_be_words():
    found = vault_headers({"x-ms-keyvault-region": "westus2", "x-ms-keyvault-service-version": "1.9.2200.1"})
    assert found == VaultHeaders(region="westus2", service_version="1.9.2200.1")
    assert vault_headers({"x-ms-keyvault-region": "a\nb", "x-ms-keyvault-service-version": "x" * 100}) is None
    for other in ("203.0.113.7", "fe80::1", "0a1b2c3d-0000-4000-8000-0123456789ab", "a1b2c3d4-0000-4000-8000-0123456789ab"):
        assert vault_headers({"x-ms-keyvault-region": other}) is None
    assert vault_headers({"x-ms-keyvault-region": "West US 2"}).region == "West US 2"
    assert vault_headers({}) is None


def test_equal_vault_headers_are_one_object():
    sent = {"x-ms-keyvault-region": "westus2", "x-ms-keyvault-service-version": "1.9.2200.1"}
    assert vault_headers(sent) is vault_headers(dict(sent))
    assert vault_headers(sent) != vault_headers(sent | {"x-ms-keyvault-region": "eastus"})
