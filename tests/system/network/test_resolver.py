"""Names resolved by a real resolver through the operating system, for the vault and for Entra."""

import pytest

from tests.system.network.harness import HEALTHY
from tests.system.network.resolver import ANSWERS, resolving

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]


async def test_names_that_resolve_are_found(site, machine):
    async with resolving(machine):
        assert await site.shown() == HEALTHY
        _, report = await site.probed()
    assert all(report["steps"][number]["phases"]["dns"] > 0 for number in (0, 1))


@pytest.mark.parametrize("output", [output for output in ANSWERS if output != "found"])
@pytest.mark.parametrize(("who", "step"), [("vault", "challenge"), ("entra", "token")])
async def test_answers_of_the_resolver_are_distinguished(site, machine, *, who, step, output):
    async with resolving(machine, **{who: output}):
        assert await site.shown() == (step, 3900, 3900, ANSWERS[output].reason)


@pytest.mark.parametrize(("who", "step"), [("vault", "challenge"), ("entra", "token")])
async def test_a_resolver_slower_than_the_probe_is_a_timeout(site, machine, who, step):
    async with resolving(machine, **{who: "silent"}):
        assert await site.shown(timeout="700ms") == (step, 3900, 3900, "dns_timeout")


async def test_without_a_resolver_no_name_is_found(site, machine):
    machine.knows({})
    assert await site.shown() == ("challenge", 3900, 3900, "dns_temporary")


async def test_host_without_access_to_its_resolver_has_a_broken_one(site, machine):
    machine.knows({})
    await site.guard("udp dport 53 drop")
    assert await site.shown() == ("challenge", 3900, 3900, "dns_temporary")
