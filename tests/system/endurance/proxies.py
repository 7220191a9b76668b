"""Runs the failing proxies of the scenario table and prints their URLs."""

import asyncio
import contextlib
import json
import sys

from exporter.simulator.scenarios import BY_NAME
from tests.support import broken_credentials
from tests.system.endurance.fleet import PROXIES


async def main():
    async with contextlib.AsyncExitStack() as stack:
        addresses = {name: await stack.enter_async_context(broken_credentials.proxy(BY_NAME[name])) for name in PROXIES}
        sys.stdout.write(f"proxies: {json.dumps(addresses)}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


asyncio.run(main())
