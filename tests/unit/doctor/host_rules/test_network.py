"""Rules of Windows' network settings: proxies of accounts, TLS and time."""

import pytest

from exporter.doctor import host_rules
from exporter.doctor.host_rules import AccountProxy, ProxySettings, TimeService, TlsSettings, Unreadable
from exporter.knowledge.checks_vault import CheckOutcome

PASS, WARN, FAIL, UNKNOWN = CheckOutcome.PASS, CheckOutcome.WARN, CheckOutcome.FAIL, CheckOutcome.UNKNOWN
BY_P = ProxySettings(proxy="P:3128")


@pytest.mark.parametrize(
    ("settings", "expected", "outcome", "text"),
    [
        (ProxySettings(), "", PASS, "sql: direct; WinHTTP of this host: direct"),
        (BY_P, "p:3128", PASS, "sql: through P:3128"),
        (ProxySettings(proxy="p"), "p:80", PASS, "sql: through p"),
        (BY_P, "", WARN, "sql: through P:3128, but the exporter reaches the vault directly"),
        (ProxySettings(), "p:3128", WARN, "sql: direct, but the exporter reaches the vault through p:3128"),
        (BY_P, None, PASS, "sql: through P:3128"),
        (ProxySettings(script="http://x/"), "", UNKNOWN, "sql: by the script http://x/ decides"),
        (None, "", UNKNOWN, "sql: its registry is not loaded: start the service"),
        (Unreadable(denied=True), "", UNKNOWN, "sql: cannot be read: run elevated"),
    ],
)
def test_route_of_the_account_equals_that_of_the_exporter(settings, expected, outcome, text):
    found = host_rules.service_proxy(
        (AccountProxy("sql", settings),), ProxySettings(), host="v.vault.azure.net", expected=expected
    )
    assert found.outcome is outcome
    assert text in found.detail
    assert found.code is None


def test_unreadable_accounts_leave_the_proxy_unknown():
    found = host_rules.service_proxy(Unreadable("x"), ProxySettings(), host="v", expected="")
    assert (found.outcome, found.detail) == (UNKNOWN, "cannot be read: x")


@pytest.mark.parametrize(
    ("settings", "outcome", "text"),
    [
        (TlsSettings(), PASS, "TLS 1.2 is enabled"),
        (TlsSettings(enabled=1, disabled_by_default=0, fips=True), PASS, "TLS 1.2 is enabled, FIPS mode is on"),
        (TlsSettings(enabled=0, fips=True), FAIL, "TLS 1.2 is disabled for clients; FIPS mode is on"),
        (TlsSettings(disabled_by_default=1), WARN, "off by default"),
        (TlsSettings(suites="TLS_RSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), WARN, "no suite"),
        (TlsSettings(suites=" tls_ecdhe_rsa_with_aes_256_gcm_sha384"), PASS, "enabled"),
        (TlsSettings(protocols={"sql": 0x80, "other": None}), WARN, "the Internet settings of sql leave out TLS 1.2"),
        (TlsSettings(protocols={"sql": 0xA80}), PASS, "enabled"),
        (Unreadable(denied=True), UNKNOWN, "settings of TLS cannot be read: run elevated"),
    ],
)
def test_settings_of_tls_allow_a_connection_to_azure(settings, outcome, text):
    found = host_rules.tls_settings(settings)
    assert found.outcome is outcome
    assert text in found.detail


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (TimeService("running", "NT5DS", ""), "Windows Time is running: the domain is its source"),
        (TimeService("running", "NTP", "a.example,0x9 b.example"), "Windows Time is running: its source is a.example, b.example"),
        (TimeService("stopped", "AllSync", ""), "Windows Time is stopped: its source is the domain or no server"),
        (TimeService("running", "NoSync", ""), "Windows Time is running: it has no source"),
        (TimeService("in an unknown state", "", ""), "Windows Time is in an unknown state: its source is unknown"),
        (Unreadable(denied=True), "Windows Time cannot be read: run elevated"),
    ],
)
def test_time_service_has_its_source(service, text):
    assert host_rules.time_text(service) == text
