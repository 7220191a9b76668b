"""Makes probes and runs commands on the isolated machine, in one process: the start of another one takes a second of a processor.

A line of input is JSON. For the path of a configuration, a line of output is a list with the reports of its targets, from
concurrent probes with fresh tokens. For a list of arguments, it is the exit code, the output and the errors of `ekm-exporter`.
"""

import asyncio
import contextlib
import gc
import io
import json
import sys
from pathlib import Path

from exporter.cli.main import main as command
from exporter.clients.entra import quiet_sdk_loggers
from exporter.config.load import load_config
from exporter.presentation.payloads import probe_payload
from tests.support.running import a_prober


async def probe_all(path):
    config = load_config(path).config
    async with a_prober(config) as prober:
        reports = await asyncio.gather(*(prober.probe_on_demand(target, fresh=True) for target in config.targets.values()))
    return [probe_payload(target, report) for target, report in zip(config.targets.values(), reports, strict=True)]


def run(arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = command(arguments)
        gc.collect()  # a warning about what is left open is an error of the command
    return code, out.getvalue(), err.getvalue()


quiet_sdk_loggers()
for line in sys.stdin:
    request = json.loads(line)
    answer = asyncio.run(probe_all(Path(request))) if isinstance(request, str) else run(request)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
