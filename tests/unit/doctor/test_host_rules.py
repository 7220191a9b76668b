"""The rules of a Windows host with SQL Server: connector, proxies, TLS."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.values import KeyReference
from exporter.doctor import host_rules
from exporter.doctor.host_rules import (
    ConnectorFile,
    ConnectorKey,
    ProxySettings,
    RuntimeLibrary,
    TlsSettings,
    Unreadable,
    read_connection,
    read_values,
    with_values,
)
from exporter.knowledge.checks_vault import CheckOutcome, FailureMoment
from exporter.windows.rules import ADMINISTRATORS, SYSTEM
from tests.support.values import replace
from tests.support.windows_facts import DLL, SID, a_key, an_instance, full

PASS, WARN, FAIL, UNKNOWN = CheckOutcome.PASS, CheckOutcome.WARN, CheckOutcome.FAIL, CheckOutcome.UNKNOWN
DENIED = Unreadable(denied=True)
WANTED = KeyReference("contosorsakey0", "A" * 32, "contoso-prod.vault.azure.net")
NEW, OLD = (15, 0, 2000, 440), (13, 0, 811, 168)
VC_2015, VC_2013 = (
    RuntimeLibrary("Visual C++ 2015 (x64)", (14, 0, 24215)),
    RuntimeLibrary("Visual C++ 2013 (x64)", (12, 0, 40664)),
)
OTHER_SERVICE = "S-1-5-80-1-2-3-4-5"
GROUP = "S-1-5-21-1-2-3-1001"


def assert_found(found, outcome, text):
    assert found.outcome is outcome
    assert text in found.detail


def a_file(version=NEW, **more):
    return ConnectorFile(path=DLL, version=version, **more)


@pytest.mark.parametrize(
    ("files", "outcome", "text"),
    [
        ((a_file(),), PASS, rf"15.0.2000.440 at {DLL}"),
        ((a_file((15, 0, 2100, 1)),), PASS, "15.0.2100.1"),
        ((a_file((15, 0, 300, 96)),), WARN, "older than 15.0.2000.440"),
        ((a_file((1, 0, 0, 440)),), WARN, "no longer supported"),
        ((a_file(()),), WARN, "without a version"),
        ((a_file(None),), WARN, "no Microsoft.AzureKeyVaultService.EKM.dll in the folder"),
        ((a_file(None, of_sql_server=True),), FAIL, rf"SQL Server lists {DLL}, but the file does not exist"),
        ((a_file(of_sql_server=True, loaded=OLD),), WARN, "13.0.811.168 is loaded, and the next start loads 15.0.2000.440"),
        ((a_file(OLD), a_file(of_sql_server=True, loaded=NEW)), PASS, "15.0.2000.440"),  # the other one is not in use
    ],
)
def test_file_that_sql_server_loads_is_assessed(files, outcome, text):
    found = host_rules.connector_version(files)
    assert_found(found, outcome, text)
    assert found.code is None


OF_2020, OF_2024 = 1_599_782_400.0, 1_731_110_400.0  # 11 September 2020, 9 November 2024


@pytest.mark.parametrize(
    ("file", "managed", "outcome", "text"),
    [
        (a_file(linked=OF_2024), True, PASS, "linked 2024-11-09"),
        (a_file(linked=OF_2024), False, PASS, "linked 2024-11-09"),
        (a_file(linked=OF_2020), True, FAIL, "linked 2020-09-11: too old for a managed identity (message 37576)"),
        (a_file(linked=OF_2020), False, PASS, "linked 2020-09-11"),
        (a_file(), True, UNKNOWN, "when it was linked is unknown"),
        (a_file((15, 0, 300, 96), linked=OF_2024), True, FAIL, "(message 37576)"),
        (a_file((15, 0, 2100, 1)), True, PASS, "15.0.2100.1"),
    ],
)
def test_managed_identity_needs_the_dll_of_2024_by_number_and_date(file, managed, outcome, text):
    assert_found(host_rules.connector_version((file,), managed=managed), outcome, text)


@pytest.mark.parametrize(
    ("runtimes", "version", "major", "outcome", "text"),
    [
        ((VC_2015,), NEW, 16, PASS, "Visual C++ 2015 (x64), 14.0.24215"),
        ((VC_2015,), NEW, None, PASS, "2015"),
        ((VC_2013,), NEW, 16, FAIL, "Visual C++ 2015 for x64 is not installed"),
        ((VC_2015,), NEW, 12, FAIL, "Visual C++ 2013 for x64 is not installed"),
        ((VC_2013, VC_2015), NEW, 12, PASS, "2013"),
        ((VC_2015,), OLD, 16, FAIL, "2013"),
        ((VC_2015,), None, 16, PASS, "2015"),
        ((RuntimeLibrary("vcruntime140.dll", (14,), registered=False),), NEW, 16, WARN, "although vcruntime140.dll exists"),
        ((RuntimeLibrary("vcruntime140.dll", (14,), registered=False), VC_2015), NEW, 16, PASS, "14.0.24215"),
        ((), NEW, 16, FAIL, "not installed"),
    ],
)
def test_runtime_fits_connector_and_sql_server(runtimes, version, major, outcome, text):
    found = host_rules.vc_runtime(runtimes, (an_instance(major=major),), current=host_rules.is_current((a_file(version),)))
    assert_found(found, outcome, text)


def test_two_sql_servers_may_need_two_runtimes():
    found = host_rules.vc_runtime((VC_2015,), (an_instance(major=12), an_instance(major=16)), current=True)
    assert found.outcome is FAIL
    assert found.detail.startswith("Visual C++ 2013 for x64 is not installed; Visual C++ 2015")


@pytest.mark.parametrize(("files", "current"), [((a_file(),), True), ((a_file(OLD), a_file(None)), False), ((a_file(None),), None), (DENIED, None)])  # fmt: skip
def test_generation_is_that_of_the_newest_file(files, current):
    assert host_rules.is_current(files) is current


def rights(key, *instances, wanted=WANTED, current=True):
    return host_rules.registry_rights(key, instances or (an_instance(),), wanted, current=current)


def test_account_with_full_control_passes_with_its_name_and_state():
    found = rights(a_key())
    assert found.outcome is PASS
    assert found.detail == r"NT Service\MSSQLSERVER (MSSQLSERVER, running) has Full Control; 1 entry, of this key version too"


@pytest.mark.parametrize(
    ("key", "outcome", "text"),
    [
        (a_key(full(SYSTEM), full(ADMINISTRATORS)), FAIL, r"NT Service\MSSQLSERVER (MSSQLSERVER, running) lacks Full Control;"),
        (a_key(full(ADMINISTRATORS), groups={ADMINISTRATORS: "Administrators"}), FAIL, "lacks Full Control"),
        (a_key(full(OTHER_SERVICE), groups={OTHER_SERVICE: OTHER_SERVICE}), FAIL, "lacks Full Control"),
        (a_key(full(GROUP), groups={GROUP: r"CONTOSO\sql"}), WARN, r"lacks Full Control, unless it is a member of CONTOSO\sql"),
        (a_key(full(GROUP)), FAIL, "lacks Full Control"),
        (a_key(full(GROUP), members={GROUP: (SID,)}), PASS, "has Full Control"),
        (a_key(full(GROUP), groups={GROUP: GROUP}, members={GROUP: (SYSTEM,)}), WARN, "unless"),
        (a_key(full(below=False)), WARN, "keys below do not inherit it"),
    ],
)
def test_right_of_the_service_account_is_assessed(key, outcome, text):
    assert_found(rights(key), outcome, text)


def test_lost_right_stops_databases_only_if_the_key_has_entries():
    assert rights(a_key(full(SYSTEM))).moment is FailureMoment.KEY
    assert rights(a_key(full(SYSTEM), uri="")).moment is None


def test_right_to_a_key_below_is_assessed_too():
    key = a_key()
    below = replace(key.entries[1], rights=(full(SYSTEM),))
    found = rights(replace(key, entries=(key.entries[0], below)))
    assert found.outcome is FAIL
    assert r"lacks Full Control of Azure Key Vault\vault\0A" in found.detail


def test_unknown_account_has_no_verdict():
    found = rights(a_key(), an_instance(account=r"GONE\sql", sid="", sids=frozenset()))
    assert found.outcome is UNKNOWN
    assert r"GONE\sql (MSSQLSERVER, running): this host cannot resolve the account" in found.detail
    assert "unknown account (" in rights(a_key(), an_instance(account="", sid="")).detail


@pytest.mark.parametrize(("current", "outcome"), [(True, FAIL), (False, WARN), (None, WARN)])
def test_missing_key_fails_for_connector_1_0_5_0(current, outcome):
    found = rights(ConnectorKey(entries=()), current=current)
    assert found.outcome is outcome
    assert r"HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider does not exist" in found.detail


@pytest.mark.parametrize(
    ("uri", "wanted", "current", "outcome", "text"),
    [
        ("https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/bbbb", WANTED, True, WARN, "1 entry, none of this key version: SQL"),
        ("https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/bbbb", WANTED, False, PASS, "none of this key version"),
        ("https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/bbbb", WANTED._replace(version=None), True, PASS, "too"),
        ("https://other.vault.azure.net/keys/ContosoRSAKey0/" + "a" * 32, WANTED, True, WARN, "none"),
        ("https://no-key", WANTED, False, PASS, "none"),
        ("", WANTED, True, WARN, "0 entries"),
    ],
)  # fmt: skip
def test_entry_of_the_key_version_is_counted(uri, wanted, current, outcome, text):
    assert_found(rights(a_key(uri=uri), wanted=wanted, current=current), outcome, text)


@pytest.mark.parametrize(
    ("cluster_node", "clustered", "outcome", "text"),
    [
        (False, False, PASS, "not needed"),
        (True, False, PASS, "not needed"),
        (True, True, UNKNOWN, "needed for MSSQLSERVER"),
    ],
)
def test_checkpoint_is_needed_only_for_a_clustered_instance(cluster_node, clustered, outcome, text):
    assert_found(host_rules.cluster_checkpoint((an_instance(clustered=clustered),), cluster_node=cluster_node), outcome, text)


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
    ],
)
def test_route_of_the_account_equals_that_of_the_exporter(settings, expected, outcome, text):
    found = host_rules.service_proxy({"sql": settings}, ProxySettings(), host="v.vault.azure.net", expected=expected)
    assert_found(found, outcome, text)
    assert found.code is None


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
    ],
)
def test_settings_of_tls_allow_a_connection_to_azure(settings, outcome, text):
    assert_found(host_rules.tls_settings(settings), outcome, text)


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (("running", "NT5DS", ""), "is running: the domain is its source"),
        (("running", "NTP", "a.example,0x9 b.example"), "is running: its source is a.example, b.example"),
        (("stopped", "AllSync", ""), "is stopped: its source is the domain or no server"),
        (("running", "NoSync", ""), "is running: it has no source"),
        (("in an unknown state", "", ""), "is in an unknown state: its source is unknown"),
    ],
)
def test_time_service_has_its_source(service, text):
    assert host_rules.time_text(*service) == text


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
    "data",
    [
        b"",
        blob(3, "p:8080")[:-2],
        blob(3),
        blob(3, "p" * 70_000, "", ""),
        struct.pack("<IIII", 0x46, 1, 3, 2) + b"\xff\xff" + bytes(4),
    ],
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


@pytest.mark.parametrize(
    ("fact", "words"), [(DENIED, "cannot be read: run elevated"), (Unreadable("no clock"), "cannot be read: no clock")]
)
def test_look_up_without_a_result_says_why(fact, words):
    assert str(fact) == words
