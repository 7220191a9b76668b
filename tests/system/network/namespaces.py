"""An isolated machine made of Linux namespaces, with its own network, /etc/hosts and resolver.

A namespace exists as long as a process is in it. Every process here ends with the tests, so no namespace is left over.
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

from tests.support.patience import PATIENCE
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
_DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass
class Machine:
    """An async context manager. Needs root, or a system that grants namespaces to every user."""

    folder: Path
    _holder: asyncio.subprocess.Process | None = None
    _user: tuple[str, ...] = field(default_factory=lambda: () if os.geteuid() == 0 else ("--user",))

    async def __aenter__(self) -> Self:
        for name, content in SETTINGS.items():
            (self.folder / name).write_text(content)
        own = (*self._user, "--map-root-user") if self._user else ()
        self._holder = await asyncio.create_subprocess_exec(
            *(*_DIES_WITH_PARENT, "unshare", "--net", "--mount", *own, "sh", "-c", _MAKE, "sh"),
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
        """The command line that runs a command on this machine."""
        enter = ("nsenter", "--target", str(self._holder.pid), "--net", "--mount")
        own = (*self._user, "--preserve-credentials") if self._user else ()
        where = ("env", f"--chdir={Path.cwd()}", f"PATH={_PATH}")
        return (*enter, *own, "--", *where, *_DIES_WITH_PARENT, *map(str, command))

    async def run(self, *command: object) -> tuple[int, str, str]:
        """Run a command until it ends. Returns exit code, output and errors."""
        process = await asyncio.create_subprocess_exec(
            *self.inside(*command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        return process.returncode, out.decode(), err.decode()

    async def do(self, *commands: str) -> None:
        """Run shell commands, which must succeed."""
        for command in commands:
            code, _, err = await self.run("sh", "-c", command)
            assert code == 0, f"{command}: {err}"

    @contextlib.asynccontextmanager
    async def serving(self, name: str, *command: object, ready: str) -> AsyncIterator[Path]:
        """Run a program in the background. Yields the path of its log after `ready` is in it."""
        log = self.folder / f"{name}.log"
        if shutil.which(str(command[0]), path=_PATH) is None:
            pytest.fail(f"{command[0]} is missing: ./dev packages real")
        async with running(log, *self.inside(*command)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while ready not in log.read_text():  # noqa: ASYNC110 - another process writes it
                        await asyncio.sleep(0.02)
            assert ready in log.read_text(), log.read_text()
            yield log

    def set_hosts(self, names: Mapping[str, str | tuple[str, ...]]) -> None:
        """Write /etc/hosts in place: the next lookup reads it. A name may have several addresses."""
        found = [(name, (one,) if isinstance(one, str) else one) for name, one in names.items()]
        lines = [f"{address} {name}\n" for name, addresses in found for address in addresses]
        (self.folder / "hosts").write_text(SETTINGS["hosts"] + "".join(lines))

    def set_resolver(self, resolver: str) -> None:
        """Write the address of the resolver in place."""
        (self.folder / "resolv.conf").write_text(SETTINGS["resolv.conf"].replace("127.0.0.1", resolver))

    async def fetch(self, url: str) -> str:
        """The response of a URL to a client on this machine."""
        program = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=180).read().decode())"
        code, out, err = await self.run(sys.executable, "-c", program, url)
        assert code == 0, err
        return out
