"""A process or an event loop that gets no time, and vaults that never answer."""

import asyncio
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

VERSION = "4f1c8e2a9b7d4036a5e1c7f20b9d8346"


@contextlib.asynccontextmanager
async def stolen(pid: int, running: float, stopped: float) -> AsyncIterator[None]:
    """Let the process run and stop it, for these seconds in turn. It runs again afterwards.

    Another process does it, whose pace does not depend on this one's work.
    """
    thief = (sys.executable, __file__, str(pid), str(running), str(stopped))
    process = await asyncio.create_subprocess_exec(*thief, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        await process.communicate()


def _steal(pid: int, running: float, stopped: float) -> None:
    """Until the standard input or the process ends. The first line of the output is the beginning."""
    print("begins", flush=True)  # noqa: T201 - for the process that waits
    with contextlib.suppress(ProcessLookupError):
        while not select.select([sys.stdin], [], [], running)[0]:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(stopped)
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def stalled_loop() -> Iterator[None]:
    """Let the running event loop work for a fifth of the time."""
    loop = asyncio.get_running_loop()

    def stall() -> None:
        nonlocal timer
        time.sleep(0.2)
        timer = loop.call_later(0.05, stall)

    timer: asyncio.Handle = loop.call_soon(stall)
    try:
        yield
    finally:
        timer.cancel()


@contextlib.asynccontextmanager
async def silent_vaults() -> AsyncIterator[int]:
    """Listen, accept connections and answer nothing; yields the port."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(4096):
                pass
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0, backlog=4096)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def written(folder: Path, *, targets: int, interval: float, timeout: float, port: int | None = None) -> Path:
    """Write a configuration; the vaults are behind `port`, if there is one. Each target has its own vault."""
    (folder / "secret").write_text("MARKED~secret_of_a_slow_host\n")
    (folder / "secret").chmod(0o600)
    names = [f"vault{number}" for number in range(targets)]
    routes = "".join(f"      {name}.vault.azure.net:443: 127.0.0.1:{port}\n" for name in names if port)
    (folder / "ekm.yml").write_text(
        f"global: {{interval: {interval:g}s, timeout: {timeout:g}s, min_interval: 0s, preflight_interval: 0s, vantage: sql_host}}\n"
        "credentials:\n"
        "  c: {type: client_secret, tenant_id: 5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40, "
        "client_id: 2b8e4d70-6c1f-4a95-8d23-9f0e5b7a1c64, client_secret_file: secret}\n"
        + (f"modules:\n  default:\n    connect_to:\n{routes}" if port else "")
        + "targets:\n"
        + "".join(f"  - {{name: {name}, vault: {name}, key: K/{VERSION}, credential: c}}\n" for name in names)
    )
    return folder / "ekm.yml"


if __name__ == "__main__":
    _steal(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
