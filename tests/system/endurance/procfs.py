"""Threads, sockets, descriptors, memory, processor time and waits of a process, read from /proc."""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Held:
    """The resources of a process at one moment. `memory` is the resident memory in bytes."""

    threads: int
    sockets: int
    descriptors: int
    memory: int


def held(pid: int) -> Held:
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    status = Path(f"/proc/{pid}/status").read_text()
    return Held(
        threads=int(re.search(r"Threads:\s+(\d+)", status)[1]),
        sockets=sum(link.startswith("socket:") for link in links),
        descriptors=len(links),
        memory=int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024,
    )


def waited(pid: int) -> float:
    """The seconds in which the main thread of a process was ready to run and had no processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def used(pid: int) -> float:
    """The seconds of processors that all threads of a process used."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


async def at_rest(pid: int, seconds: float) -> Held:
    """The minimum of each resource within `seconds`, which is that between two probes."""
    loop = asyncio.get_running_loop()
    end, seen = loop.time() + seconds, []
    while loop.time() < end:
        seen.append(held(pid))
        await asyncio.sleep(0.02)
    return Held(*(min(getattr(one, name) for one in seen) for name in ("threads", "sockets", "descriptors", "memory")))
