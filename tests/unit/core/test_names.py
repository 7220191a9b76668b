"""Names of vaults, keys, hosts, files and SQL Servers: which are accepted, and what they mean."""

import re

import pytest

from exporter.core.names import (
    ENTRA_HOSTS,
    THUMBPRINT_PATTERN,
    Pin,
    SqlAddress,
    browser_port,
    browser_request,
    cloud_of,
    contradiction,
    is_address,
    is_cross_site,
    is_device,
    is_hash,
    is_loopback,
    is_parent_domain,
    is_private,
    is_trusted_authority,
    length_of,
    nearest,
    normalize_thumbprint,
    parse_address_list,
    parse_authority,
    parse_sql_address,
    server_name,
    server_names,
    vault_host,
)

# Vault hosts from the IDENTITY of a SQL credential, and the hosts that may receive tokens and secrets.


@pytest.mark.parametrize(
    ("identity", "host"),
    [
        ("Contoso-Prod", "contoso-prod.vault.azure.net"),
        ("x.vault.usgovcloudapi.net", "x.vault.usgovcloudapi.net"),
        ("ContosoMHSM.managedhsm.azure.net", "contosomhsm.managedhsm.azure.net"),
        ("https://contoso.vault.azure.net/", "contoso.vault.azure.net"),
        ("https://contoso.vault.azure.net:443", "contoso.vault.azure.net"),
        ("https://contoso.vault.azure.net:8443", "contoso.vault.azure.net:8443"),
    ],
)
def test_an_identity_names_one_host(identity: str, host: str):
    assert vault_host(identity) == host


@pytest.mark.parametrize(
    "identity",
    [
        "",
        "http://contoso.vault.azure.net",
        "https://x.vault.azure.net/keys/k",
        "a",
        "9vault",
        "a_b.vault.azure.net",
        "x.y:0",
        "x.y:z",
        "x..y",
        "x.y:70000",
        "x.y:08443",
        "x.y:" + "0" * 5000 + "1",
        "x.y:٤٤٣",
    ],
)
def test_an_identity_without_a_vault_is_refused(identity: str):
    with pytest.raises(ValueError, match=" "):
        vault_host(identity)


def test_the_suffix_selects_the_cloud():
    cloud = cloud_of("x.managedhsm.azure.net:8443")
    assert (cloud.name, cloud.resource, cloud.managed_hsm) == ("public", "https://managedhsm.azure.net", True)
    assert cloud_of("vault.azure.net.evil.example") is None


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("https://vault.azure.net", True),
        ("https://vault.azure.net/", True),
        ("https://azure.net", True),
        ("https://net", False),
        ("https://ault.azure.net", False),
        ("http://vault.azure.net", False),
        ("https://graph.microsoft.com", False),
        ("vault.azure.net", False),
        ("https://", False),
        ("https://contoso.vault.azure.net", False),
        ("HTTPS://Vault.Azure.Net:443/", True),
        # Anything but a host could request a second scope, or mean another host.
        ("https://vault.azure.net/ https://graph.microsoft.com", False),
        ("https://vault.azure.net:443@graph.microsoft.com", False),
        ("https://vault.azure.net/\udcff", False),
        ("https://vault.a\u017fure.net", False),
    ],
)
def test_a_token_is_sent_only_to_hosts_under_its_resource(resource: str, *, allowed: bool):
    assert is_parent_domain(resource, "contoso.vault.azure.net") is allowed


def test_a_secret_is_sent_only_to_a_trusted_authority():
    assert all(is_trusted_authority(f"https://{host}", None) for host in ENTRA_HOSTS)
    assert not is_trusted_authority("https://login.microsoftonline.com.evil.example", None)
    assert not is_trusted_authority("https://login.microsoftonline.com:8443", None)
    assert is_trusted_authority("https://login.microsoftonline.com:443", None)
    assert not is_trusted_authority("https://evil.example:443", None)
    assert not is_trusted_authority("", None)
    assert is_trusted_authority("https://sts.corp.example", "https://sts.corp.example:443/")
    assert is_trusted_authority("https://sts.corp.example:443", "https://sts.corp.example")
    assert is_trusted_authority("https://sts.corp.example:8443", "https://STS.corp.example:8443/")


# Addresses of private networks.


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fd00::1", "fe80::1",
        "::ffff:10.0.0.1",
    ],
)  # fmt: skip
def test_address_of_a_private_network_is_private(address):
    assert is_private(address) is True


@pytest.mark.parametrize("address", ["203.0.113.7", "172.32.0.1", "100.128.0.1", "2603:1030::1", "::ffff:203.0.113.7"])
def test_address_of_the_internet_is_public(address):
    assert is_private(address) is False


@pytest.mark.parametrize("text", ["", "localhost", "10.1.2", "10.1.2.3/32"])
def test_text_that_is_no_address_is_neither(text):
    assert is_private(text) is None


# Names of SQL Servers, files of names, and the answer of SQL Server Browser.


@pytest.mark.parametrize(
    ("text", "host", "instance", "port"),
    [
        ("n1", "n1", None, 1433),
        (" n1.contoso.com ", "n1.contoso.com", None, 1433),
        ("n1,1533", "n1", None, 1533),
        ("tcp:n1, 1533", "n1", None, 1533),
        ("n1\\SQLPRD01", "n1", "SQLPRD01", None),
        ("n1\\SQLPRD01,1533", "n1", "SQLPRD01", 1533),
        (".", "localhost", None, 1433),
        ("(local)\\X", "localhost", "X", None),
        ("::1,1533", "::1", None, 1533),
        ("[::1],1533", "::1", None, 1533),
    ],
)
def test_names_of_sqlcmd_are_parsed(text, host, instance, port):
    assert parse_sql_address(text) == SqlAddress(text.strip(), host, instance, port)


@pytest.mark.parametrize(
    "text", ["", "n1 n2", "n1\\", "n1\\a\\b", "n1,", "n1,x", "n1:x y", "schlüssel", "n1:1433", "n1;Database=x", "n1/SQLPRD01"]
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"expected HOST, HOST\\INSTANCE or HOST,PORT"):
        parse_sql_address(text)


@pytest.mark.parametrize("port", [0, 65536])
def test_impossible_port_is_refused(port):
    with pytest.raises(ValueError, match=f"port {port}: expected 1 to 65535"):
        parse_sql_address(f"n1,{port}")


def test_list_has_comments_and_duplicates():
    text = "# production\nn1\n\n  n2,1533  # second\nn1\n"
    assert parse_address_list(text) == (["n1", "n2,1533"], [])


def test_list_names_its_bad_lines():
    names, problems = parse_address_list("n1\nn2 n3\n")
    assert names == ["n1"]
    assert problems == ["line 2: expected HOST, HOST\\INSTANCE or HOST,PORT"]


def browser_answer(text):
    return b"\x05" + len(text).to_bytes(2, "little") + text.encode()


ONE_INSTANCE = "ServerName;N1;InstanceName;SQLPRD01;IsClustered;No;Version;16.0.1000.6;tcp;50123;;"


def test_browser_names_the_port():
    assert browser_request("SQLPRD01") == b"\x04SQLPRD01\0"
    assert browser_port(browser_answer(ONE_INSTANCE), "sqlprd01") == 50123
    assert browser_port(browser_answer(ONE_INSTANCE.replace("SQLPRD01", "OTHER") + ONE_INSTANCE), "SQLPRD01") == 50123


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x04" + browser_answer(ONE_INSTANCE)[1:],
        browser_answer(ONE_INSTANCE.replace("SQLPRD01", "OTHER")),
        browser_answer(ONE_INSTANCE.replace("tcp;50123", "np;pipe")),
        browser_answer(ONE_INSTANCE.replace("50123", "x")),
        browser_answer(ONE_INSTANCE.replace("50123", "99999")),
        browser_answer(ONE_INSTANCE.replace("50123", "1" * 5000)),
    ],
)
def test_other_answers_of_browser_have_no_port(data):
    assert browser_port(data, "SQLPRD01") is None


def test_instances_of_one_name_on_two_hosts_are_two():
    declared = [{"sql_instance": "PROD", "host": "n1"}, {"sql_instance": "PROD", "host": "n2", "ag": "AG1"}]
    assert list(server_names([*declared, {"sql_instance": "prod", "host": "N1"}]).values()) == ["PROD on n1", "PROD on n2"]


def test_instance_without_a_host_is_its_name():
    assert (server_name({"sql_instance": "PROD"}), server_names([{"host": "n1"}])) == ("PROD", {})


# Names of files that Windows takes for devices.


@pytest.mark.parametrize(
    "name", ["con", "NUL", "aux.yml", "prn.tar.gz", "COM1", "lpt9.txt", "com¹", "nul ", "con .yml", "CONIN$"]
)
def test_device_is_found(name):
    assert is_device(name)


@pytest.mark.parametrize("name", ["", "contoso", "con-prod.yml", "com10", "lpt", "xcon", "_con.yml", ".nul", "null"])
def test_other_name_is_none(name):
    assert not is_device(name)


# Suggestions for misspelt names.


def test_a_misspelt_name_suggests_the_nearest():
    assert nearest("intervall", iter(["interval", "timeout"])) == " (did you mean 'interval'?)"
    assert nearest("TIMEOUT", ["interval", "timeout"]) == " (did you mean 'timeout'?)"


def test_a_name_without_likeness_suggests_nothing():
    assert nearest("x" * 10_000, ["interval", "timeout"]) == ""


# Thumbprints, and contradictions between pins.

HASH, OTHER = "0x" + "00FF" * 10, "0x" + "00FE" * 10
NAMED = "0x2C5677D76F76D77F80"  # of connector 1.0.4.0


@pytest.mark.parametrize("text", [HASH, HASH.lower(), "0X" + HASH[2:]])
def test_thumbprint_is_written_as_sql_server_does(text):
    assert normalize_thumbprint(text) == HASH
    assert re.fullmatch(THUMBPRINT_PATTERN, text)


@pytest.mark.parametrize("text", ["", "0x", "0x0", HASH[2:], HASH + "0", "0x" + "00" * 33, "0x0G", f" {HASH}"])
def test_other_texts_are_no_thumbprint(text):
    with pytest.raises(ValueError, match="hex digits"):
        normalize_thumbprint(text)
    assert not re.fullmatch(THUMBPRINT_PATTERN, text)


@pytest.mark.parametrize(("thumbprint", "length", "hash_"), [(HASH, 20, True), (NAMED, 9, False), ("0x" + "00" * 32, 32, False)])
def test_hash_is_known_by_its_length(thumbprint, length, hash_):
    assert (length_of(thumbprint), is_hash(thumbprint)) == (length, hash_)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Pin(HASH, "Tde", "1"), Pin(HASH, "TDE", "1"), ""),
        (Pin(HASH, "Tde", "1"), Pin(HASH, "Tde", "2"), "the same thumbprint, but another version"),
        (Pin(HASH, "Tde", "1"), Pin(HASH, "Tde2", "1"), "the same thumbprint, but another key name"),
        (Pin(HASH, "Tde", "1"), Pin(OTHER, "Tde", "1"), "the same key version, but another thumbprint"),
        (Pin(HASH, "Tde", "1"), Pin(OTHER, "Tde", "2"), ""),
        (Pin(HASH, "Tde", None), Pin(OTHER, "Tde", None), ""),
        (Pin(NAMED, "Tde", "1"), Pin(NAMED, "Tde", "2"), ""),
        (Pin(NAMED, "Tde", "1"), Pin(NAMED, "Tde2", "1"), "the same thumbprint, but another key name"),
        (Pin(NAMED, "Tde", "1"), Pin(HASH, "Tde", "1"), ""),
    ],
)
def test_pins_contradict_each_other(one, other, expected):
    assert contradiction(one, other) == contradiction(other, one) == expected


# Requests that a browser sends on behalf of another site, by their headers.


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


@pytest.mark.parametrize(("name", "address"), [("10.0.0.5", True), ("::1", True), ("0x7f.1", False), ("2130706433", False)])
def test_number_that_is_no_usual_address_is_a_name(name, address):
    assert is_address(name) is address


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
