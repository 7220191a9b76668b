"""A real resolver, dnsmasq, with a chosen answer for each name."""

import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.system.network.harness import ENTRA, HERE, VAULT
from tests.system.network.namespaces import Machine

DNSMASQ = ("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
           f"--listen-address={HERE}", "--bind-interfaces")  # fmt: skip
BEHIND = "127.0.0.1#5300"
# The public trust anchor of the root. Any anchor works, because no answer is signed.
ANCHOR = "--trust-anchor=.,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"


@dataclass(frozen=True)
class Answer:
    """The flags of dnsmasq for an answer, its code (RFC 1035, 4.1.1), and the reason of the probe."""

    flags: tuple[str, ...]
    rcode: int | None
    reason: str = ""


ANSWERS = {
    "found": Answer(("--address=/{}/127.0.0.1",), 0),
    "nxdomain": Answer(("--address=/{}/",), 3, "dns_not_found"),
    "no address": Answer(("--local=/{}/", "--txt-record={},text"), 0, "dns_not_found"),
    "refused": Answer((), 5, "dns_temporary"),  # no configured name
    "servfail": Answer(("--dnssec", ANCHOR, f"--server={BEHIND}"), 2, "dns_temporary"),  # an answer without a signature
    "silent": Answer((f"--server=/{{}}/{BEHIND}",), None, "dns_temporary"),  # no server behind it
}
_QUERY = """\
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


@contextlib.asynccontextmanager
async def resolving(machine: Machine, *, vault: str = "found", entra: str = "found") -> AsyncIterator[None]:
    """Run a resolver with these answers for the two names, and check them. /etc/hosts has neither name."""
    machine.set_hosts({})
    wanted = ((VAULT, ANSWERS[vault]), (ENTRA, ANSWERS[entra]))
    flags = [flag.format(name) for name, answer in wanted for flag in answer.flags]
    async with contextlib.AsyncExitStack() as stack:
        if "servfail" in (vault, entra):
            behind = (*DNSMASQ, "--port=5300", f"--address=/#/{HERE}")
            await stack.enter_async_context(machine.serving("behind", *behind, ready="started"))
        await stack.enter_async_context(machine.serving("dnsmasq", *DNSMASQ, *flags, ready="started"))
        for name, answer in wanted:
            assert await machine.run(sys.executable, "-c", _QUERY, name) == (0, f"{answer.rcode}\n", "")
        yield
