"""Names resolved by a real resolver through the operating system, for the vault and for Entra."""

import pytest

from tests.system.network.harness import HEALTHY
from tests.system.network.resolver import ANSWERS, resolving

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]


async def test_resolved_names_have_a_dns_phase(server, machine):
    async with resolving(machine):
        assert await server.shown() == HEALTHY
        _, report = await server.probed()
    assert all(report["steps"][number]["phases"]["dns"] > 0 for number in (0, 1))


@pytest.mark.parametrize("output", [output for output in ANSWERS if output != "found"])
@pytest.mark.parametrize(("who", "step"), [("vault", "challenge"), ("entra", "token")])
async def test_resolver_failure_has_its_reason(server, machine, *, who, step, output):
    async with resolving(machine, **{who: output}):
        assert await server.shown() == (step, 3900, 3900, ANSWERS[output].reason)


@pytest.mark.parametrize(("who", "step"), [("vault", "challenge"), ("entra", "token")])
async def test_silent_resolver_is_a_timeout(server, machine, who, step):
    async with resolving(machine, **{who: "silent"}):
        assert await server.shown(timeout="700ms") == (step, 3900, 3900, "dns_timeout")


async def test_blocked_resolver_is_a_temporary_failure(server, machine):
    machine.set_hosts({})
    await server.guard("udp dport 53 drop")
    assert await server.shown() == ("challenge", 3900, 3900, "dns_temporary")
