"""Faults with different repairs: each has a unique pair of code and reason."""

import contextlib
from dataclasses import dataclass

import pytest

from tests.system.network.harness import ENTRA, GUARDED, HERE, VAULT
from tests.system.network.resolver import resolving

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Cause:
    """A fault at the simulated vault, at the resolver, or at a firewall in between."""

    shown: tuple[str, int, int, str]
    scenario: str | None = None
    resolver: str | None = None
    firewall: str | None = None


CAUSES = {
    "the vault's firewall": Cause(("get_key", 3077, 3113, "forbidden_firewall"), scenario="firewall"),
    "a network firewall that drops": Cause(("challenge", 3008, 3106, "connect_timeout"), firewall="drop"),
    "a network firewall that refuses": Cause(("challenge", 3008, 3106, "connect_refused"), firewall="reject with tcp reset"),
    "public access switched off": Cause(("get_key", 3077, 3113, "forbidden_connection"), scenario="private_only"),
    "a missing role": Cause(("get_key", 3077, 3113, "forbidden_rbac"), scenario="role_removed"),
    "a missing permission": Cause(("get_key", 3077, 3113, "forbidden_policy"), scenario="get_forbidden"),
    "a disabled key": Cause(("wrap_key", 3077, 3113, "key_disabled"), scenario="key_disabled"),
    "a deleted key": Cause(("get_key", 3076, 3112, "key_not_found"), scenario="key_purged"),
    "a deleted vault": Cause(("challenge", 3900, 3900, "dns_not_found"), resolver="nxdomain"),
    "a broken resolver": Cause(("challenge", 3900, 3900, "dns_temporary"), resolver="servfail"),
    "an expired secret": Cause(("token", 3303, 3303, "secret_expired"), scenario="secret_expired"),
    "a wrong secret": Cause(("token", 3303, 3303, "secret_wrong"), scenario="secret_wrong"),
}


@pytest.mark.parametrize("what", CAUSES)
async def test_cause_has_its_code_and_reason(server, machine, what):
    cause = CAUSES[what]
    async with contextlib.AsyncExitStack() as stack:
        if cause.scenario is not None:
            await server.break_(vault=VAULT, scenario=cause.scenario)
            stack.push_async_callback(server.repair)
        if cause.resolver is not None:
            await stack.enter_async_context(resolving(machine, vault=cause.resolver))
        if cause.firewall is not None:
            machine.set_hosts({VAULT: GUARDED, ENTRA: HERE})
            await server.guard(f"ip daddr {GUARDED} {'tcp dport 443 ' if 'tcp' in cause.firewall else ''}{cause.firewall}")
        assert await server.shown(timeout="2s") == cause.shown


async def test_causes_have_different_codes_or_reasons():
    for number in (1, 2):
        pairs = [(cause.shown[number], cause.shown[3]) for cause in CAUSES.values()]
        assert len(set(pairs)) == len(CAUSES)
