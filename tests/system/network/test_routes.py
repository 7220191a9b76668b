"""Routes that fail: no network, no route, a cable pulled, a firewall that drops, refuses or cuts."""

import pytest
import pytest_asyncio

from tests.system.network.harness import AWAY, ENTRA, GUARDED, HEALTHY, HERE, VAULT

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

SOON = "1500ms"
DOWN = (3005, 3103, "network_down")


def failing(reason):
    return 3008, 3106, reason


STEPS = pytest.mark.parametrize(("name", "step"), [(VAULT, "challenge"), (ENTRA, "token")], ids=["vault", "entra"])

# What stands between, in words of ip(8), and what it leads to.
ROUTES = {
    "no route": ((), DOWN),
    "unreachable": ((f"ip route add unreachable {AWAY}",), failing("connect_unreachable")),
    "prohibit": ((f"ip route add prohibit {AWAY}",), failing("connect_failed")),
    "blackhole": ((f"ip route add blackhole {AWAY}",), failing("connect_failed")),
}

# What a firewall does with packets to the host, in words of nft(8).
FIREWALLS = {
    "lets through": (None, HEALTHY),
    "drops": ("drop", failing("connect_timeout")),
    "refuses": ("reject with tcp reset", failing("connect_refused")),
    "host unreachable": ("reject with icmp host-unreachable", failing("connect_unreachable")),
    "prohibited": ("reject with icmp admin-prohibited", failing("connect_unreachable")),
    "port unreachable": ("reject with icmp port-unreachable", failing("connect_refused")),
    "network unreachable": ("reject with icmp net-unreachable", DOWN),
    "drops large packets": ("meta length > 300 drop", failing("tls_timeout")),
    "cuts at the first data": ("tcp flags & psh == psh reject with tcp reset", failing("tls_reset")),
}


@STEPS
@pytest.mark.parametrize("between", ROUTES)
async def test_a_route_that_leads_nowhere(site, machine, *, name, step, between):
    machine.knows({VAULT: HERE, ENTRA: HERE} | {name: AWAY})
    commands, expected = ROUTES[between]
    await machine.do(*commands)
    assert await site.shown() == (step, *expected)


@STEPS
@pytest.mark.parametrize("how", FIREWALLS)
async def test_a_firewall_between(site, machine, *, name, step, how):
    verdict, expected = FIREWALLS[how]
    machine.knows({VAULT: HERE, ENTRA: HERE} | {name: GUARDED})
    await site.guard(*([f"ip daddr {GUARDED} tcp dport 443 {verdict}"] if verdict is not None else []))
    assert await site.shown(timeout=SOON) == (HEALTHY if expected == HEALTHY else (step, *expected))


async def test_unresolved_name_without_a_network_is_a_broken_resolver(site, machine):
    """The name comes first, and the rule on names knows no exception: the connector might show 3005 (3103)."""
    machine.knows({})
    machine.requests(AWAY)
    assert await site.shown() == ("challenge", 3900, 3900, "dns_temporary")


@pytest_asyncio.fixture(loop_scope="module")
async def cable(machine):
    """A second interface with a cable, with no host at the other end."""
    machine.knows({VAULT: AWAY})
    await machine.do(
        "ip link add near type veth peer name far",
        "ip addr add 192.0.2.2/24 dev near; ip link set near up; ip link set far up",
        "echo 50 >/proc/sys/net/ipv4/neigh/near/retrans_time_ms",
    )
    yield
    await machine.do("ip link del near")


@pytest.mark.usefixtures("cable")
async def test_a_neighbour_that_is_not_there_is_unreachable(site):
    assert await site.shown() == ("challenge", *failing("connect_unreachable"))


@pytest.mark.usefixtures("cable")
async def test_a_pulled_cable_makes_the_vault_unreachable(site, machine):
    await machine.do("ip link set far down")
    assert await site.shown() == ("challenge", *failing("connect_unreachable"))


@pytest.mark.usefixtures("cable")
async def test_an_interface_that_is_down_is_no_network(site, machine):
    await machine.do("ip link set near down")
    assert await site.shown() == ("challenge", *DOWN)


@pytest.mark.usefixtures("cable")
async def test_a_second_address_that_answers_is_enough(site, machine):
    """The first leads nowhere: not a word of it, as long as the next one answers within the probe."""
    machine.knows({VAULT: (AWAY, HERE), ENTRA: HERE})
    assert await site.shown() == HEALTHY
