"""Probes through a real proxy, around it, and through a failing one."""

import contextlib
import dataclasses
import re

import pytest

from tests.system.network.harness import ENTRA, GUARDED, HEALTHY, HERE, VAULT

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

PASSWORD = "MARKED-proxy-password"
PROXY = "proxy.contoso.example"
UNUSED_ADDRESS = "127.0.0.9"
SOON = "3s"
URL = f"http://{PROXY}:8888"
# The host behind the proxy, the step of that request, and the host that bypasses the proxy.
ROUTES = pytest.mark.parametrize(
    ("behind", "step", "past"), [(VAULT, "challenge", ENTRA), (ENTRA, "token", VAULT)], ids=["vault", "entra"]
)


@dataclasses.dataclass(frozen=True)
class Proxied:
    """A proxy failure. `settings` are for tinyproxy; `upstream` is the address of the host behind the proxy."""

    expected: tuple[int, int, str]
    status: int | None = None
    settings: str = ""
    upstream: str = HERE
    url: str = URL
    firewall: str = ""


REFUSALS = {
    "requires a password": Proxied((3012, 3110, "proxy_auth"), status=407, settings=f"BasicAuth sql {PASSWORD}"),
    "forbids the port": Proxied((3077, 3113, "proxy_status"), status=403, settings="ConnectPort 563"),
    "finds no server behind it": Proxied((3013, 3111, "proxy_status"), status=500, upstream=UNUSED_ADDRESS),
    "cannot resolve the name": Proxied((3013, 3111, "proxy_status"), status=500, upstream=""),
    "waits for a server behind it": Proxied(
        (3008, 3106, "proxy_timeout"), upstream=UNUSED_ADDRESS, firewall=f"ip daddr {UNUSED_ADDRESS} drop"
    ),
    "does not listen": Proxied((3008, 3106, "proxy_unreachable"), url=f"http://{PROXY}:8889"),
    "does not resolve": Proxied((3008, 3106, "proxy_unresolved"), url="http://gone.contoso.example:8888"),
    "is behind a firewall": Proxied((3008, 3106, "proxy_timeout"), firewall="tcp dport 8888 drop"),
    "is refused by a firewall": Proxied((3008, 3106, "proxy_unreachable"), firewall="tcp dport 8888 reject with tcp reset"),
    "is unreachable": Proxied((3008, 3106, "proxy_unreachable"), firewall="tcp dport 8888 reject with icmp host-unreachable"),
    "loses large packets": Proxied(
        (3008, 3106, "tls_timeout"), upstream=GUARDED, firewall=f"ip daddr {GUARDED} meta length > 300 drop"
    ),
}


@pytest.fixture
def proxy(machine):
    """Start tinyproxy. Yields a function that returns the requested hosts."""

    @contextlib.asynccontextmanager
    async def start(settings=""):
        lines = [f"Port 8888\nListen {HERE}\nTimeout 60\nLogLevel Info\nMaxClients 50", settings]
        (machine.folder / "tinyproxy.conf").write_text("\n".join(lines) + "\n")
        command = ("tinyproxy", "-d", "-c", machine.folder / "tinyproxy.conf")
        async with machine.serving("tinyproxy", *command, ready="Accepting connections") as log:
            yield lambda: set(re.findall(r"CONNECT ([\w.-]+):443", log.read_text()))

    machine.set_hosts({VAULT: HERE, ENTRA: HERE, PROXY: HERE})
    return start


@pytest.mark.parametrize(
    ("no_proxy", "requested"),
    [
        ([], {VAULT, ENTRA}),
        ([".vault.azure.net"], {ENTRA}),
        ([ENTRA], {VAULT}),
        (["*"], set()),
    ],
    ids=["both", "vault bypasses", "sign-in bypasses", "neither"],
)
async def test_no_proxy_selects_the_hosts_behind_the_proxy(server, proxy, no_proxy, requested):
    async with proxy() as requested_hosts:
        assert await server.shown(proxy={"url": URL, "no_proxy": no_proxy}) == HEALTHY
        assert requested_hosts() == requested


async def test_exporter_behind_a_proxy_resolves_no_name(server, proxy):
    """The proxy resolves the names, so the host needs no resolver."""
    async with proxy():
        _, report = await server.probed(proxy={"url": f"http://{HERE}:8888"})
    assert report["success"]
    assert all("dns" not in step["phases"] for step in report["steps"])


async def test_proxy_password_is_required_and_accepted(server, proxy, machine):
    (machine.folder / "right").write_text(PASSWORD + "\n")
    (machine.folder / "wrong").write_text("another\n")
    for name in ("right", "wrong"):
        (machine.folder / name).chmod(0o600)
    async with proxy(f"BasicAuth sql {PASSWORD}"):
        assert await server.shown(proxy={"url": URL, "username": "sql", "password_file": "right"}) == HEALTHY
        with_wrong = {"url": URL, "username": "sql", "password_file": "wrong"}
        assert await server.shown(proxy=with_wrong) == ("challenge", 3010, 3108, "proxy_auth")  # tinyproxy answers 401
        assert await server.shown(proxy={**with_wrong, "no_proxy": [VAULT]}) == ("token", 3303, 3303, "proxy_auth")


@ROUTES
@pytest.mark.parametrize("what", REFUSALS)
async def test_failing_proxy_has_its_code_and_reason(server, proxy, machine, *, what, behind, step, past):
    case = REFUSALS[what]
    names = {past: HERE, behind: case.upstream, PROXY: HERE}
    machine.set_hosts({name: address for name, address in names.items() if address})
    await server.guard(*([case.firewall] if case.firewall else []))
    async with proxy(case.settings):
        classic, current = await server.probed(timeout=SOON, proxy={"url": case.url, "no_proxy": [past]})
    assert (classic["step"], classic["code"], current["code"], classic["reason"]) == (step, *case.expected)
    reported = next(one for one in classic["steps"] if one["step"] == step)
    assert reported["http_status"] == case.status
    assert reported["endpoint"] == f"{behind}:443"
