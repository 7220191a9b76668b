"""Makes probes on the isolated machine, in one process.

A line of input is the path of a configuration. A line of output is a JSON list with the reports of its targets, from concurrent
probes with fresh tokens.
"""

import asyncio
import json
import sys
from pathlib import Path

from exporter.clients import quiet_sdk_loggers
from exporter.config import load_config
from exporter.presentation.payloads import probe_payload
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop_lag import LoopLag


def bug(error):
    raise error


async def probe_all(path):
    config = load_config(path).config
    prober = Prober(
        config,
        lag=LoopLag(),
        callbacks=ProberCallbacks(on_internal_error=bug),
    )
    try:
        reports = await asyncio.gather(*(prober.probe_on_demand(target, fresh=True) for target in config.targets.values()))
    finally:
        await prober.aclose()
    return [probe_payload(target, report) for target, report in zip(config.targets.values(), reports, strict=True)]


async def main():
    quiet_sdk_loggers()
    while line := await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(json.dumps(await probe_all(Path(line.strip()))) + "\n")
        sys.stdout.flush()


asyncio.run(main())
