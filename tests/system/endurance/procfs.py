"""What a process holds, as Linux reports it.

For: counts that the process itself cannot beautify. Needs /proc.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Held:
    """What one process held at one moment; `memory` is what is resident, in bytes."""

    threads: int
    sockets: int
    descriptors: int
    memory: int


def held(pid: int) -> Held:
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:  # closed during the reading
            continue
    status = Path(f"/proc/{pid}/status").read_text()
    return Held(
        threads=int(re.search(r"Threads:\s+(\d+)", status)[1]),
        sockets=sum(link.startswith("socket:") for link in links),
        descriptors=len(links),
        memory=int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024,
    )


async def at_rest(pid: int, seconds: float) -> Held:
    """The least of each that it held within so many seconds: between two probes nothing of a probe is left."""
    loop = asyncio.get_running_loop()
    end, seen = loop.time() + seconds, []
    while loop.time() < end:
        seen.append(held(pid))
        await asyncio.sleep(0.02)
    return Held(*(min(getattr(one, name) for one in seen) for name in ("threads", "sockets", "descriptors", "memory")))
