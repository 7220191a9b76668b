"""The doctor command with real resolvers, proxies and firewalls."""

import contextlib
import json
import sys

import pytest

from tests.support.inspecting_proxy import CRL, ISSUER, OCSP, write_certificates
from tests.system.network.harness import ENTRA, EXPORTER, GUARDED, HERE, KEY, VAULT
from tests.system.network.resolver import resolving

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

INSPECTOR, REVOCATION = "127.0.0.3", "127.0.0.4"
SOON = "3s"


@pytest.fixture(scope="module", autouse=True)
def certificates(shared_server):
    write_certificates(shared_server.machine.folder, [VAULT, ENTRA])


@pytest.fixture
def server(server):
    server.machine.set_hosts({VAULT: HERE, ENTRA: HERE, CRL: REVOCATION, OCSP: REVOCATION})
    return server


async def examined(server, *arguments, expecting=1, **config):
    """Every check of `doctor --json` by name."""
    requested = arguments or ("classic", "--config.file", server.config(**config))
    code, out, err = await server.run("doctor", *requested, "--json")
    assert (code, err) == (expecting, "")
    assert "MARKED" not in out
    return {check["check"]: check for check in json.loads(out)["checks"]}


def failing(checks):
    return {name: check["code"] for name, check in checks.items() if check["outcome"] == "fail"}


async def test_healthy_network_passes_all_checks(server):
    checks = await examined(server, expecting=0)
    assert checks["dns_vault"]["detail"] == HERE
    assert checks["round_trip"]["outcome"] == "pass"


async def test_doctor_without_configuration_uses_the_system_store(server):
    typed = server.machine.folder / "typed"
    typed.write_text("2b8e4d706c1f4a958d239f0e5b7a1c64MARKED-secret\n")
    requested = ("--vault", "contoso", "--key", KEY, "--connector-secret-file", typed, "--verbose")
    trusting = ("env", f"SSL_CERT_FILE={server.ca_file}", *EXPORTER, "doctor", *requested)
    code, out, err = await server.machine.run(*trusting)
    assert (code, err) == (0, "")
    assert "pass    Round trip                  the bytes came back equal" in out
    assert "this host's store" in " ".join(out.split())
    assert "MARKED" not in out
    # Without SSL_CERT_FILE the certificate authority of the simulator is unknown.
    checks = await examined(server, *requested)
    assert failing(checks) == {"issuer_vault": 3008, "issuer_entra": 3008}


@pytest.mark.parametrize(("who", "check"), [("vault", "dns_vault"), ("entra", "dns_entra")])
@pytest.mark.parametrize("output", ["nxdomain", "servfail", "refused"])
async def test_unresolved_name_fails_the_dns_check(server, who, check, output):
    async with resolving(server.machine, **{who: output}):
        checks = await examined(server)
    assert failing(checks) == {check: 3900}
    assert "Resolve-DnsName" in checks[check]["fix"]


@pytest.mark.parametrize(("host", "check"), [(VAULT, "tcp_vault"), (ENTRA, "tcp_entra")])
@pytest.mark.parametrize(
    ("verdict", "words"), [("drop", "connect timeout"), ("reject with tcp reset", "connect refused")], ids=["drop", "reject"]
)
async def test_blocked_port_443_fails_the_tcp_check(server, host, check, verdict, words):
    server.machine.set_hosts({VAULT: HERE, ENTRA: HERE} | {host: GUARDED})
    await server.guard(f"ip daddr {GUARDED} tcp dport 443 {verdict}")
    checks = await examined(server, timeout=SOON)
    assert failing(checks) == {check: 3008}
    assert checks[check]["detail"] == words


@contextlib.asynccontextmanager
async def inspected(server, *hosts):
    """Send TLS connections to these hosts through the inspecting proxy."""
    known = {VAULT: HERE, ENTRA: HERE, CRL: REVOCATION, OCSP: REVOCATION}
    server.machine.set_hosts(known | dict.fromkeys(hosts, INSPECTOR))
    command = (sys.executable, "-m", "tests.support.inspecting_proxy", server.machine.folder / "inspector.pem", INSPECTOR)
    async with server.machine.serving("inspector", *command, ready="inspecting"):
        yield


async def test_blocked_port_80_is_only_a_warning(server):
    trusting = {"tls": {"ca_file": str(server.machine.folder / "inspector-ca.pem")}}
    web = (sys.executable, "-u", "-m", "http.server", "80", "--bind", REVOCATION)
    async with inspected(server, VAULT, ENTRA), server.machine.serving("web", *web, ready="Serving HTTP"):
        checks = await examined(server, expecting=0, timeout=SOON, **trusting)
        assert (checks["revocation"]["outcome"], checks["revocation"]["detail"]) == ("pass", f"{CRL}, {OCSP}")
        assert all(ISSUER in checks[name]["detail"] for name in ("issuer_vault", "issuer_entra"))
        await server.guard(f"ip daddr {REVOCATION} tcp dport 80 drop")
        checks = await examined(server, expecting=0, timeout=SOON, **trusting)
    assert checks["revocation"]["outcome"] == "warn"
    assert checks["revocation"]["detail"] == f"{CRL}: no response in time; {OCSP}: no response in time"
    assert [name for name, check in checks.items() if check["outcome"] == "warn"] == [
        "issuer_vault",
        "issuer_entra",
        "revocation",
    ]
