"""The doctor with real resolvers, proxies and firewalls, as a person starts it."""

import contextlib
import json
import sys

import pytest
import pytest_asyncio

from tests.support.inspecting_proxy import CRL, ISSUER, OCSP, write_certificates
from tests.system.network.harness import ENTRA, EXPORTER, GUARDED, HERE, KEY, VAULT, site_in
from tests.system.network.resolver import resolving

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

INSPECTOR, REVOCATION, PROXY = "127.0.0.3", "127.0.0.4", "127.0.0.5"
PASSWORD = "MARKED-proxy-password"
SOON = "1500ms"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_certificates(folder, [VAULT, ENTRA])
    async with site_in(folder) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def site(module_site):
    module_site.machine.knows({VAULT: HERE, ENTRA: HERE, CRL: REVOCATION, OCSP: REVOCATION})
    module_site.machine.requests(HERE)
    yield module_site
    await module_site.machine.do("nft flush ruleset")


async def examined(site, *arguments, expecting=1, **config):
    """Every check by its name, as `doctor --json` gives it."""
    requested = arguments or ("classic", "--config.file", site.config(**config))
    code, out, err = await site.machine.run(*EXPORTER, "doctor", *requested, "--json")
    assert (code, err) == (expecting, "")
    assert "MARKED" not in out
    return {check["check"]: check for check in json.loads(out)["checks"]}


def failing(checks):
    return {name: check["code"] for name, check in checks.items() if check["outcome"] == "fail"}


async def test_all_is_well_there(site):
    checks = await examined(site, expecting=0)
    assert checks["dns_vault"]["detail"] == HERE
    assert checks["round_trip"]["outcome"] == "pass"


async def test_without_a_configuration_the_systems_own_authorities_and_resolver_are_used(site):
    typed = site.machine.folder / "typed"
    typed.write_text("2b8e4d706c1f4a958d239f0e5b7a1c64MARKED-secret\n")
    requested = ("--vault", "contoso", "--key", KEY, "--connector-secret-file", typed)
    trusting = ("env", f"SSL_CERT_FILE={site.ca_file}", *EXPORTER, "doctor", *requested)
    code, out, err = await site.machine.run(*trusting)
    assert (code, err) == (0, "")
    assert "pass    Round trip                  the bytes came back equal" in out
    assert "this host's store" in " ".join(out.split())
    assert "MARKED" not in out
    # Without it, the simulator's certificate authority is unknown.
    checks = await examined(site, *requested)
    assert failing(checks) == {"issuer_vault": 3008, "issuer_entra": 3008}


@pytest.mark.parametrize(("who", "check"), [("vault", "dns_vault"), ("entra", "dns_entra")])
@pytest.mark.parametrize("output", ["nxdomain", "servfail", "refused"])
async def test_a_resolver_that_does_not_find_the_name(site, who, check, output):
    async with resolving(site.machine, **{who: output}):
        checks = await examined(site)
    assert failing(checks) == {check: 3900}
    assert "Resolve-DnsName" in checks[check]["fix"]


@pytest.mark.parametrize(("host", "check"), [(VAULT, "tcp_vault"), (ENTRA, "tcp_entra")])
@pytest.mark.parametrize(
    ("verdict", "words"), [("drop", "connect timeout"), ("reject with tcp reset", "connect refused")], ids=["drop", "reject"]
)
async def test_a_firewall_before_port_443(site, host, check, verdict, words):
    site.machine.knows({VAULT: HERE, ENTRA: HERE} | {host: GUARDED})
    await site.guard(f"ip daddr {GUARDED} tcp dport 443 {verdict}")
    checks = await examined(site, timeout=SOON)
    assert failing(checks) == {check: 3008}
    assert checks[check]["detail"] == words


@contextlib.asynccontextmanager
async def inspected(site, *hosts):
    """TLS to these hosts goes through the inspector."""
    known = {VAULT: HERE, ENTRA: HERE, CRL: REVOCATION, OCSP: REVOCATION}
    site.machine.knows(known | dict.fromkeys(hosts, INSPECTOR))
    command = (sys.executable, "-m", "tests.support.inspecting_proxy", site.machine.folder / "inspector.pem", INSPECTOR)
    async with site.machine.serving("inspector", *command, ready="inspecting"):
        yield


@pytest.mark.parametrize(("host", "check"), [(VAULT, "issuer_vault"), (ENTRA, "issuer_entra")])
async def test_an_inspecting_proxy_is_named_by_its_authority(site, host, check):
    async with inspected(site, host):
        checks = await examined(site)
    assert failing(checks) == {check: 3008}
    assert ISSUER in checks[check]["detail"]
    assert host in checks[check]["fix"]


async def test_a_blocked_port_80_is_a_warning_and_nothing_else(site):
    trusting = {"tls": {"ca_file": str(site.machine.folder / "inspector-ca.pem")}}
    web = (sys.executable, "-u", "-m", "http.server", "80", "--bind", REVOCATION)
    async with inspected(site, VAULT, ENTRA), site.machine.serving("web", *web, ready="Serving HTTP"):
        checks = await examined(site, expecting=0, timeout=SOON, **trusting)
        assert (checks["revocation"]["outcome"], checks["revocation"]["detail"]) == ("pass", f"{CRL}, {OCSP}")
        await site.guard(f"ip daddr {REVOCATION} tcp dport 80 drop")
        checks = await examined(site, expecting=0, timeout=SOON, **trusting)
    assert checks["revocation"]["outcome"] == "warn"
    assert checks["revocation"]["detail"] == f"{CRL}: no answer in time; {OCSP}: no answer in time"
    assert [name for name, check in checks.items() if check["outcome"] == "warn"] == [
        "issuer_vault",
        "issuer_entra",
        "revocation",
    ]


@contextlib.asynccontextmanager
async def proxied(site, settings=""):
    lines = [f"Port 8888\nListen {PROXY}\nTimeout 60\nLogLevel Info\nMaxClients 50", settings]
    (site.machine.folder / "tinyproxy.conf").write_text("\n".join(lines) + "\n")
    command = ("tinyproxy", "-d", "-c", site.machine.folder / "tinyproxy.conf")
    async with site.machine.serving("tinyproxy", *command, ready="Accepting connections"):
        yield f"http://{PROXY}:8888"


async def test_through_a_real_proxy(site):
    async with proxied(site) as url:
        checks = await examined(site, expecting=0, proxy={"url": url, "no_proxy": [".vault.azure.net"]})
    assert checks["proxy_vault"]["detail"] == "direct"
    assert checks["proxy_entra"]["detail"] == f"through {url}"
    assert checks["dns_entra"]["outcome"] == "skipped"


@pytest.mark.parametrize(("past", "check"), [(ENTRA, "proxy_vault"), (VAULT, "proxy_entra")])
async def test_a_proxy_that_wants_a_password_is_named(site, past, check):
    async with proxied(site, f"BasicAuth sql {PASSWORD}") as url:
        checks = await examined(site, proxy={"url": url, "no_proxy": [past]})
    assert failing(checks) == {check: 3012}
    assert "HTTP 407" in checks[check]["detail"]


async def test_a_proxy_that_is_not_there_is_named(site):
    checks = await examined(site, proxy={"url": f"http://{PROXY}:8889", "no_proxy": [ENTRA]})
    assert failing(checks) == {"proxy_vault": 3008}
