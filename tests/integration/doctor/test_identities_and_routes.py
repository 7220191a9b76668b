"""Checks without a configuration, behind a proxy, for a managed identity, and in read-only mode."""

import asyncio
import contextlib
import time

from exporter.config.settings import Proxy
from exporter.core.values import CredentialKind, Mode
from exporter.doctor.run import bare_config, run_checks
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.knowledge.verdict import WHY
from tests.support.doctor_simulated import CLIENT, KEY, PINNED, SECRET, TENANT, VAULT
from tests.support.inspecting_proxy import CRL, inspecting, write_certificates
from tests.support.slow_host import stalled_loop
from tests.support.values import replace


def outcomes(results):
    return {name: result.outcome for name, result in results.items()}


async def bare(harness, text, **changes):
    """The results without a configuration, except for the route to the simulator."""
    harness.secret_file.write_text(text)
    config = bare_config("contoso-prod", f"{KEY}/{PINNED}", harness.secret_file, changes.pop("tenant", None))
    module = replace(config.modules["default"], ca_file=harness.folder / "ca.pem", connect_to=harness.simulator.connect_to)
    config = replace(config, modules={"default": module})
    return {result.check: result for result in await run_checks(config, config.targets[VAULT])}


async def test_vault_key_and_connector_string_are_enough(harness):
    results = await bare(harness, CLIENT.replace("-", "") + SECRET)
    assert results["round_trip"].outcome is results["tenant"].outcome is CheckOutcome.PASS
    assert CheckOutcome.FAIL not in outcomes(results).values()
    results = await bare(harness, CLIENT.replace("-", "") + SECRET, tenant=TENANT)
    assert results["tenant"].detail == "the vault and the credential name the same"


def test_key_uri_names_the_vault_of_a_bare_configuration(tmp_path):
    config = bare_config(None, f"https://{VAULT}:443/keys/{KEY}/{PINNED}", tmp_path / "secret", None)
    target = config.targets[VAULT]
    assert (target.vault, target.key) == (VAULT, f"{KEY}/{PINNED}")


@contextlib.asynccontextmanager
async def connecting(to):
    """A proxy that connects all clients to one host and port, answers HEAD with 200, and records requests."""
    requests = []

    async def pump(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        requests.append(head.split("\r\n")[0])
        if head.startswith("HEAD "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        there = await asyncio.open_connection(*to)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


async def test_proxy_resolves_names_and_serves_revocation_hosts(harness):
    write_certificates(harness.folder, [VAULT, "login.microsoftonline.com"])
    name, port = harness.simulator.address.split(":")
    async with (
        inspecting(harness.folder / "inspector.pem", (name, int(port)), sni=VAULT) as inspector,
        connecting(("127.0.0.1", inspector)) as (url, requests),
    ):
        harness.module = {"connect_to": {}, "ca_file": harness.folder / "inspector-ca.pem", "proxy": Proxy(url=url)}
        results = await harness.results()
    assert results["proxy_vault"].detail == results["proxy_entra"].detail == f"through {url}"
    assert results["dns_vault"].outcome is results["dns_entra"].outcome is CheckOutcome.SKIPPED
    assert results["round_trip"].outcome is results["revocation"].outcome is CheckOutcome.PASS
    assert f"HEAD http://{CRL}/inspector.crl HTTP/1.1" in requests


async def test_managed_identity_skips_the_entra_checks(harness, monkeypatch):
    monkeypatch.setenv("IDENTITY_HEADER", "any")
    monkeypatch.setenv("IDENTITY_ENDPOINT", harness.simulator.identity_url)
    harness.credential = replace(
        harness.credential, kind=CredentialKind.MANAGED_IDENTITY, tenant_id=None, secret=None, expires_on=None
    )
    results = await harness.results()
    for name in ("proxy_entra", "dns_entra", "tcp_entra", "issuer_entra", "tls_entra", "secret", "credential_string"):
        assert results[name].outcome is CheckOutcome.SKIPPED
    assert results["round_trip"].outcome is CheckOutcome.PASS


async def test_read_only_module_skips_the_round_trip_checks(harness):
    harness.module["mode"] = Mode.READ_ONLY
    results = await harness.results()
    for name in ("permission_wrap", "permission_unwrap", "round_trip"):
        assert (results[name].outcome, results[name].detail) == (CheckOutcome.SKIPPED, "the module's mode leaves it out")
    assert results["key_version"].outcome is CheckOutcome.PASS


async def test_silent_vault_is_not_known_on_a_slow_host(harness):
    """No check that depends on it passes: an unknown one is as good as none."""
    harness.simulator.set_fault("silent", vault=VAULT)
    harness.target = replace(harness.target, timeout=2.0)
    with stalled_loop():
        results = await harness.results()
    assert [result.check for result in results.values() if result.outcome is CheckOutcome.FAIL] == []
    assert (results["challenge"].outcome, results["challenge"].detail) == (CheckOutcome.UNKNOWN, WHY["not_measured"])
    assert {results[name].outcome for name in ("token", "vault_answers", "round_trip")} == {CheckOutcome.SKIPPED}


async def test_silent_vault_fails_within_the_timeout(harness):
    harness.simulator.set_fault("silent", vault=VAULT)
    harness.target = replace(harness.target, timeout=0.5)
    began = time.monotonic()
    results = await harness.results()
    assert time.monotonic() - began < 10
    assert (results["challenge"].outcome, results["challenge"].code) == (CheckOutcome.FAIL, 3008)
    to_vault = sum(count for (host, _, _), count in harness.simulator.requests.items() if host == VAULT)
    assert to_vault == 2  # the challenge and the path: its retained version is not asked for
