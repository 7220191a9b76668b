"""Through a real proxy, past it, and everything that a real one answers or does not."""

import contextlib
import dataclasses
import re

import pytest

from tests.system.network.harness import ENTRA, GUARDED, HEALTHY, HERE, VAULT

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "MARKED-proxy-password"
PROXY = "proxy.contoso.example"
UNUSED_ADDRESS = "127.0.0.9"
SOON = "1500ms"
URL = f"http://{PROXY}:8888"
# Behind this proxy: the host behind it, the step of that request, and the other host, which bypasses it.
ROUTES = pytest.mark.parametrize(
    ("behind", "step", "past"), [(VAULT, "challenge", ENTRA), (ENTRA, "token", VAULT)], ids=["vault", "entra"]
)


@dataclasses.dataclass(frozen=True)
class Proxied:
    """`settings` are tinyproxy's, added to the usual ones; `upstream` is where the host behind it is to be found."""

    expected: tuple[int, int, str]
    status: int | None = None
    settings: str = ""
    upstream: str = HERE
    url: str = URL
    firewall: str = ""


REFUSALS = {
    "wants a password": Proxied((3012, 3110, "proxy_auth"), status=407, settings=f"BasicAuth sql {PASSWORD}"),
    "forbids the port": Proxied((3077, 3113, "proxy_status"), status=403, settings="ConnectPort 563"),
    "finds no server behind it": Proxied((3013, 3111, "proxy_status"), status=500, upstream=UNUSED_ADDRESS),
    "does not know the name": Proxied((3013, 3111, "proxy_status"), status=500, upstream=""),
    "waits for a server behind it": Proxied(
        (3008, 3106, "proxy_timeout"), upstream=UNUSED_ADDRESS, firewall=f"ip daddr {UNUSED_ADDRESS} drop"
    ),
    "is not there": Proxied((3008, 3106, "proxy_unreachable"), url=f"http://{PROXY}:8889"),
    "has no name": Proxied((3008, 3106, "proxy_unresolved"), url="http://gone.contoso.example:8888"),
    "is behind a firewall": Proxied((3008, 3106, "proxy_timeout"), firewall="tcp dport 8888 drop"),
    "is refused by a firewall": Proxied((3008, 3106, "proxy_unreachable"), firewall="tcp dport 8888 reject with tcp reset"),
    "is beyond a route that ends": Proxied(
        (3008, 3106, "proxy_unreachable"), firewall="tcp dport 8888 reject with icmp host-unreachable"
    ),
    "leads into silence": Proxied(
        (3008, 3106, "tls_timeout"), upstream=GUARDED, firewall=f"ip daddr {GUARDED} meta length > 300 drop"
    ),
}


@pytest.fixture
def proxy(machine):
    """Starts tinyproxy; gives a function that returns the requested hosts since the last call."""

    @contextlib.asynccontextmanager
    async def start(settings=""):
        lines = [f"Port 8888\nListen {HERE}\nTimeout 60\nLogLevel Info\nMaxClients 50", settings]
        (machine.folder / "tinyproxy.conf").write_text("\n".join(lines) + "\n")
        command = ("tinyproxy", "-d", "-c", machine.folder / "tinyproxy.conf")
        async with machine.serving("tinyproxy", *command, ready="Accepting connections") as log:
            yield lambda: set(re.findall(r"CONNECT ([\w.-]+):443", log.read_text()))

    machine.knows({VAULT: HERE, ENTRA: HERE, PROXY: HERE})
    return start


@pytest.mark.parametrize(
    ("no_proxy", "requested"),
    [
        ([], {VAULT, ENTRA}),
        ([".vault.azure.net"], {ENTRA}),
        ([ENTRA], {VAULT}),
        (["*"], set()),
    ],
    ids=["both", "vault past it", "sign-in past it", "neither"],
)
async def test_what_goes_through_a_proxy_and_what_goes_past_it(site, proxy, no_proxy, requested):
    async with proxy() as requested_hosts:
        assert await site.shown(proxy={"url": URL, "no_proxy": no_proxy}) == HEALTHY
        assert requested_hosts() == requested


async def test_behind_a_proxy_the_exporter_looks_up_no_name(site, proxy):
    """The proxy does, so a host without a resolver can be probed through one that has an address."""
    async with proxy():
        _, report = await site.probed(proxy={"url": f"http://{HERE}:8888"})
    assert report["success"]
    assert all("dns" not in step["phases"] for step in report["steps"])


async def test_a_proxy_with_a_password_lets_those_through_who_know_it(site, proxy, machine):
    (machine.folder / "right").write_text(PASSWORD + "\n")
    (machine.folder / "wrong").write_text("another\n")
    for name in ("right", "wrong"):
        (machine.folder / name).chmod(0o600)
    async with proxy(f"BasicAuth sql {PASSWORD}"):
        assert await site.shown(proxy={"url": URL, "username": "sql", "password_file": "right"}) == HEALTHY
        with_wrong = {"url": URL, "username": "sql", "password_file": "wrong"}
        assert await site.shown(proxy=with_wrong) == ("challenge", 3010, 3108, "proxy_auth")  # tinyproxy answers 401
        assert await site.shown(proxy={**with_wrong, "no_proxy": [VAULT]}) == ("token", 3303, 3303, "proxy_auth")


@ROUTES
@pytest.mark.parametrize("what", REFUSALS)
async def test_a_proxy_that_does_not_help(site, proxy, machine, *, what, behind, step, past):
    case = REFUSALS[what]
    names = {past: HERE, behind: case.upstream, PROXY: HERE}
    machine.knows({name: address for name, address in names.items() if address})
    await site.guard(*([case.firewall] if case.firewall else []))
    async with proxy(case.settings):
        classic, current = await site.probed(timeout=SOON, proxy={"url": case.url, "no_proxy": [past]})
    assert (classic["step"], classic["code"], current["code"], classic["reason"]) == (step, *case.expected)
    reported = next(one for one in classic["steps"] if one["step"] == step)
    assert reported["http_status"] == case.status
    assert reported["endpoint"] == f"{behind}:443"
