"""A computer of its own, made of namespaces: its own network, its own /etc/hosts and resolver, real programs on it.

Network faults that a test must not cause on its own machine. A namespace lives as long as a process
is in it, and every process here dies with the tests, so nothing can be left behind, whatever happens.
Not for: what a failure should be called (see the tests).
"""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from tests.system.prometheus.servers import running

SETTINGS = {
    "hosts": "127.0.0.1 localhost\n",
    "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    "nsswitch.conf": "hosts: files dns\n",
}
_MAKE = """\
set -e
for file in "$@"; do mount --bind "$file" "/etc/${file##*/}"; done
ip link set lo up
echo made
exec sleep infinity
"""
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass
class Machine:
    """Use as an async context manager. Needs root, or a system that grants namespaces to everybody."""

    folder: Path
    _holder: asyncio.subprocess.Process | None = None
    _user: tuple[str, ...] = field(default_factory=lambda: () if os.geteuid() == 0 else ("--user",))

    async def __aenter__(self) -> Self:
        for name, content in SETTINGS.items():
            (self.folder / name).write_text(content)
        own = (*self._user, "--map-root-user") if self._user else ()
        self._holder = await asyncio.create_subprocess_exec(
            *(*_DIES_WITH_US, "unshare", "--net", "--mount", *own, "sh", "-c", _MAKE, "sh"),
            *(self.folder / name for name in SETTINGS),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PATH": _PATH},
        )
        if await self._holder.stdout.readline() != b"made\n":
            output = (await self._holder.communicate())[1].decode()
            pytest.fail(f"these tests need a network namespace (be root, with CAP_SYS_ADMIN and CAP_NET_ADMIN): {output}")
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._holder.kill()
        await self._holder.communicate()

    def inside(self, *command: object) -> tuple[str, ...]:
        """The command that runs another on this computer."""
        enter = ("nsenter", "--target", str(self._holder.pid), "--net", "--mount")
        own = (*self._user, "--preserve-credentials") if self._user else ()
        where = ("env", f"--chdir={Path.cwd()}", f"PATH={_PATH}")
        return (*enter, *own, "--", *where, *_DIES_WITH_US, *map(str, command))

    async def run(self, *command: object) -> tuple[int, str, str]:
        """Exit code, output and errors of a command that ends by itself."""
        process = await asyncio.create_subprocess_exec(
            *self.inside(*command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), 30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        return process.returncode, out.decode(), err.decode()

    async def do(self, *commands: str) -> None:
        """Commands, written as in a shell, that have to succeed."""
        for command in commands:
            code, _, err = await self.run("sh", "-c", command)
            assert code == 0, f"{command}: {err}"

    @contextlib.asynccontextmanager
    async def serving(self, name: str, *command: object, ready: str) -> AsyncIterator[Path]:
        """A program that runs meanwhile; gives its log once that contains `ready`."""
        log = self.folder / f"{name}.log"
        if shutil.which(str(command[0]), path=_PATH) is None:
            pytest.fail(f"{command[0]} is missing: ./dev packages real")
        async with running(log, *self.inside(*command)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(20):
                    while ready not in log.read_text():  # noqa: ASYNC110 - it is another process that writes
                        await asyncio.sleep(0.02)
            assert ready in log.read_text(), log.read_text()
            yield log

    def knows(self, names: Mapping[str, str | tuple[str, ...]]) -> None:
        """Writes /etc/hosts, in place: a process sees it with its next look-up. A name may have several addresses."""
        found = [(name, (one,) if isinstance(one, str) else one) for name, one in names.items()]
        lines = [f"{address} {name}\n" for name, addresses in found for address in addresses]
        (self.folder / "hosts").write_text(SETTINGS["hosts"] + "".join(lines))

    def requests(self, resolver: str) -> None:
        """Writes the resolver's address, in place."""
        (self.folder / "resolv.conf").write_text(SETTINGS["resolv.conf"].replace("127.0.0.1", resolver))

    async def fetch(self, url: str) -> str:
        """What a URL answers to a client on this computer."""
        program = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=20).read().decode())"
        code, out, err = await self.run(sys.executable, "-c", program, url)
        assert code == 0, err
        return out
