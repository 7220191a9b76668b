"""Names asked of a real resolver by the operating system's own means, as a probe does, at the vault and at Entra."""

import contextlib
import sys
from dataclasses import dataclass

import pytest

from tests.network.site import ENTRA, HEALTHY, HERE, VAULT

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

DNSMASQ = ("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
           f"--listen-address={HERE}", "--bind-interfaces")  # fmt: skip
BEHIND = "127.0.0.1#5300"
# The root's trust anchor, public and as good as any here: nothing that follows is signed.
ANCHOR = "--trust-anchor=.,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"


@dataclass(frozen=True)
class Answer:
    """How dnsmasq is told to answer for a name, the code of its answer (RFC 1035, 4.1.1), and what a probe makes of it."""

    flags: tuple[str, ...]
    rcode: int | None
    reason: str = ""


ANSWERS = {
    "found": Answer(("--address=/{}/127.0.0.1",), 0),
    "nxdomain": Answer(("--address=/{}/",), 3, "dns_not_found"),
    "no address": Answer(("--local=/{}/", "--txt-record={},said"), 0, "dns_not_found"),
    "refused": Answer((), 5, "dns_temporary"),  # what it knows nothing of
    "servfail": Answer(("--dnssec", ANCHOR, f"--server={BEHIND}"), 2, "dns_temporary"),  # an answer without a signature
    "silent": Answer((f"--server=/{{}}/{BEHIND}",), None, "dns_temporary"),  # nobody behind it
}
_ASK = """\
import socket, sys
name = b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[1].split("."))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(1)
    client.sendto(b"id\\1\\0\\0\\1" + bytes(6) + name + b"\\0\\0\\1\\0\\1", ("127.0.0.1", 53))
    try:
        print(client.recv(512)[3] & 15)
    except TimeoutError:
        print(None)
"""


@pytest.fixture
def resolver(machine):
    """Starts a resolver that answers for the two names as told; /etc/hosts has neither."""

    @contextlib.asynccontextmanager
    async def start(*, vault="found", entra="found"):
        machine.knows({})
        flags = [flag.format(name) for name, said in ((VAULT, vault), (ENTRA, entra)) for flag in ANSWERS[said].flags]
        async with contextlib.AsyncExitStack() as stack:
            if "servfail" in (vault, entra):
                behind = (*DNSMASQ, "--port=5300", f"--address=/#/{HERE}")
                await stack.enter_async_context(machine.serving("behind", *behind, ready="started"))
            await stack.enter_async_context(machine.serving("dnsmasq", *DNSMASQ, *flags, ready="started"))
            for name, said in ((VAULT, vault), (ENTRA, entra)):
                assert await machine.run(sys.executable, "-c", _ASK, name) == (0, f"{ANSWERS[said].rcode}\n", "")
            yield

    return start


async def test_names_that_resolve_are_found(site, resolver):
    async with resolver():
        assert await site.shown() == HEALTHY
        _, report = await site.probed()
    assert all(report["steps"][number]["phases"]["dns"] > 0 for number in (0, 1))


@pytest.mark.parametrize("said", [said for said in ANSWERS if said != "found"])
@pytest.mark.parametrize(("who", "step"), [("vault", "challenge"), ("entra", "token")])
async def test_what_the_resolver_says_is_told_apart(site, resolver, *, who, step, said):
    async with resolver(**{who: said}):
        assert await site.shown() == (step, 3900, 3900, ANSWERS[said].reason)


@pytest.mark.parametrize(("who", "step"), [("vault", "challenge"), ("entra", "token")])
async def test_a_resolver_slower_than_the_probe_is_a_timeout(site, resolver, who, step):
    async with resolver(**{who: "silent"}):
        assert await site.shown(timeout="700ms") == (step, 3900, 3900, "dns_timeout")


async def test_without_a_resolver_no_name_is_found(site, machine):
    machine.knows({})
    assert await site.shown() == ("challenge", 3900, 3900, "dns_temporary")


async def test_a_host_that_may_not_ask_its_resolver_has_a_broken_one(site, machine):
    machine.knows({})
    await site.guard("udp dport 53 drop")
    assert await site.shown() == ("challenge", 3900, 3900, "dns_temporary")
