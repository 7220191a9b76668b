"""TLS settings of the web configuration, over real connections."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl

import aiohttp
import pytest
from cryptography import x509

from exporter.web.access_control import AccessControl
from exporter.web.tls import names_of
from tests.unit.web.authority import Authority, authority
from tests.unit.web.serving import protected, request, trusting

PAIR = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
VERIFIED = PAIR + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
NAMED = (
    VERIFIED + "  client_allowed_sans: [prometheus.corp, 10.0.0.5, '2001:db8::1', ops@corp.example, 'spiffe://corp/prometheus']\n"
)


async def handshake(url, context):
    """Return version, suite and server certificate of one handshake."""
    host, port = url.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    found = writer.get_extra_info("ssl_object")
    session = found.version(), found.cipher()[0], found.getpeercert()["serialNumber"]
    writer.close()
    await writer.wait_closed()
    return session


async def test_pages_are_served_over_tls(folder):
    async with protected(folder, PAIR) as (url, _):
        assert url.startswith("https://")
        status, headers, text = await request(url, tls=trusting())
        assert (status, headers["Server"]) == (200, "ekm-exporter")
        assert "ekm_exporter_build_info" in text
        with pytest.raises(aiohttp.ClientError):
            await request(url.replace("https:", "http:"))


@pytest.mark.parametrize(
    ("more", "maximum", "version", "cipher"),
    [
        ("", None, "TLSv1.3", None),
        ("  max_version: TLS12\n", None, "TLSv1.2", None),
        ("  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n", ssl.TLSVersion.TLSv1_2, "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("  curve_preferences: [CurveP384]\n", None, "TLSv1.3", None),
    ],
)  # fmt: skip
async def test_configured_versions_and_suites_are_used(folder, more, maximum, version, cipher):
    async with protected(folder, PAIR + more) as (url, _):
        spoken, suite, _ = await handshake(url, trusting(maximum=maximum))
    assert spoken == version
    assert cipher in (None, suite)


async def test_too_old_tls_version_is_refused(folder):
    async with protected(folder, PAIR + "  min_version: TLS13\n") as (url, _):
        with pytest.raises(aiohttp.ClientConnectorError):
            await request(url, tls=trusting(maximum=ssl.TLSVersion.TLSv1_2))


async def test_suite_order_of_server_or_client_is_used(folder):
    preferred, other = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
    client = trusting(maximum=ssl.TLSVersion.TLSv1_2)
    client.set_ciphers(f"{other}:{preferred}")
    suites = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"
    for prefer, expected in (("true", preferred), ("false", other)):
        async with protected(folder, f"{PAIR}{suites}  prefer_server_cipher_suites: {prefer}\n") as (url, _):
            assert (await handshake(url, client))[1] == expected


async def test_client_without_a_trusted_certificate_is_refused(folder):
    own, foreign = authority().issue("p", client=True), Authority("Other CA").issue("p", client=True)
    server_side = authority().server()
    async with protected(folder, VERIFIED) as (url, _):
        assert (await request(url, tls=trusting(own, folder=folder)))[0] == 200
        for context in (trusting(), trusting(foreign, folder=folder), trusting(server_side, folder=folder)):
            with pytest.raises(aiohttp.ClientError):
                await request(url, tls=context)


async def test_a_certificate_is_verified_if_given(folder):
    text = PAIR + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n"
    foreign = Authority("Other CA").issue("p", client=True)
    async with protected(folder, text) as (url, _):
        assert (await request(url, tls=trusting()))[0] == 200
        with pytest.raises(aiohttp.ClientError):
            await request(url, tls=trusting(foreign, folder=folder))


@pytest.mark.parametrize(
    ("name", "comes_in"),
    [
        (x509.DNSName("prometheus.corp"), True),
        (x509.IPAddress(ipaddress.ip_address("10.0.0.5")), True),
        (x509.IPAddress(ipaddress.ip_address("2001:db8::1")), True),
        (x509.RFC822Name("ops@corp.example"), True),
        (x509.UniformResourceIdentifier("spiffe://corp/prometheus"), True),
        (x509.DNSName("PROMETHEUS.corp"), False),
        (x509.DNSName("grafana.corp"), False),
        (x509.DNSName("*.corp"), False),
        (None, False),
    ],
)
async def test_client_is_accepted_by_a_name_in_its_certificate(folder, caplog, name, comes_in):
    certificate = authority().issue("prometheus.corp", client=True, names=() if name is None else (name,))
    async with protected(folder, NAMED) as (url, _):
        context = trusting(certificate, folder=folder)
        if comes_in:
            assert (await request(url, tls=context))[0] == 200
        else:
            for _ in range(3):
                with pytest.raises(aiohttp.ClientError):
                    await request(url, tls=context)
    refused = [record for record in caplog.records if "without an allowed name" in record.getMessage()]
    assert len(refused) == (0 if comes_in else 1)


def test_client_without_a_certificate_has_no_allowed_name(folder):
    """A handshake may have begun before a reload that requires one."""
    access = AccessControl(folder.path / "web.yml", folder.load(NAMED))
    assert not access.allows_certificate(None, "10.0.0.5")


def test_bytes_that_are_no_certificate_have_no_names():
    assert names_of(b"\x30\x03\x02\x01\x00") == frozenset()


async def test_a_new_certificate_is_served_without_a_restart(folder):
    async with protected(folder, PAIR) as (url, access):
        before = (await handshake(url, trusting()))[2]
        folder.place("server", authority().server())
        await access.refresh()
        after = (await handshake(url, trusting()))[2]
    assert before != after


async def test_new_client_authority_applies_without_a_restart(folder):
    other = Authority("Other CA")
    async with protected(folder, VERIFIED) as (url, access):
        with pytest.raises(aiohttp.ClientError):
            await request(url, tls=trusting(other.issue("p", client=True), folder=folder))
        (folder.path / "ca.pem").write_bytes(other.pem)
        await access.refresh()
        assert (await request(url, tls=trusting(other.issue("p", client=True), folder=folder)))[0] == 200


async def test_invalid_new_configuration_is_logged_once_and_not_used(folder, caplog):
    caplog.set_level(logging.INFO)
    async with protected(folder, PAIR) as (url, access):
        before = (await handshake(url, trusting()))[2]
        folder.place("server", (b"half a certificate", b"half a key"))
        for _ in range(3):
            await access.refresh()
        assert (await handshake(url, trusting()))[2] == before
        logged = [
            record.fields["problem"] for record in caplog.records if record.getMessage() == "web configuration reload failed"
        ]
        assert [line.rpartition(": ")[2] for line in logged] == [
            "does not contain a certificate in PEM",
            "does not contain a private key in PEM",
        ]
        folder.place("server", authority().server())
        await access.refresh()
        assert (await handshake(url, trusting()))[2] != before
    assert [record.getMessage() for record in caplog.records if record.name.endswith("access_control")][
        -1
    ] == "web configuration reloaded"


@pytest.mark.parametrize(("first", "then"), [(PAIR, "{}"), ("{}", PAIR)])
async def test_turning_tls_on_or_off_needs_a_restart(folder, caplog, first, then):
    async with protected(folder, first) as (url, access):
        folder.write(then)
        await access.refresh()
        assert (await request(url, tls=trusting()))[0] == 200
    assert "restart the exporter" in caplog.records[-1].fields["problem"]


async def test_unfinished_handshake_delays_no_client_and_no_stop(folder):
    async with protected(folder, PAIR) as (url, _):
        host, port = url.removeprefix("https://").split(":")
        with contextlib.ExitStack() as silent:
            for _ in range(20):
                silent.enter_context(socket.create_connection((host, int(port))))
            assert (await request(url, tls=trusting()))[0] == 200
