"""All incidents of the drill, side by side: each fault begins, ends, and is followed by an hour of the drill."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from tests.integration.process.conftest import commands
from tests.system.alerts.drill.harness import INTERVAL, SCALE, start_drill
from tests.system.alerts.drill.incidents import NOISY, PASSING, QUIET, RANDOM, Incident
from tests.system.alerts.drill.messages import Message, received

MINUTE = 60 / SCALE
HOUR = 60 * MINUTE


@dataclass
class Played:
    """Times are those of the clock; `addresses` are the exporters' by host."""

    began: dict[str, float] = field(default_factory=dict)
    healed: dict[str, float] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    random_failures: int = 0

    def of(self, incident: Incident) -> list[Message]:
        """The messages about the targets of an incident, or about its exporter, and the ends of its pages."""
        address = self.addresses[incident.host] if incident.host == incident.name else None
        own = [one for one in self.messages if one.env == incident.name or (address is not None and address in one.text)]
        pages = {one.group for one in own if one.kind == "page"}
        return [one for one in self.messages if one in own or (one.kind == "resolved" and one.group in pages)]


async def play(folder, incidents):
    """Play the incidents, next to targets without one, and return what was received."""
    played = Played()
    async with commands() as command, start_drill(folder, command, [*incidents, *QUIET]) as drill:
        played.addresses = {name: host.url.removeprefix("http://") for name, host in drill.hosts.items()}
        longest = max(one.minutes for one in incidents) * MINUTE + HOUR
        noise = asyncio.create_task(_make_noise(drill.hosts[NOISY.host], longest))
        await asyncio.gather(*(_play(drill, one, played) for one in incidents))
        await noise
        failed = await drill.prometheus.query('sum(max_over_time(ekm_probe_failures_total{target=~"noisy-.+"}[1m]))')
        played.random_failures = int(failed[0]["value"][1])
        played.messages = list(received(drill.alertmanager.received.arrived))
    return played


async def _play(drill, incident, played):
    host = drill.hosts[incident.host]
    began = played.began[incident.name] = time.monotonic()
    for begin, end in incident.spans:
        await _until(began + begin * MINUTE)
        healing = await _break(drill, host, incident)
        await _until(began + end * MINUTE)
        await healing()
    healed = played.healed[incident.name] = time.monotonic()
    await _until(healed + HOUR)


async def _break(drill, host, incident):
    """Begin the fault and return what ends it."""
    if not incident.fault:
        host.process.process.kill()
        return lambda: drill.restart(host)
    numbers = [number for fault in incident.faults() for number in await host.set_fault(**fault)]
    routed = incident.fault["fault"] == "unresolvable"
    if routed:
        await host.reload()

    async def heal():
        await host.clear(numbers)
        if routed:
            await host.reload()

    return heal


async def _make_noise(host, seconds):
    """Let one probe in a hundred of the noisy fleet fail, one target at a time."""
    draw = random.Random(3011)  # noqa: S311 - chance that can be repeated
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        await asyncio.sleep(draw.expovariate(RANDOM * NOISY.count / INTERVAL))
        numbers = await host.set_fault(vault=draw.choice(NOISY.targets), fault=draw.choice(PASSING))
        await asyncio.sleep(INTERVAL)  # one probe of that target
        await host.clear(numbers)


async def _until(moment):
    await asyncio.sleep(max(0, moment - time.monotonic()))
