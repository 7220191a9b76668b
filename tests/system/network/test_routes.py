"""Failing routes: no network, no route, a pulled cable, a firewall that drops, refuses or cuts."""

import pytest
import pytest_asyncio

from tests.system.network.harness import AWAY, ENTRA, GUARDED, HEALTHY, HERE, VAULT

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

SOON = "3s"
DOWN = (3005, 3103, "network_down")


def failing(reason):
    return 3008, 3106, reason


STEPS = pytest.mark.parametrize(("name", "step"), [(VAULT, "challenge"), (ENTRA, "token")], ids=["vault", "entra"])

# Commands of ip(8), and the expected failure.
ROUTES = {
    "no route": ((), DOWN),
    "unreachable": ((f"ip route add unreachable {AWAY}",), failing("connect_unreachable")),
    "prohibit": ((f"ip route add prohibit {AWAY}",), failing("connect_failed")),
    "blackhole": ((f"ip route add blackhole {AWAY}",), failing("connect_failed")),
}

# The verdict of nft(8) for packets to the host, and the expected failure.
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
async def test_broken_route_has_its_code_and_reason(server, machine, *, name, step, between):
    machine.set_hosts({VAULT: HERE, ENTRA: HERE} | {name: AWAY})
    commands, expected = ROUTES[between]
    await machine.do(*commands)
    assert await server.shown() == (step, *expected)


@STEPS
@pytest.mark.parametrize("how", FIREWALLS)
async def test_firewall_has_its_code_and_reason(server, machine, *, name, step, how):
    verdict, expected = FIREWALLS[how]
    machine.set_hosts({VAULT: HERE, ENTRA: HERE} | {name: GUARDED})
    await server.guard(*([f"ip daddr {GUARDED} tcp dport 443 {verdict}"] if verdict is not None else []))
    assert await server.shown(timeout=SOON) == (HEALTHY if expected == HEALTHY else (step, *expected))


async def test_missing_network_is_a_temporary_resolver_failure(server, machine):
    """The resolution of the name fails first. The connector might show 3005 (3103)."""
    machine.set_hosts({})
    machine.set_resolver(AWAY)
    assert await server.shown() == ("challenge", 3900, 3900, "dns_temporary")


@pytest_asyncio.fixture(loop_scope="session")
async def cable(machine):
    """A second interface with a cable, and no host at the other end."""
    machine.set_hosts({VAULT: AWAY})
    await machine.do(
        "ip link add near type veth peer name far",
        "ip addr add 192.0.2.2/24 dev near; ip link set near up; ip link set far up",
        "echo 50 >/proc/sys/net/ipv4/neigh/near/retrans_time_ms",
    )
    yield
    await machine.do("ip link del near")


@pytest.mark.usefixtures("cable")
async def test_missing_neighbour_is_unreachable(server):
    assert await server.shown() == ("challenge", *failing("connect_unreachable"))


@pytest.mark.usefixtures("cable")
async def test_interface_that_is_down_is_no_network(server, machine):
    await machine.do("ip link set near down")
    assert await server.shown() == ("challenge", *DOWN)


@pytest.mark.usefixtures("cable")
async def test_second_address_suffices(server, machine):
    """The first address fails; the probe succeeds if the next one responds in time."""
    machine.set_hosts({VAULT: (AWAY, HERE), ENTRA: HERE})
    assert await server.shown() == HEALTHY
