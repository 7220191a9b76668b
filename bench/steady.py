"""What the exporter costs in the long run: processor time and memory while it probes simulated vaults at a steady pace.

For: one figure per target that can be measured again: `.venv/bin/python bench/steady.py --targets 200 --interval 10s`.
Not for: comparing with other programs, or anything under load. The simulator runs in a process of its own; only the exporter's
processor time counts (user and system, from /proc, so Linux only).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

_TICKS = os.sysconf("SC_CLK_TCK")


def configuration(targets: int, credentials: int, interval: str) -> str:
    """So many vaults, each with a key of its own, their credentials dealt out in turn."""
    lines = [f"global: {{interval: {interval}, connector_generation: classic}}", "credentials:"]
    lines += [
        f"  app-{n}: {{type: client_secret, tenant_id: 5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40,"
        f" client_id: 2b8e4d70-6c1f-4a95-8d23-{n:012x}, client_secret_env: EKM_BENCH, expires_on: 2099-01-01}}"
        for n in range(credentials)
    ]
    lines.append("targets:")
    lines += [
        f"  - {{name: t{n}, vault: bench-{n:04}, key: Key/{n:032x}, credential: app-{n % credentials}}}" for n in range(targets)
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def started(*arguments: object, says: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command of ours and the part of its output that answers the pattern."""
    command = [sys.executable, "-m", "exporter", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603 - ours
        try:
            assert process.stdout is not None  # noqa: S101 - it was started with a pipe
            match = next(found for line in process.stdout if (found := re.search(says, line)))
            yield process, match[1]
        finally:
            process.terminate()
            process.communicate()


def spent(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident(pid: int) -> float:
    """Megabytes now."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def counted(url: str) -> dict[str, float]:
    """The sums over all targets that say whether the run was a fair one."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:  # noqa: S310 - ours, on loopback
        families = text_string_to_metric_families(answer.read().decode())
    wanted = ("ekm_probes_total", "ekm_probe_failures_total", "ekm_exporter_probes_tainted_total")
    samples = [sample for family in families for sample in family.samples if sample.name in wanted]
    return {name: sum(sample.value for sample in samples if sample.name == name) for name in wanted}


def measure(pid: int, url: str, *, warm_up: float, seconds: float) -> None:
    time.sleep(warm_up)
    before, probes_before, begun = spent(pid), counted(url), time.monotonic()
    time.sleep(seconds)
    after, probes_after, wall = spent(pid), counted(url), time.monotonic() - begun
    made = {name: probes_after[name] - probes_before[name] for name in probes_before}
    probes = made["ekm_probes_total"]
    print(f"wall {wall:.1f} s, probes {probes:.0f}, failed {made['ekm_probe_failures_total']:.0f}, ", end="")
    print(f"tainted {made['ekm_exporter_probes_tainted_total']:.0f}")
    print(f"processor time {after - before:.2f} s: {100 * (after - before) / wall:.1f} % of one core, ", end="")
    print(f"{1000 * (after - before) / max(probes, 1):.2f} ms a probe")
    print(f"resident memory {resident(pid):.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--credentials", type=int, default=10)
    parser.add_argument("--interval", default="10s")
    parser.add_argument("--warm-up", type=float, default=15.0, help="seconds before measuring")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds measured")
    args = parser.parse_args()
    os.environ["EKM_BENCH"] = "not-a-secret"
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "ekm.yml")
        config.write_text(configuration(args.targets, args.credentials, args.interval), encoding="utf-8")
        ports = ("--sim.port", 0, "--sim.management-port", 0)
        with (
            started("simulate", "--config.file", config, "--out", Path(folder, "sim"), *ports, says="(stop: )"),
            started(
                *("run", "--config.file", Path(folder, "sim", "ekm.yml"), "--web.listen-address", "127.0.0.1:0"),
                says=r"url=(http://\S+)",
            ) as (exporter, url),
        ):
            measure(exporter.pid, url, warm_up=args.warm_up, seconds=args.seconds)


if __name__ == "__main__":
    main()
